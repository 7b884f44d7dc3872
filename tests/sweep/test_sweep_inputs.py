"""What few rows leave open in the differences of a sweep and between folders, from the files of finished runs."""

from __future__ import annotations

import gc
import math
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discosim.config import load_scenario
from discosim.metrics.input_uncertainty import Rows
from discosim.report.sweep_text import render_diff, render_sweep
from discosim.runs import build, execute_to_folder
from discosim.runs.finished import Finished, Side, deviations, finished, part_of
from discosim.sweep import input_intervals
from discosim.sweep.diff import diff_folders
from discosim.sweep.input_intervals import versions_of
from discosim.sweep.plan import load_plan
from discosim.sweep.results import load_results
from discosim.sweep.run import SweepResult, run_sweep

PRICES = {"prompt_usd_per_mtok": 1, "output_usd_per_mtok": 2}
BASE: dict[str, Any] = {
    "name": "few rows",
    "replications": 3,
    "workload": {
        "kind": "generate",
        "n_requests": 60,
        "n_users": 60,
        "arrivals": {"kind": "poisson", "rate_per_s": 1},
        "lengths": {"kind": "constant", "prompt_tok": 50, "output_tok": 8},
    },
    "devices": [{"profile": "snapdragon-8-elite-llama-3.2-3b"}],
    "server": {"kind": "replay", "digest": "openrouter-gpt-5.4", "prices": PRICES},
    "cost": {"exchange_rate_usd_per_j": 1e-7},
    "policies": [{"kind": "server_only"}, {"kind": "device_only"}, {"kind": "race"}],
}
NAMES = ("ttft_mean_s", "ttft_p95_s", "unified_cost_mean_usd")


def sweep_file(folder: Path, *, resample: bool = False) -> Path:
    import yaml

    (folder / "base.yaml").write_text(yaml.safe_dump({**BASE, "inputs": {"resample": resample}}))
    rows, other = {"metric": "ttft_mean_s", "policy": "race"}, {"server.digest": "openrouter-gpt-5.4"}
    sweep = {
        "name": "few",
        "base": "base.yaml",
        "sweep": {
            "grid": {"server.digest": ["openrouter-gpt-5.4", "openrouter-gpt-5.5"]},
            "seeds": {"root": 3, "n": 3},
        },
        "compare": [
            {**rows, "baseline": "server_only"},
            {
                **rows,
                "policy": "device_only",
                "baseline": "device_only",
                "against": {"server.digest": "openrouter-gpt-5.4"},
            },
            {**rows, "policy": "server_only", "against": other},
            {"metric": "tbt_pooled_p99_s", "policy": "race", "baseline": "device_only"},
        ],
    }
    path = folder / "few.yaml"
    path.write_text(yaml.safe_dump(sweep))
    return path


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> SweepResult:
    folder = tmp_path_factory.mktemp("few")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "HISTORY_N", 100)  # nobody here learns from the past
        return run_sweep(load_plan(sweep_file(folder)), folder / "out", executor="serial")


def runs_of(few: SweepResult, point: int) -> Finished:
    folders = {run.seed: few.store.path(run) for run in few.plan.runs(few.seeds) if run.point == point}
    return finished(few.plan.points[point].scenario, folders, NAMES)


def test_files_of_a_run_tell_what_the_run_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half-widths of inputs.json are those by luck and those from the files, as squares."""
    monkeypatch.setattr(build, "HISTORY_N", 100)
    scenario = load_scenario(BASE)
    result = execute_to_folder(scenario, tmp_path / "run")
    assert result.input_intervals is not None
    runs = finished(scenario, {scenario.seed: tmp_path / "run"}, NAMES)
    base = Side(runs, "server_only")
    for (policy, name), wide in result.input_intervals.with_inputs.items():
        if name not in NAMES:
            continue
        row = result.summary.cells[policy, name]
        own = part_of(name, Side(runs, policy)).half_width()
        assert wide["half_width"] == pytest.approx(math.hypot(row.value.half_width, own), rel=1e-9)
        if policy != "server_only":
            both = part_of(name, Side(runs, policy), base).half_width()
            assert wide["diff_half_width"] == pytest.approx(math.hypot(row.diff.half_width, both), rel=1e-9)


def test_a_comparison_has_both_intervals(few: SweepResult) -> None:
    first, second, device, service, *unknown = few.differences
    for row in (first, second):
        assert row.few_rows == "server 19 probes"
        assert row.low_with_inputs < row.low < row.high < row.high_with_inputs
    assert not any(row.rests_on_no_row for row in (first, second, device, service))
    assert all(row.rests_on_no_row for row in unknown)  # of a p99 19 rows hold nothing
    # a device asks for no row of a service; a service that is compared with another has rows of its own
    assert (device.low_with_inputs, device.high_with_inputs) == (device.low, device.high)
    assert service.high_with_inputs - service.low_with_inputs > 1.5 * (service.high - service.low)
    assert all(math.isnan(row.low_with_inputs) and row.verdict_with_inputs == "unknown" for row in unknown)


def test_the_table_and_the_printout_say_so(few: SweepResult) -> None:
    text = (few.store.folder / "comparisons.csv").read_text().splitlines()
    assert text[0].endswith("few_rows,low_with_inputs,high_with_inputs,verdict_with_inputs,rests_on_no_row")
    shown = render_sweep(few)
    assert "with inputs" in shown
    assert "what few rows leave open (server 19 probes)" in " ".join(shown.split())


def test_who_shares_rows_shares_what_they_leave_open(few: SweepResult) -> None:
    """Of one policy against itself nothing is open; of two services the variances add up."""
    runs = [
        finished(
            point.scenario, {run.seed: few.store.path(run) for run in few.plan.runs(few.seeds) if run.point == i}, NAMES
        )
        for i, point in enumerate(few.plan.points)
    ]
    one, other = (Side(held, "server_only") for held in runs)
    assert part_of("ttft_mean_s", one, one).sd == 0.0
    apart = math.hypot(part_of("ttft_mean_s", one).sd, part_of("ttft_mean_s", other).sd)
    assert part_of("ttft_mean_s", one, other).sd == pytest.approx(apart)


def test_versions_spread_as_far_as_the_inputs_leave_open(few: SweepResult) -> None:
    """The spread of 400 versions of a ratio is that of the linear form, to five standard errors (3.5 % each)."""
    table = load_results(few.store.folder)
    scenarios = {point.index: point.scenario for point in few.plan.points}
    found = versions_of(scenarios, few.store, table, NAMES, n=400)
    assert found is not None
    assert (found.n_rows, found.few_rows) == (19, "server 19 probes")
    at = found.table[found.table["point"] == 0].set_index("policy")["ttft_mean_s"]
    own, base = at["race"].to_numpy(), at["server_only"].to_numpy()
    runs = finished(
        scenarios[0], {run.seed: few.store.path(run) for run in few.plan.runs(few.seeds) if run.point == 0}, NAMES
    )
    race, server = Side(runs, "race"), Side(runs, "server_only")
    ratio = own.mean() / base.mean()
    expected = part_of("ttft_mean_s", race, server, factor=ratio).sd / base.mean()
    assert np.std(own / base, ddof=1) == pytest.approx(expected, rel=0.18)
    device = found.table[found.table["policy"] == "device_only"].groupby("point")["ttft_mean_s"].std()
    assert (device == 0.0).all()


def test_versions_hold_what_was_asked_for_and_one_point_at_a_time(
    few: SweepResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[weakref.ref[Finished]] = []

    def read(*args: Any) -> Finished:
        gc.collect()
        assert all(one() is None for one in held)
        held.append(weakref.ref(found := finished(*args)))
        return found

    monkeypatch.setattr(input_intervals, "finished", read)
    table = load_results(few.store.folder).iloc[::-1].reset_index(drop=True)
    found = versions_of({point.index: point.scenario for point in few.plan.points}, few.store, table, NAMES, n=5)
    assert found is not None
    assert len(held) == len(few.plan.points) > 1
    assert tuple(found.table.columns[-len(NAMES) - 1 :]) == ("policy", *NAMES)
    pairs = table[["point", "policy"]].drop_duplicates()
    assert found.table[["point", "policy"]].iloc[::5].to_numpy().tolist() == pairs.to_numpy().tolist()
    assert found.table["seed"].tolist() == list(range(5)) * len(pairs)


def test_deviations_have_the_variance_of_the_rows() -> None:
    """Of rows with blocks and without, over as many draws as tell it to five standard errors."""
    rng = np.random.default_rng(5)
    each = np.repeat(rng.standard_normal(30), 4)
    each -= each.mean()
    for block in (1, 5):
        rows = Rows("x", 30, np.repeat(np.arange(30), 4)[None], 30, block=block)
        drawn = rows.deviations(each, rng.standard_normal((4000, 30)))
        assert np.var(drawn) == pytest.approx(rows.variance(each), rel=5 * math.sqrt(2 / 4000))


@pytest.mark.long
def test_seeds_with_versions_of_their_own_are_not_divided_by_their_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "HISTORY_N", 100)
    result = run_sweep(load_plan(sweep_file(tmp_path, resample=True)), tmp_path / "out", executor="serial")
    row = next(row for row in result.differences if row.policy == "server_only")
    assert row.high_with_inputs - row.low_with_inputs > math.sqrt(3) * (row.high - row.low)
    assert (
        versions_of(
            {p.index: p.scenario for p in result.plan.points}, result.store, load_results(result.store.folder), NAMES
        )
        is None
    )


def test_a_number_of_unknown_influence_is_said_to_be_so(few: SweepResult) -> None:
    runs = finished(few.plan.points[0].scenario, {3: few.store.path(few.plan.runs(few.seeds)[0])}, ["tbt_pooled_p99_s"])
    assert np.isnan(deviations("tbt_pooled_p99_s", Side(runs, "race"), 3)).all()
    assert not deviations("tbt_pooled_p99_s", Side(runs, "device_only"), 3).any()


def test_two_folders_differ_with_inputs_too(few: SweepResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a folder and itself the rows are the same and leave nothing open; of two services they add up."""
    monkeypatch.setattr(build, "HISTORY_N", 100)
    for name, changes in (("a", {}), ("b", {"server": {**BASE["server"], "digest": "openrouter-gpt-5.5"}})):
        execute_to_folder(load_scenario({**BASE, **changes}), tmp_path / name)
    for left, right in (("a", "a"), ("a", "b")):
        diff = diff_folders(tmp_path / left, tmp_path / right, ["ttft_mean_s", "tbt_pooled_p99_s"])
        server, device = (
            next(row for row in diff.rows if (row.metric, row.policy) == ("ttft_mean_s", name))
            for name in ("server_only", "device_only")
        )
        assert device.half_width_with_inputs == 0.0
        assert server.few_rows == "server 19 probes"
        assert (server.half_width_with_inputs > 1.5 * server.diff.half_width) == (right == "b")
        assert (server.half_width_with_inputs == 0.0) == (right == "a")
    assert "with inputs: also what few rows leave open (server 19 probes)" in render_diff(diff)
    found = diff_folders(few.store.folder, few.store.folder, ["ttft_mean_s"]).rows
    assert {row.half_width_with_inputs for row in found} == {0.0}
