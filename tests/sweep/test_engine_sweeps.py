"""Sweeps over an engine's make and the users of a closed loop, whoever computes them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyarrow import parquet
from sweep_samples import contents, sweep, write

SWEEP = """\
name: makes
base:
  name: tiny
  replications: 1
  workload:
    kind: generate
    n_requests: 30
    arrivals: {kind: closed_loop, users: 2, think_s: {kind: exponential, mean_s: 0.5}}
    lengths: {kind: lognormal, prompt_median_tok: 80, output_median_tok: 20}
  devices:
    - profile: pixel-7-pro-bloom-1.1b
  server:
    kind: engine
    iterations: {kind: constant, prefill_s: 0.2, decode_s: 0.05}
    kv_tok: 4000
    pilot_requests: 20
    prices: {prompt_usd_per_mtok: 1, output_usd_per_mtok: 2}
  cost: {exchange_rate_usd_per_j: 1e-7}
  policies:
    - {kind: server_only}
sweep:
  grid:
    server.flavour: [vllm-v0, vllm-v1]
    workload.arrivals.users: [1, 8]
  seeds: {root: 3, n: 1}
"""


@pytest.mark.long
def test_makes_times_users_are_the_same_bytes_in_two_processes(tmp_path: Path) -> None:
    path = write(tmp_path, SWEEP)
    own = sweep(path, tmp_path / "serial")
    sweep(path, tmp_path / "local", "local:2")
    assert len(own.state.finished) == 4
    assert contents(tmp_path / "serial") == contents(tmp_path / "local")
    table = own.table
    assert table is not None
    queue_s = table.set_index(["server.flavour", "workload.arrivals.users"])["queue_mean_s"]
    for flavour in ("vllm-v0", "vllm-v1"):
        assert queue_s[flavour, 1] == 0.0  # a user alone finds nobody there
        assert queue_s[flavour, 8] > 0.0
    series = sorted((tmp_path / "local").rglob("series.parquet"))
    assert len(series) == 4
    assert all(parquet.read_table(place).num_rows > 0 for place in series)
