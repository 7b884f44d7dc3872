"""Rows of an unloaded device foretell it under load: a device in plain Python, and the commands a user would type.

The device knows nothing of the package: lognormal noise with a memory, rare stalls, a slow first request, one request
at a time. Its rows go into ``discosim traces digest-device``; its loaded run is foretold by ``discosim run`` from
arrivals and lengths alone.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from discosim.cli import main

SCENARIO = """\
name: foretold
seed: 3
replications: {replications}
workload: {{kind: replay, file: loaded.csv, n_users: 1}}
devices: [{{profile_file: phone.json}}]
server: {{kind: replay, digest: openrouter-gpt-5.4, prices: {{prompt_usd_per_mtok: 1, output_usd_per_mtok: 1}}}}
cost: {{exchange_rate_usd_per_j: 0}}
policies: [{{kind: device_only}}]
"""
STALL_SHARE, MEMORY, PREFILL_SIGMA, DECODE_SIGMA = 0.006, 0.4, 0.15, 0.08
Lengths = list[tuple[int, int]]


def lengths(n: int, rng: random.Random) -> Lengths:
    """Prompts of 245 tokens in the median and answers of 37, both skewed."""
    return [
        (min(4000, max(5, int(rng.lognormvariate(5.5, 0.8)))), min(500, max(1, int(rng.lognormvariate(3.6, 0.7)))))
        for _ in range(n)
    ]


def services(asked: Lengths, rng: random.Random) -> Iterator[tuple[float, float]]:
    """Yield seconds until the first token (0.35 s + 2.1 ms a token) and from it to the last (14 tokens a second)."""
    fresh = math.sqrt(1.0 - MEMORY**2)
    one, other = rng.gauss(0.0, 1.0), rng.gauss(0.0, 1.0)
    for i, (prompt_tok, output_tok) in enumerate(asked):
        one, other = MEMORY * one + fresh * rng.gauss(0.0, 1.0), MEMORY * other + fresh * rng.gauss(0.0, 1.0)
        first_s = (0.35 + 0.0021 * prompt_tok) * math.exp(PREFILL_SIGMA * one - PREFILL_SIGMA**2 / 2)
        first_s *= 2.0 if i == 0 else 1.0
        first_s += rng.uniform(4.0, 9.0) if rng.random() < STALL_SHARE else 0.0
        yield first_s, (output_tok - 1) / 14.0 * math.exp(DECODE_SIGMA * other - DECODE_SIGMA**2 / 2)


def latencies(at_s: list[float], asked: Lengths, rng: random.Random) -> list[float]:
    """Lindley's recursion: who comes while the device works waits for it."""
    free_s, found = 0.0, []
    for arrival_s, (first_s, rest_s) in zip(at_s, services(asked, rng), strict=True):
        free_s = max(arrival_s, free_s) + first_s + rest_s
        found.append(free_s - arrival_s)
    return found


def write_files(folder: Path, n_rows: int, n_loaded: int, load: float, seed: int) -> tuple[float, float]:
    """Write unloaded rows and what a loaded run is asked; return the latter's mean and p99 latency, over its luck."""
    rng = random.Random(seed)
    asked = lengths(n_rows, rng)
    rows = ["prompt_tok,ttft_s,output_tok,total_s"]
    for (prompt_tok, output_tok), (first_s, rest_s) in zip(asked, services(asked, rng), strict=True):
        rows.append(f"{prompt_tok},{first_s:.6f},{output_tok},{first_s + rest_s:.6f}")
    (folder / "rows.csv").write_text("\n".join(rows) + "\n")
    asked = lengths(n_loaded, rng)
    mean_s = 0.35 + np.mean([0.0021 * prompt + (output - 1) / 14.0 for prompt, output in asked]) + STALL_SHARE * 6.5
    at_s = np.cumsum([rng.expovariate(load / mean_s) for _ in asked]).tolist()
    lines = [f"{at:.6f},{prompt},{output}" for at, (prompt, output) in zip(at_s, asked, strict=True)]
    (folder / "loaded.csv").write_text("\n".join(["arrival_s,prompt_tok,output_tok", *lines]) + "\n")
    truths = [latencies(at_s, asked, random.Random(1000 * seed + k)) for k in range(60)]
    return float(np.mean(truths)), float(np.mean([np.percentile(one, 99) for one in truths]))


@pytest.mark.long
@pytest.mark.parametrize(("load", "n_loaded", "seed"), [(0.6, 300, 1), (0.8, 800, 2)])
def test_rows_of_an_unloaded_device_foretell_it_under_load(
    load: float, n_loaded: int, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mean_s, p99_s = write_files(tmp_path, 400, n_loaded, load, seed)
    assert main(["traces", "digest-device", "rows.csv", "--out", "phone.json"]) == 0
    Path("mine.yaml").write_text(SCENARIO.format(replications=5))
    assert main(["run", "mine.yaml", "--out", "out"]) == 0
    held = json.loads(Path("out/summary.json").read_text())["policies"]["device_only"]
    assert held["e2e_mean_s"]["mean"] == pytest.approx(mean_s, rel=0.05)
    assert held["e2e_p99_s"]["mean"] == pytest.approx(p99_s, rel=0.15)
