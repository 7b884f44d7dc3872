"""Options of policies that other people wrote, as a configuration sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest
from config_samples import data, small_world

from discosim.config import load_scenario
from discosim.core.errors import InvariantError, UserError
from discosim.policies import Policy


@pytest.fixture(autouse=True)
def _small_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    small_world(monkeypatch, tmp_path)
    monkeypatch.chdir(tmp_path)


@dataclass(kw_only=True)
class Named(Policy):
    """A policy that takes a reserved option."""

    kind: ClassVar[str] = "named"
    name: str = "x"


@dataclass(kw_only=True)
class Stateful(Policy):
    """A policy with state, and no option."""

    kind: ClassVar[str] = "stateful"
    seen: OnlyForTheTypeChecker = field(init=False)  # type: ignore[name-defined]  # noqa: F821 - as under TYPE_CHECKING


@dataclass(kw_only=True)
class Unresolved(Policy):
    """A policy whose option has a type that does not exist at run time."""

    kind: ClassVar[str] = "unresolved"
    seen: OnlyForTheTypeChecker = 3  # type: ignore[name-defined]  # noqa: F821 - as under TYPE_CHECKING


class Bare(Policy):
    """A policy that is no dataclass of its own."""

    kind: ClassVar[str] = "bare"


@dataclass(frozen=True, kw_only=True)
class Fussy:
    """A section inside an option that refuses a combination."""

    low: int = 1
    high: int = 2

    def __post_init__(self) -> None:
        if self.high < self.low:
            raise ValueError("high must be\nabove low")


@dataclass(kw_only=True)
class Sectioned(Policy):
    """A policy with a section."""

    kind: ClassVar[str] = "sectioned"
    fussy: Fussy = field(default_factory=Fussy)
    steps: set[str] = field(default_factory=set)


def test_a_section_of_an_option_may_refuse_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("discosim.policies.known_policies", lambda: {"sectioned": Sectioned})
    monkeypatch.setattr("discosim.policies.registry.known_policies", lambda: {"sectioned": Sectioned})
    with pytest.raises(UserError) as caught:
        load_scenario(data() | {"policies": [{"kind": "sectioned", "fussy": {"low": 3}}]})
    assert str(caught.value).splitlines() == [
        "policies[0].fussy: high must be above low",
        "policies[0].steps: its default, a set, is nothing that a file can hold",
    ]


def test_state_is_no_option_and_needs_no_type_at_run_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("discosim.policies.known_policies", lambda: {"stateful": Stateful, "bare": Bare})
    monkeypatch.setattr("discosim.policies.registry.known_policies", lambda: {"stateful": Stateful, "bare": Bare})
    given = data() | {"policies": [{"kind": "stateful"}, {"kind": "bare"}]}
    assert [policy.options for policy in load_scenario(given).policies] == [{}, {}]
    given["policies"][0]["seen"] = 1
    with pytest.raises(UserError, match=r"policies\[0\]\.seen: unknown key"):
        load_scenario(given)


def test_options_that_cannot_be_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("discosim.policies.known_policies", lambda: {"named": Named, "unresolved": Unresolved})
    with pytest.raises(InvariantError, match="must not have options named name"):
        load_scenario(data() | {"policies": [{"kind": "named"}]})
    with pytest.raises(UserError, match="the type of option 'seen' cannot be resolved"):
        load_scenario(data() | {"policies": [{"kind": "unresolved"}]})
