"""Rows and lines that no reader can take as they stand: mixed lines of llama.cpp's slots, batches of splitwise-sim."""

from __future__ import annotations

from pathlib import Path

import pytest

from discosim.core.errors import UserError
from discosim.traces.readers import read_requests
from discosim.traces.readers.llama_server import read


def prompt(i: int) -> str:
    return f"prompt eval time = {100.25 + 20 * i:.2f} ms / {10 + i} tokens ( 1 ms per token)\n"


def answer(i: int) -> str:
    return f"       eval time = {500.5 + i:.2f} ms / {20 + i} tokens ( 1 ms per token)\n"


def total(i: int) -> str:
    return f"      total time = {600.75 + 21 * i:.2f} ms / {30 + 2 * i} tokens\n"


def test_mixed_lines_are_paired_by_their_total(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    pairs = [prompt(i) + prompt(i + 1) + answer(i) + total(i) + answer(i + 1) + total(i + 1) for i in range(0, 8, 2)]
    log.write_text("".join(pairs), encoding="utf-8")
    (rows,) = read(log).values()
    assert rows.prompt_tok.tolist() == [10 + i for i in range(8)]
    assert rows.later_tok.tolist() == [19 + i for i in range(8)]
    assert rows.ttft_s == pytest.approx([(100.25 + 20 * i) / 1e3 for i in range(8)])
    assert rows.warnings == ()


def test_mixed_lines_without_a_total_are_left_out_and_counted(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    mixed = prompt(0) + prompt(1) + answer(0) + answer(1)
    log.write_text(mixed + "".join(prompt(i) + answer(i) for i in range(2, 6)), encoding="utf-8")
    (rows,) = read(log).values()
    assert rows.prompt_tok.tolist() == [12, 13, 14, 15]
    assert "2 of 6 prompts and 2 of 6 answers are left out: lines of several slots are mixed" in rows.warnings[0]
    log.write_text(mixed, encoding="utf-8")
    with pytest.raises(UserError, match=r"holds no timings of a request .*: 2 of 2 prompts and 2 of 2 answers"):
        read(log)


@pytest.mark.parametrize("end", [total, lambda _: ""])
def test_a_prompt_that_was_cancelled_takes_no_others_answer(tmp_path: Path, end: object) -> None:
    assert callable(end)
    log = tmp_path / "server.log"
    log.write_text(prompt(0) + "".join(prompt(i) + answer(i) + end(i) for i in range(1, 5)), encoding="utf-8")
    (rows,) = read(log).values()
    assert rows.prompt_tok.tolist() == [11, 12, 13, 14]
    assert "1 of 5 prompts and 0 of 4 answers are left out: a prompt without an answer" in rows.warnings[0]


@pytest.mark.parametrize(
    ("sizes", "said"), [([1, 1, 1], ""), ([1, 4, 2], "batch_size is above 1 in 2 of 3 rows (4 at")]
)
def test_batches_are_doubted(tmp_path: Path, sizes: list[int], said: str) -> None:
    path = tmp_path / "trace.csv"
    head = "request_id,request_type,application_id,arrival_timestamp,batch_size,prompt_size,token_size\n"
    path.write_text(head + "".join(f"{i},2,0,{i * 2.5},{n},400,50\n" for i, n in enumerate(sizes)), encoding="utf-8")
    doubts = " ".join(read_requests(path).warnings)
    assert said in doubts if said else doubts == ""
