"""A small scenario behind whose service there are few rows, and rows of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from discosim.config import load_scenario

PRICES = {"prompt_usd_per_mtok": 1, "output_usd_per_mtok": 2}
THIN: dict[str, Any] = {"kind": "replay", "digest": "openrouter-gpt-5.4", "prices": PRICES}


def scenario(**changes: Any) -> Any:
    plain = {
        "name": "few rows",
        "replications": 3,
        "workload": {
            "kind": "generate",
            "n_requests": 80,
            "n_users": 80,
            "arrivals": {"kind": "poisson", "rate_per_s": 1},
            "lengths": {"kind": "constant", "prompt_tok": 50, "output_tok": 8},
        },
        "devices": [{"profile": "snapdragon-8-elite-llama-3.2-3b"}],
        "server": THIN,
        "cost": {"exchange_rate_usd_per_j": 1e-7},
        "policies": [{"kind": "server_only"}, {"kind": "device_only"}, {"kind": "race"}],
    }
    return load_scenario({**plain, **changes})


def own_series(folder: Path, rows: list[float]) -> dict[str, Any]:
    file = folder / "mine.csv"
    file.write_text("ttft_s,tpot_s\n" + "".join(f"{row:.6f},0.02\n" for row in rows))
    return {"kind": "replay", "series": str(file), "series_unit": "s", "prices": PRICES}
