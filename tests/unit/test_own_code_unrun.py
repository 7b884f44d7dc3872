"""Scenarios and results of strangers are read without running their code."""

from __future__ import annotations

from pathlib import Path

import pytest
from own_policies import POLICY, SMALL, as_other, code_of, scenario, written

import discosim
from discosim import load_results, load_scenario
from discosim.cli import main
from discosim.core.errors import UserError
from discosim.runs.identity import run_id


def test_a_scenario_can_be_read_and_fingerprinted_without_running_its_code(tmp_path: Path) -> None:
    marker = tmp_path / "was_run"
    written(tmp_path, f"{POLICY}\n\nopen({str(marker)!r}, 'a').close()\n")
    source = {"base": "quickstart", "policies": {"mine": {"kind": f"{tmp_path / 'mine.py'}:Mine", "wait": 1}}}
    held = load_scenario(source, runs_own=False)
    assert held.policies[-1].options == {"wait": 1}
    code = code_of(held)
    assert not marker.exists()
    with pytest.raises(UserError, match="was not imported"):
        run_id(held)
    assert code == code_of(scenario(tmp_path))
    assert marker.exists()


@pytest.mark.long
def test_results_of_a_stranger_are_read_without_running_his_code(tmp_path: Path) -> None:
    marker = tmp_path / "was_run"
    written(tmp_path, f"{POLICY}\n\nopen({str(marker)!r}, 'a').close()\n")
    (tmp_path / "s.yaml").write_text("base: quickstart\npolicies: [{kind: server_only}, {kind: 'mine.py:Mine'}]\n")
    (tmp_path / "sweep.yaml").write_text(
        "name: s\nbase: s.yaml\nset: {workload.n_requests: 30}\nsweep: {seeds: {n: 2}}\n"
        "compare: [{metric: ttft_mean_s, policy: Mine}]\n"
    )
    run, sweep = str(tmp_path / "run"), str(tmp_path / "sweep")
    small = [part for text in SMALL for part in ("--set", text)]
    assert main(["run", str(tmp_path / "s.yaml"), *small, "--out", run]) == 0
    assert main(["sweep", str(tmp_path / "sweep.yaml"), "--executor", "serial", "--out", sweep]) == 0
    assert marker.exists()
    marker.unlink()
    written(tmp_path, (tmp_path / "mine.py").read_text() + "\n")  # nothing of it is known to this process any more
    for command in (
        ["report", run],
        ["report", sweep],
        ["diff", run, run],
        ["diff", sweep, sweep],
        ["table", run],
        ["table", sweep],
        ["plot", sweep, "--y", "ttft_mean_s", "--to", str(tmp_path / "plot.png")],
        ["sweep", "status", sweep],
        ["sweep", "collect", sweep],
        ["sweep", "clean", sweep, "--stale"],
    ):
        assert main(command) in {0, 1}, command
    load_results(run)
    assert not marker.exists()
    held = load_scenario(Path(run) / "config.yaml", runs_own=False)
    assert not marker.exists()
    with pytest.raises(UserError, match="was not imported"):
        run_id(load_scenario({**as_other(tmp_path / "x")}, runs_own=False))
    assert held.policies[1].kind.endswith("mine.py:Mine")


def test_whoever_reads_a_stored_scenario_says_that_its_code_is_not_to_be_run() -> None:
    lines = [line for path in Path(discosim.__file__).parent.rglob("*.py") for line in path.read_text().splitlines()]
    stored = [line.strip() for line in lines if "load_scenario(" in line and "config.yaml" in line]
    assert stored
    assert all("runs_own=False" in line for line in stored)
