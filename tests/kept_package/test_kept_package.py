"""A package of somebody else, kept as it was written, still runs: policies, a scheduler, an executor."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from installed import site

from discosim import load_scenario, simulate
from discosim.policies.describe import explain
from discosim.sweep.plan import load_plan
from discosim.sweep.run import run_sweep

KEPT = Path(__file__).parent / "site"
SHA256 = {
    "streaming_lab-1.0.dist-info/METADATA": "6686e8591dabf8ae",
    "streaming_lab-1.0.dist-info/entry_points.txt": "e78810aa0f3896f4",
    "streaming_lab/__init__.py": "e9f69ccea2034e62",
    "streaming_lab/executors.py": "93114d6bc2531767",
    "streaming_lab/policies.py": "c3791e9041bd146c",
    "streaming_lab/schedulers.py": "159b1293ea9cb985",
}
"""Begins of the hashes of its files. A change of one is not to be made good here: the file is to be put back."""

POLICIES = ("lab_patient", "lab_spender", "lab_relay", "lab_steady", "lab_clairvoyant")
SHORT = ["replications=2", "workload.n_requests=150"]


@pytest.fixture(autouse=True)
def package() -> Iterator[None]:
    """Have the package installed."""
    with site(KEPT) as made:
        made.modules = ["streaming_lab", *(f"streaming_lab.{name}" for name in ("policies", "schedulers", "executors"))]
        yield


def test_it_is_as_it_was() -> None:
    files = [path for path in KEPT.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    found = {
        path.relative_to(KEPT).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in sorted(files)
    }
    assert found == SHA256


def test_its_policies_run_and_do_what_they_say() -> None:
    policies = ", ".join(
        [
            "{kind: server_only}",
            *(f"{{kind: {kind}}}" for kind in POLICIES),
            "{kind: lab_patient, name: endless, patience_s: 1e9}",
        ]
    )
    result = simulate(load_scenario("quickstart", overrides=[*SHORT, f"policies=[{policies}]", "baseline=server_only"]))
    rows = {name: held.reset_index(drop=True) for name, held in result.requests.groupby("policy")}
    for kind in POLICIES:
        assert (rows[kind]["status"] == "finished").all(), kind
    same = [name for name in rows["endless"] if name != "policy"]
    assert rows["endless"][same].equals(rows["server_only"][same])  # never loses patience: it is that policy
    assert rows["lab_patient"]["is_device_dispatched"].mean() > 0
    share = rows["lab_spender"]["is_device_dispatched"].mean()
    assert abs(share - 0.2) < 0.12  # 300 requests: 5 standard deviations of a share of 0.2, one in a million
    assert any(note.startswith("warning: lab_spender: the device was faster in ") for note in result.notes)
    assert any("lab_spender: used" in note for note in result.notes)  # it promised half of that
    moved = rows["lab_relay"]["n_migrations"] > 0
    assert 0 < moved.mean() < 1
    gap_s = rows["lab_steady"].loc[rows["lab_steady"]["output_tok"] > 1, "tbt_displayed_p99_s"]
    assert (gap_s >= 1 / 6.0 - 1e-9).all()  # at least a step of its screen
    known = rows["lab_clairvoyant"]["ttft_s"]
    assert known.mean() < min(rows["server_only"]["ttft_s"].mean(), rows["lab_patient"]["ttft_s"].mean())
    assert explain("lab_patient").startswith("lab_patient: Wake the device when the service keeps")


def test_its_scheduler_serves_the_shortest_prompt_first() -> None:
    crowded = [
        *SHORT,
        "workload.arrivals.rate_per_s=30",
        "workload.lengths={kind: lognormal, prompt_median_tok: 400, output_median_tok: 60}",
        "policies=[{kind: server_only}, {kind: lab_relay}]",
        "baseline=server_only",
    ]
    usual = simulate(load_scenario("engine", overrides=crowded)).requests
    own = simulate(load_scenario("engine", overrides=[*crowded, "server.scheduler={kind: lab_shortest}"])).requests
    assert set(own["status"]) == {"finished"}
    short, long = (np.nanmean(own["ttft_s"][mask]) for mask in _halves(own["prompt_tok"]))
    assert short < 0.5 * long
    assert np.nanmean(own["ttft_s"]) < np.nanmean(usual["ttft_s"])


def _halves(prompt_tok: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    middle = np.median(prompt_tok)
    return prompt_tok <= middle, prompt_tok > middle


SWEEP = """\
name: kept
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
  policies: [{kind: server_only}, {kind: lab_patient}]
sweep: {seeds: {n: 3}}
compare: [{metric: ttft_mean_s, policy: lab_patient, baseline: server_only}]
"""


def test_its_executor_computes_what_the_serial_one_does(tmp_path: Path) -> None:
    path = tmp_path / "kept.yaml"
    path.write_text(SWEEP, encoding="utf-8")
    for executor in ("serial", "lab:1"):
        result = run_sweep(load_plan(path), tmp_path / executor[:3], executor=executor)
        assert len(result.state.finished) == 3
    one, other = (tmp_path / name / "comparisons.csv" for name in ("ser", "lab"))
    assert one.read_bytes() == other.read_bytes()
    runs = list((tmp_path / "lab" / "runs").glob("*/run.json"))
    assert len(runs) == 3
    assert all("streaming-lab" in path.read_text(encoding="utf-8") for path in runs)
