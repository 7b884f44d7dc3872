"""Counts of tokens that are missing are no zeros: they are left out of what is shown, and said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from discosim.traces.check import inspect_trace
from discosim.traces.readers import read_latency

N = 20


def llmperf(folder: Path, key: str) -> Path:
    record = {"error_code": None, "number_input_tokens": 300, "number_output_tokens": 50}
    rows = [{**record, "ttft_s": 0.3 + 0.01 * i, "end_to_end_latency_s": 2.0} for i in range(N)]
    path = folder / "responses.json"
    path.write_text(json.dumps([{**row, key: None} if i % 2 else row for i, row in enumerate(rows)]))
    return path


def own(folder: Path, key: str) -> Path:
    rows = [{"ttft_s": 0.3 + 0.01 * i, "e2e_s": 2.0, "prompt_tok": 300, "output_tok": 50} for i in range(N)]
    ours = {"number_input_tokens": "prompt_tok", "number_output_tokens": "output_tok"}[key]
    cells = [{**row, ours: ""} if i % 2 else row for i, row in enumerate(rows)]
    path = folder / "calls.csv"
    path.write_text("\n".join([",".join(rows[0]), *(",".join(map(str, row.values())) for row in cells)]) + "\n")
    return path


@pytest.mark.parametrize("write", [llmperf, own])
@pytest.mark.parametrize(
    ("key", "shown", "said"),
    [
        ("number_output_tokens", "output_tok", "The tokens of the answer of 10 of 20 successes were not counted"),
        ("number_input_tokens", "prompt_tok", "The tokens of the prompt of 10 of 20 successes were not counted"),
    ],
)
def test_absent_counts_are_no_zeros(tmp_path: Path, write: object, key: str, shown: str, said: str) -> None:
    assert callable(write)
    (section,) = inspect_trace(write(tmp_path, key)).sections
    (held,) = [table for table in section.tables if table.name == shown]
    assert held.n == N // 2
    assert min(held.values) > 0
    (doubt,) = [doubt for doubt in section.warnings if "were not counted" in doubt]
    assert doubt.startswith(said)
    assert ("10 of them have no time per token for that reason" in doubt) == (shown == "output_tok")
    assert any("or not counted" in held for held in section.warnings) == (shown == "output_tok")


def test_a_file_that_counts_nothing_or_all_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    path.write_text("ttft_s,tpot_s,output_tok\n0.4,0.02,30\n0.5,0.02,31\n")
    assert not any("not counted" in doubt for doubt in read_latency(path).warnings)
    path.write_text("ttft_s,tpot_s,output_tok\n0.4,0.02,\n0.5,0.02,\n")
    assert not any("not counted" in doubt for doubt in read_latency(path).warnings)
