"""What PICE (arXiv 2501.09367) can and cannot reach: `python experiments/pice/run.py map`.

Every experiment changes keys of `configs/pice.yaml`, writes `results/pice/<experiment>.csv` (one row per replication)
and prints a table with 95 % intervals over the replications; `map` and `load` draw a figure beside it. All policies
meet the same luck. The paper's own setting could not be read: claims are looked for over a range of settings.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from discosim import load_scenario
from discosim.core.request import RequestRecord
from discosim.core.rng import RandomStreams
from discosim.metrics.stats import t_interval
from discosim.policies import Policy
from discosim.policies.fixed_rho import FixedRho
from discosim.policies.pice import Pice
from discosim.policies.server_only import ServerOnly
from discosim.runs.build import Blueprint, build
from discosim.runs.simulate import prepared
from discosim.world.luck import Luck
from discosim.world.world import World

OUT = Path("results") / "pice"
RATE = "workload.arrivals.rate_per_s"
FLOOD_RPS, CALM_RPS = 30.0, 1.2
PHIS = (0.27, 0.36, 0.46, 0.6, 0.8, 1.0)
RHOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
SPEEDS = (10.0, 41.31, 160.0)
PREFILL_S_PER_TOK = 2.24141e-3
"""Of the box as it is (41.31 tok/s); a box of another speed prefills faster or slower by the same factor."""
LONE_TOKEN_S = 0.0448
"""Token time of the server alone, by which latencies are made comparable."""
QUICK = ("server.pilot_requests=50",)


@dataclass(frozen=True)
class Task:
    """One replication of one setting under one policy."""

    setting: str
    name: str
    policy: Policy
    overrides: tuple[str, ...]
    replication: int


@cache
def blueprint(overrides: tuple[str, ...]) -> Blueprint:
    """Return the scenario with changed keys, resolved."""
    return build(load_scenario("pice", overrides=[*QUICK, *overrides]))


def run(task: Task) -> dict[str, Any]:
    """Simulate one replication and return its numbers; one row of the result file."""
    parts = blueprint(task.overrides)
    requests = parts.requests(task.replication)
    luck = Luck(RandomStreams(parts.scenario.seed, task.replication), len(requests))
    world = World(parts.model, requests, luck)
    records: list[RequestRecord] = []
    world.run(prepared(task.policy, parts.view, world), records.append)
    row = {"setting": task.setting, "policy": task.name, "replication": task.replication}
    return {**row, **numbers(records, world, parts.model.quality.cloud if parts.model.quality else 1.0)}


def numbers(records: Sequence[RequestRecord], world: World, best: float) -> dict[str, float]:
    """Return throughput between the 20th and 80th percentile of completions, latency, quality, and the edge's work.

    ``score`` is what PICE's objective says of the outcome: latency over that of a lone request at the server, plus
    four times the assumed loss of quality.
    """
    done = [r for r in records if r.status == "finished"]
    ends_s = np.sort([r.delivered_s[-1] for r in done])
    low, high = int(0.2 * ends_s.size), int(0.8 * ends_s.size)
    e2e_s = np.array([r.delivered_s[-1] - r.arrival_s for r in done])
    tok = np.array([r.output_tok for r in done])
    quality = np.array([r.quality_assumed for r in done])
    sketched = np.array([r.n_parts > 0 and r.sketch_tok > 0 for r in done])
    edge = world.edge_figures() or {}
    score = e2e_s / (tok * LONE_TOKEN_S) + 4.0 * (1.0 - quality / best)
    return {
        "throughput_rps": (high - low) / (ends_s[high] - ends_s[low]),
        "e2e_mean_s": float(e2e_s.mean()),
        "e2e_p99_s": float(np.percentile(e2e_s, 99)),
        "ttft_mean_s": float(np.mean([r.delivered_s[0] - r.arrival_s for r in done])),
        "e2e_sketched_mean_s": float(e2e_s[sketched].mean()) if sketched.any() else float("nan"),
        "quality_assumed": float(quality.mean()),
        "score": float(score.mean()),
        "sketched_share": float(sketched.mean()),
        "rho_mean": float(np.mean([r.sketch_tok / r.output_tok for r in done if r.n_parts])) if sketched.any() else 0.0,
        "edge_idle_slot_share": edge.get("edge_idle_slot_share", float("nan")),
        "edge_busy_share": edge.get("edge_busy_share", float("nan")),
    }


def sweep(pool: ProcessPoolExecutor, name: str, tasks: Iterable[Task]) -> list[dict[str, Any]]:
    """Run all tasks and write their rows."""
    rows = list(pool.map(run, tasks, chunksize=4))
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / f"{name}.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    say(f"wrote {path}")
    return rows


def say(text: str) -> None:
    """Print to the terminal."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def grouped(rows: Sequence[dict[str, Any]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Return the rows of each setting and policy."""
    by: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        by.setdefault((row["setting"], row["policy"]), []).append(row)
    return by


def table(rows: Sequence[dict[str, Any]], metrics: Sequence[str], spec: str = ".3f") -> None:
    """Print mean and interval of every setting and policy."""
    say("| setting | policy | " + " | ".join(metrics) + " |")
    say("|" + " --- |" * (len(metrics) + 2))
    for (setting, policy), group in grouped(rows).items():
        cells = [t_interval([row[m] for row in group]).text(spec) for m in metrics]
        say(f"| {setting} | {policy} | " + " | ".join(cells) + " |")


def paired(rows: Sequence[dict[str, Any]], metric: str, a: tuple[str, str], b: tuple[str, str]) -> list[float]:
    """Return metric of ``a`` over that of ``b``, replication by replication."""
    by = grouped(rows)
    return [x[metric] / y[metric] for x, y in zip(by[a], by[b], strict=True)]


# --- the experiments ------------------------------------------------------------------------------------------


def operating_map(pool: ProcessPoolExecutor, n: int) -> None:
    """Throughput gain of a flooded server, and latency under a calm load, over phi, rho and the edge's speed."""
    tasks = []
    for rate, speed in itertools.product((FLOOD_RPS, CALM_RPS), SPEEDS):
        prefill_s = PREFILL_S_PER_TOK * SPEEDS[1] / speed
        box = (f"edge.decode_tok_per_s={speed}", f"edge.prefill_s_per_tok={prefill_s}")
        keys = (f"{RATE}={rate}", "workload.n_requests=400", *box)
        for phi in PHIS:
            here = (*keys, f"answers={{kind: share, suitable_share: {phi}}}")
            where = f"{rate:g} {speed:g} {phi:g}"
            tasks += [Task(where, f"{rho:g}", FixedRho(rho=rho), here, k) for rho in RHOS for k in range(n)]
            if phi == PHIS[0]:
                tasks += [Task(f"{rate:g} {speed:g}", "cloud", ServerOnly(), here, k) for k in range(n)]
    rows = sweep(pool, "map", tasks)
    by = grouped(rows)
    gain: dict[tuple[float, float, float], float] = {}
    latency: dict[tuple[float, float, float], float] = {}
    say("| edge tok/s | phi | rho | bound | throughput gain | latency % | sketched ones % | idle slots |")
    say("|" + " --- |" * 8)
    for speed, phi, rho in itertools.product(SPEEDS, PHIS, RHOS):
        flood, calm = f"{FLOOD_RPS:g} {speed:g}", f"{CALM_RPS:g} {speed:g}"
        found = t_interval(paired(rows, "throughput_rps", (f"{flood} {phi:g}", f"{rho:g}"), (flood, "cloud")))
        change = [100 * (x - 1) for x in paired(rows, "e2e_mean_s", (f"{calm} {phi:g}", f"{rho:g}"), (calm, "cloud"))]
        later = t_interval(change)
        only = np.mean(
            [
                100 * (x["e2e_sketched_mean_s"] / y["e2e_mean_s"] - 1)
                for x, y in zip(by[f"{calm} {phi:g}", f"{rho:g}"], by[calm, "cloud"], strict=True)
            ]
        )
        idle = np.mean([row["edge_idle_slot_share"] for row in by[f"{flood} {phi:g}", f"{rho:g}"]])
        gain[speed, phi, rho], latency[speed, phi, rho] = found.mean, later.mean
        bound = 1.0 / (1.0 - phi * (1.0 - rho))
        say(
            f"| {speed:g} | {phi:g} | {rho:g} | {bound:.2f} | {found.text('.2f')} | {later.text('.0f')} | {only:.0f} | "
            f"{idle:.2f} |"
        )
    draw_map(gain, latency)


def draw_map(gain: dict[tuple[float, float, float], float], latency: dict[tuple[float, float, float], float]) -> None:
    """Draw both maps; dashed lines are the bound of the cloud tokens saved."""
    from discosim.report.style import PAGE_IN, Picture, house_style, save

    phi_line, rho_line = np.linspace(min(PHIS), 1.0, 100), np.linspace(min(RHOS), max(RHOS), 100)
    bound = 1.0 / (1.0 - phi_line[None, :] * (1.0 - rho_line[:, None]))
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 4.6), layout="constrained")
        grid = figure.subplots(2, len(SPEEDS), sharex=True, sharey=True)
        for row, (values, levels, name, colours) in enumerate(
            (
                (gain, (0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0), "throughput gain (flood)", "YlGnBu"),
                (latency, (-70, -57, -43, -30, -15, 0, 50), "mean latency [%] (1.2 req/s)", "YlOrBr_r"),
            )
        ):
            for axes, speed in zip(grid[row], SPEEDS, strict=True):
                z = np.array([[values[speed, phi, rho] for phi in PHIS] for rho in RHOS])
                filled = axes.contourf(PHIS, RHOS, z, levels=levels, cmap=colours, extend="both")
                marks = (1.5, 2.0) if row == 0 else (-43.0,)
                lines = axes.contour(PHIS, RHOS, z, levels=marks, colors="black", linewidths=1.3, linestyles="solid")
                axes.clabel(lines, fmt="%g", fontsize=6)
                if row == 0:
                    axes.contour(
                        phi_line, rho_line, bound, levels=marks, colors="#D55E00", linewidths=1.0, linestyles="--"
                    )
                    axes.set_title(f"eight boxes of {speed:.0f} tok/s")
                else:
                    axes.set_xlabel("share of sketched requests $\\phi$")
            grid[row][0].set_ylabel("sketch over answer $\\rho$")
            figure.colorbar(filled, ax=grid[row], label=name, shrink=0.9)
        figure.suptitle(
            "Solid: measured 1.5, 2 (top) and -43 % (bottom); dashed: 1/(1 - $\\phi$(1 - $\\rho$))", fontsize=8
        )
        say(f"drew {', '.join(map(str, save(figure, OUT / 'map')))}")


LOADS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)


def loads(pool: ProcessPoolExecutor, n: int) -> None:
    """Adaptive against fixed sketch length, from an idle to an overloaded server."""
    policies: dict[str, Policy] = {"cloud": ServerOnly(), "adaptive": Pice()}
    policies |= {f"{rho:g}": FixedRho(rho=rho, min_tok=100.0) for rho in RHOS}
    tasks = [
        Task(f"{rate:g}", name, policy, (f"{RATE}={rate}", "workload.n_requests=500"), k)
        for rate, (name, policy), k in itertools.product(LOADS, policies.items(), range(n))
    ]
    rows = sweep(pool, "load", tasks)
    table(rows, ("e2e_mean_s", "quality_assumed", "score", "sketched_share", "rho_mean"))
    by = grouped(rows)
    say("| rate | best fixed rho | adaptive - best, score | beaten in score | faster and better than adaptive |")
    say("|" + " --- |" * 5)
    for rate in LOADS:
        mine = by[f"{rate:g}", "adaptive"]
        mean = {rho: np.mean([row["score"] for row in by[f"{rate:g}", f"{rho:g}"]]) for rho in RHOS}
        best = min(mean, key=lambda rho: mean[rho])
        theirs = by[f"{rate:g}", f"{best:g}"]
        gap = t_interval([x["score"] - y["score"] for x, y in zip(mine, theirs, strict=True)])
        score = np.mean([row["score"] for row in mine])
        n_beaten = sum(score < value for value in mean.values())
        dominating = [rho for rho in RHOS if dominates(by[f"{rate:g}", f"{rho:g}"], mine)]
        say(f"| {rate:g} | {best:g} | {gap.text('.3f')} | {n_beaten} of {len(RHOS)} | {dominating or 'none'} |")
    say("| fixed rho | score over all loads, adaptive minus fixed |")
    say("| --- | --- |")
    for rho in RHOS:
        gaps = [
            float(np.mean([by[f"{r:g}", "adaptive"][k]["score"] - by[f"{r:g}", f"{rho:g}"][k]["score"] for r in LOADS]))
            for k in range(n)
        ]
        say(f"| {rho:g} | {t_interval(gaps).text('.3f')} |")
    draw_loads(by)


def dominates(a: Sequence[dict[str, Any]], b: Sequence[dict[str, Any]]) -> bool:
    """Tell whether ``a`` is better than ``b`` in mean latency and in assumed quality."""
    faster = np.mean([x["e2e_mean_s"] - y["e2e_mean_s"] for x, y in zip(a, b, strict=True)]) < 0
    better = np.mean([x["quality_assumed"] - y["quality_assumed"] for x, y in zip(a, b, strict=True)]) > 0
    return bool(faster and better)


def draw_loads(by: dict[tuple[str, str], list[dict[str, Any]]]) -> None:
    """Draw latency, assumed quality and score against load."""
    from discosim.report.style import PAGE_IN, Picture, house_style, look, save

    names = ["cloud", *(f"{rho:g}" for rho in RHOS), "adaptive"]
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 2.6), layout="constrained")
        for axes, (metric, label) in zip(
            figure.subplots(1, 3),
            (
                ("e2e_mean_s", "mean latency [s]"),
                ("quality_assumed", "assumed quality"),
                ("score", "score (less is better)"),
            ),
            strict=True,
        ):
            for i, name in enumerate(names):
                values = [np.mean([row[metric] for row in by[f"{rate:g}", name]]) for rate in LOADS]
                style = {"color": "black", "linewidth": 2.2} if name == "adaptive" else look(i + 1)
                axes.plot(LOADS, values, label=name if name.isalpha() else f"$\\rho$ = {name}", **style)
            axes.set_xlabel("requests/s")
            axes.set_ylabel(label)
            if metric != "quality_assumed":
                axes.set_yscale("log")
                ticks = (10, 20, 30, 50) if metric == "e2e_mean_s" else (1, 1.5, 2, 3, 4)
                axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
                axes.minorticks_off()
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
        say(f"drew {', '.join(map(str, save(figure, OUT / 'load')))}")


def ablations(pool: ProcessPoolExecutor, n: int) -> None:
    """Length grouping and ensemble switched off, where the edge is tight."""
    tasks = []
    for sigma, boxes in itertools.product((0.0, 0.5, 1.0), (4, 8)):
        keys = (f"{RATE}=1.8", f"edge.n_boxes={boxes}", f"answers.part_sigma={sigma}")
        for is_on in (True, False):
            policy = FixedRho(rho=0.3, length_grouping=is_on)
            name = "grouped" if is_on else "as they come"
            tasks += [Task(f"sigma {sigma:g}, {boxes} boxes", name, policy, keys, k) for k in range(n)]
    rows = sweep(pool, "grouping", tasks)
    table(rows, ("e2e_sketched_mean_s", "e2e_p99_s", "ttft_mean_s", "edge_idle_slot_share"))
    for setting in dict.fromkeys(row["setting"] for row in rows):
        ratio = paired(rows, "e2e_sketched_mean_s", (setting, "as they come"), (setting, "grouped"))
        change = t_interval([100 * (x - 1) for x in ratio])
        say(f"without grouping, {setting}: latency of sketched answers {change.text('.1f')} %")
    tasks = []
    for width, pick in ((1, "random"), (2, "random"), (2, "perplexity"), (2, "similarity"), (2, "both"), (3, "both")):
        policy = FixedRho(rho=0.3, width=width, pick=pick)
        tasks += [Task("1.8 req/s", f"k = {width}, {pick}", policy, (f"{RATE}=1.8",), k) for k in range(n)]
    table(sweep(pool, "ensemble", tasks), ("quality_assumed", "e2e_sketched_mean_s", "ttft_mean_s", "edge_busy_share"))


EXPERIMENTS = {"map": operating_map, "load": loads, "ablations": ablations}


def main() -> None:
    """Run the experiments named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", nargs="+", choices=EXPERIMENTS)
    parser.add_argument("--replications", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    with ProcessPoolExecutor(options.jobs) as pool:
        for name in options.experiments:
            EXPERIMENTS[name](pool, options.replications)


if __name__ == "__main__":
    main()
