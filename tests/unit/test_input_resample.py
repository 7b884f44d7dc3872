"""Versions of inputs: how far they spread, and what `inputs.resample` makes of them in a run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from thin_inputs import THIN, own_series, scenario

from discosim.core.empirical import CorrelatedSeries, QuantileTable
from discosim.core.errors import UserError
from discosim.core.versions import COPIES, Warp, block_length, rows_version, series_version
from discosim.runs.identity import run_id
from discosim.runs.result import RunResult
from discosim.runs.simulate import simulate

# --- versions -------------------------------------------------------------------------------------------------


def test_a_version_keeps_the_values_and_moves_their_levels() -> None:
    table = QuantileTable.of(np.arange(50.0), [i / 100 for i in range(101)])
    drawn = Warp.of(50, np.random.default_rng(3)).table(table)
    assert (drawn.values[0], drawn.values[-1]) == (table.values[0], table.values[-1])
    assert drawn.levels != table.levels


def test_quantiles_of_versions_err_as_order_statistics_do() -> None:
    """The p95 of versions of 400 rows lies below the 386th value as often as a beta variable (386, 15) exceeds 0.95."""
    from scipy.stats import beta

    table = QuantileTable(tuple((np.arange(402)) / 401), tuple(np.arange(402.0)))
    rng, n = np.random.default_rng(5), 4000
    at = table.ppf((386 - 0.5) / 400)
    below = np.mean([Warp.of(400, rng).table(table).ppf(0.95) < at for _ in range(n)])
    expected = beta.sf(0.95, 386, 15)
    # five standard errors: false alarm below one in a million
    assert below == pytest.approx(expected, abs=5 * np.sqrt(expected * (1 - expected) / n) + 0.01)


def test_memory_makes_versions_differ_more() -> None:
    law = QuantileTable((0.0, 1.0), (0.0, 1.0))
    rng = np.random.default_rng(6)
    spread = [
        np.std([series_version(CorrelatedSeries(law, rho), 200, rng).table.mean() for _ in range(300)])
        for rho in (0.0, 0.8)
    ]
    assert 2.0 < spread[1] / spread[0] < 4.0  # sqrt((1 + r) / (1 - r)) = 2.9 at r = 0.79


def test_a_version_of_rows_keeps_neighbours_inside_a_block() -> None:
    rng = np.random.default_rng(7)
    x = np.cumsum(rng.standard_normal(300))
    drawn = rows_version(x, rng)
    length = block_length(x)
    assert length == 30  # a tenth of the rows
    assert abs(drawn.size - COPIES * 300) <= 2 * COPIES * length
    step = np.isin(np.diff(drawn).round(9), np.diff(np.append(x, x[0])).round(9))
    assert step.mean() >= 1 - 1 / length


def test_rows_without_memory_are_drawn_alone() -> None:
    assert block_length([1.0, 2.0] * 50) == 1
    assert block_length([3.0] * 10) == 1
    assert block_length([1.0]) == 1


# --- inputs.resample ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn() -> RunResult:
    policies = [{"kind": "server_only"}, {"kind": "server_only", "name": "twin"}, {"kind": "device_only"}]
    return simulate(scenario(policies=policies, inputs={"resample": True}, replications=6))


def test_all_policies_meet_the_same_version(drawn: RunResult) -> None:
    by_name = {name: drawn.columns["ttft_s"][drawn.columns["policy"] == name] for name in ("server_only", "twin")}
    assert np.array_equal(by_name["server_only"], by_name["twin"])
    assert drawn.input_intervals is not None
    assert drawn.input_intervals.with_inputs["twin", "ttft_mean_s"]["diff_half_width"] == 0.0


def test_each_replication_has_its_own_version(drawn: RunResult) -> None:
    """Replications of one version differ by luck of 80 requests, those of versions by that of 19 rows too."""
    plain = simulate(scenario(replications=6))
    means = [
        np.std(run.by_replication.query("policy == 'server_only'")["ttft_mean_s"], ddof=1) for run in (drawn, plain)
    ]
    assert means[0] > 1.2 * means[1]  # sqrt(1 + 80 / 19) = 2.3 on average; fixed seeds


def test_who_meets_no_version_has_the_interval_of_luck() -> None:
    """The only rows are those of the service, and a device asks for none."""
    policies = [{"kind": "device_only"}, {"kind": "server_only"}]
    run = simulate(scenario(policies=policies, inputs={"resample": True}))
    assert run.input_intervals is not None
    wide, luck = (
        held["device_only", "ttft_mean_s"] for held in (run.input_intervals.with_inputs, run.input_intervals.luck)
    )
    assert wide == luck
    assert wide["half_width"] == pytest.approx(run.summary.value("device_only", "ttft_mean_s").half_width)


def test_one_row_is_doubted(tmp_path: Path) -> None:
    for resample in (False, True):
        run = simulate(scenario(server=own_series(tmp_path, [0.5]), inputs={"resample": resample}))
        assert "warning: server mine.csv: of one row nobody knows how far others lie from it" in run.notes
        assert "luck and inputs" not in str(run)


def test_what_policies_know_is_what_was_measured() -> None:
    from discosim.runs.build import build
    from discosim.runs.input_versions import InputVersions

    blueprint = build(scenario(inputs={"resample": True}))
    versions = InputVersions(blueprint)
    one, other = versions.of(0), versions.of(1)
    assert one.view is blueprint.view
    assert one.model.server != other.model.server != blueprint.model.server
    assert InputVersions(blueprint).of(0).model.server == one.model.server


def test_the_setting_is_part_of_what_a_run_is() -> None:
    assert run_id(scenario(inputs={"resample": True}), {}) != run_id(scenario(), {})
    assert run_id(scenario(inputs={"resample": False}), {}) == run_id(scenario(), {})
    with pytest.raises(UserError, match=r"inputs\.resample"):
        scenario(inputs={"resample": "often"})


def test_every_kind_of_measured_input_has_versions(tmp_path: Path) -> None:
    """A digest's gaps, lengths and last hop, own rows of a service and a service beside it: nothing stays as it was."""
    rows = (np.random.default_rng(10).exponential(1.0, 50) + 0.1).tolist()
    law = {"kind": "digest", "digest": "azure-conv"}
    workload = {"kind": "generate", "n_requests": 60, "n_users": 60, "arrivals": law, "lengths": law}
    changes = {
        "workload": workload,
        "server": own_series(tmp_path, rows),
        "services": {"other": THIN},
        "link": {"kind": "digest", "digest": "lte-driving"},
        "replications": 2,
    }
    plain, drawn = (simulate(scenario(**changes, inputs={"resample": on})) for on in (False, True))
    for column in ("arrival_s", "prompt_tok", "output_tok", "ttft_s"):
        assert not np.array_equal(plain.columns[column], drawn.columns[column]), column
    assert any(note.startswith("inputs drawn anew by each replication") for note in drawn.notes)


def test_a_replayed_trace_has_versions_in_blocks(tmp_path: Path) -> None:
    lines = [{"arrival_s": float(i), "prompt_tok": 10 + i, "output_tok": 5} for i in range(100)]
    (tmp_path / "trace.jsonl").write_text("\n".join(map(json.dumps, lines)))
    for share in (None, 0.25):
        workload = {"kind": "replay", "file": str(tmp_path / "trace.jsonl"), "past_share": share}
        run = simulate(scenario(workload=workload, inputs={"resample": True}, replications=2))
        one = run.columns["policy"] == "race"
        prompt, arrival = run.columns["prompt_tok"][one], run.columns["arrival_s"][one]
        n = 100 if share is None else 75
        assert prompt.size == 2 * n
        assert prompt.min() >= 10 + (0 if share is None else 25)  # what is held out is not replayed
        assert np.mean(np.diff(prompt[:n]) == 1) > 0.8
        assert (np.diff(arrival[:n]) >= 0).all()
