"""Logs of servers: load and truth from one table, of two clocks, in any unit, under other names."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from server_log_files import EPOCH_S, UPTIME_S, Row, lines, logged, of_durations, table, truth

from discosim import load_scenario, simulate
from discosim.cli import main
from discosim.core.errors import UserError
from discosim.traces.mapping import parse_mapping
from discosim.traces.readers import read_requests
from discosim.traces.server_log import ServerLog
from discosim.traces.server_logs import read_server_log, read_server_logs


def assert_is_truth(log: ServerLog, rows: list[dict[str, float]], within_s: float = 1e-6) -> None:
    start = rows[0]["queued"]
    want = {
        "arrival_s": [(row["queued"] - start) / 1000.0 for row in rows],
        "queue_s": [(row["scheduled"] - row["queued"]) / 1000.0 for row in rows],
        "ttft_s": [(row["first"] - row["queued"]) / 1000.0 for row in rows],
        "e2e_s": [(row["last"] - row["queued"]) / 1000.0 for row in rows],
        "tpot_s": [0.03] * len(rows),
    }
    for name, values in want.items():
        np.testing.assert_allclose(getattr(log, name), values, atol=within_s, rtol=0, err_msg=name)
    assert log.prompt_tok.tolist() == [row["prompt"] for row in rows]
    assert log.output_tok.tolist() == [row["output"] for row in rows]


# --- what is read ---------------------------------------------------------------------------------------------


def test_a_log_of_two_clocks_counts_from_the_queue(tmp_path: Path) -> None:
    rows = truth()
    log = read_server_log(lines(tmp_path, logged(rows)))
    assert_is_truth(log, rows)
    assert not log.is_client_side
    (said,) = log.warnings
    assert "arrival_time (Unix time) and queued_ts (counted from another zero) are of different clocks" in said


@pytest.mark.parametrize(
    ("per_ms", "zero", "whole", "said"),
    [
        (1e-3, 0.0, False, ""),
        (1e-3, 12.5, False, ""),
        (1.0, UPTIME_S, False, "read in ms"),
        (1e3, UPTIME_S, True, "read in us"),
        (1e6, UPTIME_S, True, "read in ns"),
        (1e6, 2_000_000.0, True, "read in ns"),  # an uptime in ns that would be Unix time in us
        (1.0, 2_000_000.0, False, "read in ms"),  # and one in ms that would be Unix time in s
        (1e6, EPOCH_S, True, "read in ns"),
        (1e-3, EPOCH_S, False, ""),
    ],
)
def test_units_and_offsets_change_nothing(tmp_path: Path, per_ms: float, zero: float, whole: bool, said: str) -> None:
    rows = truth()
    log = read_server_log(lines(tmp_path, logged(rows, per_ms=per_ms, zero=zero, whole=whole)))
    assert_is_truth(log, rows)
    assert any(said in warning for warning in log.warnings)


def test_whole_nanoseconds_since_1970_keep_every_digit(tmp_path: Path) -> None:
    zero = 1_777_142_838_123_456_789
    rows = [
        {
            "prompt_tokens": 10,
            "completion_tokens": 2,
            "arrival_time_ns": zero + 3_000_000_007 * i,
            "first_token_time_ns": zero + 3_000_000_007 * i + 50_000_001,
            "finished_time_ns": zero + 3_000_000_007 * i + 80_000_003,
        }
        for i in range(4)
    ]
    for write in (lines, table):
        log = read_server_log(write(tmp_path, rows))
        assert log.arrival_s.tolist() == [3_000_000_007 * i / 1e9 for i in range(4)]
        assert log.ttft_s.tolist() == [50_000_001 / 1e9] * 4
        assert log.e2e_s.tolist() == [80_000_003 / 1e9] * 4
    holed = [*rows, {**rows[0], "arrival_time_ns": zero + 5, "first_token_time_ns": None, "finished_time_ns": None}]
    log = read_server_log(lines(tmp_path, holed))
    assert log.arrival_s.tolist()[1] == 5 / 1e9
    assert np.isnan(log.ttft_s[1])
    assert log.ttft_s[0] == 50_000_001 / 1e9


def test_the_order_of_rows_changes_nothing(tmp_path: Path) -> None:
    rows = logged(truth())
    first = read_server_log(lines(tmp_path, rows))
    random.Random(1).shuffle(rows)
    second = read_server_log(lines(tmp_path, rows))
    for name in ("arrival_s", "prompt_tok", "output_tok", "ttft_s", "e2e_s", "queue_s"):
        assert np.array_equal(getattr(first, name), getattr(second, name)), name


def of_dates(row: Mapping[str, float]) -> Row:
    def date(at_ms: float) -> str:
        return f"2026-05-01T12:{int(at_ms) // 60000:02d}:{at_ms % 60000 / 1000.0:06.3f}Z"

    return {
        "arrived_at": date(row["queued"]),
        "num_prompt_tokens": row["prompt"],
        "num_generation_tokens": row["output"],
        "first_scheduled_time": date(row["scheduled"]),
        "first_token_time": date(row["first"]),
        "finished_time": date(row["last"]),
    }


def of_tpot(row: Mapping[str, float]) -> Row:
    return {
        "timestamp": EPOCH_S * 1000.0 + row["queued"],  # Unix time in ms
        "prompt_len": row["prompt"],
        "output_len": row["output"],
        "ttft": (row["first"] - row["queued"]) / 1000.0,
        "tpot": 0.03,
        "queue_time": (row["scheduled"] - row["queued"]) / 1000.0,
    }


@pytest.mark.parametrize("form", [of_durations, of_dates, of_tpot])
@pytest.mark.parametrize("write", [lines, table])
def test_other_names_and_forms_give_the_same(
    tmp_path: Path, form: Callable[..., Row], write: Callable[..., Path]
) -> None:
    rows = truth()
    path = write(tmp_path, [form(row) for row in rows])
    assert_is_truth(read_server_log(path), rows, within_s=1e-6)
    assert read_requests(path, "server").output_tok.tolist() == [row["output"] for row in rows]


def test_the_delay_to_the_server_is_said_where_one_clock_has_both(tmp_path: Path) -> None:
    rows = logged(truth(), zero=EPOCH_S)
    log = read_server_log(lines(tmp_path, rows))
    assert_is_truth(log, truth())
    assert any("0.02 s after arrival_time in the median" in said for said in log.warnings)


def test_a_mapping_names_the_columns(tmp_path: Path) -> None:
    theirs = {"input_toks": "n_in", "output_toks": "n_out", "queued_ts": "t0", "scheduled_ts": "t1"}
    theirs |= {"first_token_ts": "t2", "last_token_ts": "t3"}
    rows = [{theirs.get(key, key): value for key, value in row.items()} for row in logged(truth())]
    said = ["prompt_tok=n_in", "output_toks=n_out", "queued=t0", "scheduled_s=t1", "first_token_ts=t2", "last_token=t3"]
    path = lines(tmp_path, rows)
    assert_is_truth(read_server_log(path, mapping=parse_mapping(said)), truth())
    changes = [f"workload={{kind: replay, file: {path}, columns: [{', '.join(said)}]}}", "replications=1"]
    result = simulate(load_scenario("quickstart", overrides=[*changes, "policies=[{kind: server_only}]"]))
    assert sorted(result.requests["prompt_tok"]) == [100 + i for i in range(30)]
    with pytest.raises(UserError, match="unknown field 'nothing'"):
        simulate(load_scenario("quickstart", overrides=[*changes, "workload.columns=[nothing=t0]"]))
    with pytest.raises(UserError, match=r"workload\.columns: expected OURS=THEIRS"):
        simulate(load_scenario("quickstart", overrides=[*changes, "workload.columns=[nothing]"]))


def test_users_and_tests_of_several_concurrencies(tmp_path: Path) -> None:
    rows = logged(truth())
    for i, row in enumerate(rows):
        row |= {"concurrency": 16 if i % 3 else 4, "user_id": "ada" if i % 2 else "ben"}
    path = lines(tmp_path, rows)
    logs = read_server_logs(path)
    assert list(logs) == ["4", "16"]
    assert [log.concurrency for log in logs.values()] == [4, 16]
    assert logs["4"].prompt_tok.tolist() == [100 + i for i in range(0, 30, 3)]
    assert logs["16"].arrival_s[0] == 0.0
    assert logs["4"].user_id is not None
    assert logs["4"].user_id.tolist() == [0, 1] * 5
    assert len(read_server_log(path, group="16")) == 20
    with pytest.raises(UserError, match="holds 2 runs; name one of: 4, 16"):
        read_server_log(path)
    with pytest.raises(UserError, match="holds no run '8'"):
        read_server_log(path, group="8")


def test_what_failed_stays_in_the_load_as_far_as_it_was_made(tmp_path: Path) -> None:
    rows = logged(truth())
    for row in rows:
        row["status"] = "ok"
    rows[3] |= {"status": "cancelled", "last_token_ts": None, "output_toks": 7}
    rows[5] |= {"status": "error", "first_token_ts": None, "last_token_ts": None, "output_toks": 0}
    rows[8] |= {"output_toks": 0}
    rows[9] |= {"first_token_ts": 0.0, "last_token_ts": 0.0, "finish_reason": "abort"}
    log = read_server_log(lines(tmp_path, rows))
    assert len(log) == 28
    assert log.output_tok[3] == 7
    assert np.isnan([log.ttft_s[3], log.e2e_s[3], log.queue_s[3]]).all()
    assert np.isnan(log.ttft_s[7])
    assert np.isfinite(np.delete(log.ttft_s, [3, 7])).all()
    told = " ".join(log.warnings)
    assert "1 of 30 requests failed before they had an answer, and are left out" in told
    assert "2 of 30 requests failed or were cancelled after some tokens: they stay in the load" in told
    assert "1 of 30 requests have no prompt or no output tokens" in told
    trace = read_requests(lines(tmp_path, rows))
    assert (trace.notes["dropped_failed"], trace.notes["dropped_zero_tok"]) == (1, 1)


# --- where it is used -----------------------------------------------------------------------------------------


def test_a_run_replays_the_log_and_check_describes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = lines(tmp_path, logged(truth()))
    changes = [f"workload={{kind: replay, file: {path}}}", "replications=1", "policies=[{kind: server_only}]"]
    result = simulate(load_scenario("quickstart", overrides=changes))
    frame = result.requests
    start = truth()[0]["queued"]
    arrivals = sorted(np.asarray(frame["arrival_s"]).tolist())
    assert arrivals == pytest.approx([(row["queued"] - start) / 1000.0 for row in truth()], abs=1e-6)
    assert any("of different clocks" in note for note in result.notes)
    assert main(["traces", "check", str(path)]) == 0
    printed = capsys.readouterr().out
    for word in ("server (", "span_s", "ttft_s", "queue_s", "tpot_s", "e2e_s", "makespan_s", "warning: arrival_time"):
        assert word in printed


@pytest.mark.parametrize(
    ("name", "n"),
    [("RTXPRO6000__Llama-3.1-8B__requests", 300), ("RTXPRO6000__Qwen3-30B-A3B-Instruct-2507__requests_first150", 150)],
)
def test_the_public_runs_are_read_as_a_plain_loop_reads_them(raw_traces: Path, name: str, n: int) -> None:
    path = raw_traces / "llmservingsim-vllm-bench" / f"{name}.jsonl"
    rows = sorted(map(json.loads, path.read_text().splitlines()), key=lambda row: row["queued_ts"])
    log = read_server_log(path)
    assert len(log) == n == len(rows)
    for i, row in enumerate(rows):
        assert log.ttft_s[i] == row["first_token_ts"] - row["queued_ts"]
        assert log.queue_s[i] == row["scheduled_ts"] - row["queued_ts"]
        assert log.arrival_s[i] == row["queued_ts"] - rows[0]["queued_ts"]
        tpot = (row["last_token_ts"] - row["first_token_ts"]) / (row["output_toks"] - 1)
        assert log.tpot_s[i] == pytest.approx(tpot, abs=1e-9)
