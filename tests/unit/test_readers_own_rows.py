"""Rows of one's own service under the names that people give: read, noted or refused, and each way the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from discosim.core.errors import UserError
from discosim.traces.readers import detect, read_any, read_latency, read_latency_groups, read_requests

# ttft s, tpot s, prompt tok, output tok, sent s
ROWS = [(0.50, 0.020, 100, 21, 0.0), (0.75, 0.025, 220, 41, 30.0), (0.60, 0.030, 90, 11, 61.5)]
WHOLE = [ttft + (n - 1) * tpot for ttft, tpot, _, n, _ in ROWS]
DAY = 1_772_352_000  # 2026-03-01T08:00:00Z
DATES = ["2026-03-01T08:00:00", "2026-03-01T08:00:30", "2026-03-01T08:01:01.500"]

SPELLINGS: dict[str, tuple[list[str], list[list[object]]]] = {
    "ours": (["ttft_s", "tpot_s"], [[r[0], r[1]] for r in ROWS]),
    "bare": (["ttft", "tpot"], [[r[0], r[1]] for r in ROWS]),
    "long": (["time_to_first_token_ms", "time_per_output_token_ms"], [[r[0] * 1e3, r[1] * 1e3] for r in ROWS]),
    "brackets": (["TTFT (ms)", "TPOT (s)"], [[r[0] * 1e3, r[1]] for r in ROWS]),
    "seconds": (
        ["ttft_seconds", "total_seconds", "tokens"],
        [[r[0], w, r[3]] for r, w in zip(ROWS, WHOLE, strict=True)],
    ),
    "camel": (
        ["timeToFirstTokenMs", "totalTimeMs", "outputTokens"],
        [[r[0] * 1e3, w * 1e3, r[3]] for r, w in zip(ROWS, WHOLE, strict=True)],
    ),
    "bare ms": (
        ["ttft", "latency", "completion_tokens"],
        [[r[0] * 1e3, w * 1e3, r[3]] for r, w in zip(ROWS, WHOLE, strict=True)],
    ),
    "speed": (["ttft_ms", "tokens_per_second"], [[r[0] * 1e3, 1 / r[1]] for r in ROWS]),
    "log": (
        ["created_at", "ttft_ms", "total_ms", "prompt_tokens", "completion_tokens"],
        [[int((DAY + r[4]) * 1e3), r[0] * 1e3, w * 1e3, r[2], r[3]] for r, w in zip(ROWS, WHOLE, strict=True)],
    ),
}


def written(folder: Path, names: list[str], rows: list[list[object]], form: str) -> Path:
    path = folder / f"mine.{form}"
    if form == "csv":
        path.write_text("\n".join([",".join(names), *(",".join(map(str, row)) for row in rows)]) + "\n")
    else:
        path.write_text("".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_gives_the_same_times(tmp_path: Path, spelling: str, form: str) -> None:
    series = read_latency(written(tmp_path, *SPELLINGS[spelling], form))
    np.testing.assert_allclose(series.ttft_s, [row[0] for row in ROWS])
    np.testing.assert_allclose(series.tpot_s, [row[1] for row in ROWS])


def test_what_was_guessed_is_said(tmp_path: Path) -> None:
    said = " ".join(read_latency(written(tmp_path, *SPELLINGS["bare ms"], "csv")).warnings)
    assert "ttft and latency: no unit is named; read in ms" in said
    assert "Read latency as the whole time." in said
    assert "1 / tokens_per_second" in read_latency(written(tmp_path, *SPELLINGS["speed"], "csv")).warnings[0]
    assert read_latency(written(tmp_path, *SPELLINGS["long"], "csv")).warnings == ()


def test_a_unit_that_cannot_be_told_is_refused_until_it_is_said(tmp_path: Path) -> None:
    path = written(tmp_path, ["ttft", "tpot"], [[5.0, 0.9], [6.0, 0.8]], "csv")
    with pytest.raises(UserError, match=r"no unit is named, and s or ms would both do; call it ttft_s or ttft_ms"):
        read_latency(path)
    assert read_latency(path, unit="ms").ttft_s.tolist() == pytest.approx([0.005, 0.006])
    assert read_latency(path, unit="s").ttft_s.tolist() == [5.0, 6.0]


@pytest.mark.parametrize(
    ("name", "cells", "unix_s"),
    [
        ("at_s", [0, 30, 61.5], None),
        ("at", DATES, DAY),
        ("timestamp", [f"{date}+01:00" for date in DATES], DAY - 3600),
        ("at_s", [DAY, DAY + 30, DAY + 61.5], DAY),
        ("sent_at", [DAY * 1000, DAY * 1000 + 30_000, DAY * 1000 + 61_500], DAY),
        ("at_ms", [500, 30_500, 62_000], None),
        ("at_ns", [2e9, 32e9, 63.5e9], None),
        ("time", DATES, DAY),
    ],
)
def test_moments_of_sending(tmp_path: Path, name: str, cells: list[object], unix_s: float | None) -> None:
    rows = [[at, r[0], r[1]] for at, r in zip(cells, ROWS, strict=True)]
    series = read_latency(written(tmp_path, [name, "ttft_s", "tpot_s"], rows, "csv"))
    assert series.start_s is not None
    np.testing.assert_allclose(series.start_s, [0.0, 30.0, 61.5])
    assert series.begin_unix_s == unix_s


def test_rows_out_of_order_are_put_in_order_and_counted(tmp_path: Path) -> None:
    rows: list[list[object]] = [[r[4], r[0], r[1]] for r in (ROWS[1], ROWS[2], ROWS[0])]
    series = read_latency(written(tmp_path, ["at_s", "ttft_s", "tpot_s"], rows, "csv"))
    assert series.ttft_s.tolist() == [0.5, 0.75, 0.6]
    assert "1 of 3 rows were sent before the row above them (at_s): put in order." in series.warnings


def test_a_column_of_durations_called_time_orders_nothing(tmp_path: Path) -> None:
    rows: list[list[object]] = [[r[0], r[1], t] for r, t in zip(ROWS, (1.9, 0.8, 1.1), strict=True)]
    series = read_latency(written(tmp_path, ["ttft_s", "tpot_s", "time"], rows, "csv"))
    assert series.start_s is None
    assert series.ttft_s.tolist() == [0.5, 0.75, 0.6]


def test_an_answer_does_not_end_before_it_begins(tmp_path: Path) -> None:
    rows: list[list[object]] = [[r[0], w * 1e3, r[3]] for r, w in zip(ROWS, WHOLE, strict=True)]
    series = read_latency(written(tmp_path, ["ttft_s", "latency", "tokens"], rows, "csv"))
    np.testing.assert_allclose(series.tpot_s, [row[1] for row in ROWS])


def test_stamps_in_another_unit_than_the_name_says_are_refused(tmp_path: Path) -> None:
    path = written(
        tmp_path, ["at_s", "ttft_s", "tpot_s"], [[DAY * 1000, 0.5, 0.02], [DAY * 1000 + 9, 0.5, 0.02]], "csv"
    )
    with pytest.raises(UserError, match=r"row 2 column at_s: holds .* Unix time in ms; call the column at_ms"):
        read_latency(path)


def test_services_by_provider_and_model_need_a_choice(tmp_path: Path) -> None:
    names = ["provider", "model", "ttft_s", "tpot_s"]
    path = written(tmp_path, names, [["a", "x", 0.5, 0.02], ["b", "x", 0.7, 0.02], ["a", "x", 0.6, 0.02]], "csv")
    with pytest.raises(UserError, match=r"holds 2 series; name one of: a/x, b/x"):
        read_latency(path)
    assert read_latency(path, group="a/x").ttft_s.tolist() == [0.5, 0.6]
    assert list(read_latency_groups(path)) == ["a/x", "b/x"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ttft_s,tpto_s\n0.5,0.02\n", "is tpto_s tpot_s?"),
        ("tfft_s,tpot_s\n0.5,0.02\n", "is tfft_s ttft_s?"),
        ("ttft_s,total_s\n0.5,0.9\n", "needs ttft_s with tpot_s, or with e2e_s and output_tok"),
        ("ttft_s,latency_s,e2e_latency_s,output_tok\n0.5,0.9,0.9,3\n", ""),
        ("ttft_s,latency_s,duration_s,output_tok\n0.5,0.9,0.9,3\n", "has both latency_s and duration_s; leave one"),
        ("ttft,tpot\n", "no rows"),
        ("", "is empty"),
        ("ttft,tpot\nnan,0.02\n", "row 2 column ttft: expected a finite number of at least 0, got 'nan'"),
        ("time_to_first_token,tpot\n-1,0.02\n", "row 2 column time_to_first_token: expected a finite number"),
        ("ttft,tpot\n0.5s,0.02\n", "write the number alone"),
        ("timestamp,ttft,tpot\nnoon,0.5,0.02\n", "row 2 column timestamp: expected a finite number, got 'noon'"),
    ],
)  # fmt: skip
def test_what_is_no_such_table_is_told_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(text)
    if not said:
        assert read_latency(path).tpot_s[0] == pytest.approx(0.2)
        return
    with pytest.raises(UserError) as refused:
        read_latency(path)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_log_of_requests_is_latencies_where_these_are_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, *SPELLINGS["log"], "csv")
    assert detect(path).name == "server"  # with arrivals and lengths it is a load too
    assert read_any(path)[0].produces == "requests"
    assert read_latency(path).ttft_s.tolist() == pytest.approx([0.5, 0.75, 0.6])


def test_rows_with_lengths_and_times_of_sending_are_a_workload(tmp_path: Path) -> None:
    names = ["at_s", "ttft_s", "tpot_s", "prompt_tok", "output_tok"]
    path = written(tmp_path, names, [[r[4] + 7, r[0], r[1], r[2], r[3]] for r in ROWS], "csv")
    trace = read_requests(path)
    assert trace.arrival_s.tolist() == [0.0, 30.0, 61.5]
    assert trace.prompt_tok.tolist() == [100, 220, 90]
