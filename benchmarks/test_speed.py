"""Speed and memory, as ratios measured in one process: `pytest benchmarks -s`.

The yardstick is a bare SimPy timeout. It is taken twice: with a single process, the cheapest SimPy can be, and with
1,000 processes, the heap depth of a busy world. Times are CPU times, so that others on the machine count less. Nothing
is asserted about them; only work is checked.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from measure import bare_timeout_s, run_disco


def test_bare_timeout(benchmark):
    """One timeout of a single idle process."""
    benchmark.extra_info["seconds_per_timeout"] = benchmark.pedantic(bare_timeout_s, rounds=3)


def test_disco_cost_in_timeouts(benchmark, capsys):
    """DiSCo-D with migration on Azure-conversation requests, all metrics computed: in arrays, and all in SimPy."""
    before = bare_timeout_s(), bare_timeout_s(n_processes=1000)
    cost = benchmark.pedantic(run_disco, args=(100_000,), rounds=1)
    plain = run_disco(20_000, "kernel=simpy")
    after = bare_timeout_s(), bare_timeout_s(n_processes=1000)
    alone_s, crowd_s = min(before[0], after[0]), min(before[1], after[1])
    with capsys.disabled():
        for name, one, limit in (("in arrays", cost, " (limit 15)"), ("in SimPy", plain, "")):
            request_s = one.total_s / one.n_requests
            print(
                f"\n{name}: {1 / request_s:,.0f} requests/s of CPU; one request costs {request_s / crowd_s:.1f} bare "
                f"timeouts among 1,000 processes{limit}, {request_s / alone_s:.1f} of a single process",
                end="",
            )
        print(f"\n{cost.array_share:.2%} of the requests in arrays")
    assert cost.array_share > 0.99
    assert plain.array_share == 0.0


def _child(n: int) -> tuple[float, float]:
    """Run one size in a fresh process, so that its peak memory is its own; return seconds and MiB."""
    code = f"from measure import run_disco; c = run_disco({n}); print(c.total_s, c.peak_mib)"
    here = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=here, env={**os.environ}, capture_output=True, text=True, check=True
    )
    seconds, mib = done.stdout.split()
    return float(seconds), float(mib)


@pytest.mark.long
def test_growth_and_memory(capsys):
    """Time from 10k to 1M requests on a log-log scale, and the memory of a million."""
    sizes = [10_000, 100_000, 1_000_000]
    measured = [_child(n) for n in sizes]
    slope = math.log(measured[-1][0] / measured[0][0]) / math.log(sizes[-1] / sizes[0])
    with capsys.disabled():
        for n, (seconds, mib) in zip(sizes, measured, strict=True):
            print(
                f"\n{n:>9,} requests: {seconds:7.2f} s, {seconds / n * 1e6:6.1f} us each, peak {mib:,.0f} MiB", end=""
            )
        print(f"\nlog-log slope {slope:.3f} (limit 1.05), memory of a million {measured[-1][1]:,.0f} MiB (limit 1,024)")
    assert measured[-1][1] < 1024


@pytest.mark.long
def test_chunks_cost_a_tenth_at_most(capsys):
    """A run whose service sends in chunks over the same run that sends evenly, best of five each, in turns."""
    ways = {"even": None, "chunks": {"digest": "openai-gpt-3.5-0613-chunks"}}
    best = dict.fromkeys(ways, math.inf)
    for _ in range(5):
        for name, chunks in ways.items():
            best[name] = min(
                best[name], run_disco(10_000, server={"tbt_jitter_p99_over_p50": 1, "chunks": chunks}).total_s
            )
    ratio = best["chunks"] / best["even"]
    with capsys.disabled():
        print(f"\n10,000 requests: {best['even']:.2f} s evenly, {best['chunks']:.2f} s in chunks", end="")
        print(f", ratio {ratio:.3f} (limit 1.1)")
