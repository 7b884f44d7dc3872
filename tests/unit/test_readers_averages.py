"""Tables of averages, quantiles, counts and totals are no single requests, and are refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from discosim.core.errors import UserError
from discosim.traces.readers import read_any, read_latency, read_lengths, read_requests, read_rtt

TIMES = [(0.4, 0.02), (0.6, 0.025), (0.7, 0.027), (0.9, 0.03)]


def latencies(folder: Path, name: str, cells: list[object]) -> Path:
    path = folder / "rows.csv"
    rows = [f"{cell},{ttft},{tpot}" for cell, (ttft, tpot) in zip(cells, TIMES * 9, strict=False)]
    path.write_text("\n".join([f"{name},ttft_s,tpot_s", *rows]) + "\n")
    return path


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("percentile", [50, 90, 95, 99]),
        ("quantile", [0.5, 0.9, 0.95, 0.99]),
        ("p", [50, 90, 95, 99]),
        ("num_requests", [100] * 4),
        ("n_requests", [100, 80, 100, 60]),
        ("numRequests", [100] * 4),
        ("count", [10, 1, 3, 7]),
        ("samples", [30] * 4),
        ("n", [20] * 4),
        ("stat", ["mean", "p50", "p99", "max"]),
        ("", ["mean", "std", "min", "max"]),
        ("statistic", ["50%", "90%", "95%", "99%"]),
        ("whatever", ["p50", "p90", "p95", "p99"]),
        ("run", ["a", "b", "c", "mean"]),
        ("run", ["a", "b", "Average", "std"]),
        ("run", ["1", "2", "3", "total"]),
    ],
)
def test_rows_of_latencies_that_stand_for_many_are_refused(tmp_path: Path, name: str, cells: list[object]) -> None:
    with pytest.raises(UserError, match="averages are not requests"):
        read_latency(latencies(tmp_path, name, cells))


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("n", [1, 1, 1, 1]),
        ("count", [1, 2, 3, 4]),
        ("n", [0, 1, 2, 3]),
        ("p", [50, 50, 50, 50]),
        ("percentile", [250, 90, 95, 99]),
        ("user", ["p50", "p99", "max", "anna"]),
        ("prompt", ["p1", "p2", "p3", "p4"]),
        ("prompt", ["p99", "p99", "p50", "p50"]),
        ("name", ["anna", "tom", "eve", "max"]),
        ("run", ["a", "b", "c", "d"]),
    ],
)
def test_rows_that_are_single_requests_are_read(tmp_path: Path, name: str, cells: list[object]) -> None:
    assert len(read_latency(latencies(tmp_path, name, cells))) == 4


def test_json_and_parquet_tell_it_too(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f'{{"ttft_s": {t}, "tpot_s": {p}, "num_requests": 50}}\n' for t, p in TIMES))
    with pytest.raises(UserError, match=r"row 1 column num_requests: .*averages are not requests"):
        read_latency(path)
    held = {"ttft_s": [0.4, 0.5], "tpot_s": [0.02, 0.02], "quantile": [0.5, 0.99]}
    parquet.write_table(pa.table(held), tmp_path / "rows.parquet")
    with pytest.raises(UserError, match=r"column quantile: .*averages are not requests"):
        read_latency(tmp_path / "rows.parquet")


@pytest.mark.parametrize(
    "head",
    [
        "num_prefill_tokens,num_decode_tokens,count",
        "prompt_tok,output_tok,weight",
        "input_length,output_length,n_requests",
        "ContextTokens,GeneratedTokens,freq",
    ],
)
def test_lengths_with_a_count_are_refused(tmp_path: Path, head: str) -> None:
    path = tmp_path / "lengths.csv"
    path.write_text(f"{head}\n100,20,10\n300,40,2\n120,8,5\n")
    with pytest.raises(UserError, match=r"row 2 column .*averages are not requests"):
        read_lengths(path)
    path.write_text(f"{head}\n100,20,1\n300,40,1\n120,8,1\n")
    assert len(read_lengths(path)) == 3


def test_requests_and_round_trips_with_a_count_are_refused(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("arrival_s,prompt_tok,output_tok,num_requests\n0,10,5,30\n60,12,7,28\n")
    with pytest.raises(UserError, match="column num_requests"):
        read_requests(tmp_path / "r.csv")
    (tmp_path / "p.csv").write_text("stat,rtt_ms\nmin,10\navg,12\nmax,20\n")
    with pytest.raises(UserError, match="column stat: 'min' names a statistic"):
        read_rtt(tmp_path / "p.csv")


@pytest.mark.parametrize(
    ("head", "last"),
    [
        ("arrival_s,prompt_tok,output_tok", "9"),
        ("arrived_at,num_prefill_tokens,num_decode_tokens", "9"),
        ("num_total_tokens,num_prefill_tokens,num_decode_tokens", "0"),
        ("rank,prompt_tok,output_tok", ""),
    ],
)
def test_a_row_of_totals_is_refused(tmp_path: Path, head: str, last: str) -> None:
    lengths = [(100 + 7 * i, 20 + i) for i in range(9)]
    rows = [f"{i},{prompt},{output}" for i, (prompt, output) in enumerate(lengths)]
    path = tmp_path / "log.csv"
    path.write_text(
        "\n".join([head, *rows, f"{last},{sum(p for p, _ in lengths)},{sum(o for _, o in lengths)}"]) + "\n"
    )
    with pytest.raises(UserError, match=r"row 11: .*sums of all rows above: a row of totals"):
        read_any(path)
    path.write_text("\n".join([head, *rows]) + "\n")
    read_any(path)


def test_few_rows_may_add_up_by_chance(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("arrival_s,prompt_tok,output_tok\n0,10,5\n1,20,5\n2,5,5\n3,35,15\n")
    assert any("row 5 is the last" in doubt for doubt in read_requests(path).warnings)
