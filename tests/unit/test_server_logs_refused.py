"""Logs of servers that are refused: one clear line says what is wrong, and with which option it is settled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from server_log_files import UPTIME_S, Row, lines, logged, of_durations, truth

from discosim.cli import main
from discosim.core.errors import UserError
from discosim.traces.mapping import parse_mapping
from discosim.traces.server_logs import read_server_log, require_enough


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
