"""A made-up run: three policies, three replications, one hand-over, one policy that sometimes fails."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from discosim.core.timeline import Ragged, paced
from discosim.metrics.summary import SummaryTable

POLICIES = ("server_only", "device_only", "handing_over")
N_REPLICATIONS, N_REQUESTS = 3, 40
READER_TOK_PER_S = 4.0
METRICS = (
    "n_requests", "n_failed", "n_rejected", "ttft_mean_s", "ttft_p50_s", "ttft_p99_s", "tbt_pooled_p99_s",
    "qoe_andes_mean", "n_tok_late_mean", "server_cost_mean_usd", "device_energy_mean_j", "unified_cost_mean_usd",
    "budget_used_device", "budget_used_server",
)  # fmt: skip


def request_rows() -> pd.DataFrame:
    """Return requests whose TTFT is log-normal; device_only fails one request in eight, request 3 is rejected."""
    rng = np.random.default_rng(7)
    blocks = []
    for policy, scale in zip(POLICIES, (1.0, 0.6, 0.4), strict=True):
        for replication in range(N_REPLICATIONS):
            ids = np.arange(N_REQUESTS)
            status = np.full(N_REQUESTS, "finished", dtype=object)
            if policy == "device_only":
                status[ids % 8 == 0] = "failed"
            status[3] = "rejected"
            ttft = scale * rng.lognormal(0.0, 0.6, N_REQUESTS)
            blocks.append(
                pd.DataFrame(
                    {
                        "policy": policy,
                        "replication": replication,
                        "request_id": ids,
                        "arrival_s": 10.0 * ids,
                        "prompt_tok": 100 + ids,
                        "output_tok": 30,
                        "reader_tok_per_s": READER_TOK_PER_S,
                        "ttft_target_s": 1.0,
                        "is_device_dispatched": policy != "server_only",
                        "is_server_dispatched": policy != "device_only",
                        "n_migrations": (policy == "handing_over") * (ids == 5),
                        "status": status,
                        "ttft_s": np.where(status == "finished", ttft, np.nan),
                    }
                )
            )
    return pd.concat(blocks, ignore_index=True)


def answer(policy: str, request_id: int, segments: list[tuple[str, np.ndarray, float]]) -> pd.DataFrame:
    """Return the token rows of one answer; each segment is endpoint, generation times and delay to the client."""
    generated = np.concatenate([times for _, times, _ in segments])
    delivered = np.concatenate([times + delay for _, times, delay in segments])
    shown = paced(Ragged.of([delivered]), np.array([1.0 / READER_TOK_PER_S])).values
    start = 10.0 * request_id
    return pd.DataFrame(
        {
            "policy": policy,
            "replication": 0,
            "request_id": request_id,
            "token_index": np.arange(1, generated.size + 1),
            "endpoint": np.concatenate([[name] * times.size for name, times, _ in segments]),
            "generated_s": start + generated,
            "delivered_s": start + delivered,
            "displayed_s": start + shown,
        }
    )


def token_rows() -> pd.DataFrame:
    """Return tokens of requests 5 and 6.

    Under handing_over request 5 goes from the server to the device after token 12, and the device speaks so late that
    tokens 13 to 19 miss their slots. Under device_only request 8 failed, so it has no tokens at all.
    """
    blocks = []
    for request_id in (5, 6):
        blocks.append(answer("server_only", request_id, [("server", 0.8 + 0.05 * np.arange(30), 0.03)]))
        blocks.append(answer("device_only", request_id, [("device", 0.4 + 0.10 * np.arange(30), 0.0)]))
    server = ("server", 0.5 + 0.05 * np.arange(12), 0.03)
    blocks.append(answer("handing_over", 5, [server, ("device", 4.53 + 0.1 * np.arange(18), 0.0)]))
    blocks.append(answer("handing_over", 6, [("device", 0.3 + 0.1 * np.arange(30), 0.0)]))
    blocks.append(answer("server_only", 8, [("server", 0.8 + 0.05 * np.arange(30), 0.03)]))
    return pd.concat(blocks, ignore_index=True)


def summary_table(requests: pd.DataFrame) -> SummaryTable:
    """Return a summary whose TTFTs are those of the requests; the other numbers are made up."""
    summaries = {}
    for policy, rows in requests.groupby("policy", sort=False):
        runs = []
        for replication, part in rows.groupby("replication"):
            made_up = {name: 0.001 * (1 + i + 0.1 * replication) for i, name in enumerate(METRICS)}
            times = part["ttft_s"].dropna()
            runs.append(
                made_up
                | {
                    "n_requests": float(len(part)),
                    "n_failed": float((part["status"] == "failed").sum()),
                    "n_rejected": float((part["status"] == "rejected").sum()),
                    "ttft_mean_s": float(times.mean()),
                    "ttft_p50_s": float(times.median()),
                    "ttft_p99_s": float(times.quantile(0.99)),
                }
            )
        summaries[str(policy)] = runs
    return SummaryTable.of(summaries, POLICIES[0])


def write_run(folder: Path) -> Path:
    """Write the files of a result folder that figures are drawn from; the order of policies is not that of rows."""
    requests = request_rows()
    summary = summary_table(requests)
    by_name = requests.sort_values(["policy", "replication", "request_id"]).astype({"policy": "category"})
    by_name.to_parquet(folder / "requests.parquet")
    token_rows().sort_values(["policy", "request_id"]).to_parquet(folder / "example_tokens.parquet")
    content = {**summary.to_json_dict(), "notes": ["server made-up: assumed"]}
    (folder / "summary.json").write_text(json.dumps(content, allow_nan=False), encoding="utf-8")
    return folder
