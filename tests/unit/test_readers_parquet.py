"""Tables in another container: what a format calls its columns counts, whether they come as CSV, JSON or Parquet."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from discosim.core.errors import UserError
from discosim.traces.readers import detect, read_any, read_latency, read_requests

TABLES: dict[str, dict[str, list[Any]]] = {
    "azure": {
        "TIMESTAMP": ["2023-11-16 18:17:03.9799600", "2023-11-16 18:17:04.0319600", "2023-11-16 18:17:07.5"],
        "ContextTokens": [4808, 3180, 110],
        "GeneratedTokens": [10, 8, 27],
    },
    "burstgpt": {
        "Timestamp": [5, 45, 118],
        "Model": ["ChatGPT", "GPT-4", "ChatGPT"],
        "Request tokens": [472, 1087, 417],
        "Response tokens": [18, 230, 276],
        "Session ID": [3, 4, 3],
    },
    "vidur": {"arrived_at": [0.5, 1.25, 9], "num_prefill_tokens": [9, 8, 7], "num_decode_tokens": [5, 6, 7]},
    "splitwise": {"arrival_timestamp": [0.5, 1.25, 9], "prompt_size": [9, 8, 7], "token_size": [5, 6, 7]},
    "blis": {
        "client_id": ["a", "b", "a"],
        "arrival_time_us": [9_000_000, 500_000, 1_250_000],
        "input_tokens": [9, 8, 7],
        "output_tokens": [5, 6, 7],
        "status": ["ok", "ok", "error"],
    },
    "llmservingsim": {"input_toks": [9, 8], "output_toks": [5, 6], "arrival_time_ns": [9_000_000_000, 500_000_000]},
    "mooncake": {
        "timestamp": [0, 3052, 9114],
        "input_length": [513, 20, 1024],
        "output_length": [5, 6, 7],
        "hash_ids": [[46, 47], [48], [46, 47]],
    },
    "bailian": {
        "chat_id": [1, 2, 3],
        "parent_chat_id": [-1, 1, -1],
        "timestamp": [0.061, 3.052, 9.114],
        "input_length": [32, 20, 10],
        "output_length": [5, 6, 7],
        "hash_ids": [[46, 47], [48, 3], [46]],
    },
    "native": {
        "arrival_s": [0.5, 1.25, 9],
        "prompt_tok": [9, 8, 7],
        "output_tok": [5, 6, 7],
        "user_id": ["a", "b", "a"],
    },
}


def in_form(table: dict[str, list[Any]], path: Path) -> Path:
    rows = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    if path.suffix == ".parquet":
        parquet.write_table(pa.table(table), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(table))
            writer.writeheader()
            writer.writerows(rows)
    return path


@pytest.mark.parametrize("form", TABLES)
def test_a_format_is_read_from_csv_json_lines_and_parquet_alike(form: str, tmp_path: Path) -> None:
    paths = [in_form(TABLES[form], tmp_path / f"t.{suffix}") for suffix in ("csv", "jsonl", "parquet")]
    if form == "native":  # whose CSV holds no lists, and says so
        paths = paths[1:]
    assert {detect(path).name for path in paths} == {form}
    first, *others = [read_requests(path) for path in paths]
    for trace in others:
        for name in ("arrival_s", "prompt_tok", "output_tok", "user_id", "session_id"):
            held, wanted = getattr(trace, name), getattr(first, name)
            assert (held is None) == (wanted is None)
            assert held is None or held.tolist() == wanted.tolist()
        assert (trace.hash_ids is None) == (first.hash_ids is None)
        if trace.hash_ids is not None and first.hash_ids is not None:
            assert trace.hash_ids.values.tolist() == first.hash_ids.values.tolist()
        assert trace.notes["tick_s"] == first.notes["tick_s"]


def test_dates_of_parquet_are_the_dates_of_the_text(tmp_path: Path) -> None:
    moments = [datetime(2024, 5, 10, 0, 0, second, 250_000 * (second % 2), tzinfo=UTC) for second in (0, 1, 7)]
    table = {"ContextTokens": [9, 8, 7], "GeneratedTokens": [5, 6, 7]}
    parquet.write_table(pa.table({"TIMESTAMP": pa.array(moments), **table}), tmp_path / "t.parquet")
    trace = read_requests(tmp_path / "t.parquet")
    assert trace.arrival_s.tolist() == [0.0, 1.25, 7.25]
    parquet.write_table(pa.table({"TIMESTAMP": [0.5, 1.0, 2.0], **table}), tmp_path / "t.parquet")
    with pytest.raises(UserError, match=r"row 1 column TIMESTAMP: expected a time like 2023-11-16 .* got '0\.5'"):
        read_requests(tmp_path / "t.parquet")


def test_latencies_of_llmperf_and_openrouter_come_as_parquet_too(tmp_path: Path) -> None:
    llmperf = {
        "ttft_s": [0.5, 0.0],
        "end_to_end_latency_s": [0.7, 0.0],
        "input_tokens": [9, 9],
        "output_tokens": [11, 0],
        "error_code": pa.array([None, 429], pa.int64()),
    }
    parquet.write_table(pa.table(llmperf), tmp_path / "l.parquet")
    series = read_latency(tmp_path / "l.parquet")
    assert (series.failure_share, series.notes["failed_code_429"], series.seen_ttft_s.tolist()) == (0.5, 1, [0.5])
    probes = {
        "hour_utc": [1, 1],
        "model": ["m", "m"],
        "status": ["ok", "timeout"],
        "ttft_ms": [500.0, None],
        "latency_ms": [700.0, None],
        "token_count": [11, 0],
    }
    parquet.write_table(pa.table(probes), tmp_path / "o.parquet")
    assert read_latency(tmp_path / "o.parquet").failure_share == 0.5


def test_a_refusal_never_lacks_what_a_file_lacks(tmp_path: Path) -> None:
    path = in_form({"arrival_s": [1], "prompt_tok": [5], "tokens_out": [6]}, tmp_path / "t.parquet")
    with pytest.raises(UserError, match="nearest format is native, of which it lacks output_tok"):
        read_any(path)


def test_a_parent_without_a_chat_is_bailians(tmp_path: Path) -> None:
    table = {name: values for name, values in TABLES["bailian"].items() if name != "chat_id"}
    for suffix in ("jsonl", "csv", "parquet"):
        path = in_form(table, tmp_path / f"t.{suffix}")
        trace = read_requests(path)
        assert trace.arrival_s[-1] == pytest.approx(9.053)  # s, not ms
        assert trace.session_id is None
        assert trace.warnings[-1].startswith("there is no chat_id, so that nobody knows which requests go on")
        with pytest.raises(UserError, match="holds parent_chat_id, as Bailian's traces do"):
            read_requests(path, "mooncake")
