"""Which format a file is, whatever the order of its keys or its separator; and what it seems to be where none fits."""

from __future__ import annotations

import json
import re

import pytest

from discosim.core.errors import UserError
from discosim.traces.readers import detect, read_any, read_requests

NATIVE = "arrival_s,prompt_tok,output_tok\n"
ROW = {"arrival_s": 0, "prompt_tok": 10, "output_tok": 5}


# --- wherever the keys stand ------------------------------------------------------------------------------------


def test_keys_that_stand_behind_a_long_list_are_found(write) -> None:
    """Sorted keys put ``hash_ids`` first: a prompt of 200,000 tokens has 12,500 ids of 16 tokens."""
    rows = [
        {"hash_ids": list(range(12_500)), "chat_id": i, "input_length": 200_000, "output_length": 5, "timestamp": i}
        for i in range(2)
    ]
    path = write("".join(json.dumps(row) + "\n" for row in rows), "sorted.jsonl")
    assert path.read_bytes().index(b"\n") > 65536
    assert detect(path).name == "bailian"
    assert len(read_requests(path)) == 2


def test_a_report_is_known_by_its_keys_whatever_comes_first(write) -> None:
    n = 9000
    lists = {"ttfts": [0.1234567] * n, "itls": [[0.01] * 4] * n}
    lists |= {"input_lens": [10] * n, "output_lens": [5] * n, "errors": [""] * n}
    summary = {"date": "x", "backend": "vllm", "model_id": "m", "completed": n, "request_throughput": 1.0}
    summary |= {"duration": 1.0, "num_prompts": n, "total_input_tokens": 1, "total_output_tokens": 1}
    assert detect(write(json.dumps(summary | lists), "first.json")).name == "vllm"
    assert detect(write(json.dumps(lists | summary), "last.json")).name == "vllm"
    assert detect(write(json.dumps(lists | summary, indent=1), "pretty.json")).name == "vllm"


def test_a_header_longer_than_the_head_is_read_whole(write) -> None:
    others = [f"column_{i:06d}" for i in range(9000)]
    cells = ["1"] * len(others)
    text = (
        ",".join([*others, "arrival_s", "prompt_tok", "output_tok"]) + "\n" + ",".join([*cells, "0", "10", "5"]) + "\n"
    )
    assert text.index("\n") > 65536
    assert read_requests(write(text)).prompt_tok.tolist() == [10]


def test_the_first_record_may_lack_what_is_optional(write) -> None:
    rows = [ROW, {**ROW, "arrival_s": 1, "user_id": "ada"}]
    trace = read_requests(write("".join(json.dumps(row) + "\n" for row in rows), "t.jsonl"))
    assert trace.user_id is not None
    assert trace.user_id.tolist() == ["", "ada"]


def test_an_array_of_objects_reads_like_lines(write) -> None:
    rows = [ROW, {**ROW, "arrival_s": 1}]
    for text in (json.dumps(rows), json.dumps(rows, indent=2), "\n " + json.dumps(rows)):
        trace = read_requests(write(text, "t.json"))
        assert (trace.notes["format"], trace.source_row.tolist()) == ("native", [1, 2])


# --- separators, quotes, widths ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", ["\t", ";", "|", ","])
def test_the_separator_is_told_from_the_header(mark: str, write) -> None:
    text = NATIVE + "0,10,5\n1.5,20,6\n"
    trace = read_requests(write(text.replace(",", mark)))
    assert (trace.arrival_s.tolist(), trace.output_tok.tolist()) == ([0.0, 1.5], [5, 6])


def test_quoted_cells_may_hold_line_ends_and_rows_keep_their_lines(write) -> None:
    text = (
        '"arrival_s",prompt_tok,output_tok,"the\nprompt"\n0,10,5,"one\ntwo\n\nthree"\n\n1,20,6,"a ""b"", c"\n2,30,7,\n'
    )
    trace = read_requests(write(text))
    assert trace.prompt_tok.tolist() == [10, 20, 30]
    assert trace.source_row.tolist() == [3, 8, 9]
    with pytest.raises(UserError, match="row 8 column prompt_tok: expected a whole number"):
        read_requests(write(text.replace("20", "x")))
    with pytest.raises(UserError, match="row 9: expected 4 cells, got 5"):
        read_requests(write(text.replace("2,30,7,", "2,30,7,,")))


def test_quoted_line_ends_at_the_border_of_the_parsers_blocks(write) -> None:
    """The parser takes a mebibyte at a time; most of this file lies inside quotes."""
    note = "x,1\n" * 250
    text = NATIVE.replace("\n", ",note\n") + "".join(f'{i},{i + 1},5,"{note}"\n' for i in range(2500))
    trace = read_requests(write(text))
    assert trace.prompt_tok.tolist() == list(range(1, 2501))
    assert trace.source_row.tolist() == [2 + 251 * i for i in range(2500)]


def test_lone_quotes_are_letters(write) -> None:
    text = NATIVE.replace("\n", ",note\n") + '0,10,5,5" disk\n1,20,6,6" disk\n2,30,7,x\n'
    assert read_requests(write(text)).source_row.tolist() == [2, 3, 4]


def test_leading_blank_lines_are_no_header(write) -> None:
    assert read_requests(write("\n\n" + NATIVE + "0,10,5\n")).source_row.tolist() == [4]


@pytest.mark.parametrize(
    ("row", "hint"),
    [
        ('0,"1,000",5', "got '1,000'; write it without separators of thousands"),
        ('0,"1,5",5', "got '1,5'; write it with a decimal point"),
        ("0,10 tok,5", "got '10 tok'; write the number alone"),
        ("0s,10,5", "got '0s'; write the number alone"),
        ("0,0x10,5", "got '0x10'"),
    ],
)
def test_cells_that_nearly_are_numbers(row: str, hint: str, write) -> None:
    with pytest.raises(UserError) as caught:
        read_requests(write(NATIVE + row + "\n"))
    assert str(caught.value).endswith(hint)


def test_a_line_longer_than_a_block_of_the_parser(write) -> None:
    text = NATIVE.replace("\n", ",prompt\n") + f'0,10,5,"{"word " * 500_000}"\n1,20,6,short\n'
    assert read_requests(write(text)).prompt_tok.tolist() == [10, 20]


def test_very_many_columns_and_very_long_cells_end_in_a_line(write) -> None:
    wide = write(",".join(f"c{i}" for i in range(100_000)) + "\n")
    with pytest.raises(UserError, match="has more than 10,000 columns, which is no trace"):
        read_requests(wide, format="native")
    with pytest.raises(UserError) as caught:
        read_requests(wide)
    assert len(str(caught.value)) < 600
    with pytest.raises(UserError) as caught:
        read_requests(write(NATIVE + f"0,{'9' * 1_000_000},5\n"))
    assert len(str(caught.value)) < 400


# --- keys given twice, numbers without end ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (
            '{"arrival_s": 1, "prompt_tok": 9, "prompt_tok": 8, "output_tok": 5}',
            'row 3: gives the key "prompt_tok" twice',
        ),
        (
            '{"arrival_s": 1, "prompt_tok": 9, "output_tok": 5, "user_id": {"a": 1, "a": 1}}',
            'row 3: gives the key "a" twice',
        ),
        (
            f'{{"arrival_s": 1, "prompt_tok": {"9" * 5000}, "output_tok": 5}}',
            "row 3: holds a whole number of 5000 digits",
        ),
        ("[" * 3000, "row 3: is nested too deeply"),
        ('{"arrival_s": 1,', "row 3: is not JSON"),
        ("{", "row 3: is not JSON"),
        ('{"arrival_s": NaN, "prompt_tok": 9, "output_tok": 5}', "row 3 column arrival_s: expected a finite number"),
    ],
    ids=["twice", "twice inside", "digits", "deep", "cut", "brace", "nan"],
)
def test_json_that_python_would_read_otherwise(second: str, message: str, write) -> None:
    first = json.dumps(ROW)
    with pytest.raises(UserError) as caught:
        read_requests(write(f"{first}\n\n{second}\n", "t.jsonl"))
    assert message in str(caught.value)
    assert len(str(caught.value)) < 400
    if "}" in second and "digits" not in message:
        with pytest.raises(UserError) as caught:
            read_requests(write(f"[{first}, {second}]", "t.json"))
        assert message.replace("row 3", "record 2").partition(":")[0] in str(caught.value)


def test_bytes_that_are_no_text_name_their_row(write) -> None:
    raw = (
        json.dumps(ROW).encode() + b'\n{"arrival_s": 1, "prompt_tok": 9, "output_tok": 5, "user_id": "\xed\xa0\x80"}\n'
    )
    with pytest.raises(UserError, match=r"row 2: holds bytes that are no UTF-8 text \(0xed\)"):
        read_requests(write(raw, "t.jsonl"))
    with pytest.raises(UserError, match="row 2: holds a NUL byte"):
        read_requests(write(NATIVE.encode() + b"0,\0,5\n"))


# --- what no format fits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "arrived_at,prompt,answer\n0,1,1\n",
            "a table with the columns arrived_at, prompt, answer; the nearest format is",
        ),
        (
            "timestamp,contexttokens,GeneratedTokens\n",
            "the nearest format is azure, of which it lacks TIMESTAMP, ContextTokens (it has timestamp, contexttokens)",
        ),
        (
            "a,b,c\n1,2,3\n",
            "a table with the columns a, b, c; a table of requests needs arrival_s, prompt_tok, output_tok",
        ),
        ("0,10,5\n1,20,6\n", "its first line '0,10,5' holds numbers where the names of columns should stand"),
        (
            "# made by hand\n" + NATIVE,
            "it begins with the comment '# made by hand'; comments are not read, take them out",
        ),
        ('{"error": {"message": "not found"}}', "JSON with the keys error, perhaps the error of a server"),
        (
            '{"a": 1}\n{"b": 2}\n',
            "JSON with the keys a, b; a table of requests needs arrival_s, prompt_tok, output_tok",
        ),
        (
            '{"timestamp": 1, "input_length": 5}\n',
            "keys input_length, timestamp; the nearest format is mooncake, of which it lacks output_length",
        ),
        ("trace_version: 2\ntime_unit: microseconds\n", "it is the header of a BLIS trace; name the CSV beside it"),
        ("  \n \n", "it holds nothing but blanks"),
        ("once upon a time\n", "it begins with 'once upon a time'"),
        (bytes(range(128, 256)) * 9, "it is no text"),
    ],
)
def test_what_a_file_seems_to_be(text: str | bytes, message: str, write) -> None:
    with pytest.raises(UserError, match="no known format fits: ") as caught:
        read_any(write(text))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("names", "name"),
    [
        ("num_prefill_tokens,num_decode_tokens", "sharegpt"),
        ("prompt_tok,output_tok", "lengths"),
        ("model,ContextTokens,GeneratedTokens", "lengths"),
        ("Request tokens,Response tokens", "lengths"),
        ("input_tokens,output_tokens,num", "lengths"),
    ],
)
def test_lengths_alone_are_known_by_the_names_of_any_format(names: str, name: str, write) -> None:
    cells = ",".join(str(7 + i) for i in range(names.count(",") + 1))
    reader, table = read_any(write(f"{names}\n{cells}\n"))
    assert (reader.name, reader.produces, len(table)) == (name, "lengths", 1)
    rows = "".join(json.dumps(dict.fromkeys(names.split(","), 9)) + "\n" for _ in range(2))
    if name == "lengths":
        assert len(read_any(write(rows, "t.jsonl"))[1]) == 2


def test_lengths_beside_times_are_no_table_of_lengths(write) -> None:
    for names in ("input_tokens,output_tokens,ttft", "prompt_tok,output_tok,arrival_time"):
        with pytest.raises(UserError, match="no known format fits"):
            read_any(write(f"{names}\n1,2,3\n"))


def test_lengths_alone_need_a_law_of_arrivals(write) -> None:
    path = write("num_prefill_tokens,num_decode_tokens\n5,7\n", "lengths.csv")
    with pytest.raises(UserError, match=re.escape("lengths: {kind: file, file: lengths.csv}}`")):
        read_requests(path)


def test_a_nearly_named_column_is_not_lost_without_a_word(write) -> None:
    trace = read_requests(write("arrival_s,prompt_tok,output_tok,userid,hash_ids\n0,10,5,ada,[1]\n"))
    assert trace.warnings == (
        "the column 'userid' is not read; if it is meant, call it user_id",
        "the column hash_ids is not read from CSV; JSON lines and Parquet hold lists",
    )
    assert read_requests(write("arrival_s,prompt_tok,output_tok,model\n0,10,5,m\n")).warnings == ()
