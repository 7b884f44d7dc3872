"""One answer and one failure, reports of GuideLLM that hold them, and a scenario that replays a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from load_test_files import Row

SCENARIO = """
name: seen
replications: 2
workload: {kind: generate, n_requests: 400, n_users: 400, arrivals: {kind: poisson, rate_per_s: 2}, \
lengths: {kind: constant, prompt_tok: 100, output_tok: 21}}
devices: [{profile: snapdragon-8-elite-llama-3.2-1b}]
server: {kind: replay, SERVER, prices: {prompt_usd_per_mtok: 1, output_usd_per_mtok: 1, source: a test}}
cost: {exchange_rate_usd_per_j: 1.0e-7}
policies: [{kind: server_only}]
"""

GOOD, BAD = Row(0.1, 0.02, 21), Row(0, 0, 0, failed=True)


def report(folder: Path, *runs: dict[str, Any], **args: Any) -> Path:
    path = folder / "benchmarks.json"
    path.write_text(json.dumps({"metadata": {"guidellm_version": "0.5.0"}, "args": args, "benchmarks": list(runs)}))
    return path
