"""Blocks of prompts: ids that fit the lengths beside them, and engines that reckon with blocks of another size."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from discosim import load_scenario
from discosim.core.errors import UserError
from discosim.runs.build import build
from discosim.traces.readers import HashIds, read_requests
from discosim.traces.readers.hashes import chained


def hashed(
    rows: list[tuple[int, list[int]]], keys: tuple[str, str, str] = ("timestamp", "input_length", "output_length")
) -> str:
    return "".join(
        json.dumps({keys[0]: 1000 * i, keys[1]: tok, keys[2]: 5, "hash_ids": ids}) + "\n"
        for i, (tok, ids) in enumerate(rows)
    )


@pytest.mark.parametrize(
    ("rows", "block_tok", "doubt"),
    [
        ([(1024, [1, 2]), (1025, [1, 2, 3])], 512, ""),
        ([(1100, [1, 2])], 512, ""),  # the last, unfilled block may go without
        (
            [(400, [0, 1, 2, 3, 4, 100])],
            64,
            "row 1 has 6 ids for 400 tokens, and in blocks of 512 these are 1; blocks of 64",
        ),
        ([(100, [1]), (640, [1, 2, 3, 4, 5])], 128, "row 2 has 5 ids for 640 tokens, and in blocks of 512 these are 2"),
        (
            [(100, [1, 2, 3]), (640, [1])],
            None,
            "row 1 has 3 ids for 100 tokens, and in blocks of 512 these are 1; no usual",
        ),
        (
            [(5000, [1, 2]), (1024, [1, 2])],
            512,
            "hash_ids of 1 of 2 requests cover less than their prompts in blocks of 512",
        ),
        (
            [(4096, [1, 2, 3, 4])],
            1024,
            "row 1 has 4 ids for 4096 tokens, and in blocks of 512 these are 8; blocks of 1024",
        ),
        ([(1024, [7, 7]), (1024, [7, 8])], 512, "hash_ids name a block twice in 1 of 2 prompts (first in row 1)"),
    ],
    ids=["fits", "unfilled", "64", "128", "none", "short", "1024", "twice"],
)
def test_ids_are_held_against_the_prompts(
    rows: list[tuple[int, list[int]]], block_tok: int | None, doubt: str, write
) -> None:
    trace = read_requests(write(hashed(rows), "m.jsonl"))
    assert trace.hash_block_tok == block_tok
    assert len(trace.warnings) == bool(doubt)
    assert doubt in "".join(trace.warnings)


def test_a_native_table_shows_its_blocks_by_the_number_of_ids(write) -> None:
    keys = ("arrival_s", "prompt_tok", "output_tok")
    shown = write(hashed([(100, [1, 2, 3, 4]), (96, [1, 2, 3])], keys), "n.jsonl")  # blocks of 32
    assert read_requests(shown).hash_block_tok == 32
    hidden = write(hashed([(10, [1]), (12, [2])], keys), "n.jsonl")  # one block of any size
    assert read_requests(hidden).hash_block_tok is None


def engine(path: Path, *sets: str) -> object:
    workload = f"workload={json.dumps({'kind': 'replay', 'file': str(path)})}"
    fixed = ["replications=1", workload, "policies=[{kind: server_only}]", "server.prefix_cache_tok=100000"]
    return build(load_scenario("engine", overrides=[*fixed, *sets])).requests(0)


@pytest.mark.parametrize(
    ("rows", "block_tok", "message"),
    [
        (
            [(224, list(range(14))), (200, list(range(13)))],
            512,
            "is 512, and one hash id of the trace stands for 16 tokens; set it to 16",
        ),
        ([(1024, [1, 2])], 16, "is 16, and one hash id of the trace stands for 512 tokens; set it to 512"),
        (
            [(100, [1, 2, 3]), (640, [1])],
            512,
            "is 512, and request 0 of the trace has 3 hash ids for 100 tokens; one can stand for at most 49",
        ),
    ],
)
def test_an_engine_that_reckons_with_other_blocks_is_refused(
    rows: list[tuple[int, list[int]]], block_tok: int, message: str, write
) -> None:
    path = write(hashed(rows), "m.jsonl")
    with pytest.raises(UserError, match="prefix_block_tok") as caught:
        engine(path, f"server.prefix_block_tok={block_tok}")
    assert caught.value.message == message
    assert caught.value.where == "server.prefix_block_tok"


def test_an_engine_with_the_blocks_of_the_trace_runs(write) -> None:
    path = write(hashed([(224, list(range(14))), (200, list(range(13)))]), "m.jsonl")
    assert engine(path, "server.prefix_block_tok=16").prefix_hashes[1] == tuple(range(13))
    with pytest.raises(UserError, match=r"server\.prefix_cache_tok: holds no block of 512 tokens"):
        engine(path, "server.prefix_cache_tok=511")


def test_chained_ids_are_equal_only_after_equal_ways() -> None:
    rng = np.random.default_rng(4)
    rows = [rng.integers(0, 3, rng.integers(0, 6)).tolist() for _ in range(300)]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    ids = chained(HashIds(np.array([x for row in rows for x in row], dtype=np.int64), offsets))
    number: dict[tuple[int, ...], int] = {}
    for i, row in enumerate(rows):
        for k, got in enumerate(ids[i].tolist()):
            assert number.setdefault(tuple(row[: k + 1]), got) == got
    assert len(set(number.values())) == len(number) > 100
