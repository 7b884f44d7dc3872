"""Plain tables of requests: Vidur, splitwise-sim and the native form, and what every CSV must be."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from discosim.core.errors import UserError
from discosim.traces.readers import read_requests

NATIVE = "arrival_s,prompt_tok,output_tok\n"


def test_vidur_and_splitwise_count_from_the_first_request(write) -> None:
    vidur = read_requests(write("arrived_at,num_prefill_tokens,num_decode_tokens,extra\n0.25,10,5,q\n1.5,11,6,r\n"))
    assert vidur.notes["format"] == "vidur"
    assert vidur.arrival_s.tolist() == [0.0, 1.25]
    assert vidur.notes["first_arrival"] == 0.25
    split = read_requests(
        write(
            "request_id,request_type,application_id,arrival_timestamp,batch_size,prompt_size,token_size\n"
            "0,2,0,0.5,1,100,20\n1,2,0,0.75,1,50,30\n"
        )
    )
    assert split.notes["format"] == "splitwise"
    assert (split.prompt_tok.tolist(), split.output_tok.tolist()) == ([100, 50], [20, 30])
    assert split.arrival_s.tolist() == [0.0, 0.25]
    assert split.notes["first_arrival"] == 0.5


def test_native_table_is_the_same_in_three_forms(write, tmp_path: Path) -> None:
    rows = [
        {"arrival_s": 0.0, "prompt_tok": 5, "output_tok": 7, "user_id": "u1", "hash_ids": [1, 2]},
        {"arrival_s": 0.1, "prompt_tok": 6, "output_tok": 0, "user_id": "u2", "hash_ids": [9]},
        {"arrival_s": 0.1, "prompt_tok": 8, "output_tok": 9, "user_id": "u1", "hash_ids": []},
    ]
    lines = write("".join(json.dumps(row) + "\n" for row in rows), "n.jsonl")
    parquet = tmp_path / "n.parquet"
    pq.write_table(pa.Table.from_pylist(rows), parquet)
    csv = write("user_id,output_tok,prompt_tok,arrival_s\nu1,7,5,0.0\nu2,0,6,0.1\nu1,9,8,0.1\n", "n.csv")
    for path in (lines, parquet, csv):
        trace = read_requests(path)
        assert trace.arrival_s.tolist() == [0.0, 0.1]
        assert trace.prompt_tok.tolist() == [5, 8]
        assert trace.user_id is not None
        assert trace.user_id.tolist() == ["u1", "u1"]
        assert trace.notes["dropped_zero_tok"] == 1
        assert trace.notes["tied"] == 0
        if path is not csv:
            assert trace.hash_ids is not None
            assert [trace.hash_ids[i].tolist() for i in range(2)] == [[1, 2], []]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "0,1,1\nnan,1,1\n",
            "t.csv row 3 column arrival_s: expected a finite number of at least 0, got 'nan'",
        ),
        ("0,1,1\ninf,1,1\n", "t.csv row 3 column arrival_s: expected a finite number"),
        ("0,1,1\n-inf,1,1\n", "t.csv row 3 column arrival_s: expected a finite number"),
        ("-0.5,1,1\n", "t.csv row 2 column arrival_s: expected a finite number of at least 0, got '-0.5'"),
        (
            "0,1,1\n\n2,1,1\n1,1,1\n",
            "t.csv row 5 column arrival_s: goes back in time ('1' after '2'); sort the file",
        ),
        ("0,1,1\n1,,1\n", "t.csv row 3 column prompt_tok: expected a whole number of at least 0, got ''"),
        ("0,1,1\n1,1,-4\n", "t.csv row 3 column output_tok: expected a whole number of at least 0, got '-4'"),
        (
            "0,1,1\n1,1,2.5\n",
            "t.csv row 3 column output_tok: expected a whole number of at least 0, got '2.5'",
        ),
        (
            "0,1,1\n1,1,nan\n",
            "t.csv row 3 column output_tok: expected a whole number of at least 0, got 'nan'",
        ),
        ("0,1,1\n1,1,1,1\n", "t.csv row 3: expected 3 cells, got 4"),
        ("0,1,1\n1,1\n", "t.csv row 3: expected 3 cells, got 2"),
        ("", "t.csv: has a header but no rows"),
        ("\n\n", "t.csv: has a header but no rows"),
        ("0,0,1\n1,1,0\n", "t.csv: no row has both prompt and output tokens"),
    ],
)
def test_native_bad_rows(write, body: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        read_requests(write(NATIVE + body), format="native")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_and_doubled_columns(write) -> None:
    with pytest.raises(UserError, match="row 1: no column 'prompt_tok'; did you mean 'prompt_toks'"):
        read_requests(write("arrival_s,prompt_toks,output_tok\n0,1,1\n"), format="native")
    with pytest.raises(UserError, match="row 1: column 'prompt_tok' appears twice"):
        read_requests(write("arrival_s,prompt_tok,output_tok,prompt_tok\n0,1,1,1\n"), format="native")


def test_parquet_errors(tmp_path: Path) -> None:
    def table(**columns: object) -> Path:
        path = tmp_path / "t.parquet"
        pq.write_table(pa.table(columns), path)
        return path

    with pytest.raises(UserError, match="row 2 column arrival_s: expected a finite number"):
        read_requests(table(arrival_s=[0.0, float("nan")], prompt_tok=[1, 1], output_tok=[1, 1]))
    with pytest.raises(UserError, match="row 2 column prompt_tok: expected a whole number of at least 0, got None"):
        read_requests(table(arrival_s=[0.0, 1.0], prompt_tok=[1, None], output_tok=[1, 1]))
    with pytest.raises(UserError, match="row 1 column output_tok: expected a whole number"):
        read_requests(table(arrival_s=[0.0], prompt_tok=[1], output_tok=["1"]))
    with pytest.raises(UserError, match="a Parquet table with the columns arrival_s, prompt_tok; the nearest format"):
        read_requests(table(arrival_s=[0.0], prompt_tok=[1]))
    with pytest.raises(UserError, match="is a Parquet table with the columns arrival_s, prompt_tok; it lacks output"):
        read_requests(table(arrival_s=[0.0], prompt_tok=[1]), format="native")
    with pytest.raises(UserError, match="has no rows"):
        read_requests(table(arrival_s=[], prompt_tok=[], output_tok=[]))
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(table(arrival_s=[0.0], prompt_tok=[1], output_tok=[1]).read_bytes()[:60])
    with pytest.raises(UserError, match="not a readable Parquet file"):
        read_requests(cut)


def test_byte_order_mark_blanks_and_whole_floats_are_accepted(write) -> None:
    trace = read_requests(write(b"\xef\xbb\xbf" + b"arrival_s, prompt_tok ,output_tok\r\n 0.5 ,3.0, 4\r\n\r\n"))
    assert (trace.notes["first_arrival"], trace.prompt_tok[0], trace.output_tok[0]) == (0.5, 3, 4)


def test_bytes_that_are_no_text(write) -> None:
    with pytest.raises(UserError, match=r"t\.csv row 2: holds bytes that are no UTF-8 text"):
        read_requests(write(NATIVE.encode() + b"0,\xff\xfe,1\n"))


def test_carriage_returns_inside_a_line(write) -> None:
    with pytest.raises(UserError, match=r"t\.csv row 3: holds a carriage return inside a line"):
        read_requests(write(NATIVE + "0,1,1\r\n1,1\r,1\r\n"))


def test_points_that_may_separate_thousands_are_refused(write) -> None:
    head = "arrival_s;prompt_tok;output_tok\n"
    with pytest.raises(
        UserError, match=r"row 3 column prompt_tok: '1\.000' is 1000 where a point separates thousands, and 1"
    ):
        read_requests(write(head + "0;800;5\n1;1.000;6\n"))
    with pytest.raises(
        UserError, match=r"'1\.200' is 1200 where a point separates thousands, and 1\.2 where it begins"
    ):
        read_requests(write(head + "0;1.200;5\n"))
    with pytest.raises(UserError, match=r"column output_tok: '1\.234\.000' separates thousands; write 1234000"):
        read_requests(write(head + "0;5;1.234.000\n"))
    # seconds have fractions, and so have floats of a data frame among commas
    assert read_requests(write(head + "0.000;5;5\n1.500;10.0;6\n")).prompt_tok.tolist() == [5, 10]
    assert read_requests(write(head.replace(";", ",") + "0,1.000,5\n")).prompt_tok.tolist() == [1]


@pytest.mark.parametrize("dashes", ["|---|---|---|", "| :-- | --: |:-:|", "---|---|---"])
def test_a_table_of_markdown_is_named(dashes: str, write) -> None:
    path = write(f"| arrival_s | prompt_tok | output_tok |\n{dashes}\n| 0 | 10 | 5 |\n")
    for form in ("auto", "native"):
        with pytest.raises(UserError, match="is a table of Markdown; write it as CSV"):
            read_requests(path, form)
    assert read_requests(write("arrival_s|prompt_tok|output_tok\n0|10|5\n")).prompt_tok.tolist() == [10]
