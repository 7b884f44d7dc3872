"""Any scenario, written and loaded again, is the same one under the same name: in a file, in a worker, anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import generated_parts as parts
import generated_scenarios as gen
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from worlds import examples, exhaustive

from discosim.config import as_plain, dump_scenario, load_scenario
from discosim.core.errors import UserError
from discosim.core.scenario import Scenario
from discosim.runs.identity import run_id
from discosim.traces.catalogue import list_configs


@pytest.fixture(scope="module")
def scenarios(tmp_path_factory: pytest.TempPathFactory) -> Iterator[gen.Scenarios]:
    """Return strategies for scenarios of all features, with the working directory where their files are."""
    folder = tmp_path_factory.mktemp("files")
    with pytest.MonkeyPatch.context() as patch:
        parts.install(patch)
        patch.chdir(folder)
        yield gen.Scenarios(parts.write_files(folder), folder)


def check_fixed_point(first: Scenario, elsewhere: Path) -> None:
    """Assert that a scenario is the same in its own file, read from another folder, and in a worker."""
    name = run_id(first, {})
    plain, text = as_plain(first), dump_scenario(first)
    (elsewhere / "config.yaml").write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(elsewhere)
        again = {
            "file": load_scenario(elsewhere / "config.yaml"),
            "worker": load_scenario(json.loads(json.dumps(plain))),
        }
        for way, second in again.items():
            assert second == first, way
            assert as_plain(second) == plain, way
            assert json.dumps(as_plain(second)) == json.dumps(plain), way
            assert run_id(second, {}) == name, way
            assert dump_scenario(second) == text, way


def check_examples(scenarios: gen.Scenarios, elsewhere: Path, n: int) -> tuple[int, set[str]]:
    """Try n scenarios; return how many were sound, and which words of sections they held."""
    n_sound, seen = 0, set()

    @examples(n)
    @given(st.data())
    def attempt(data: st.DataObject) -> None:
        nonlocal n_sound
        raw = data.draw(scenarios.whole())
        try:
            scenario = load_scenario(raw)
        except UserError:
            return
        n_sound += 1
        check_fixed_point(scenario, elsewhere)
        seen.update(_kinds(as_plain(scenario)))

    attempt()
    return n_sound, seen


WORDS = {"engine", "replay", "generate", "swap", "clients", "lan", "labels", "fifo", "manifold", "undressed"}
"""Kinds of sections, some of every sort, that must be among the examples."""


def first_sound(scenarios: gen.Scenarios, word: str) -> Scenario:
    """Return the first sound scenario that holds a kind of this name; NoSuchExample where 4,000 draws show none."""

    def holds(raw: Any) -> bool:
        try:
            return word in _kinds(raw) and word in _kinds(as_plain(load_scenario(raw)))
        except UserError:
            return False

    return load_scenario(find(scenarios.whole(), holds, settings=settings(examples(4000), phases=[Phase.generate])))


def _kinds(plain: Any) -> Iterator[str]:
    if isinstance(plain, dict):
        yield from (str(value) for key, value in plain.items() if key == "kind")
        for value in plain.values():
            yield from _kinds(value)
    elif isinstance(plain, list):
        for value in plain:
            yield from _kinds(value)


def test_scenarios_are_fixed_points(scenarios: gen.Scenarios, tmp_path: Path) -> None:
    n_sound, _ = check_examples(scenarios, tmp_path, 20)
    assert n_sound >= 16, "most of what is drawn must be worth the drawing"


@pytest.mark.parametrize("name", list_configs())
def test_shipped_scenarios_are_fixed_points(name: str, tmp_path: Path) -> None:
    check_fixed_point(load_scenario(name), tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("n", [exhaustive(2000)])
def test_many_scenarios_are_fixed_points(scenarios: gen.Scenarios, tmp_path: Path, n: int) -> None:
    n_sound, seen = check_examples(scenarios, tmp_path, n)
    assert n_sound >= 0.75 * n
    for word in sorted(
        WORDS - seen
    ):  # which are drawn depends on what else is imported, so the rare ones are looked for
        check_fixed_point(first_sound(scenarios, word), tmp_path)
