"""A researcher's own policies in sweeps: from files and from Python, kept one by one, the same bytes as anew."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from discosim import Policy, load_scenario, simulate
from discosim.cli import main
from discosim.core.errors import UserError
from discosim.runs.kept import TABLES, Kept, read_outcome
from discosim.runs.replicate import Outcome
from discosim.runs.store import run_to_folder
from discosim.sweep import couriers, load_plan, run_sweep
from discosim.sweep.finished_inputs import value_half_widths
from discosim.sweep.store import KEPT
from discosim.sweep.worker import perform

PATIENT = '''
from dataclasses import dataclass
from discosim import Policy
from discosim.core.spec import spec
from helper import scaled


@dataclass(kw_only=True)
class Patient(Policy):
    """Wait for the service, then wake the device too."""

    patience_s: float = spec(1.0, doc="Wait before the device wakes.", unit="s", ge=0)

    def serve(self, session):
        server = session.start("server")
        first = yield session.first_token_of(server, within_s=scaled(self.patience_s))
        if first is None:
            first = yield session.first_token_of(server, session.start("device"))
        if first is None:
            session.fail()
            return
        session.keep(first)
        yield session.finished()

    def tally(self, columns):
        return {"woken": columns["is_device_dispatched"].sum()}

    def remarks(self, tally):
        return [f"woke {tally['woken']} devices"]
'''
SWEEP = """\
name: mine
base:
  base: quickstart
  policies: {Stoch-S: null, patient: {kind: "mine.py:Patient"}}
set: {workload.n_requests: 20}
sweep:
  grid: {policies.patient.patience_s: {as: patience, values: [0.4, 0.8]}}
  seeds: {n: 2}
compare: [{metric: ttft_mean_s, policy: patient, against: {patience: 0.4}}]
"""


def prepared(folder: Path, factor: float = 1.0) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "mine.py").write_text(PATIENT)
    (folder / "helper.py").write_text(f"def scaled(s):\n    return s * {factor}\n")
    (folder / "sweep.yaml").write_text(SWEEP)
    return folder / "sweep.yaml"


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files that tell of no clock, kept ones aside."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in paths if p.name != "run.json" and p.parent.name != KEPT}


@pytest.mark.long
@pytest.mark.parametrize("executor", ["serial", "local:2"])
def test_the_newcomers_way(
    executor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Write a policy, sweep, edit it, sweep again: its column alone is run, and the change is seen."""
    prepared(tmp_path)
    monkeypatch.chdir(tmp_path)
    command = ["sweep", "sweep.yaml", "--executor", executor]
    assert main(command) == 0
    first = pd.read_parquet("results/mine/index.parquet").set_index(["patience", "seed", "policy"])
    capsys.readouterr()
    prepared(tmp_path, factor=1.5)
    assert main(command) == 0
    said = capsys.readouterr().out
    assert (
        "note: taken over from finished runs: DiSCo-D, DiSCo-S, device_only, server_only (4 runs each); "
        "run: patient (4 runs)\n"
    ) in said
    second = pd.read_parquet("results/mine/index.parquet").set_index(["patience", "seed", "policy"])
    moved = (first["ttft_mean_s"] != second["ttft_mean_s"]).groupby("policy").sum()
    assert moved["patient"] == 4
    assert moved.drop("patient").sum() == 0
    assert main(command) == 0
    assert "taken over" not in capsys.readouterr().out
    assert main([*command, "--out", "anew"]) == 0
    kept = contents(tmp_path / "results" / "mine")
    anew = contents(tmp_path / "anew")
    assert {name: kept.get(name) for name in anew} == anew
    assert len(list((tmp_path / "results" / "mine" / KEPT).iterdir())) == 2 * (4 + 2)  # seeds x (baselines + points)
    folder = "results/mine"
    for target in ("fig.pdf", "fig.tex"):
        assert main(["plot", folder, "--x", "patience", "--y", "ttft_mean_s", "--to", target]) == 0
    assert Path("fig.pdf").read_bytes().startswith(b"%PDF-")
    assert "patient" in Path("fig.tex").read_text()
    capsys.readouterr()
    assert main(["table", folder, "--columns", "ttft_mean_s", "--to", "latex"]) == 0
    assert "\\begin{tabular}" in capsys.readouterr().out
    assert main(["report", folder]) == 0
    assert "patient" in Path(folder, "report.html").read_text(encoding="utf-8")


QUICK = "{kind: replay, digest: openrouter-deepseek-v3.2, prices: {prompt_usd_per_mtok: 1, output_usd_per_mtok: 2}}"
OVERRIDES = {
    "quickstart": ["inputs.resample=true"],
    "engine": ["server.n_replicas=2"],
    "pice": [],
    "several": [f"services.quick={QUICK}"],
}


@pytest.mark.long
@pytest.mark.parametrize("name", list(OVERRIDES))
def test_a_run_that_takes_policies_over_has_the_bytes_of_a_fresh_one(name: str, tmp_path: Path) -> None:
    overrides = ["workload.n_requests=20", "replications=2", *OVERRIDES[name]]
    base = load_scenario("quickstart" if name == "several" else name, overrides=overrides)
    whole = run_to_folder(base, tmp_path / "fresh").scenario
    names = [spec.name for spec in whole.policies]
    for policies in (names[1:], names):  # the first run lacks a policy; the second takes the others over
        kept = Kept.of_scenario(tmp_path / "kept", whole, names)
        part = load_scenario(
            base_of(name), overrides=[*overrides, f"policies={plain(whole, policies)}", "baseline=null"]
        )
        run_to_folder(part, tmp_path / "part", outcomes=Kept.of_scenario(tmp_path / "kept", part, policies))
    kept = Kept.of_scenario(tmp_path / "kept", whole, names)
    run_to_folder(whole, tmp_path / "again", outcomes=kept)
    assert kept.taken == set(names)
    assert not kept.run
    assert contents(tmp_path / "again") == contents(tmp_path / "fresh")


def base_of(name: str) -> str:
    return "quickstart" if name == "several" else name


def plain(scenario, names) -> str:
    import json

    from discosim.config import as_plain

    return json.dumps([as_plain(spec) for spec in scenario.policies if spec.name in names])


def test_a_kept_outcome_that_is_damaged_or_of_other_code_is_not_read(tmp_path: Path) -> None:
    scenario = load_scenario("quickstart", overrides=["workload.n_requests=20", "replications=1"])
    kept = Kept.of_scenario(tmp_path, scenario, ["server_only"])
    simulate(scenario, outcomes=kept)
    (path,) = tmp_path.iterdir()
    found = read_outcome(path, kept.code)
    assert found is not None
    assert {f.name for f in fields(Outcome)} == {*TABLES, "summary", "tally", "is_cut", "kernels", "asked", "changed"}
    assert sum(found.kernels.values()) == 20
    assert read_outcome(path, {**kept.code, "discosim": "9"}) is None
    content = path.read_bytes()
    for i in np.linspace(0, len(content) - 1, 40).astype(int):
        path.write_bytes(content[:i] + bytes([content[i] ^ 1]) + content[i + 1 :])
        assert read_outcome(path, kept.code) is None
    path.write_bytes(content[:-1])
    assert read_outcome(path, kept.code) is None


def test_what_points_share_is_run_once_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(
        "name: s\nbase: quickstart\nset: {workload.n_requests: 30}\n"
        "sweep: {grid: {policies.DiSCo-S.budget: [0.2, 0.4, 0.6]}, seeds: {n: 1}}\n"
    )
    result = run_sweep(tmp_path / "s.yaml", tmp_path / "out", executor="serial")
    assert result.notes == ()
    assert not (tmp_path / "out" / KEPT).exists()
    for run in result.plan.runs([1]):
        fresh = run_to_folder(result.plan.scenario(run), tmp_path / "fresh").folder
        assert fresh is not None
        assert contents(fresh) == contents(result.store.path(run))
    left = tmp_path / "out" / KEPT / "left.outcome"  # by one who was killed between the last run and this removal
    left.parent.mkdir()
    left.write_bytes(b"")
    run_sweep(tmp_path / "s.yaml", tmp_path / "out", executor="serial")
    assert not left.parent.exists()


SCRIPT = f'''
import numpy as np
from discosim import load_scenario, simulate
from discosim.sweep import run_sweep

LIMITS = np.array([0.5, 2.0])


def scaled(s: float) -> float:
    return min(s, LIMITS[1]) + LIMITS[0] * 0

{PATIENT.replace("from helper import scaled", "")}

if True:  # no guard: workers leave the script alone
    small = load_scenario("quickstart", overrides=["workload.n_requests=30", "replications=2"])
    given = {{"patient": Patient(patience_s=0.3)}}
    here, there = simulate(small, policies=given), simulate(small, policies=given, n_jobs=2)
    assert here.requests.equals(there.requests) and here.example_tokens.equals(there.example_tokens)
    assert here.notes == there.notes and here.summary.to_json_dict() == there.summary.to_json_dict()
    open("s.yaml", "w").write("""
name: s
base: quickstart
set: {{workload.n_requests: 30}}
sweep: {{grid: {{policies.patient.patience_s: [0.3, 0.6]}}, seeds: {{n: 1}}}}
compare: [{{metric: ttft_mean_s, policy: patient}}]
""")
    result = run_sweep("s.yaml", policies=given, executor="local:2")
    assert result.state.is_complete and len(result.differences) == 2
'''


@pytest.mark.long
def test_objects_of_a_script_go_to_workers_and_their_text_stays_with_the_results(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "results" / "s"
    (code,) = (out / "code").iterdir()
    assert "LIMITS = __import__('numpy').array([0.5, 2.0]" in code.read_text()
    run = next((out / "runs").iterdir())
    assert main(["run", str(run / "config.yaml"), "--out", str(tmp_path / "again")]) == 0
    assert contents(tmp_path / "again").items() >= contents(run).items()


class Stateful(Policy):
    """Holds what no option says."""

    def __init__(self) -> None:
        self.table = object()


def test_objects_that_cannot_travel_are_refused_before_anything_runs(tmp_path: Path) -> None:
    scenario = load_scenario("quickstart", overrides=["workload.n_requests=20", "replications=1"])
    with pytest.raises(UserError, match=r"policy Stateful: holds table, which no option says"):
        simulate(scenario, policies=Stateful(), n_jobs=2)
    secret = object()

    class Local(Policy):
        def serve(self, session):
            return secret

    with pytest.raises(UserError, match="policy Local: 'Local' stands in a function and uses its secret"):
        simulate(scenario, policies=Local(), n_jobs=2)
    with pytest.raises(UserError, match=r"n_jobs: must be a whole number >= 1, or -1 for all processors \(got 0\)"):
        simulate(scenario, n_jobs=0)
    (tmp_path / "s.yaml").write_text("name: s\nbase: quickstart\nsweep: {seeds: {n: 1}}\n")
    with pytest.raises(UserError, match=r"run_sweep\('sweep.yaml', policies=...\)"):
        run_sweep(load_plan(tmp_path / "s.yaml"), tmp_path / "out", policies=Stateful())
    with pytest.raises(UserError, match="holds table"):
        run_sweep(tmp_path / "s.yaml", tmp_path / "out", policies=Stateful())
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_edited_while_a_sweep_runs_stops_it_by_name(tmp_path: Path) -> None:
    plan = load_plan(prepared(tmp_path))
    (run, *_) = plan.runs([1])
    task = couriers.task_of(plan, run, couriers.Store(tmp_path / "out"), couriers.Terms(), couriers.Engine(None, 1))  # type: ignore[arg-type]
    prepared(tmp_path, factor=2.0)
    outcome = perform(task)
    assert outcome["status"] == "refused"
    assert outcome["error"].startswith("mine.py:Patient was edited while the sweep ran; give the command again")


def test_an_edited_policy_takes_no_interval_away(tmp_path: Path) -> None:
    """Intervals with inputs rest on what was measured, not on the code of policies."""
    result = run_sweep(prepared(tmp_path), tmp_path / "out", executor="serial")
    assert result.table is not None
    before = value_half_widths(result.store, result.table, ["ttft_mean_s"])
    assert before
    prepared(tmp_path, factor=2.0)
    assert value_half_widths(result.store, result.table, ["ttft_mean_s"]) == before


@pytest.mark.parametrize("error", ["OSError(28, 'No space left on device')", "SystemExit(3)"])
def test_what_a_policy_runs_into_is_no_full_disk_and_no_end_of_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    """Its own point fails, with the line of the file, and the others are made."""
    monkeypatch.chdir(tmp_path)
    Path("odd.py").write_text(
        "from dataclasses import dataclass\nfrom discosim import Policy\n\n\n@dataclass(kw_only=True)\n"
        "class Odd(Policy):\n    fails: bool = False\n\n    def serve(self, session):\n        if self.fails:\n"
        f"            raise {error}\n        stream = session.start('server')\n"
        "        yield session.first_token_of(stream)\n        session.keep(stream)\n"
        "        yield session.finished()\n"
    )
    Path("s.yaml").write_text(
        "name: s\nbase: quickstart\nset:\n  workload.n_requests: 8\n  policies: [{kind: 'odd.py:Odd', name: odd}]\n"
        "  baseline: null\nsweep: {grid: {policies.odd.fails: [true, false]}, seeds: {root: 3, n: 1}}\n"
    )
    result = run_sweep(load_plan("s.yaml"), "out", executor="serial")
    assert (len(result.state.finished), len(result.state.failed)) == (1, 1)
    (failure,) = result.state.failures.values()
    assert "odd.py:11: " in failure["error"]
    assert failure["tries"] == 1, "trying again cannot help"
