"""Tables that a sweep cannot express, and names that a reader understands for those it can."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from discosim.reproduce.tables import Context

DEVICES = {
    "pixel-7-pro-bloom-1.1b": "Pixel 7 Pro, B-1.1B",
    "pixel-7-pro-bloom-560m": "Pixel 7 Pro, B-560M",
    "xiaomi-14-qwen1.5-0.5b": "Xiaomi 14, Q-0.5B",
}
SIZES = {"quick": (300, 4), "paper": (2000, 20)}
"""Profile -> requests and replications of the tables that are computed here."""


# --- sweeps -----------------------------------------------------------------------------------------------------


def named(table: pd.DataFrame) -> pd.DataFrame:
    """Name services, devices and budgets as the figures do, and drop the columns of the sweep."""
    found = table.drop(columns=["server.series"], errors="ignore")
    found.insert(0, "service", _services(table).map(service_name))
    found = found.drop(columns="server.digest")
    found.insert(1, "device", found.pop("devices[0].profile").map(DEVICES))
    budgets = [column for column in found.columns if column.endswith(".budget")]
    if budgets:
        found.insert(2, "budget", found[budgets[0]])
        found = found.drop(columns=budgets)
    return found.rename(columns={"cost.exchange_rate_usd_per_j": "usd_per_j", "workload.n_users": "n_users"})


def _services(table: pd.DataFrame) -> pd.Series:
    """Return the digest of each row, or the name of its series."""
    digests: pd.Series = table["server.digest"]
    if "server.series" not in table:
        return digests
    series = table["server.series"].astype(str).str.extract(r"(shaped-[^/]*)\.csv$", expand=False)
    return digests.where(series.isna(), series)


def service_name(digest: str) -> str:
    """Return a short name of a service.

    Examples
    --------
    >>> service_name("llmperf-groq-llama2-70b"), service_name("openrouter-gpt-5.4"), service_name("shaped-0.3s")
    ('groq Llama-2-70B', 'gpt-5.4', 'shaped, median 0.3 s')
    """
    if digest.startswith("llmperf-"):
        return f"{digest.split('-')[1]} Llama-2-70B"
    if digest.startswith("shaped-"):
        return f"shaped, median {digest.removeprefix('shaped-').removesuffix('s')} s"
    return digest.removeprefix("openrouter-")


PATTERNS = {"poisson": "Poisson", "digest": "Azure gaps", "clients": "ServeGen clients", "burst": "bursts x 2.5"}


def arrivals(table: pd.DataFrame) -> pd.DataFrame:
    """Name the arrival patterns."""
    found = named(table)
    pattern = found.pop("workload.arrivals").str.split(" ").str[0].map(PATTERNS)
    found.insert(2, "arrivals", pattern.where(found["n_users"] == 1, "any"))
    found.insert(3, "devices", found.pop("n_users").map({1: "one device", 10000: "idle devices"}))
    return found


BASE = "as in the other figures"
PROMPT, SIGMA = "workload.lengths.prompt_median_tok", "workload.lengths.prompt_sigma"
DISPATCH = {
    "n_users": "one device takes all requests",
    "policies.DiSCo-D.alpha": "alpha = {}",
    "policies.DiSCo-S.relearn": "goes on learning",
    "policies.DiSCo-S.losers": "losers: {}",
}
HAND_OVER = {
    "policies.DiSCo-S.losers": "losers: {}",
    "usd_per_j": "prices of a token ten times further apart",
    "policies.DiSCo-S-migrating.payload": "hand-over sends {}",
    "policies.DiSCo-S-migrating.server_estimate": "hand-over time estimated by {}",
    "reader.tok_per_s": "reader at {} tokens/s",
    "workload.lengths.output_median_tok": "answers: mean 58 tokens",
}
"""Column that varies -> what a variant is called by its value."""


def sensitivity(table: pd.DataFrame) -> pd.DataFrame:
    """Name each variant of dispatch by what it changes; add those that are another reading of the same runs."""
    found = _varied(named(table), DISPATCH)
    base = found[found["variant"] == BASE]
    p95 = base.assign(variant="tail at p95", ttft_p99_s=base["ttft_p95_s"])
    return pd.concat([found, p95, *_other_baselines(base)], ignore_index=True)


def _other_baselines(base: pd.DataFrame) -> list[pd.DataFrame]:
    alone = base[~base["policy"].isin(["Stoch-S", "Stoch-D"])]
    racing = alone.assign(variant="baselines that race", policy=alone["policy"].str.removesuffix("-racing"))
    server = base[base["policy"] == "server_only"]
    beside = [alone, server.assign(policy="Stoch-S"), server.assign(policy="Stoch-D")]
    return [racing, pd.concat(beside).assign(variant="baseline: server only")]


def handover(table: pd.DataFrame) -> pd.DataFrame:
    """Name each variant of a hand-over by what it changes, apart for either scarce endpoint; budgets as in the file."""
    found = named(table)
    found.insert(0, "scarce", (found["usd_per_j"] < 5e-6).map({True: "server", False: "device"}))
    found.insert(3, "budget", _budget_of(found))
    return pd.concat([_varied(part, HAND_OVER) for _, part in found.groupby("scarce", sort=False)], ignore_index=True)


def _varied(found: pd.DataFrame, texts: dict[str, str]) -> pd.DataFrame:
    """Put a first column ``variant``: what differs from the first row, in words; drop the columns that say so."""
    first = found.iloc[0]
    words = [
        [text.format(_short(row[column])) for column, text in texts.items() if row[column] != first[column]]
        for row in found.to_dict("records")
    ]
    for these, row in zip(words, found.to_dict("records"), strict=True):
        if row[PROMPT] != first[PROMPT]:
            sigma = row.get(SIGMA, 0.8)
            mean = row[PROMPT] * float(np.exp(sigma**2 / 2))
            these.append(f"prompts: mean {mean:.0f} tokens" if sigma == 0.8 else f"prompts: spread {sigma:g}")
    says = {*texts, PROMPT, SIGMA} - {"usd_per_j"}
    named_rows = found.drop(columns=[c for c in found.columns if c in says or c.startswith("policies.")])
    named_rows.insert(0, "variant", ["; ".join(these) or BASE for these in words])
    return named_rows


def cost(table: pd.DataFrame) -> pd.DataFrame:
    """Name the rows, and say how soon each service speaks: the median TTFT of what was measured, or was shaped."""
    found = named(table)
    medians = {service_name(digest): ttft_p50_s(digest) for digest in _services(table).unique()}
    found.insert(1, "service_ttft_p50_s", found["service"].map(medians))
    return found


def ttft_p50_s(service: str) -> float:
    """Return the median TTFT of a digest, or of a shaped service by its name."""
    from discosim.traces.catalogue import load_digest

    if service.startswith("shaped-"):
        return float(service.removeprefix("shaped-").removesuffix("s"))
    table = load_digest(service, "latency").ttft.table
    return float(np.interp(0.5, table.levels, table.values))


def energy(table: pd.DataFrame) -> pd.DataFrame:
    """Name each point of the range of energies."""
    found = named(table)
    per_b, ratio = found.pop("devices[0].decode_j_per_tok_per_b"), found.pop("devices[0].decode_over_prefill")
    names = [
        "the paper's model" if pd.isna(joules) else f"{joules:g} J/tok per 1e9 parameters, ratio {times:g}"
        for joules, times in zip(per_b, ratio, strict=True)
    ]
    found.insert(0, "energy", names)
    found.insert(3, "budget", _budget_of(found))
    return found


def _budget_of(found: pd.DataFrame) -> pd.Series:
    """Return the budget of the policies whose endpoint is scarce, as energy.yaml and handover.yaml set it."""
    return (found["usd_per_j"] < 5e-6).map({True: 0.9, False: 0.5})


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value).replace("_", " ")


# --- prompt length and TTFT ---------------------------------------------------------------------------------------

LENGTH_LAW = ["workload.lengths={kind: digest, digest: azure-conv}", "workload.max_output_tok=null"]
SLOPE = ["server.ttft_s_per_prompt_tok=1.7e-5"]
"""Seconds per prompt token that other services add (13 to 22 microseconds, published figures)."""
_PRICES = "{prompt_usd_per_mtok: 0.15, output_usd_per_mtok: 0.6, source: as in base.yaml}"
_ITERATIONS = "{kind: digest, digest: llama2-70b-a100-tp4}"
ENGINE = [f"server={{kind: engine, iterations: {_ITERATIONS}, pilot_requests: 1, prices: {_PRICES}}}"]
ENDPOINTS = {
    "gpt-5.4 (replayed)": ("server_only", ["server.digest=openrouter-gpt-5.4", *SLOPE]),
    "deepseek-v3.2 (replayed)": ("server_only", ["server.digest=openrouter-deepseek-v3.2", *SLOPE]),
    "engine, light load": ("server_only", [*ENGINE, "workload.arrivals={kind: poisson, rate_per_s: 0.5}"]),
    "engine, heavy load": ("server_only", [*ENGINE, "workload.arrivals={kind: poisson, rate_per_s: 2.4}"]),
    "Pixel 7 Pro, B-1.1B": ("device_only", ["devices[0].profile=pixel-7-pro-bloom-1.1b"]),
    "Xiaomi 14, Q-0.5B": ("device_only", ["devices[0].profile=xiaomi-14-qwen1.5-0.5b"]),
}


def one_endpoint(task: dict[str, Any]) -> dict[str, Any]:
    """Simulate one endpoint alone and return prompt lengths and TTFTs of one replication."""
    from pathlib import Path

    from discosim import load_scenario, simulate

    policy, overrides = ENDPOINTS[task["endpoint"]]
    scenario = load_scenario(
        Path(__file__).parent / "base.yaml",
        overrides=[
            *LENGTH_LAW,
            *overrides,
            f"workload.n_requests={task['n_requests']}",
            "replications=1",
            f"policies=[{{kind: {policy}}}]",
            f"baseline={policy}",
        ],
        seed=task["seed"],
    )
    rows = simulate(scenario).requests
    rows = rows[rows["status"] == "finished"]
    return {
        **task,
        "prompt_tok": rows["prompt_tok"].astype(int).tolist(),
        "ttft_s": rows["ttft_s"].round(9).tolist(),
    }


def _endpoint_runs(context: Context) -> list[dict[str, Any]]:
    n_requests, n_seeds = SIZES[context.profile]
    tasks = [
        {"endpoint": endpoint, "seed": seed, "n_requests": n_requests}
        for endpoint in ENDPOINTS
        for seed in range(1, n_seeds + 1)
    ]
    return context.map("one_endpoint", tasks)


def lengths(context: Context) -> pd.DataFrame:
    """Return prompt length and TTFT of single requests of the first replication."""
    runs = [run for run in _endpoint_runs(context) if run["seed"] == 1]
    parts = [
        pd.DataFrame({"endpoint": r["endpoint"], "prompt_tok": r["prompt_tok"], "ttft_s": r["ttft_s"]}).head(300)
        for r in runs
    ]
    return pd.concat(parts, ignore_index=True)


def correlation(context: Context) -> pd.DataFrame:
    """Return Pearson's r between prompt length and TTFT, per endpoint and replication."""
    rows = [
        {
            "policy": "device" if run["endpoint"] in DEVICES.values() else "server",
            "endpoint": run["endpoint"],
            "seed": run["seed"],
            "pearson_r": float(np.corrcoef(run["prompt_tok"], run["ttft_s"])[0, 1]),
        }
        for run in _endpoint_runs(context)
    ]
    return pd.DataFrame(rows)


# --- speeds, overhead ---------------------------------------------------------------------------------------------


def speeds(_context: Context) -> pd.DataFrame:
    """Return how fast each endpoint decodes, from the digests alone."""
    from discosim.traces.catalogue import load_digest

    services = [f"llmperf-{name}-llama2-70b" for name in (
        "anyscale", "bedrock", "fireworks", "groq", "lepton", "perplexity", "replicate", "together")]  # fmt: skip
    services += [f"openrouter-{name}" for name in ("gpt-5.4", "gpt-5.5", "deepseek-v3.2")]
    rows = []
    for name in services:
        tpot_s = load_digest(name, "latency").tpot.table
        median_s = float(np.interp(0.5, tpot_s.levels, tpot_s.values))
        row = {"seed": 0, "policy": "server", "endpoint": service_name(name), "decode_tok_per_s": 1.0 / median_s}
        rows.append(row)
    rows += [
        {
            "seed": 0,
            "policy": "device",
            "endpoint": DEVICES[name],
            "decode_tok_per_s": load_digest(name, "device").decode_tok_per_s,
        }
        for name in DEVICES
    ]
    return pd.DataFrame(rows)


OVERHEAD_SAMPLES = (1000, 10_000, 100_000)


def overhead(context: Context) -> pd.DataFrame:
    """Time how long DiSCo needs to set its thresholds from so many past requests; the least of several trials."""
    n_trials = {"quick": 7, "paper": 25}[context.profile]
    return pd.DataFrame(context.map("time_prepare", [{"seed": 0, "n_trials": n_trials}])[0])


def time_prepare(task: dict[str, Any]) -> list[dict[str, Any]]:
    """Time ``prepare`` on log-normal history, as the paper's measurement is recollected to have done."""
    from dataclasses import replace

    from discosim import load_scenario
    from discosim.policies.disco import Disco
    from discosim.runs.build import build

    view = build(load_scenario("quickstart")).view
    rng = np.random.default_rng(1)
    rows = []
    for n in OVERHEAD_SAMPLES:
        prompts = np.maximum(1, np.round(rng.lognormal(3.0, 0.8, n))).astype(np.int64)
        past = {"prompt_tok": prompts, "output_tok": prompts, "server_ttft_s": rng.lognormal(-0.5, 0.5, n)}
        for policy, side in (("DiSCo-S", "server"), ("DiSCo-D", "device")):
            for trial in range(task["n_trials"]):
                fresh = replace(view, **past)  # without what a first use would have kept
                disco = Disco(constraint=side, budget=0.5, migration=False)
                started = time.perf_counter()
                disco.prepare(fresh)
                took_ms = 1000.0 * (time.perf_counter() - started)
                rows.append({"seed": trial, "policy": policy, "n_samples": n, "prepare_ms": took_ms})
    return rows
