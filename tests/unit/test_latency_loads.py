"""Several loads in one table of latencies are several series."""

from __future__ import annotations

from pathlib import Path

import pytest

from discosim.core.errors import UserError
from discosim.traces.readers import read_latency, read_latency_groups


def rows(folder: Path, head: str, loads: list[str], name: str = "calls.csv") -> Path:
    path = folder / name
    lines = [f"{load},{0.4 + 0.01 * i},0.02,{20 + i}" for i, load in enumerate(loads)]
    path.write_text("\n".join([f"{head},ttft_s,tpot_s,output_tok", *lines]) + "\n")
    return path


@pytest.mark.parametrize(
    ("head", "loads", "groups"),
    [
        ("concurrency", ["1", "8", "64"] * 5, ["concurrency 1", "concurrency 8", "concurrency 64"]),
        ("concurrency", ["1"] * 5 + ["2"] * 5 + ["3"] * 5, ["concurrency 1", "concurrency 2", "concurrency 3"]),
        ("max_concurrency", ["4", "16"] * 5, ["max_concurrency 4", "max_concurrency 16"]),
        ("request_rate", ["0.5"] * 5 + ["2.0"] * 5, ["request_rate 0.5", "request_rate 2"]),
        ("QPS", ["10"] * 5 + ["20"] * 5, ["qps 10", "qps 20"]),
        ("num_users", ["1"] * 6 + ["50"] * 6, ["num_users 1", "num_users 50"]),
        ("batch_size", ["1", "32"] * 6, ["batch_size 1", "batch_size 32"]),
        ("service,vus", ["a,5"] * 4 + ["b,5"] * 4 + ["b,50"] * 4, ["a vus 5", "b vus 5", "b vus 50"]),
    ],
)
def test_each_load_is_a_series(tmp_path: Path, head: str, loads: list[str], groups: list[str]) -> None:
    path = rows(tmp_path, head, loads)
    found = read_latency_groups(path)
    assert list(found) == groups
    assert sum(len(series) for series in found.values()) == len(loads)
    with pytest.raises(UserError, match="name one of"):
        read_latency(path)
    assert len(read_latency(path, group=groups[-1])) == loads.count(loads[-1])


def test_a_series_knows_how_many_were_in_flight(tmp_path: Path) -> None:
    found = read_latency_groups(rows(tmp_path, "concurrency", ["1", "8"] * 5))
    assert [series.concurrency for series in found.values()] == [1, 8]
    found = read_latency_groups(rows(tmp_path, "qps", ["1", "8"] * 5))
    assert [series.concurrency for series in found.values()] == [None, None]


@pytest.mark.parametrize(
    ("head", "loads"),
    [
        ("concurrency", ["8"] * 12),
        ("concurrency", ["1", "2", "1", "2", "3", "2", "3", "4", "3", "2", "1", "2", "3", "2", "1", "2"]),
        ("qps", [str(1.5 + 0.1 * i) for i in range(40)]),
        ("batch_size", [str(1 + i % 7) for i in range(70)]),
        ("mood", ["1", "8"] * 6),
    ],
)
def test_a_load_that_was_seen_and_not_set_parts_nothing(tmp_path: Path, head: str, loads: list[str]) -> None:
    assert len(read_latency(rows(tmp_path, head, loads))) == len(loads)


def test_a_row_for_each_load_is_doubted(tmp_path: Path) -> None:
    found = read_latency(rows(tmp_path, "concurrency", ["1", "8", "64"]))
    assert any("if rows are averages of load tests" in doubt for doubt in found.warnings)
