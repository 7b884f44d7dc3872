"""Streams of one's own: load generators' files, JSON lines and tables, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from discosim import cli
from discosim.core.errors import UserError
from discosim.traces.digest_file import read_own_digest
from discosim.traces.own_chunks import digest_chunks
from discosim.traces.readers.streams import read_streams

GAPS_S = [0.0002, 0.05, 0.0003, 0.0002, 0.08, 0.0002, 0.03]
"""Events of 2, 3, 2 and 1 tokens; the gaps between them by hand: 50.2, 80.5 and 30.2 ms."""


def jsonl(path: Path, rows: list) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def aiperf_row(gaps: list, unit: str = "ms", tokens: int = 8, **more: object) -> dict:
    metrics = {
        "time_to_first_token": {"value": 300, "unit": "ms"},
        "output_sequence_length": {"value": tokens, "unit": "tokens"},
        "inter_chunk_latency": {"value": gaps, "unit": unit},
    }
    metadata = {"request_start_ns": 1, "benchmark_phase": "profiling"}
    return {"metadata": metadata, "metrics": metrics, "error": None, **more}


def written(tmp_path: Path, form: str) -> Path:
    at_s = np.concatenate(([2.0], 2.0 + np.cumsum(GAPS_S)))
    ms = [1e3 * gap for gap in GAPS_S]
    if form == "aiperf":
        warm_up = {"request_start_ns": 1, "benchmark_phase": "warmup"}
        others = [aiperf_row(ms, error={"type": "x"}), aiperf_row(ms, metadata=warm_up)]
        return jsonl(tmp_path / "s.jsonl", [aiperf_row(ms)] * 5 + others)
    if form == "vllm":
        run = {"input_lens": [5] * 6, "output_lens": [8] * 6, "ttfts": [0.3] * 6, "total_input_tokens": 30}
        run |= {"request_throughput": 1.0, "itls": [GAPS_S] * 5 + [[]], "errors": [""] * 5 + ["gone"]}
        return jsonl(tmp_path / "s.json", [run])
    if form == "arrivals_s":
        return jsonl(tmp_path / "s.jsonl", [{"arrivals_s": at_s.tolist()}] * 5)
    if form == "gaps_ms":
        return jsonl(tmp_path / "s.jsonl", [{"gaps_ms": ms}] * 5)
    if form == "n_tok":
        return jsonl(tmp_path / "s.jsonl", [{"arrivals_s": [0.0, 0.0502, 0.1307, 0.1609], "n_tok": [2, 3, 2, 1]}] * 5)
    rows = [f"{i},{1e3 * t!r}" for t in at_s.tolist() for i in range(5)]  # requests take turns
    (tmp_path / "s.csv").write_text("request_id,at_ms\n" + "\n".join(rows) + "\n")
    return tmp_path / "s.csv"


@pytest.mark.parametrize("form", ["aiperf", "vllm", "arrivals_s", "gaps_ms", "n_tok", "csv"])
def test_the_same_streams_in_every_form(tmp_path: Path, form: str) -> None:
    held = read_streams(written(tmp_path, form))
    assert len(held.streams) == 5
    law = digest_chunks(written(tmp_path, form)).law
    mean_s = (0.0502 + 0.0805 + 0.0302) / 7
    assert law.size.table.ppf([0.0, 1.0]).tolist() == [1, 3]
    np.testing.assert_allclose(law.gap.table.ppf([0.0, 1.0]), np.array([0.0302, 0.0805]) / mean_s, rtol=1e-5)
    assert law.first is not None
    assert set(law.first.values) == {2.0}


def test_more_tokens_than_chunks_are_spread(tmp_path: Path) -> None:
    held = read_streams(jsonl(tmp_path / "s.jsonl", [aiperf_row([50, 50, 50], tokens=10)]))
    assert held.streams[0].n_tok is not None
    assert sorted(held.streams[0].n_tok.tolist()) == [2, 2, 3, 3]
    assert "1 answers have more tokens than chunks" in held.warnings[0]


def test_a_table_may_say_tokens_and_leave_the_unit_to_the_user(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("request_id,at,n_tok\na,10,1\na,60,4\nb,5,2\n")
    with pytest.raises(UserError, match="'at' names no unit; say it with --unit"):
        read_streams(tmp_path / "s.csv")
    held = read_streams(tmp_path / "s.csv", unit="ms")
    assert [stream.gaps_s.tolist() for stream in held.streams] == [pytest.approx([0.05])]
    assert held.warnings == ("1 answers of one arrival or none were left out.",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("request_id,at_s\n", "no rows"),
        ("request_id,at_s\na,0\n", "no answer of two arrivals"),
        ("request,at_s\na,0\na,1\n", "has no column 'request_id'"),
        ("request_id,time\na,0\na,1\n", r"needs one of at_s \(got none; its names are request_id, time"),
        ("request_id,at_s\na,0\na,nan\n", "row 3"),
        ("request_id,at_s\na,0\na,-1\n", "row 3"),
        ("request_id,at_s\na,1\na,0.5\n", "request a at_s: arrival 2 lies before"),
        ("request_id,at_s\na,0\na,50\n", "the median time per token would be 50 s"),
        ("request_id,at_ms\na,0\na,0.05\n", "the median time per token would be 5e-05 s"),
        ("request_id,at_s,n_tok\na,0,1\na,0.1,0\n", "expected at least 1 token"),
        ('{"gaps_s": [0.1, -0.1]}\n', r"row 1 gaps_s: expected times of at least 0, got -0.1 as number 2"),
        ('{"gaps_s": [0.1, "x"]}\n', 'got "x" as number 2'),
        ('{"gaps_s": 0.1}\n', "expected a list of times"),
        ('{"gaps_s": [0.1], "arrivals_s": [1]}\n', r"needs one of .* \(got arrivals_s and gaps_s\)"),
        ('{"gap": [0.1]}\n', r"got none; its names are gap"),
        ('{"arrivals_s": [0.1, NaN]}\n', "row 1"),
        ('{"arrivals_s": [0.1, 0.2], "n_tok": [1]}\n', "holds 1 counts for 2 arrivals"),
        ('{"arrivals_s": [0.1, 0.2], "n_tok": [1, 0]}\n', "whole numbers of at least 1"),
        ('{"gaps_s": [0.1]\n', "row 1"),
        ("[1, 2]", "expected a JSON object"),
    ],
)
def test_bad_files_are_one_clear_error(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "s.txt").write_text(text)
    with pytest.raises(UserError, match=message):
        read_streams(tmp_path / "s.txt")


def test_what_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    own = jsonl(tmp_path / "own.jsonl", [{"gaps_ms": [50, 60]}])
    with pytest.raises(UserError, match="names its unit, so it cannot be said to be s"):
        read_streams(own, unit="s")
    with pytest.raises(UserError, match="unknown unit of time 'sec'"):
        read_streams(own, unit="sec")
    with pytest.raises(UserError, match="unknown format of streams 'aiperv'; did you mean 'aiperf'"):
        read_streams(own, "aiperv")
    with pytest.raises(UserError, match=r"holds 2 gaps between events .* a digest needs 10"):
        digest_chunks(own)
    with pytest.raises(UserError, match="threshold: must be above 0"):
        digest_chunks(own, threshold_s=0.0)
    with pytest.raises(UserError, match="says its units itself"):
        read_streams(jsonl(tmp_path / "a.jsonl", [aiperf_row([50, 50])]), unit="ms")
    with pytest.raises(UserError, match="unknown unit 'min'"):
        read_streams(jsonl(tmp_path / "a.jsonl", [aiperf_row([50, 50], unit="min")]))
    with pytest.raises(UserError, match="no list 'itls'"):
        read_streams(jsonl(tmp_path / "v.json", [{"total_input_tokens": 3, "ttfts": [1], "input_lens": [3]}]))


def test_the_verb_writes_what_a_scenario_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = jsonl(tmp_path / "s.jsonl", [aiperf_row([1e3 * gap for gap in GAPS_S])] * 5)
    assert cli.main(["traces", "digest-chunks", str(path), "--out", str(tmp_path / "mine.json")]) == 0
    said = capsys.readouterr().out
    assert "Only 15 gaps between events" in said
    assert "A chunk is taken for a token" in said
    assert read_own_digest(tmp_path / "mine.json", "chunks").name == "s"
    assert (
        cli.main(["traces", "digest-chunks", str(path), "--out", str(tmp_path / "x.json"), "--threshold-ms", "0"]) == 2
    )
    assert not (tmp_path / "x.json").exists()
