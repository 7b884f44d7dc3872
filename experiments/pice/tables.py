"""PICE's experiments as tables: one row per setting, policy and replication (`seed`).

Every table changes keys of `configs/pice.yaml`. All policies meet the same luck; replications share the scenario's own
seed and differ in their number, as in `discosim run`. The paper's setting could not be read: its claims are looked for
over a range of settings.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from discosim import load_scenario
from discosim.config import build_policy
from discosim.core.request import RequestRecord
from discosim.core.rng import RandomStreams
from discosim.runs.build import build
from discosim.runs.replicate import prepared
from discosim.world.luck import Luck
from discosim.world.world import World

if TYPE_CHECKING:
    from discosim.reproduce.tables import Context

SEEDS = {"quick": 3, "paper": 10}
RATE, N_REQUESTS = "workload.arrivals.rate_per_s", "workload.n_requests"
FLOOD_RPS = 30.0
"""Far above what any setting serves, so that completions a second are the throughput."""
CALM_RPS, BUSY_RPS = 1.2, 1.8
"""The server alone saturates at about 2.1 requests/s."""
SIZES = {"quick": {BUSY_RPS: 90, FLOOD_RPS: 130}, "paper": {BUSY_RPS: 500, FLOOD_RPS: 500}}
BOX_TOK_PER_S, BOX_PREFILL_S_PER_TOK = 41.31, 2.24141e-3
"""The box as measured; one of another speed prefills faster or slower by the same factor."""
SPEEDS = (10.0, BOX_TOK_PER_S, 160.0)
LONE_TOKEN_S = 0.0448
"""Token time of the server alone, by which latencies are made comparable."""
ERROR_WEIGHT = 4.0
PILOT = "server.pilot_requests=50"
CLOUD = "{kind: server_only, name: cloud only}"
PICE = "{kind: pice, name: PICE}"
BESIDE = (
    CLOUD,
    "{kind: edge_only, name: edge only}",
    "{kind: edge_router, name: router}",
    "{kind: skeleton_of_thought, name: Skeleton-of-Thought}",
    PICE,
    "{kind: pice, name: 'PICE, k = 2', width: 2}",
)


def fixed(rho: float, **options: Any) -> str:
    """Return a policy of fixed sketch length, as an entry of a scenario."""
    rest = "".join(f", {key}: {value}" for key, value in options.items())
    return f"{{kind: fixed_rho, name: 'rho = {rho:g}', rho: {rho:g}{rest}}}"


def box(tok_per_s: float) -> tuple[str, ...]:
    """Return the keys of a box of another speed."""
    prefill_s = BOX_PREFILL_S_PER_TOK * BOX_TOK_PER_S / tok_per_s
    return f"edge.decode_tok_per_s={tok_per_s:g}", f"edge.prefill_s_per_tok={prefill_s!r}"


def share(phi: float) -> str:
    """Return the key for another share of suitable questions."""
    return f"answers={{kind: share, suitable_share: {phi:g}}}"


def task(
    keys: Mapping[str, Any], policies: Sequence[str], n: int, overrides: Sequence[str], n_seeds: int
) -> dict[str, Any]:
    """Return one setting as plain data; `keys` are its columns."""
    return {
        "keys": dict(keys),
        "policies": list(policies),
        "n_seeds": n_seeds,
        "overrides": [PILOT, f"{N_REQUESTS}={n}", f"workload.n_users={n}", *overrides],
    }


def setting(task: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Simulate all policies and replications of one setting; a row for each."""
    chosen = [f"policies=[{', '.join(task['policies'])}]", "baseline=null"]
    parts = build(load_scenario("pice", overrides=[*task["overrides"], *chosen]))
    best = parts.model.quality.cloud if parts.model.quality else 1.0
    edge = parts.model.edge
    roof = edge.tok_per_s() * edge.n_boxes if edge else float("nan")
    rows = []
    for seed in range(task["n_seeds"]):
        requests = parts.requests(seed)
        luck = Luck(RandomStreams(parts.scenario.seed, seed), len(requests))
        for spec in parts.scenario.policies:
            world = World(parts.model, requests, luck)
            records: list[RequestRecord] = []
            world.run(prepared(build_policy(spec), parts.view, world), records.append)
            found = numbers(records, world.edge_figures() or {}, best)
            rows.append({**task["keys"], "policy": spec.name, "seed": seed, **found, "edge_roof_tok_per_s": roof})
    return rows


def numbers(records: Sequence[RequestRecord], edge: Mapping[str, float], best: float) -> dict[str, float]:
    """Return throughput, latency, quality, the edge's work, and what the bounds need.

    Throughput is taken between the 20th and 80th percentile of completions. ``score`` is what PICE's objective says of
    the outcome: latency over that of a lone request at the server, plus four times the assumed loss of quality.
    ``cloud_tok_share`` are the tokens the server decodes over all answer tokens: 1 - phi (1 - rho) as drawn.
    """
    done = [r for r in records if r.status == "finished"]
    ends_s = np.sort([r.delivered_s[-1] for r in done])
    low, high = int(0.2 * ends_s.size), int(0.8 * ends_s.size)
    e2e_s = np.array([r.delivered_s[-1] - r.arrival_s for r in done])
    tok = np.array([r.output_tok for r in done])
    sketch_tok = np.array([r.sketch_tok if r.n_parts else 0 for r in done])
    quality = np.array([r.quality_assumed for r in done])
    sketched = sketch_tok > 0
    score = e2e_s / (tok * LONE_TOKEN_S) + ERROR_WEIGHT * (1.0 - quality / best)
    nan = float("nan")
    return {
        "throughput_rps": float((high - low) / (ends_s[high] - ends_s[low])),
        "e2e_mean_s": float(e2e_s.mean()),
        "e2e_p99_s": float(np.percentile(e2e_s, 99)),
        "ttft_mean_s": float(np.mean([r.delivered_s[0] - r.arrival_s for r in done])),
        "e2e_sketched_mean_s": float(e2e_s[sketched].mean()) if sketched.any() else nan,
        "quality_assumed": float(quality.mean()),
        "score": float(score.mean()),
        "sketched_share": float(sketched.mean()),
        "rho_mean": float((sketch_tok[sketched] / tok[sketched]).mean()) if sketched.any() else nan,
        "cloud_tok_share": float(np.where(sketched, sketch_tok, tok).sum() / tok.sum()),
        "edge_tok_mean": float(tok[sketched].sum() / tok.size),
        "edge_idle_slot_share": edge.get("edge_idle_slot_share", nan),
        "edge_busy_share": edge.get("edge_busy_share", nan),
    }


# --- settings of each table ---------------------------------------------------------------------------------------


def _baselines(profile: str) -> list[dict[str, Any]]:
    policies = [*BESIDE, *(fixed(rho) for rho in (0.1, 0.3, 0.6))]
    return [
        task({"rate_per_s": rate}, policies, n, [f"{RATE}={rate}"], SEEDS[profile])
        for rate, n in SIZES[profile].items()
    ]


def _map(profile: str) -> list[dict[str, Any]]:
    phis, rhos, n_flood, n_calm, n_seeds = {
        "quick": ((0.27, 0.46, 1.0), (0.1, 0.3, 0.6), 100, 50, 3),
        "paper": ((0.27, 0.36, 0.46, 0.6, 0.8, 1.0), (0.1, 0.2, 0.3, 0.4, 0.5, 0.6), 400, 400, 5),
    }[profile]
    policies = [CLOUD, *(fixed(rho) for rho in rhos)]
    return [
        task(
            {"rate_per_s": rate, "edge_tok_per_s": speed, "phi": phi},
            policies,
            n,
            [f"{RATE}={rate}", *box(speed), share(phi)],
            n_seeds,
        )
        for rate, n in ((FLOOD_RPS, n_flood), (CALM_RPS, n_calm))
        for speed, phi in itertools.product(SPEEDS, phis)
    ]


def _loads(profile: str) -> list[dict[str, Any]]:
    rates, rhos, n = {
        "quick": ((0.5, 1.2, 1.8, 3.0), (0.1, 0.3, 0.6), 160),
        "paper": ((0.5, 1.0, 1.5, 2.0, 2.5, 3.0), (0.1, 0.2, 0.3, 0.4, 0.5, 0.6), 500),
    }[profile]
    policies = [CLOUD, PICE, *(fixed(rho, min_tok=100.0) for rho in rhos)]
    return [task({"rate_per_s": rate}, policies, n, [f"{RATE}={rate}"], SEEDS[profile]) for rate in rates]


def _grouping(profile: str) -> list[dict[str, Any]]:
    policies = [
        "{kind: fixed_rho, name: grouped, rho: 0.3}",
        "{kind: fixed_rho, name: as they come, rho: 0.3, length_grouping: false}",
    ]
    return [
        task(
            {"part_sigma": sigma, "n_boxes": boxes},
            policies,
            SIZES[profile][BUSY_RPS],
            [f"{RATE}={BUSY_RPS}", f"edge.n_boxes={boxes}", f"answers.part_sigma={sigma}"],
            SEEDS[profile],
        )
        for boxes, sigma in itertools.product((4, 8), (0.0, 0.5, 1.0))
    ]


def _ensemble(profile: str) -> list[dict[str, Any]]:
    policies = [
        f"{{kind: fixed_rho, name: '{name}', rho: 0.3, width: {width}, pick: {pick}}}"
        for name, width, pick in (
            ("one candidate", 1, "random"),
            ("two, by lot", 2, "random"),
            ("two, perplexity", 2, "perplexity"),
            ("two, similarity", 2, "similarity"),
            ("two, both", 2, "both"),
            ("three, both", 3, "both"),
        )
    ]
    return [task({"rate_per_s": BUSY_RPS}, policies, SIZES[profile][BUSY_RPS], [f"{RATE}={BUSY_RPS}"], SEEDS[profile])]


BASE = "as configured"
WEIGHTED = "{kind: pice, name: PICE, error_weight: %g}"
VARIANTS: dict[str, tuple[tuple[str, ...], str]] = {
    "27 % suit (WizardLM)": ((share(0.27),), PICE),
    "all questions suit": ((share(1.0),), PICE),
    "boxes of 10 tok/s": (box(10.0), PICE),
    "boxes of 160 tok/s": (box(160.0), PICE),
    "four boxes": (("edge.n_boxes=4",), PICE),
    "answers of 150 tok": (("workload.lengths.output_median_tok=150",), PICE),
    "edge model as good as the cloud's": (("quality.edge=0.9",), PICE),
    "quality weighs double": ((), WEIGHTED % 8.0),
    "lengths guessed badly": ((), "{kind: pice, name: PICE, length_error: 0.6}"),
    "a fifth misjudged": ((), "{kind: pice, name: PICE, class_error: 0.2}"),
}
"""Variant -> changed keys, and the policy. Those that only read the runs of `baselines` anew stand further down."""


def _variants(profile: str) -> list[dict[str, Any]]:
    return [
        task({"rate_per_s": rate, "variant": name}, [CLOUD, policy], n, [f"{RATE}={rate}", *overrides], SEEDS[profile])
        for name, (overrides, policy) in VARIANTS.items()
        for rate, n in SIZES[profile].items()
    ]


# --- tables -------------------------------------------------------------------------------------------------------

PLANS: Mapping[str, Callable[[str], list[dict[str, Any]]]] = {
    "baselines": _baselines,
    "map": _map,
    "load": _loads,
    "grouping": _grouping,
    "ensemble": _ensemble,
    "variants": _variants,
}


def _table(context: Context, name: str) -> pd.DataFrame:
    """Return one table; the first call computes all of them in one pool of processes, the others find theirs kept."""
    owners = [(owner, plain) for owner, plan in PLANS.items() for plain in plan(context.profile)]
    found = context.map("setting", [plain for _, plain in owners])
    return pd.DataFrame([row for (owner, _), rows in zip(owners, found, strict=True) if owner == name for row in rows])


def baselines(context: Context) -> pd.DataFrame:
    """Return PICE beside its baselines, on a busy server and on a flooded one."""
    return _table(context, "baselines")


def operating_map(context: Context) -> pd.DataFrame:
    """Return throughput of a flooded server, and latency under a calm load, over phi, rho and the edge's speed."""
    return _table(context, "map")


def loads(context: Context) -> pd.DataFrame:
    """Return adaptive and fixed sketch lengths, from an idle to an overloaded server."""
    return _table(context, "load")


def grouping(context: Context) -> pd.DataFrame:
    """Return length grouping switched on and off, by how much an answer's parts differ and how tight the edge is."""
    return _table(context, "grouping")


def ensemble(context: Context) -> pd.DataFrame:
    """Return candidates of each part and the rule that picks one; `policy` is the rule."""
    return _table(context, "ensemble")


def variants(context: Context) -> pd.DataFrame:
    """Return PICE and what it is compared with, with one open point changed at a time."""
    return pd.concat([*_other_readings(baselines(context)), _table(context, "variants")], ignore_index=True)


def _other_readings(table: pd.DataFrame) -> list[pd.DataFrame]:
    """Return the setting itself first, then what the same runs say against another baseline or of two candidates."""
    pairs = {
        BASE: ("PICE", "cloud only"),
        "against the router": ("PICE", "router"),
        "against the edge alone": ("PICE", "edge only"),
        "against Skeleton-of-Thought": ("PICE", "Skeleton-of-Thought"),
        "two candidates": ("PICE, k = 2", "cloud only"),
    }
    found = []
    for name, pair in pairs.items():
        rows = table[table["policy"].isin(pair)]
        named = rows["policy"].map(dict(zip(pair, ("PICE", "cloud only"), strict=True)))
        rows = rows.assign(policy=named)
        rows.insert(1, "variant", name)
        found.append(rows)
    return found
