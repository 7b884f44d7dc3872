"""Logs of servers: load and truth from one table, two clocks, units, and what is refused."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discosim import load_scenario, simulate
from discosim.cli import main
from discosim.core.errors import UserError
from discosim.traces.mapping import parse_mapping
from discosim.traces.readers import read_requests
from discosim.traces.server_log import ServerLog
from discosim.traces.server_logs import read_server_log, read_server_logs, require_enough

Row = dict[str, Any]
EPOCH_S, UPTIME_S = 1_777_142_838.25, 479_748.5


def truth(n: int = 30) -> list[dict[str, float]]:
    """Return requests in ms from zero, whole numbers throughout."""
    luck = random.Random(5)
    found, at_ms = [], 0
    for i in range(n):
        at_ms += luck.randrange(1, 400)
        tokens = luck.randrange(2, 90)
        wait_ms, prefill_ms = luck.randrange(0, 900), luck.randrange(20, 300)
        row = {"queued": at_ms, "scheduled": at_ms + wait_ms, "first": at_ms + wait_ms + prefill_ms}
        found.append({**row, "last": row["first"] + 30 * (tokens - 1), "prompt": 100 + i, "output": tokens})
    return found


def logged(
    rows: list[dict[str, float]], *, per_ms: float = 1e-3, zero: float = UPTIME_S, whole: bool = False
) -> list[Row]:
    """Return rows as vLLM logs them: a client's Unix time, and stamps of another clock in the given unit."""
    shift = zero * 1000.0 * per_ms

    def stamp(at_ms: float) -> float:
        return round(shift) + int(at_ms * per_ms) if whole else shift + at_ms * per_ms

    return [
        {
            "request_id": f"bench-{i}",
            "input_toks": row["prompt"],
            "output_toks": row["output"],
            "arrival_time": EPOCH_S + row["queued"] / 1000.0 - 0.02,
            "queued_ts": stamp(row["queued"]),
            "scheduled_ts": stamp(row["scheduled"]),
            "first_token_ts": stamp(row["first"]),
            "last_token_ts": stamp(row["last"]),
        }
        for i, row in enumerate(rows)
    ]


def lines(folder: Path, rows: list[Row], name: str = "server.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def table(folder: Path, rows: list[Row], name: str = "server.csv") -> Path:
    path = folder / name
    keys = list(rows[0])
    cells = [",".join("" if row[key] is None else repr(row[key]).strip("'") for key in keys) for row in rows]
    path.write_text("\n".join([",".join(keys), *cells]) + "\n", encoding="utf-8")
    return path


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


def of_durations(row: Mapping[str, float]) -> Row:
    return {
        "arrival_s": row["queued"] / 1000.0,
        "prompt_tokens": row["prompt"],
        "completion_tokens": row["output"],
        "ttft_ms": row["first"] - row["queued"],
        "queue_time_ms": row["scheduled"] - row["queued"],
        "e2e_latency_s": (row["last"] - row["queued"]) / 1000.0,
    }


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
    assert_is_truth(read_server_log(lines(tmp_path, rows), mapping=parse_mapping(said)), truth())


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


# --- what is refused ------------------------------------------------------------------------------------------


def changed(i: int, **cells: Any) -> list[Row]:
    rows = logged(truth())
    rows[i] |= cells
    return rows


def renamed(old: str, new: str) -> list[Row]:
    return [{new if key == old else key: value for key, value in row.items()} for row in logged(truth())]


def without(*names: str) -> list[Row]:
    return [{key: value for key, value in row.items() if key not in names} for row in logged(truth())]


REFUSED: list[tuple[list[Row], str]] = [
    (without("arrival_time", "queued_ts"), r"no column with arrivals .*name it with --map arrival=COLUMN"),
    (
        renamed("input_toks", "input_tks"),
        r"no column with prompt tokens .*'input_tks' is it, say --map prompt_tok=input_tks",
    ),
    (without("output_toks"), "no column with output tokens"),
    (without("first_token_ts", "last_token_ts"), "no column with the time of the first or of the last token"),
    (without("queued_ts"), r"arrival_time and .* are of different clocks .*--map queued=COLUMN"),
    (changed(6, first_token_ts=UPTIME_S + 0.5), r"row 7 column first_token_ts: runs backwards"),
    (changed(6, last_token_ts=UPTIME_S + 1.2), r"row 7 column last_token_ts: runs backwards"),
    (changed(6, scheduled_ts=UPTIME_S), r"row 7 column scheduled_ts: runs backwards"),
    (changed(6, request_id="bench-2"), r"row 7 column request_id: 'bench-2' stands in row 3 too"),
    (changed(6, queued_ts=(UPTIME_S + 1) * 1000), r"row 7 column queued_ts: .*different units"),
    (
        [{**row, "scheduled_ts": row["scheduled_ts"] * 1e3} for row in logged(truth())],
        "queued_ts and scheduled_ts are not",
    ),
    (
        [{**row, "queued_ts": row["queued_ts"] * 1e3} for row in logged(truth())],
        "are the two of one clock and in one unit",
    ),
    (changed(6, queued_ts=None), r"row 7 column queued_ts: is blank"),
    (changed(6, output_toks=2.5), r"row 7 column output_toks: expected a whole number"),
    (changed(6, first_token_ts="soon"), r"row 7 column first_token_ts: expected a finite number"),
    (
        [{**row, "finish_ts": row["last_token_ts"]} for row in logged(truth())],
        "may all be last_token; say which with --map",
    ),
]


@pytest.mark.parametrize(("rows", "said"), REFUSED)
def test_one_clear_line_says_what_is_wrong(
    tmp_path: Path, rows: list[Row], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = lines(tmp_path, rows)
    with pytest.raises(UserError, match=said):
        read_server_log(path)
    assert main(["traces", "check", str(path), "--format", "server"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_stamps_in_two_units_are_refused(tmp_path: Path) -> None:
    rows = [{**row, "last_token_ts": row["last_token_ts"] * 1000} for row in logged(truth())]
    with pytest.raises(UserError, match="unit"):
        read_server_log(lines(tmp_path, rows))
    with pytest.raises(UserError, match="names its units itself"):
        read_server_log(lines(tmp_path, [of_durations(row) for row in truth()]), unit="ms")


def test_a_unit_that_is_not_to_be_told_has_to_be_said(tmp_path: Path) -> None:
    """Gaps of 300 are 0.3 s in ms, or 0.3 ms in us; both are somebody's service."""
    rows = [
        {
            "arrival": 7000 * i,
            "prompt_tok": 5,
            "output_tok": 11,
            "first_token": 7000 * i + 4000,
            "last_token": 7000 * (i + 1),
        }
        for i in range(25)
    ]
    path = lines(tmp_path, rows)
    with pytest.raises(UserError, match="ms or us would both do; say it with --unit"):
        read_server_log(path)
    assert read_server_log(path, unit="ms").ttft_s.tolist() == [4.0] * 25
    assert read_server_log(path, unit="us").tpot_s == pytest.approx([3e-4] * 25)
    with pytest.raises(UserError, match="unknown unit of time 'min'"):
        read_server_log(path, unit="min")


def test_a_mapping_is_checked(tmp_path: Path) -> None:
    path = lines(tmp_path, logged(truth()))
    with pytest.raises(UserError, match="no column 'n_in', which --map gives to prompt_tok"):
        read_server_log(path, mapping={"prompt_tok": "n_in"})
    with pytest.raises(UserError, match="unknown field 'pronpt_tok'; did you mean 'prompt_tok'"):
        read_server_log(path, mapping={"pronpt_tok": "input_toks"})
    with pytest.raises(UserError, match=r"expected OURS=THEIRS.*got 'prompt_tok'"):
        parse_mapping(["prompt_tok"])
    with pytest.raises(UserError, match="given both 'a' and 'b'"):
        parse_mapping(["prompt_tok=a", "prompt_tok=b"])


def test_too_few_requests_are_refused_where_somebody_asks(tmp_path: Path) -> None:
    rows = logged(truth(20))
    require_enough(read_server_log(lines(tmp_path, rows)))
    with pytest.raises(UserError, match=r"server.jsonl: holds 19 requests with times; at least 20 are needed"):
        require_enough(read_server_log(lines(tmp_path, rows[1:])))
    rows[4] |= {"first_token_ts": None, "last_token_ts": None}
    with pytest.raises(UserError, match="holds 19 of its 20 requests with times"):
        require_enough(read_server_log(lines(tmp_path, rows)))


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
