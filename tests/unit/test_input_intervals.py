"""What few rows behind an input leave open of a run: whose intervals they widen, and how it is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from thin_inputs import own_series, scenario

from discosim.report.cells import half_width
from discosim.runs import execute_to_folder
from discosim.runs.result import RunResult
from discosim.runs.simulate import simulate

N_PROBES = 19


@pytest.fixture(scope="module")
def thin() -> RunResult:
    return simulate(scenario())


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
