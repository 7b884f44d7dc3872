"""Who failed in a load test: told by an error, by what was not seen, or by a count, and cancelled is not failed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from load_test_files import Row, aiperf_record, vllm, written
from load_test_runs import BAD, GOOD

from discosim.core.errors import UserError
from discosim.traces.readers import read_latency


def run_file(folder: Path, rows: list[Row], **changed: Any) -> Path:
    path = folder / "run.json"
    path.write_text(vllm(rows, **changed))
    return path


def test_failures_without_a_text_are_told_by_what_was_not_seen(tmp_path: Path) -> None:
    """A refusal without a reason leaves an empty error, no tokens, no gaps and a TTFT of 0."""
    rows = [GOOD, BAD, GOOD, BAD]
    for changed in ({}, {"completed": None}, {"completed": 2}, {"failed": 2}):
        series = read_latency(run_file(tmp_path, rows, errors=["", "", "", "x"], **changed))
        assert series.is_failed.tolist() == [False, True, False, True]
        assert (series.notes["failed_without_text"], series.notes["failed_error"]) == (1, 1)
        assert series.warnings == (
            "1 of 4 attempts have no tokens, no gaps and no TTFT, and no word of an error: counted as failures.",
        )
    series = read_latency(run_file(tmp_path, rows, errors=[""] * 4, completed=4))
    assert series.failure_share == 0.5
    assert "The file says that 4 requests were completed; its lists hold 2 successes." in series.warnings
    # tokens, or a gap, say that an answer came
    series = read_latency(run_file(tmp_path, rows, errors=[""] * 4, output_lens=[21, 5, 21, 5]))
    assert (series.failure_share, series.notes["unseen_ttft"]) == (0.0, 2)


@pytest.mark.parametrize(
    "form", ["vllm", "sglang", "aiperf", "llmperf_csv", "llmperf_lines", "own_csv", "own_json", "guidellm"]
)
def test_no_tokens_no_gaps_and_no_ttft_is_no_success(form: str, tmp_path: Path) -> None:
    series = read_latency(written(form, [GOOD, Row(0, 0, 0), GOOD], tmp_path))
    assert series.failure_share == pytest.approx(1 / 3)
    assert any(doubt.startswith("1 of 3 attempts have no tokens, no gaps and no TTFT") for doubt in series.warnings)


def test_a_list_of_errors_that_is_absent_says_that_none_are_known(tmp_path: Path) -> None:
    run = json.loads(vllm([GOOD, BAD, GOOD]))
    del run["errors"]
    path = tmp_path / "run.json"
    path.write_text(json.dumps(run))
    series = read_latency(path)
    assert series.is_failed.tolist() == [False, True, False]
    assert series.warnings[0].startswith("The file holds no list 'errors'")


def test_lists_that_hold_fewer_requests_than_the_run(tmp_path: Path) -> None:
    series = read_latency(run_file(tmp_path, [GOOD, BAD], completed=90, failed=10, num_prompts=100))
    assert series.failure_share == 0.1
    assert "The lists hold 2 of the 100 requests of the run" in series.warnings[0]
    series = read_latency(run_file(tmp_path, [GOOD, BAD], completed=90, num_prompts=100))
    assert series.failure_share == 0.1


def test_a_count_that_contradicts_the_lists_is_said(tmp_path: Path) -> None:
    series = read_latency(run_file(tmp_path, [GOOD, GOOD], completed=1))
    assert "The file says that 1 requests were completed; its lists hold 2 successes." in series.warnings
    with pytest.raises(UserError, match=r"run\.json completed: expected a whole number of requests, got \"2\""):
        read_latency(run_file(tmp_path, [GOOD], completed="2"))


def test_requests_that_aiperf_cancelled_itself_are_no_failures(tmp_path: Path) -> None:
    old = aiperf_record(1, BAD, old=True)
    old["error"] = {"code": 499, "type": "RequestCancellationError", "message": "cancelled"}
    path = tmp_path / "profile_export.jsonl"
    path.write_text("\n".join(json.dumps(r) for r in (aiperf_record(0, GOOD, old=True), old)))
    series = read_latency(path)
    assert (series.failure_share, series.notes["dropped_cancelled"]) == (0.0, 1)
