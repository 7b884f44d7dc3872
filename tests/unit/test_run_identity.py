"""What a run is called: the same for ever, whatever keys are added to a scenario later."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from discosim.config import load_scenario
from discosim.config.shape import keys_of
from discosim.core.spec import spec
from discosim.runs.identity import hashed_form, run_id

STORED = Path(__file__).parent / "stored_runs"
"""``config.yaml`` as version 0.1.0 wrote it, and the identity that it gave each run, inputs aside."""


@pytest.mark.parametrize(("name", "stored"), json.loads((STORED / "run_ids.json").read_text()).items())
def test_stored_runs_keep_their_names(name, stored):
    assert run_id(load_scenario(STORED / f"{name}.yaml"), {}) == stored


@dataclass(frozen=True, kw_only=True)
class Inner:
    rate: float = spec(1.0, doc="A rate.")


@dataclass(frozen=True, kw_only=True)
class Section:
    kind: Literal["old"] = spec("old", doc="Which.")
    n: int = spec(3, doc="A number.")
    later: int = spec(7, doc="A key that came later.", since="0.2", ge=0)
    inner: Inner = spec(Inner, doc="A section that came later.", since="0.2")
    many: tuple[int, ...] = field(default=())


def test_a_later_key_leaves_no_trace_at_its_default():
    assert hashed_form(Section()) == {"kind": "old", "n": 3, "many": []}


def test_a_later_key_counts_where_it_says_something_else():
    assert hashed_form(Section(later=8))["later"] == 8
    assert hashed_form(Section(inner=Inner(rate=2.0)))["inner"] == {"rate": 2.0}


def test_the_version_of_a_key_is_no_range():
    assert dict(keys_of(Section)["later"].limits) == {"ge": 0}
