"""Scenarios that begin from another one, and paths to every policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from discosim import load_scenario
from discosim.cli import main
from discosim.config import dump_scenario
from discosim.core.errors import UserError
from discosim.runs.identity import run_id


def put(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def options(source: Any, **kwargs: Any) -> dict[str, dict[str, Any]]:
    return {spec.name: dict(spec.options) for spec in load_scenario(source, **kwargs).policies}


def test_a_scenario_is_its_base_with_what_it_says(tmp_path: Path) -> None:
    put(tmp_path, "mine.yaml", "base: quickstart\nworkload: {n_requests: 7}\nreader: {tok_per_s: 3}\nseed: 5\n")
    held = load_scenario(tmp_path / "mine.yaml")
    overrides = ["workload.n_requests=7", "reader.tok_per_s=3", "seed=5", "name=mine"]
    assert held == load_scenario("quickstart", overrides=overrides)
    assert held.name == "mine"


def test_what_is_stored_is_complete_and_the_same_run(tmp_path: Path) -> None:
    put(tmp_path, "mine.yaml", "base: quickstart\npolicies: {DiSCo-S: {budget: 0.25}}\n")
    held = load_scenario(tmp_path / "mine.yaml")
    stored = put(tmp_path / "elsewhere", "config.yaml", dump_scenario(held))
    assert not stored.read_text().startswith("base:")
    assert run_id(load_scenario(stored)) == run_id(held)


def test_a_section_of_another_kind_and_a_list_replace_those_of_the_base(tmp_path: Path) -> None:
    put(
        tmp_path, "mine.yaml", "base: quickstart\nlink: {kind: none}\npolicies: [{kind: device_only}]\nbaseline: null\n"
    )
    held = load_scenario(tmp_path / "mine.yaml")
    assert type(held.link).__name__ == "NoLink"
    assert [spec.name for spec in held.policies] == ["device_only"]
    arrivals = "base: quickstart\nworkload: {arrivals: {kind: poisson, rate_per_s: 2}}\n"
    assert load_scenario(put(tmp_path, "p.yaml", arrivals)).workload.arrivals.rate_per_s == 2.0


def test_policies_by_name_change_add_and_take_away(tmp_path: Path) -> None:
    text = """\
base: quickstart
policies:
  DiSCo-S: {budget: 0.25}
  Stoch-S: null
  device_only: {kind: server_only, n_retries: 2}
  late: {kind: race}
"""
    found = options(put(tmp_path, "mine.yaml", text))
    assert list(found) == ["server_only", "device_only", "DiSCo-S", "DiSCo-D", "late"]
    assert found["DiSCo-S"]["budget"] == 0.25
    assert found["DiSCo-S"]["migration"] is True
    assert found["device_only"]["n_retries"] == 2


def test_files_lie_beside_what_names_them_and_bases_have_bases(tmp_path: Path) -> None:
    put(tmp_path / "far", "lengths.csv", "prompt_tok,output_tok\n5,7\n6,8\n")
    put(
        tmp_path / "far",
        "one.yaml",
        "base: quickstart\nworkload: {lengths: {kind: file, file: lengths.csv}}\nseed: 3\n",
    )
    put(tmp_path, "two.yaml", "base: far/one.yaml\nworkload: {n_requests: 9}\n")
    held = load_scenario(tmp_path / "two.yaml")
    assert held.workload.lengths.file == str(tmp_path / "far" / "lengths.csv")
    assert (held.seed, held.workload.n_requests) == (3, 9)
    assert load_scenario({"base": str(tmp_path / "two.yaml"), "seed": 4}).seed == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("base: mine.yaml\n", "1:7 base: goes round in a circle: mine.yaml -> mine.yaml"),
        ("base: other.yaml\n", "goes round in a circle: mine.yaml -> other.yaml -> mine.yaml"),
        ("base: quickstrt\n", "1:7 base: unknown configuration 'quickstrt'; did you mean 'quickstart'?"),
        ("base: othr.yaml\n", "othr.yaml: no such file; did you mean 'other.yaml'?"),
        ("base: 3\n", "1:7 base: must be a file or the name of a shipped scenario (got 3)"),
        ("base: swept.yaml\n", "1:7 base: swept.yaml is a sweep; name a scenario"),
        ("base: quickstart\npolicies: {DiSCo: {budget: 0.1}}\n", "2:12 policies.DiSCo: is no policy of the base"),
        ("base: quickstart\npolicies: {DiSCo-S: 3}\n", "2:21 policies.DiSCo-S: must be a mapping of options, or null"),
        ("base: quickstart\npolicies: {DiSCo-S: {budgt: 1}}\n", "2:22 policies[3].budgt: unknown key; did you mean"),
        ("base: quickstart\npolicies: {DiSCo-S: {budget: 3}}\n", "2:30 policies[3].budget: must be <= 1 (got 3)"),
        ("base: quickstart\nworkload: {n_request: 3}\n", "2:12 workload.n_request: unknown key; did you mean"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    tmp_path: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = put(tmp_path, "mine.yaml", text)
    put(tmp_path, "other.yaml", "base: mine.yaml\n")
    put(tmp_path, "swept.yaml", "name: s\nbase: quickstart\nsweep: {seeds: {n: 2}}\n")
    assert main(["run", str(path), "--out", str(tmp_path / "out")]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert said in errors[0]


def test_a_path_to_every_policy_sets_those_that_have_the_option() -> None:
    found = options("quickstart", overrides=["policies.*.budget=0.125"])
    assert [name for name, held in found.items() if held.get("budget") == 0.125] == ["Stoch-S", "DiSCo-S", "DiSCo-D"]
    with pytest.raises(UserError, match=r"--set policies.\*.budgt=1: no policy has an option 'budgt'; did you"):
        load_scenario("quickstart", overrides=["policies.*.budgt=1"])
