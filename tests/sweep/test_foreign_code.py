"""Policies of other packages in a sweep: other code is never taken for what was computed, whatever its version says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import installed
import pytest
from installed import Site, forget
from sweep_samples import sweep, write

from discosim.core.errors import UserError
from discosim.runs.provenance import fingerprints
from discosim.sweep import couriers
from discosim.sweep.diff import diff_folders
from discosim.sweep.plan import load_plan
from discosim.sweep.run import run_sweep
from discosim.sweep.worker import perform

SWEEP = """\
name: foreign
base:
  name: tiny
  workload:
    kind: generate
    n_requests: 20
    n_users: 20
    arrivals: {kind: poisson, rate_per_s: 1}
    lengths: {kind: constant, prompt_tok: 50, output_tok: 20}
  devices: [{profile: pixel-7-pro-bloom-1.1b}]
  server: {kind: replay, digest: openrouter-deepseek-v3.2, prices: {prompt_usd_per_mtok: 1, output_usd_per_mtok: 2}}
  cost: {exchange_rate_usd_per_j: 1e-7}
  policies: [{kind: server_only}, {kind: mine}]
sweep: {seeds: {n: 2}}
compare: [{metric: ttft_mean_s, policy: mine, baseline: server_only}]
"""
MINE = """
from dataclasses import dataclass
from discosim import Policy
from {helper} import first

@dataclass(kw_only=True)
class Pol(Policy):
    '''Ask one endpoint.'''
    kind = "mine"

    def serve(self, session):
        stream = session.start(first)
        if (yield session.first_token_of(stream)) is None:
            session.fail()
            return
        session.keep(stream)
        yield session.finished()
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Return a folder with a policy that asks the server, as a module beside it says."""
    with installed.site(tmp_path / "site") as made:
        made.install("mine", MINE.format(helper="mine_helper"))
        made.modules.append("mine_helper")
        decide(made, "server")
        yield made


def decide(site: Site, endpoint: str) -> None:
    """Let the policy ask another endpoint; its version stays."""
    (site.folder / "mine_helper.py").write_text(f"first = {endpoint!r}\n")
    site.forget()


def test_changed_code_is_not_taken_for_old_runs(site: Site, tmp_path: Path) -> None:
    path = write(tmp_path, SWEEP)
    before = sweep(path, tmp_path / "out")
    assert before.differences[0].diff == 0.0
    decide(site, "device")
    with pytest.raises(UserError, match=r"must not be mixed with new ones: the input 'policy code: mine' has changed"):
        sweep(path, tmp_path / "out")
    after = sweep(path, tmp_path / "out", accept_version=True)
    assert after.differences[0].diff != 0.0
    fresh = sweep(path, tmp_path / "fresh")
    assert fresh.differences[0] == after.differences[0]
    decide(site, "server")
    again = sweep(path, tmp_path / "out", accept_version=True)
    assert again.differences[0] == before.differences[0]


def test_an_unused_plug_in_may_change(site: Site, tmp_path: Path) -> None:
    path = write(tmp_path, SWEEP.replace("kind: mine", "kind: race, name: mine"))
    ids = [run.id for run in load_plan(path).runs([1])]
    sweep(path, tmp_path / "out")
    decide(site, "device")
    assert [run.id for run in load_plan(path).runs([1])] == ids
    assert sweep(path, tmp_path / "out").notes == ()


def test_the_code_stands_in_run_plan_and_diff(site: Site, tmp_path: Path) -> None:
    path = write(tmp_path, SWEEP)
    plan = load_plan(path)
    code = fingerprints(plan.points[0].scenario)["policy code: mine"]
    result = sweep(path, tmp_path / "a")
    (first, *_) = result.state.finished
    run = json.loads((result.store.path(first) / "run.json").read_text())
    assert run["inputs_sha256"]["policy code: mine"] == code
    written = json.loads((tmp_path / "a" / "plan.json").read_text())
    assert written["points"][0]["inputs_sha256"]["policy code: mine"] == code
    summary = json.loads((result.store.path(first) / "summary.json").read_text())
    assert f"policy code 'mine': mine 1.0 (mine, mine_helper), sha256 {code[:10]}" in summary["notes"]
    decide(site, "device")
    other = fingerprints(load_plan(path).points[0].scenario)["policy code: mine"]
    sweep(path, tmp_path / "b")
    (line,) = [line for line in diff_folders(tmp_path / "a", tmp_path / "b").config if "code" in line]
    assert line == f"input policy code: mine {code[:10]} -> {other[:10]}"


def test_each_point_has_the_inputs_of_its_own_scenario(site: Site, tmp_path: Path) -> None:
    axes = """\
sweep:
  grid:
    policies: [[{kind: server_only}], [{kind: server_only}, {kind: mine}], [{kind: edge_only}]]
    edge: [{profile: m4-mac-mini-llama-3.2-3b}, {profile: snapdragon-8-elite-llama-3.2-3b}]
  seeds: {n: 2}
"""
    text = SWEEP[: SWEEP.index("sweep:")] + axes
    plan = load_plan(write(tmp_path, text))
    assert len({json.dumps(dict(point.inputs_sha256)) for point in plan.points}) == 4
    for point in plan.points:
        assert point.inputs_sha256 == fingerprints(point.scenario)
    assert len(sweep(write(tmp_path, text), tmp_path / "out").state.finished) == 12


def test_a_worker_with_other_code_is_refused_by_name(site: Site, tmp_path: Path) -> None:
    path = write(tmp_path, SWEEP)
    plan = load_plan(path)
    (run, *_) = plan.runs([1])
    task = couriers.task_of(plan, run, couriers.Store(tmp_path / "out"), couriers.Terms(), couriers.Engine(None, 1))  # type: ignore[arg-type]
    decide(site, "device")
    outcome = perform(task)
    assert outcome["status"] == "refused"
    assert outcome["error"].startswith("the worker reads other inputs than the driver: policy code: mine ")
    assert not (tmp_path / "out").exists()


def test_a_worker_without_the_plug_in_says_so(site: Site, tmp_path: Path) -> None:
    path = write(tmp_path, SWEEP)
    plan = load_plan(path)
    (run, *_) = plan.runs([1])
    task = couriers.task_of(plan, run, couriers.Store(tmp_path / "out"), couriers.Terms(), couriers.Engine(None, 1))  # type: ignore[arg-type]
    (site.folder / "mine.py").write_text("raise RuntimeError('boom')")
    site.forget()
    outcome = perform(task)
    assert outcome["status"] == "failed"
    assert "the plug-in 'mine' of mine 1.0 cannot be used: RuntimeError: boom" in outcome["error"]


def test_a_foreign_executor_is_named_in_each_run_and_renames_none(site: Site, tmp_path: Path) -> None:
    text = "from concurrent.futures import ThreadPoolExecutor as P\ndef Pol(rest): return P(1)\n"
    site.install("threads", text, group="discosim.executors")
    forget()
    path = write(tmp_path, SWEEP)
    result = run_sweep(load_plan(path), tmp_path / "out", executor="threads")
    for run in result.state.finished:
        facts = json.loads((result.store.path(run) / "run.json").read_text())
        assert "[executor: threads 1.0, sha256 " in facts["command"]
        assert not [key for key in facts["inputs_sha256"] if "executor" in key]
    assert {run.id for run in result.state.finished} == {run.id for run in sweep(path, tmp_path / "b").state.finished}
