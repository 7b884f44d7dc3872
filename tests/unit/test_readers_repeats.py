"""Files that hold their rows twice: doubted where all do, refused where an id says it; chance may do it, too."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from discosim.core.errors import UserError
from discosim.traces.readers import RequestTrace, read_any, read_latency, read_requests

TOLD = "is the file put together with itself?"


def requests(folder: Path, arrival_s: np.ndarray, prompt: np.ndarray, output: np.ndarray) -> RequestTrace:
    path = folder / "log.csv"
    rows = zip(arrival_s.tolist(), prompt.tolist(), output.tolist(), strict=True)
    path.write_text("arrival_s,prompt_tok,output_tok\n" + "".join(f"{at},{p},{o}\n" for at, p, o in rows))
    return read_requests(path)


def drawn(n: int, digits: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    arrival_s = np.round(np.cumsum(rng.exponential(0.5, n)), digits)
    return arrival_s, rng.integers(50, 2000, n), rng.integers(5, 300, n)


@pytest.mark.parametrize("digits", [4, 1, 0])
@pytest.mark.parametrize("times", [2, 3])
def test_requests_that_stand_there_twice_are_doubted(tmp_path: Path, digits: int, times: int) -> None:
    columns = drawn(60, digits)
    assert not any(TOLD in doubt for doubt in requests(tmp_path, *columns).warnings)
    twice = [np.repeat(column, times) for column in columns]
    often = "twice" if times == 2 else "3 times"
    assert any(
        f"{60 * times} of {60 * times} rows stand there {often}" in doubt
        for doubt in requests(tmp_path, *twice).warnings
    )


def test_nearly_all_rows_are_enough(tmp_path: Path) -> None:
    twice = [np.concatenate([np.repeat(column[:57], 2), column[57:]]) for column in drawn(60, 4)]
    assert any(TOLD in doubt for doubt in requests(tmp_path, *twice).warnings)
    half = [np.concatenate([np.repeat(column[:30], 2), column[30:]]) for column in drawn(60, 4)]
    assert not any(TOLD in doubt for doubt in requests(tmp_path, *half).warnings)


def test_equal_requests_of_a_coarse_clock_are_no_copies(tmp_path: Path) -> None:
    paced = np.repeat(np.arange(30), 2)  # two of one kind in each second
    assert not any(TOLD in doubt for doubt in requests(tmp_path, paced, np.full(60, 100), np.full(60, 20)).warnings)
    fine = np.repeat(drawn(30, 4)[0], 2)  # but not two in each tick of 0.1 ms
    assert any(TOLD in doubt for doubt in requests(tmp_path, fine, np.full(60, 100), np.full(60, 20)).warnings)


def test_latencies_that_stand_there_twice_are_doubted(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    rows = [f"{t:.4f},0.02,50" for t in rng.uniform(0.3, 0.9, 40)]
    path = tmp_path / "calls.csv"
    path.write_text("\n".join(["ttft_s,tpot_s,output_tok", *rows]) + "\n")
    assert not any(TOLD in doubt for doubt in read_latency(path).warnings)
    path.write_text("\n".join(["ttft_s,tpot_s,output_tok", *rows, *rows]) + "\n")
    assert any(TOLD in doubt for doubt in read_latency(path).warnings)
    equal = ["0.4,0.02,50"] * 60
    path.write_text("\n".join(["ttft_s,tpot_s,output_tok", *equal]) + "\n")
    assert not any(TOLD in doubt for doubt in read_latency(path).warnings)


def test_other_tools_likewise(tmp_path: Path) -> None:
    path = tmp_path / "x_individual_responses.json"
    record = {"error_code": None, "number_input_tokens": 300, "number_output_tokens": 50}
    rng = np.random.default_rng(5)
    records = [{**record, "ttft_s": t, "end_to_end_latency_s": t + 1.0} for t in rng.uniform(0.3, 0.9, 30).tolist()]
    path.write_text(json.dumps(records + records))
    assert any(TOLD in doubt for doubt in read_latency(path).warnings)


@pytest.mark.parametrize(
    ("head", "row"),
    [
        ("request_id,arrival_s,prompt_tok,output_tok", "{i},{i}.5,100,20"),
        ("arrival_s,prompt_tok,output_tok,uuid", "{i},100,20,u{i}"),
        ("id,ttft_s,tpot_s", "r{i},0.4,0.02"),
        ("ttft_s,e2e_s,output_tok,req_id", "0.4,1.4,50,{i}"),
    ],
)
def test_an_id_that_stands_twice_is_refused(tmp_path: Path, head: str, row: str) -> None:
    path = tmp_path / "log.csv"
    rows = [row.format(i=i) for i in range(5)]
    path.write_text("\n".join([head, *rows]) + "\n")
    read_any(path)
    path.write_text("\n".join([head, *rows[:2], rows[1], *rows[2:]]) + "\n")
    with pytest.raises(
        UserError, match=r"row 4 column .* stands in row 3 too, with the same figures; each request once"
    ):
        read_any(path)


def test_a_request_that_was_tried_again_keeps_its_id(tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    path.write_text("request_id,ttft_s,tpot_s,error\na,,,429\na,0.4,0.02,\nb,0.5,0.02,\n")
    assert len(read_latency(path)) == 2
    path.write_text("id,ttft_s,tpot_s\n" + "7,0.4,0.02\n" * 5)  # perhaps of the user
    assert len(read_latency(path)) == 5


def test_aiperf_and_bailian(tmp_path: Path) -> None:
    def record(i: int) -> str:
        metrics = {
            "time_to_first_token": {"value": 100 + i, "unit": "ms"},
            "inter_token_latency": {"value": 20, "unit": "ms"},
            "output_sequence_length": {"value": 30, "unit": "tokens"},
            "input_sequence_length": {"value": 300, "unit": "tokens"},
        }
        start_ns = 10**18 + i * 10**9
        metadata = {"x_request_id": f"u{i}", "request_start_ns": start_ns, "benchmark_phase": "profiling"}
        return json.dumps({"metadata": metadata, "metrics": metrics, "error": None})

    path = tmp_path / "profile_export.jsonl"
    rows = [record(i) for i in range(4)]
    path.write_text("\n".join(rows) + "\n")
    assert len(read_latency(path)) == 4
    path.write_text("\n".join(rows + rows) + "\n")
    with pytest.raises(UserError, match=r"row 5 column metadata.x_request_id: 'u0' stands in row 1 too"):
        read_latency(path)
    chats = [
        {"chat_id": 5, "parent_chat_id": -1, "timestamp": float(i), "input_length": 20 + i, "output_length": 9}
        for i in range(6)
    ]
    path.write_text(
        "".join(json.dumps({**chat, "type": "text", "turn": 1, "hash_ids": [1, 2]}) + "\n" for chat in chats)
    )
    assert any("chat_id '5' stands in 6 rows" in doubt for doubt in read_requests(path).warnings)
