"""Cells of DiSCo's committed tables, worked out again from the rows by numpy alone.

None of the simulator's policies, worlds or metrics is used: a request is a prompt length, a first-token time of the
service and a coin; a rule is one line over arrays. Rules and set-up are those of the paper's secondary sources
(experiments/disco/base.yaml names them). Service times are the raw rows where `DISCOSIM_TRACES` names a folder that has
them, and always the numbers of the shipped digest.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
TABLES = ROOT / "experiments" / "disco" / "expected" / "quick"
MEDIAN_TOK, SIGMA, ALPHA = 14, 0.8, 0.05
PHONES = {"pixel-7-pro-bloom-1.1b": "Pixel 7 Pro, B-1.1B", "xiaomi-14-qwen1.5-0.5b": "Xiaomi 14, Q-0.5B"}
SERVICES = {"openrouter-gpt-5.4": "gpt-5.4", "llmperf-groq-llama2-70b": "groq Llama-2-70B"}
POLICIES = ("Stoch-S", "Stoch-S-racing", "DiSCo-S", "Stoch-D", "Stoch-D-racing", "DiSCo-D")
MANY = 100
"""Replications drawn here for each cell."""
RISK = 1e-5
"""Chance that a right cell is called wrong; over all of some hundred cells, one in a thousand."""

Floats = np.ndarray


def digest(name: str) -> dict:
    (path,) = (ROOT / "traces").glob(f"*/{name}.json")
    return json.loads(path.read_text(encoding="utf-8"))["data"]


def raw_rows(name: str) -> Floats:
    """Return the first-token times of a service as they were measured, in s; skip where they are not."""
    if "DISCOSIM_TRACES" not in os.environ:
        pytest.skip("DISCOSIM_TRACES names no folder of raw traces")
    root = Path(os.environ["DISCOSIM_TRACES"])
    if name.startswith("openrouter"):
        rows = pd.read_csv(root / "openrouter-probes-2026-05-12" / "probes_2026-05-12.csv")
        rows = rows[(rows["model"] == "openai/gpt-5.4") & (rows["status"] == "ok") & ~rows["hour_utc"].isin([10, 14])]
        return np.sort(rows["ttft_ms"].to_numpy()) / 1000.0
    rows = pd.read_csv(root / "llmperf-leaderboard-2023" / "per_request.csv")
    rows = rows[(rows["provider"] == "groq") & (rows["model"] == "70b") & rows["error_code"].isna()]
    return np.sort(rows["ttft_s"].to_numpy())


def quantiles(name: str, source: str) -> tuple[Floats, Floats]:
    """Return levels and values of a service's first-token time."""
    if source == "digest":
        table = digest(name)["ttft"]
        return np.array(table["levels"], dtype=float), np.array(table["values"], dtype=float)
    rows = raw_rows(name)
    return np.linspace(0.0, 1.0, rows.size), rows


def latent_levels(rho: float, shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Draw uniform levels whose normal scores follow each other with a correlation."""
    from scipy.special import ndtr

    scores = rng.standard_normal(shape)
    for i in range(1, shape[1]):
        scores[:, i] = rho * scores[:, i - 1] + np.sqrt(1.0 - rho**2) * scores[:, i]
    return ndtr(scores)


def prompts(shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Draw prompt lengths: log-normal, in whole tokens, one at least."""
    return np.maximum(1.0, np.round(MEDIAN_TOK * np.exp(SIGMA * rng.standard_normal(shape))))


def split(lengths: Floats, share: float) -> tuple[float, float]:
    """Return the length up to which prompts hold a share of all tokens, and which part of those of just that length."""
    values, counts = np.unique(lengths, return_counts=True)
    held = np.cumsum(values * counts) / lengths.sum()
    at = int(np.searchsorted(held, share))
    before = held[at - 1] if at else 0.0
    return float(values[at]), float((share - before) / (held[at] - before))


def ttfts(policy: str, budget: float, service_s: Floats, phone_s: Floats, length: Floats, coin: Floats, law) -> Floats:
    """Return the first-token time of every request under a rule, in s; devices are idle."""
    levels, values, past = law
    race_s = np.minimum(service_s, phone_s)
    lot = coin < budget
    match policy:
        case "server_only":
            return service_s
        case "device_only":
            return phone_s
        case "race":
            return race_s
        case "Stoch-S":
            return np.where(lot, service_s, phone_s)
        case "Stoch-D":
            return np.where(lot, phone_s, service_s)
        case "Stoch-S-racing":
            return np.where(lot, race_s, phone_s)
        case "Stoch-D-racing":
            return np.where(lot, race_s, service_s)
        case "DiSCo-S":
            edge, part = split(past, 1.0 - budget)
            is_long = (length > edge) | ((length == edge) & (coin >= part))
            return np.where(is_long, race_s, phone_s)
    assert policy == "DiSCo-D"
    alpha = min(ALPHA, budget)
    edge, part = split(past, (budget - alpha) / (1.0 - alpha))
    tail_s = np.interp(1.0 - alpha, levels, values)
    edge_s = np.interp(1.0 - (part + (1.0 - part) * alpha), levels, values)
    wait_s = np.where(length < edge, 0.0, np.where(length == edge, edge_s, tail_s))
    return np.where(service_s <= wait_s, service_s, np.minimum(service_s, wait_s + phone_s))


def replications(name: str, source: str, phone: str, n: int, *, are_versions: bool, many: int = MANY) -> tuple:
    """Draw prompts, service times, phone times and coins of many replications, and what was known before them."""
    rng = np.random.default_rng(16)
    given, shape = digest(name), (many, n)
    levels, values = quantiles(name, source)
    rho = given["ttft"]["latent_rho"]
    u = latent_levels(rho, shape, rng)
    if are_versions:  # the level of each measured row is anybody's guess: sorted uniform numbers, with their memory
        rows = given["n"]
        drawn = np.sort(latent_levels(rho, (many, rows), rng))
        of_rows = np.concatenate(([0.0], (np.arange(rows) + 0.5) / rows, [1.0]))
        u = np.stack([np.interp(a, np.concatenate(([0.0], b, [1.0])), of_rows) for a, b in zip(u, drawn, strict=True)])
    length = prompts(shape, rng)
    phone_s = length * digest(phone)["prefill_s_per_tok"]
    past = prompts((1, 100_000), rng).ravel()
    return np.interp(u, levels, values), phone_s, length, rng.random(shape), (levels, values, past)


def assert_among(found: float, drawn: Floats, n: int, what: str, *, leaning: float = 1.0) -> None:
    """Compare a mean of n replications with means of n of those drawn here.

    The tolerance is what such means do: z for RISK times their own standard error and that of the mean of all drawn.
    Means of hundreds of requests are nearly normal. A p99 of versions leans to the right, by less than 1 in units of
    its standard deviation: ``leaning`` leaves half as much again for that.
    """
    from scipy.special import ndtri

    error = drawn.std(ddof=1) * np.sqrt(1.0 / n + 1.0 / drawn.size)
    assert abs(found - drawn.mean()) < leaning * ndtri(1.0 - RISK / 2) * error, (what, found, drawn.mean(), error)


@pytest.mark.parametrize("source", ["digest", "raw rows"])
def test_mean_ttft_of_every_rule_is_that_of_a_line_of_numpy(source: str) -> None:
    table = pd.read_csv(TABLES / "bounds.csv")
    n_cells = 0
    for phone, device in PHONES.items():
        here = table[(table["service"] == "gpt-5.4") & (table["device"] == device)]
        *drawn, law = replications("openrouter-gpt-5.4", source, phone, 200, are_versions=False)
        for budget in here["budget"].unique():
            for policy in ("server_only", "device_only", "race", *POLICIES):
                cell = here[(here["budget"] == budget) & (here["policy"] == policy)]["ttft_mean_s"]
                means = ttfts(policy, budget, *drawn, law).mean(axis=1)
                assert_among(cell.mean(), means, cell.size, f"{device}, {policy}, b = {budget}")
                n_cells += 1
    assert n_cells == 54


@pytest.mark.parametrize("source", ["digest", "raw rows"])
@pytest.mark.parametrize("name", SERVICES)
def test_the_tail_of_every_rule_is_that_of_a_line_of_numpy(name: str, source: str) -> None:
    """The p99 that the claims read: of 1,000 requests, each replication on another version of what was measured."""
    table = pd.read_csv(TABLES / "budget.csv")
    n_cells = 0
    for phone, device in PHONES.items():
        here = table[(table["service"] == SERVICES[name]) & (table["device"] == device)]
        *drawn, law = replications(name, source, phone, 1000, are_versions=True)
        for budget in here["budget"].unique():
            for policy in POLICIES:
                cell = here[(here["budget"] == budget) & (here["policy"] == policy)]["ttft_p99_s"]
                tails = np.quantile(ttfts(policy, budget, *drawn, law), 0.99, axis=1)
                assert_among(cell.mean(), tails, cell.size, f"{device}, {policy}, b = {budget}", leaning=1.5)
                n_cells += 1
    assert n_cells == 24


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "phone", "budget"),
    [
        ("openrouter-gpt-5.4", "pixel-7-pro-bloom-1.1b", 0.2),
        ("llmperf-groq-llama2-70b", "xiaomi-14-qwen1.5-0.5b", 0.8),
    ],
)
def test_mean_and_tail_of_a_long_run_are_those_of_a_line_of_numpy(name: str, phone: str, budget: float) -> None:
    """Ten thousand requests tell a wrong alpha, law or threshold by a few per cent; committed tables are too small."""
    from discosim import load_scenario, simulate

    rules = ", ".join(
        f"{{kind: {'disco' if policy.startswith('DiSCo') else 'stochastic'}, name: {policy}, budget: {budget}, "
        f"constraint: {'server' if '-S' in policy else 'device'}"
        + (", migration: false}" if policy.startswith("DiSCo") else f", variant: {variant}}}")
        for policy in POLICIES
        for variant in ["racing" if policy.endswith("racing") else "exclusive"]
    )
    settings = {"server.digest": name, "devices[0].profile": phone, "policies": f"[{rules}]", "baseline": "Stoch-S"}
    settings |= {"workload.n_requests": "10000", "workload.n_users": "1000000", "replications": "1"}
    base = ROOT / "experiments" / "disco" / "base.yaml"
    rows = simulate(load_scenario(base, overrides=[f"{key}={value}" for key, value in settings.items()])).requests
    *drawn, law = replications(name, "digest", phone, 10_000, are_versions=False, many=40)
    for policy in POLICIES:
        found = rows.loc[rows["policy"] == policy, "ttft_s"].to_numpy()
        here = ttfts(policy, budget, *drawn, law)
        assert_among(found.mean(), here.mean(axis=1), 1, f"mean, {policy}")
        assert_among(np.quantile(found, 0.99), np.quantile(here, 0.99, axis=1), 1, f"p99, {policy}")
