"""What few rows behind an input leave open: influences, weights of rows, versions, and what a run says of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discosim.config import load_scenario
from discosim.core.empirical import CorrelatedSeries, QuantileTable
from discosim.core.errors import UserError
from discosim.core.versions import COPIES, Warp, block_length, rows_version, series_version
from discosim.metrics.influence import NUMBERS, influence, is_beyond
from discosim.metrics.input_uncertainty import Rows, bounding_levels, open_part, versions_half_widths
from discosim.metrics.tails import Tails
from discosim.report.cells import half_width
from discosim.runs import execute_to_folder
from discosim.runs.identity import run_id
from discosim.runs.result import RunResult
from discosim.runs.simulate import simulate

PRICES = {"prompt_usd_per_mtok": 1, "output_usd_per_mtok": 2}
THIN: dict[str, Any] = {"kind": "replay", "digest": "openrouter-gpt-5.4", "prices": PRICES}
N_PROBES = 19


def scenario(**changes: Any) -> Any:
    plain = {
        "name": "few rows",
        "replications": 3,
        "workload": {
            "kind": "generate",
            "n_requests": 80,
            "n_users": 80,
            "arrivals": {"kind": "poisson", "rate_per_s": 1},
            "lengths": {"kind": "constant", "prompt_tok": 50, "output_tok": 8},
        },
        "devices": [{"profile": "snapdragon-8-elite-llama-3.2-3b"}],
        "server": THIN,
        "cost": {"exchange_rate_usd_per_j": 1e-7},
        "policies": [{"kind": "server_only"}, {"kind": "device_only"}, {"kind": "race"}],
    }
    return load_scenario({**plain, **changes})


def own_series(folder: Path, rows: list[float]) -> dict[str, Any]:
    file = folder / "mine.csv"
    file.write_text("ttft_s,tpot_s\n" + "".join(f"{row:.6f},0.02\n" for row in rows))
    return {"kind": "replay", "series": str(file), "series_unit": "s", "prices": PRICES}


@pytest.fixture(scope="module")
def thin() -> RunResult:
    return simulate(scenario())


# --- influences ----------------------------------------------------------------------------------------------------


def test_an_influence_belongs_to_the_number_of_the_summary() -> None:
    """Of one replication, value by value; the mean of influences is 0."""
    run = simulate(scenario(replications=1))
    checked = 0
    for policy in run.summary.policies:
        columns = {name: values[run.columns["policy"] == policy] for name, values in run.columns.items()}
        for name in (name for name in NUMBERS if name in run.summary.metrics):
            number, found = run.summary.value(policy, name).mean, influence(name, columns)
            if np.isnan(number):
                assert found is None or name.endswith("p99_9_s"), name  # too rare for the summary
                continue
            assert found is not None, name
            assert found.value == pytest.approx(number, rel=1e-12, abs=1e-15), name
            assert found.each.mean() == pytest.approx(0.0, abs=1e-12 * max(1.0, abs(number))), name
            checked += 1
    assert checked > 60


def test_weights_of_rows_give_the_variance_of_a_mean() -> None:
    """Four rows, each met five times: requests are worth what their row is, so the variance is that of the rows."""
    x = np.array([1.0, 2.0, 4.0, 9.0])
    code = np.tile(np.arange(4), 5).reshape(2, 10)
    each = x[code.ravel()] - 4.0
    assert Rows("x", 4, code, 4).variance(each) == pytest.approx(np.var(x) / 4)


def test_luck_inside_a_row_is_not_taken_for_the_input() -> None:
    """Requests that do not depend on the row they met: the bias is 1 % of what it would be without the correction."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(400):
        each = rng.standard_normal(600)
        found.append(Rows("x", 20, rng.integers(0, 20, (1, 600)), 20).variance(each - each.mean()))
    # uncorrected it is 1/600 on average; half of the corrected ones are cut at 0, the other half are small
    assert np.mean(found) < 0.25 / 600


def test_blocks_take_the_memory_of_a_series_along() -> None:
    """A period of two blocks of ten: without blocks the variance of the mean is a tenth of that with them."""
    x = np.repeat(np.random.default_rng(2).standard_normal(40), 10)
    x -= x.mean()
    code = np.arange(400)[None]
    alone, together = (Rows("x", 400, code, 400, block=b).variance(x) for b in (1, 10))
    assert together / alone == pytest.approx(1 + 2 * sum((1 - k / 10) ** 2 for k in range(1, 10)), rel=0.35)


def test_levels_bound_a_quantile_as_the_binomial_law_says() -> None:
    """Ranks of 400 rows around the p95: the risk of each side is 2.5 % up to one rank."""
    from scipy.stats import binom

    low, high = (level * 400 + 0.5 for level in bounding_levels(400, 0.95))
    assert binom.cdf(np.floor(low) - 1, 400, 0.95) <= 0.025 <= binom.cdf(np.ceil(low) - 1, 400, 0.95)
    assert binom.sf(np.ceil(high) - 1, 400, 0.95) <= 0.025 <= binom.sf(np.floor(high) - 1, 400, 0.95)
    assert bounding_levels(22, 0.99)[1] == 1.0


@pytest.mark.parametrize(
    ("n", "name", "expected"),
    [
        (99, "ttft_p99_s", True), (100, "ttft_p99_s", False), (20, "ttft_p95_s", False), (19, "ttft_p95_s", True),
        (1, "ttft_p50_s", True), (2, "ttft_p50_s", False), (1, "ttft_mean_s", False), (99, "tbt_pooled_p99_s", True),
    ],
)  # fmt: skip
def test_a_quantile_asks_for_a_row_beyond_it(n: int, name: str, expected: bool) -> None:
    assert is_beyond(n, name) is expected


def test_more_replications_leave_the_part_of_the_input() -> None:
    rng = np.random.default_rng(4)
    few, many = (versions_half_widths(10 + rng.standard_normal(r), 0.0)[1] for r in (50, 5000))
    assert few == pytest.approx(2.0, rel=0.35)
    assert many == pytest.approx(1.96, rel=0.05)


def test_a_pair_of_quantiles_beyond_the_rows_is_not_known_as_if_rows_were_the_truth() -> None:
    """Of 21 rows, p99 and p98 lie beyond the outermost: to first order their ratio does not move, in versions it does.

    A straight line from 1 to 2 above the last of 21 rows, met evenly: where that row's level U lies below 0.98,
    the two are 1 + (0.98 - U) / (1 - U) and 1 + (0.99 - U) / (1 - U), and U is a beta variable (21, 1).
    """
    n, size = 21, 22_000
    level = (np.arange(size) + 0.5) / size
    code = np.minimum((level * (n + 1)).astype(int), n)
    top = n / (n + 1)
    values = np.where(level < top, level / top, 1 + (level - top) / (1 - top))
    columns = {"status": np.full(size, "finished"), "ttft_s": values}
    rows = Rows("a service", n, code[None], n + 1)
    own = open_part("ttft_p99_s", columns, [rows])
    assert own is not None
    found = own.found
    assert found is not None
    assert found.sorted_values is not None
    lower = replace(found, level=0.98, value=float(np.quantile(values, 0.98)))
    other = replace(own, found=lower)
    rng = np.random.default_rng(2)
    u = rng.beta(n, 1, 100_000)

    def quantile(q: float) -> np.ndarray:
        return np.where(u < q, 1 + (q - u) / (1 - u), q / u)

    expected = np.std(quantile(0.99) - quantile(0.98))
    # of 60 versions a standard deviation is known to 9 % and more, as the law is skewed
    assert Tails().variance(rows, own, other, 1.0) ** 0.5 == pytest.approx(expected, rel=0.35)
    assert Tails().variance(rows, own, own, 1.0) == 0.0
    assert Tails().variance(rows, own, None, 1.0) ** 0.5 == pytest.approx(np.std(quantile(0.99)), rel=0.35)


# --- versions ------------------------------------------------------------------------------------------------------


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


# --- runs ----------------------------------------------------------------------------------------------------------


def test_few_rows_widen_what_asks_the_service_and_nothing_else(thin: RunResult) -> None:
    found = thin.input_intervals
    assert found is not None
    assert [str(given) for given in found.inputs] == [f"server openrouter-gpt-5.4: {N_PROBES} probes"]
    ttft = {policy: found.with_inputs[policy, "ttft_mean_s"]["half_width"] for policy in thin.summary.policies}
    luck = {policy: thin.summary.value(policy, "ttft_mean_s").half_width for policy in thin.summary.policies}
    assert ttft["server_only"] > 1.5 * luck["server_only"]
    assert ttft["device_only"] == luck["device_only"]
    assert found.beyond["device_only"] == ()
    assert "ttft_p95_s" in found.beyond["server_only"]
    assert "ttft_p90_s" not in found.beyond["server_only"]


def test_the_part_of_the_input_is_that_of_its_rows(thin: RunResult) -> None:
    """Server-only without a link: TTFT is the drawn value, so the mean errs as that of 19 values of the table does."""
    from scipy.special import stdtrit

    from discosim.traces.catalogue import load_digest

    table = load_digest("openrouter-gpt-5.4", "latency").ttft.table  # type: ignore[union-attr]  # it is one of latencies
    values = table.ppf((np.arange(2000) + 0.5) / 2000)
    assert thin.input_intervals is not None
    wide = thin.input_intervals.with_inputs["server_only", "ttft_mean_s"]["half_width"]
    luck = thin.summary.value("server_only", "ttft_mean_s").half_width
    expected = stdtrit(N_PROBES - 1, 0.975) * values.std() / np.sqrt(N_PROBES)
    # the sd of 240 draws is known to 5 to 15 % here, as the law's tail is long
    assert np.sqrt(wide**2 - luck**2) == pytest.approx(expected, rel=0.35)


def test_another_baseline_has_intervals_with_inputs_too(thin: RunResult) -> None:
    text = thin.compare("ttft_mean_s", baseline="device_only")
    wide = thin.input_intervals.against(thin.columns, thin.summary.against("device_only"))  # type: ignore[union-attr]  # there
    assert f"±{half_width(wide.with_inputs['server_only', 'ttft_mean_s']['change_half_width_pct'])}" in text


def test_the_printout_says_whose_rows_and_marks_what_none_holds(thin: RunResult) -> None:
    lines = str(thin).splitlines()
    assert f"by luck and inputs (server {N_PROBES} probes)" in lines[0]
    server = next(line for line in lines if line.startswith("server_only"))
    device = next(line for line in lines if line.startswith("device_only"))
    assert "*" in server
    assert "*" not in device
    assert any("half-widths by luck alone" in line for line in lines)
    assert any(line.startswith(("* a p95 asks for 20 rows", "* a p99 asks for 100 rows")) for line in lines)


def test_an_input_of_plenty_of_rows_leaves_no_trace(tmp_path: Path) -> None:
    rows = np.random.default_rng(8).exponential(1.0, 1000) + 0.1
    result = execute_to_folder(scenario(server=own_series(tmp_path, rows.tolist())), tmp_path / "run")
    assert result.input_intervals is None
    assert not (tmp_path / "run" / "inputs.json").exists()
    assert "by luck" not in str(result)
    assert "rows behind server mine.csv: 1,000 rows" in result.notes


def test_own_rows_are_counted_and_their_intervals_written(tmp_path: Path) -> None:
    rows = np.random.default_rng(9).exponential(1.0, 60) + 0.1
    result = execute_to_folder(scenario(server=own_series(tmp_path, rows.tolist())), tmp_path / "run")
    assert "rows behind server mine.csv: 60 rows" in result.notes
    held = json.loads((tmp_path / "run" / "inputs.json").read_text())
    assert held["inputs"] == [
        {"role": "server", "name": "mine.csv", "n_rows": 60, "unit": "rows", "in_intervals": True}
    ]
    wide = held["with_inputs"]["server_only"]["ttft_mean_s"]["half_width"]
    luck = result.summary.value("server_only", "ttft_mean_s").half_width
    # 240 requests in order meet each of 60 rows four times, so luck is next to nothing and rows are all
    assert np.sqrt(wide**2 - luck**2) == pytest.approx(2.0 * rows.std() / np.sqrt(60), rel=0.05)


def test_lengths_of_few_rows_count_under_every_policy(tmp_path: Path) -> None:
    (tmp_path / "lengths.csv").write_text("prompt_tok,output_tok\n" + "".join(f"{10 * i},{i}\n" for i in range(1, 41)))
    workload = {
        "kind": "generate",
        "n_requests": 80,
        "n_users": 80,
        "arrivals": {"kind": "poisson", "rate_per_s": 1},
        "lengths": {"kind": "file", "file": str(tmp_path / "lengths.csv")},
    }
    found = simulate(scenario(workload=workload)).input_intervals
    assert found is not None
    assert "lengths lengths.csv: 40 rows" in {str(given) for given in found.inputs}
    assert found.asked["device_only"] == ("lengths",)
    # energy of a device is a straight line of both lengths: 40 rows leave sd / sqrt(40) open
    assert found.with_inputs["device_only", "device_energy_mean_j"]["half_width"] > 0.0


# --- inputs.resample -----------------------------------------------------------------------------------------------


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
