"""A small scenario of two policies whose results are stored, and what its folder holds."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

from discosim.config import load_scenario

SCENARIO: dict[str, Any] = {
    "name": "store",
    "seed": 3,
    "replications": 2,
    "workload": {
        "kind": "generate",
        "n_requests": 40,
        "n_users": 10,
        "arrivals": {"kind": "poisson", "rate_per_s": 0.2},
        "lengths": {"kind": "digest", "digest": "azure-conv"},
        "max_prompt_tok": 2500,
    },
    "devices": [{"profile": "snapdragon-8-elite-llama-3.2-3b", "context": "extrapolate"}],
    "server": {
        "kind": "replay",
        "digest": "openrouter-deepseek-v3.2",
        "failures": "measured",
        "failure_share": 0.1,
        "prices": {"prompt_usd_per_mtok": 0.15, "output_usd_per_mtok": 0.6, "source": "a price list"},
    },
    "link": {"kind": "digest", "digest": "starlink-seattle"},
    "cost": {"exchange_rate_usd_per_j": 1e-7},
    "policies": [{"kind": "server_only"}, {"kind": "disco", "name": "DiSCo-D", "constraint": "device"}],
}
FILES = {
    "config.yaml",
    "requests.parquet",
    "replications.parquet",
    "example_tokens.parquet",
    "summary.json",
    "inputs.json",
    "run.json",
}
TOKEN_COLUMNS = [
    "policy",
    "replication",
    "request_id",
    "token_index",
    "endpoint",
    "generated_s",
    "delivered_s",
    "displayed_s",
]


def scenario(**changes: Any) -> Any:
    return load_scenario({**deepcopy(SCENARIO), **changes})


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
