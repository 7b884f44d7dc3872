"""Which attempts failed: words in columns of errors, states and truth values."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from discosim.core.errors import UserError
from discosim.traces.readers import read_latency, read_requests

NO_ERROR = [
    "",
    "0",
    "ok",
    "OK",
    "Success",
    "200",
    "201",
    "200.0",
    "-",
    "none",
    "None",
    "null",
    "NaN",
    "<NA>",
    "false",
    "{}",
]
ERRORS = ["timeout", "429", "500", "1", "true", "rate limited", "404", "E1", "503.0"]


def attempts(folder: Path, column: str, words: list[object], form: str = "csv") -> Path:
    """Write a table of attempts that last 0.25 s and 0.02 s a token, with a word each in one column."""
    path = folder / f"mine.{form}"
    if form == "csv":
        cells = "".join(f"0.25,0.02,{word}\n" for word in words)
        path.write_text(f"ttft_s,tpot_s,{column}\n{cells}")
    elif form == "jsonl":
        path.write_text("".join(json.dumps({"ttft_s": 0.25, "tpot_s": 0.02, column: word}) + "\n" for word in words))
    else:
        table = {"ttft_s": [0.25] * len(words), "tpot_s": [0.02] * len(words), column: words}
        parquet.write_table(pa.table(table), path)
    return path


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("column", ["error", "error_code", "error_message"])
def test_words_for_no_error_are_none_and_are_counted(column: str, form: str, tmp_path: Path) -> None:
    words = [*NO_ERROR, *ERRORS, *NO_ERROR]
    series = read_latency(attempts(tmp_path, column, words, form))
    assert series.failure_share == len(ERRORS) / (2 * len(NO_ERROR) + len(ERRORS))
    (doubt,) = series.warnings
    assert doubt.startswith(f"{column} holds ")
    assert doubt.endswith("which was taken for no error.")
    only_blank = read_latency(attempts(tmp_path, column, ["", "", "timeout"], form))
    assert (only_blank.failure_share, only_blank.warnings) == (1 / 3, ())


def test_llmperf_knows_the_same_words(tmp_path: Path) -> None:
    head = "ttft_s,end_to_end_latency_s,input_tokens,output_tokens,error_code\n"
    path = tmp_path / "l.csv"
    path.write_text(head + "".join(f"0.5,0.7,100,11,{word}\n" for word in [*NO_ERROR, *ERRORS]))
    series = read_latency(path)
    assert series.is_failed.tolist() == [False] * len(NO_ERROR) + [True] * len(ERRORS)


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("success", [True, False, True, True]),
        ("ok", ["yes", "no", "yes", "yes"]),
        ("failed", [False, True, False, False]),
        ("is_error", [0, 1, 0, 0]),
        ("status", ["ok", "error", "success", "completed"]),
        ("status", ["200", "503", "200", "201"]),
        ("http_status", [200, 0, 204, 200]),
        ("status_code", [0, 14, 0, 0]),
        ("outcome", ["ok", "timeout", "ok", "ok"]),
        ("error_code", [None, 429, None, None]),
    ],
)
def test_columns_that_tell_outcomes_are_read(column: str, words: list[object], form: str, tmp_path: Path) -> None:
    shown = ["" if word is None else word for word in words] if form == "csv" else words
    path = attempts(tmp_path, column, shown, form)
    if column == "status_code":  # 14 alone is no code that everybody knows
        with pytest.raises(UserError, match=r"row 3 column status_code|row 2 column status_code"):
            read_latency(path)
        return
    series = read_latency(path)
    assert series.is_failed.tolist() == [False, True, False, False]
    assert len(series) == 3


def test_a_word_that_tells_neither_is_refused_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"mine\.csv row 3 column status: says neither .* got 'partial'; write ok, error"
    ):
        read_latency(attempts(tmp_path, "status", ["ok", "partial", "error"]))
    with pytest.raises(UserError, match=r"mine\.csv row 3 column success: says neither"):
        read_latency(attempts(tmp_path, "success", ["True", "", "False"]))
    blank = read_latency(attempts(tmp_path, "status", ["", "", ""]))
    assert blank.failure_share == 0.0


def test_an_attempt_failed_where_one_of_several_columns_says_so(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("ttft_s,tpot_s,status,error\n0.3,0.1,200,\n,,,timeout\n0.3,0.1,500,\n0.3,0.1,200,ok\n")
    series = read_latency(path)
    assert series.is_failed.tolist() == [False, True, True, False]
    assert (series.notes["failed_timeout"], series.notes["failed_500"]) == (1, 1)


def test_requests_that_failed_are_dropped_where_the_column_is_clear(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    rows = ["0,9,5,ok", "1,9,5,error", "2,9,5,ok", "3,9,5,500"]
    path.write_text("arrival_s,prompt_tok,output_tok,status\n" + "\n".join(rows) + "\n")
    trace = read_requests(path)
    assert trace.arrival_s.tolist() == [0.0, 2.0]
    assert trace.notes["dropped_failed"] == 2
    path.write_text("arrival_s,prompt_tok,output_tok,status\n0,9,5,ok\n1,9,5,partial\n")
    trace = read_requests(path)
    assert len(trace) == 2
    (doubt,) = trace.warnings
    assert doubt.startswith("the column status is not read, as its word in row 3 ('partial') says neither")
