"""What contradicts itself in a server's log: whole answers, queues beyond the TTFT, clocks put back, two models."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from server_log_files import Row, lines, logged, of_durations, table, truth

from discosim.cli import main
from discosim.core.errors import UserError
from discosim.traces.readers import read_requests
from discosim.traces.server_log import ServerLog
from discosim.traces.server_logs import read_server_log

N = 30


def rows(**columns: Any) -> list[Row]:
    """Return requests by durations with more columns; a function makes its cell from the row's number and the row."""
    found = []
    for i, row in enumerate(of_durations({**row, "output": row["output"] + 20}) for row in truth(N)):
        found.append(row | {name: cell(i, row) if callable(cell) else cell for name, cell in columns.items()})
    return found


def said(log: ServerLog) -> str:
    return " ".join(log.warnings)


NAMES = list(of_durations(truth(1)[0]))
TTFT, E2E = "ttft_ms", "e2e_latency_s"
assert {TTFT, E2E} <= set(NAMES)


@pytest.mark.parametrize("shift_ms", [0.0, 0.1])
def test_a_log_of_whole_answers_has_no_ttft_and_is_refused(tmp_path: Path, shift_ms: float) -> None:
    whole = rows(**{TTFT: lambda _, row: row[E2E] * 1e3 - shift_ms})
    path = table(tmp_path, whole)
    with pytest.raises(UserError, match="no request was streamed: each TTFT is the time of a whole answer"):
        read_server_log(path)
    assert len(read_requests(path)) == N  # a load for all that
    log = read_server_log(table(tmp_path, [{k: v for k, v in row.items() if k != TTFT} for row in whole], "e2e.csv"))
    assert np.isfinite(log.e2e_s).all()


@pytest.mark.parametrize("column", ["", "stream", "is_streaming", "Streamed"])
def test_whole_answers_among_streams_are_counted_and_left_out(tmp_path: Path, column: str) -> None:
    mixed = rows(**{TTFT: lambda i, row: row[E2E] * 1e3 if i % 3 == 0 else row[TTFT]})
    if column:
        mixed = [row | {column: i % 3 != 0} for i, row in enumerate(mixed)]
    for path in (table(tmp_path, mixed), lines(tmp_path, mixed)):
        log = read_server_log(path)
        assert int(np.isnan(log.ttft_s).sum()) == N // 3
        assert np.isfinite(log.e2e_s).all()
        assert f"{N // 3} of {N} requests have a TTFT that is their whole time" in said(log)


def test_a_server_may_stamp_the_first_token_of_who_did_not_stream(tmp_path: Path) -> None:
    log = read_server_log(table(tmp_path, rows(stream="false")))
    assert np.isfinite(log.ttft_s).all()
    assert f"{N} requests have a TTFT before their end although stream says" in said(log)


def test_short_answers_may_come_at_once(tmp_path: Path) -> None:
    short = rows()
    short[4] |= {"completion_tokens": 3, TTFT: short[4][E2E] * 1e3}
    log = read_server_log(table(tmp_path, short))
    assert np.isfinite(log.ttft_s).all()
    assert log.warnings == ()


@pytest.mark.parametrize(("more_ms", "n"), [(500.0, N), (-1.0, 0), (0.5, 0)])
@pytest.mark.parametrize("queue", ["queue_time_ms", "time_in_queue_s", "wait_time_us"])
def test_a_queue_beyond_the_ttft_is_doubted(tmp_path: Path, queue: str, more_ms: float, n: int) -> None:
    per_ms = {"s": 1e-3, "us": 1e3, "ms": 1.0}[queue.rpartition("_")[2]]
    held = [{k: v for k, v in row.items() if "queue" not in k} for row in rows()]
    held = [row | {queue: max(0.0, row[TTFT] + more_ms) * per_ms} for row in held]
    log = read_server_log(table(tmp_path, held))
    doubt = f"{queue} exceeds the TTFT in {n} of {N} rows"
    assert doubt in said(log) if n else log.warnings == ()


@pytest.mark.parametrize(("ends", "what"), [((E2E,), "whole time"), ((TTFT, E2E), "TTFT")])
def test_a_stamp_of_the_schedule_and_a_duration_are_held_together(
    tmp_path: Path, ends: tuple[str, ...], what: str
) -> None:
    held = [
        {k: v for k, v in row.items() if "queue" not in k and (k in ends or k not in {TTFT, E2E})} for row in rows()
    ]
    held = [row | {"scheduled_s": row["arrival_s"] + row[E2E] + 1.0} for row in held]
    assert f"scheduled_s exceeds the {what} in {N} of {N} rows" in said(read_server_log(table(tmp_path, held)))


@pytest.mark.parametrize("name", ["model", "model_name", "Served Model"])
def test_a_log_of_several_models_says_so(tmp_path: Path, name: str) -> None:
    two = lines(tmp_path, rows(**{name: lambda i, _: "70B" if i % 3 else "8B"}))
    assert f"{name} names 2 models: 70B ({N - N // 3}), 8B ({N // 3})." in said(read_server_log(two))
    assert read_server_log(lines(tmp_path, rows(**{name: "8B"}))).warnings == ()


@pytest.mark.parametrize("named", ["Llama-3.1-70B", "meta-llama/Llama-3.1-70B"])
def test_a_log_of_another_model_than_the_option_names_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], named: str
) -> None:
    log = lines(tmp_path, rows(model=named))
    out = tmp_path / "x.json"
    words = ["engine", "calibrate", str(log), "--model", "Llama-3.1-8B", "--gpu", "H100", "--out", str(out)]
    assert main(words) == 2
    assert f"server.jsonl: the server ran {named}, and --model names Llama-3.1-8B" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("order", ["as it came", "as it ended", "newest first"])
@pytest.mark.parametrize(
    ("begin", "offsets", "is_doubted"),
    [
        (datetime(2025, 10, 26, 1, 55, tzinfo=UTC), ("", ""), True),
        (datetime(2025, 10, 26, 1, 55, tzinfo=UTC), ("+02:00", "+01:00"), False),
        (datetime(2025, 10, 20, 1, 55, tzinfo=UTC), ("", ""), False),  # no clock is put back on that day
    ],
)
def test_a_wall_clock_that_was_put_back_is_doubted(
    tmp_path: Path, begin: datetime, offsets: tuple[str, str], is_doubted: bool, order: str
) -> None:
    end = datetime(2025, 10, 26, 3, 0, tzinfo=UTC)
    stamps = []
    for i in range(N):
        at = begin + timedelta(minutes=5 * i)
        is_over = begin < end <= at
        if is_over and begin.day == 26:
            at -= timedelta(hours=1)
        stamps.append(at.replace(tzinfo=None).isoformat() + offsets[is_over])
    (arrival,) = (name for name in NAMES if "arrival" in name)
    held = [
        {"arrival_time": stamp} | {k: v for k, v in row.items() if k != arrival}
        for stamp, row in zip(stamps, rows(), strict=True)
    ]
    if order == "as it ended":
        held[3:5] = held[4:2:-1]
    log = read_server_log(table(tmp_path, held[::-1] if order == "newest first" else held))
    doubt = "arrival_time goes back by 3,300 s after 02:55:00, and has no offset from UTC: the end of summer time?"
    assert doubt in said(log) if is_doubted else log.warnings == ()
    assert log.arrival_s[-1] == (300.0 * (N - 1) - (3600.0 if is_doubted else 0.0))


def test_rows_in_no_order_say_nothing_of_a_clock(tmp_path: Path) -> None:
    start = datetime(2025, 10, 26, tzinfo=UTC)
    shuffled = [(i * 7) % N for i in range(N)]
    held = [
        {"arrival_time": (start + timedelta(minutes=10 * i)).strftime("%Y-%m-%d %H:%M:%S")}
        | {k: v for k, v in row.items() if "arrival" not in k}
        for i, row in zip(shuffled, rows(), strict=True)
    ]
    assert read_server_log(table(tmp_path, held)).warnings == ()


def test_stamps_of_a_server_stay_as_they_are(tmp_path: Path) -> None:
    assert len(read_server_log(lines(tmp_path, logged(truth()))).warnings) == 1


def test_a_log_put_together_with_itself_is_doubted(tmp_path: Path) -> None:
    once = rows()
    assert "stand there" not in said(read_server_log(table(tmp_path, once)))
    assert f"{2 * N} of {2 * N} rows stand there twice" in said(
        read_server_log(table(tmp_path, once + once, "both.csv"))
    )
