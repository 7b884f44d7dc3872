"""The same requests as each load generator would write them, made from plain rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

PROMPT_TOK = 100


@dataclass(frozen=True)
class Row:
    """One attempt: times in s, tokens of the answer, and whether it failed."""

    ttft_s: float
    tpot_s: float
    output_tok: int
    failed: bool = False

    @property
    def e2e_s(self) -> float:
        return self.ttft_s + self.tpot_s * (self.output_tok - 1)

    @property
    def gaps_s(self) -> list[float]:
        return [self.tpot_s] * (self.output_tok - 1)


Rows = Sequence[Row]


def vllm(rows: Rows, **changed: Any) -> str:
    ok = [row for row in rows if not row.failed]
    run = {
        "model_id": "acme/chat",
        "num_prompts": len(rows),
        "duration": 1e4,
        "completed": len(ok),
        "total_input_tokens": PROMPT_TOK * len(ok),
        "request_throughput": 6.6,
        "input_lens": [PROMPT_TOK] * len(rows),
        "output_lens": [0 if row.failed else row.output_tok for row in rows],
        "ttfts": [0.0 if row.failed else row.ttft_s for row in rows],
        "itls": [[] if row.failed else row.gaps_s for row in rows],
        "errors": ["Service Unavailable" if row.failed else "" for row in rows],
    }
    return json.dumps({**run, **changed})


def sglang(rows: Rows) -> str:
    run = {key: value for key, value in json.loads(vllm(rows)).items() if key not in {"model_id", "num_prompts"}}
    return json.dumps({"backend": "sglang", "request_rate": float("inf"), **run}) + "\n"


def aiperf_record(i: int, row: Row, *, old: bool = False) -> dict[str, Any]:
    start, phase, ttft = (
        ("timestamp_ns", "credit_phase", "ttft") if old else ("request_start_ns", "benchmark_phase", "")
    )
    metadata = {start: 1_770_000_000_000_000_000 + i, phase: "profiling"}
    if row.failed:
        return {"metadata": metadata, "metrics": {}, "error": {"code": 503, "type": "Busy", "message": "busy"}}
    metrics = {
        "input_sequence_length": {"value": PROMPT_TOK, "unit": "tokens"},
        "output_sequence_length": {"value": row.output_tok, "unit": "tokens"},
        ttft or "time_to_first_token": {"value": row.ttft_s * 1e3, "unit": "ms"},
    }
    if row.output_tok > 1:
        metrics["inter_token_latency"] = {"value": row.tpot_s * 1e3, "unit": "ms"}
    return {"metadata": metadata, "metrics": metrics, "error": None}


def aiperf(rows: Rows) -> str:
    return "".join(json.dumps(aiperf_record(i, row)) + "\n" for i, row in enumerate(rows))


def aiperf_old(rows: Rows) -> str:
    return "".join(json.dumps(aiperf_record(i, row, old=True)) + "\n" for i, row in enumerate(rows))


def guidellm_record(i: int, row: Row, start: str = "request_start_time") -> dict[str, Any]:
    none = row.failed
    return {
        start: 1_770_000_000.0 + i,
        "prompt_tokens": PROMPT_TOK,
        "output_tokens": None if none else row.output_tok,
        "time_to_first_token_ms": None if none else row.ttft_s * 1e3,
        "inter_token_latency_ms": None if none or row.output_tok < 2 else row.tpot_s * 1e3,
        "time_per_output_token_ms": 99.0,
    }


def guidellm_run(rows: Rows, **changed: Any) -> dict[str, Any]:
    records = [(row.failed, guidellm_record(i, row)) for i, row in enumerate(rows)]
    held = {"successful": [r for f, r in records if not f], "errored": [r for f, r in records if f], "incomplete": []}
    totals = {name: len(some) for name, some in held.items()}
    return {
        "type_": "generative_benchmark",
        "metrics": {"request_totals": {**totals, "total": len(rows)}},
        "requests": held,
        **changed,
    }


def guidellm(rows: Rows) -> str:
    return json.dumps({"metadata": {"guidellm_version": "0.5.0"}, "benchmarks": [guidellm_run(rows)]})


def guidellm_02(rows: Rows) -> str:
    """Version 0.2: another name of the start, 0 for what was not seen, totals beside the requests."""
    run = guidellm_run(rows)
    counts = {name: len(some) for name, some in run["requests"].items()}
    for name, some in run["requests"].items():
        for record in some:
            record["start_time"] = record.pop("request_start_time")
            if name == "successful" and record["inter_token_latency_ms"] is None:
                record["inter_token_latency_ms"] = 0.0
    return json.dumps({"benchmarks": [{**run, "metrics": {}, "total_count": counts}]})


def llmperf_record(row: Row) -> dict[str, Any]:
    return {
        "error_code": 429 if row.failed else None,
        "error_msg": "",
        "inter_token_latency_s": 0.9,
        "ttft_s": 0 if row.failed else row.ttft_s,
        "end_to_end_latency_s": 0 if row.failed else row.e2e_s,
        "request_output_throughput_token_per_s": 9.9,
        "number_total_tokens": PROMPT_TOK,
        "number_output_tokens": 0 if row.failed else row.output_tok,
        "number_input_tokens": PROMPT_TOK,
    }


def llmperf(rows: Rows) -> str:
    return json.dumps([llmperf_record(row) for row in rows], indent=4)


def llmperf_lines(rows: Rows) -> str:
    return "".join(json.dumps(llmperf_record(row)) + "\n" for row in rows)


def llmperf_csv(rows: Rows) -> str:
    head = "ttft_s,end_to_end_latency_s,input_tokens,output_tokens,error_code\n"
    cells = (",,100,,429" if r.failed else f"{r.ttft_s!r},{r.e2e_s!r},100,{r.output_tok}," for r in rows)
    return head + "".join(f"{line}\n" for line in cells)


def llmperf_frame(rows: Rows) -> str:
    """The records as a table, under their own names, with codes that a table of numbers makes decimal."""
    head = "error_code,ttft_s,end_to_end_latency_s,number_input_tokens,number_output_tokens\n"
    cells = ("429.0,0,0,100,0" if r.failed else f",{r.ttft_s!r},{r.e2e_s!r},100,{r.output_tok}" for r in rows)
    return head + "".join(f"{line}\n" for line in cells)


def openrouter(rows: Rows) -> str:
    head = "hour_utc,model,status,ttft_ms,latency_ms,token_count\n"
    cells = (
        "1,acme/chat,error_http429,,,"
        if r.failed
        else f"1,acme/chat,ok,{r.ttft_s * 1e3!r},{r.e2e_s * 1e3!r},{r.output_tok}"
        for r in rows
    )
    return head + "".join(f"{line}\n" for line in cells)


def own_csv(rows: Rows) -> str:
    cells = (",,,busy" if r.failed else f"{r.ttft_s!r},{r.tpot_s!r},{r.output_tok}," for r in rows)
    return "ttft_s,tpot_s,output_tok,error\n" + "".join(f"{line}\n" for line in cells)


def own_whole_csv(rows: Rows) -> str:
    cells = (",,,busy" if r.failed else f"{r.ttft_s * 1e3!r},{r.e2e_s * 1e3!r},{r.output_tok}," for r in rows)
    return "ttft_ms,total_ms,output_tok,error\n" + "".join(f"{line}\n" for line in cells)


def own_records(rows: Rows) -> list[dict[str, Any]]:
    return [
        {"error": "busy"} if r.failed else {"ttft_s": r.ttft_s, "tpot_s": r.tpot_s, "output_tok": r.output_tok}
        for r in rows
    ]


def own_lines(rows: Rows) -> str:
    return "".join(json.dumps(record) + "\n" for record in own_records(rows))


def own_json(rows: Rows) -> str:
    return json.dumps(own_records(rows))


def own_parquet(rows: Rows, path: Path) -> Path:
    names = ("ttft_s", "tpot_s", "output_tok", "error")
    records = own_records(rows)
    parquet.write_table(pa.table({name: [record.get(name) for record in records] for name in names}), path)
    return path


WRITERS: dict[str, tuple[str, str, Callable[[Rows], str]]] = {
    "vllm": ("vllm", "run.json", vllm),
    "sglang": ("vllm", "sglang.jsonl", sglang),
    "aiperf": ("aiperf", "profile_export.jsonl", aiperf),
    "aiperf_old": ("aiperf", "profile_export.jsonl", aiperf_old),
    "guidellm": ("guidellm", "benchmarks.json", guidellm),
    "guidellm_02": ("guidellm", "benchmarks.json", guidellm_02),
    "llmperf": ("llmperf", "a_individual_responses.json", llmperf),
    "llmperf_lines": ("llmperf", "a.jsonl", llmperf_lines),
    "llmperf_csv": ("llmperf", "a.csv", llmperf_csv),
    "llmperf_frame": ("llmperf", "a.csv", llmperf_frame),
    "openrouter": ("openrouter", "probes.csv", openrouter),
    "own_csv": ("native_latency", "mine.csv", own_csv),
    "own_whole_csv": ("native_latency", "mine.csv", own_whole_csv),
    "own_lines": ("native_latency", "mine.jsonl", own_lines),
    "own_json": ("native_latency", "mine.json", own_json),
}
"""Reader, file name and writer of each form."""


def written(form: str, rows: Rows, folder: Path) -> Path:
    """Write rows in one form and return the file."""
    _, name, write = WRITERS[form]
    path = folder / name
    path.write_text(write(rows), encoding="utf-8")
    return path
