"""Reports that keep a sample of their requests: failures are those of the whole run, or unknown, and that is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from load_test_files import guidellm, guidellm_run
from load_test_runs import BAD, GOOD, SCENARIO, report

from discosim import load_scenario, simulate
from discosim.core.errors import UserError
from discosim.traces.own_digest import digest_latency
from discosim.traces.readers import read_latency


@pytest.mark.parametrize(
    "totals",
    [
        {"metrics": {"request_totals": {"successful": 1980, "errored": 20, "incomplete": 0, "total": 2000}}},
        {"metrics": {}, "request_totals": {"successful": 1980, "errored": 20, "incomplete": 0, "total": 2000}},
        {"metrics": {}, "total_count": {"successful": 1980, "errored": 20, "incomplete": 0}},
        {"metrics": {}, "run_stats": {"requests_made": {"successful": 1980, "errored": 20, "incomplete": 0}}},
        {"metrics": {}, "scheduler_metrics": {"requests_made": {"successful": 1980, "errored": 20, "incomplete": 0}}},
    ],
)
def test_failures_of_a_sampled_report_are_those_of_the_run(tmp_path: Path, totals: dict[str, Any]) -> None:
    path = report(tmp_path, guidellm_run([GOOD, BAD] * 20, **totals), sample_requests=20)
    series = read_latency(path)
    assert series.failure_share == 20 / 2000
    assert "20 of 1,980 successes are in the file (sample_requests: 20)" in series.warnings[0]
    assert digest_latency(path).failure_share == 0.01
    (tmp_path / "s.yaml").write_text(SCENARIO.replace("SERVER", "series: benchmarks.json, failures: measured"))
    failed = (simulate(load_scenario(tmp_path / "s.yaml")).requests["status"] == "failed").mean()
    # 800 requests fail with 0.01 each: more than 3 % of them do so once in 10,000 seeds, and this is one seed
    assert failed < 0.03


def test_a_whole_report_says_nothing_about_samples(tmp_path: Path) -> None:
    series = read_latency(report(tmp_path, guidellm_run([GOOD, BAD] * 20), sample_requests=50))
    assert (series.failure_share, series.totals, series.warnings) == (0.5, None, ())


def test_requests_that_the_end_of_the_run_cut_off_are_counted_from_the_totals(tmp_path: Path) -> None:
    totals = {"request_totals": {"successful": 10, "errored": 0, "incomplete": 30, "total": 40}}
    series = read_latency(report(tmp_path, guidellm_run([GOOD] * 10, metrics=totals)))
    assert series.notes["dropped_incomplete"] == 30
    assert "30 requests were cut off by the end of the run, beside 10 that ended" in series.warnings[0]


def test_a_report_that_keeps_no_requests_is_named_as_such(tmp_path: Path) -> None:
    run = guidellm_run([], metrics={"request_totals": {"successful": 1980, "errored": 20, "incomplete": 0}})
    with pytest.raises(
        UserError, match=r"holds none of the 1,980 successful requests of the run \(sample_requests: 0\)"
    ):
        read_latency(report(tmp_path, run, sample_requests=0))
    with pytest.raises(
        UserError, match=r"holds none of the 1,980 successful requests of the run \(sample_requests: 0\)"
    ):
        read_latency(report(tmp_path, {**run, "config": {"sample_requests": 0}}))


@pytest.mark.parametrize("value", ["20", 1.5, -1, True, [20]])
def test_totals_that_are_no_counts_are_refused(tmp_path: Path, value: Any) -> None:
    path = report(tmp_path, guidellm_run([GOOD], metrics={"request_totals": {"successful": value}}))
    with pytest.raises(UserError, match="expected a whole number of successful requests in the totals"):
        read_latency(path)


def test_a_sample_of_each_outcome_without_totals_says_that_the_share_is_unknown(tmp_path: Path) -> None:
    rows = [*[GOOD] * 20, *[BAD] * 20]

    def report(**args: Any) -> Path:
        held = json.loads(guidellm(rows))
        for run in held["benchmarks"]:
            for name in ("metrics", "request_totals", "scheduler_metrics", "run_stats"):
                run.pop(name, None)
        path = tmp_path / "g.json"
        path.write_text(json.dumps({**held, "args": args}))
        return path

    assert "the share of failures is unknown" in read_latency(report(sample_requests=20)).warnings[0]
    assert "the share of failures is unknown" in read_latency(report(sample_requests=20.0)).warnings[0]
    assert read_latency(report(sample_requests=100)).warnings == ()  # neither outcome was cut
    assert read_latency(report()).warnings == ()


def test_totals_that_are_written_as_fractions_are_whole(tmp_path: Path) -> None:
    held = json.loads(guidellm([GOOD] * 20 + [BAD] * 20))
    held["benchmarks"][0].setdefault("metrics", {})["request_totals"] = {"successful": 1980.0, "errored": 20.0}
    path = tmp_path / "g.json"
    path.write_text(json.dumps(held))
    assert read_latency(path).failure_share == 0.01
    held["benchmarks"][0]["metrics"]["request_totals"]["successful"] = 1980.5
    path.write_text(json.dumps(held))
    with pytest.raises(UserError, match="expected a whole number of successful requests"):
        read_latency(path)
