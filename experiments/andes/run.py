"""Reproduce what Andes (arXiv 2404.16283) reports: `python experiments/andes/run.py rates`.

Each experiment runs an ordinary scenario file with changed keys, writes `results/andes/<experiment>.csv` (one row per
replication) and prints a table with 95 % intervals over the replications. All schedulers meet the same luck.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from discosim import load_scenario
from discosim.core.request import RequestRecord, RequestTable
from discosim.core.rng import RandomStreams
from discosim.core.timeline import Ragged
from discosim.core.timelines import Timelines
from discosim.metrics.capacity import capacity
from discosim.metrics.qoe import qoe_andes
from discosim.metrics.reading import read
from discosim.metrics.stats import change_of_means, t_interval
from discosim.policies.server_only import ServerOnly
from discosim.runs.build import build
from discosim.runs.engine_kernel import engine_only
from discosim.world.luck import Luck
from discosim.world.world import World

HERE = Path(__file__).parent
RATE = "workload.arrivals.rate_per_s"

SCHEDULERS: dict[str, tuple[str, ...]] = {
    "FCFS": ("kind=fcfs",),
    "chunked": ("kind=fcfs_chunked",),
    "round robin": ("kind=round_robin",),
    "LQSF": ("kind=lqsf",),
    "Andes v1": ("kind=andes_v1",),
    "Andes v2": ("kind=andes_v2",),
    "Andes code": ("kind=andes_code",),
    "v1, every boundary": ("kind=andes_v1", "solve_every=1"),
    "v1, P = 0.2": ("kind=andes_v1", "max_preemptions=0.2"),
    "v1, P = 0": ("kind=andes_v1", "max_preemptions=0"),
    "v1, no cap": ("kind=andes_v1", "max_preemptions=null"),
    "v1, horizon 10 s": ("kind=andes_v1", "ahead_s=10"),
    "v2, no refiner": ("kind=andes_v2", "refiner=false"),
    "code, no overhead rule": ("kind=andes_code", "is_overhead_aware=false"),
}


@dataclass(frozen=True)
class Task:
    """One replication of one setting."""

    file: str
    setting: str
    scheduler: str
    overrides: tuple[str, ...]
    replication: int


def run(task: Task) -> dict[str, Any]:
    """Simulate one replication and return its numbers; one row of the result file."""
    options = [f"server.scheduler.{option}" for option in SCHEDULERS[task.scheduler]]
    scenario = load_scenario(HERE / task.file, overrides=[*options, *task.overrides])
    blueprint = build(scenario)
    requests = blueprint.requests(task.replication)
    world = World(blueprint.model, requests, Luck(RandomStreams(scenario.seed, task.replication), len(requests)))
    return {
        "setting": task.setting,
        "scheduler": task.scheduler,
        "replication": task.replication,
        **numbers(served(requests, world), float(requests.arrival_s[-1])),
    }


def served(requests: RequestTable, world: World) -> Timelines:
    """Return what happened to all requests, in the order in which they ended."""
    alone = engine_only(ServerOnly(), requests, world)
    if alone is not None:  # no process for each request; the same bits
        return Timelines.joined(list(alone.timelines()))
    records: list[RequestRecord] = []
    world.run(ServerOnly(), records.append)
    return Timelines.of(records)


def numbers(ended: Timelines, last_arrival_s: float) -> dict[str, float]:
    """Return what the papers' tables hold; a request that failed has a QoE of 0.

    ``throughput_tok_per_s`` counts tokens until the last arrival, so that the time it takes to empty the queue at the
    end, which depends on the length of the run, plays no part.
    """
    n_served = int(np.count_nonzero(ended["status"] != "rejected"))
    done = ended.take(np.flatnonzero(ended["status"] == "finished"))
    arrival, at_client_s = done["arrival_s"], done.delivered_s
    n_tok = at_client_s.sizes()
    delivered = Ragged(at_client_s.values - np.repeat(arrival, n_tok), at_client_s.offsets)
    reading = read(delivered, 1.0 / done["reader_tok_per_s"], done["ttft_target_s"])
    qoe = np.concatenate([qoe_andes(reading), np.zeros(n_served - len(done))])
    last_s = delivered.values[delivered.offsets[1:] - 1]
    some = n_tok > 1
    tds = (n_tok[some] - 1) / (last_s - reading.first_s)[some]
    in_time = delivered.values + np.repeat(arrival, n_tok) <= last_arrival_s
    row = {
        "qoe_mean": float(qoe.mean()),
        "qoe_ge_0_95_share": float((qoe >= 0.95).mean()),
        "qoe_ge_0_99_share": float((qoe >= 0.99).mean()),
        "ttft_mean_s": float(reading.first_s.mean()),
        "norm_latency_mean_s": float((last_s / n_tok).mean()),
        "throughput_tok_per_s": float(in_time.sum()) / last_arrival_s,
        "n_preemptions_mean": int(done["n_preemptions"].sum()) / max(1, len(done)),
        "n_failed": float(n_served - len(done)),
    }
    for name, values in (("qoe", qoe), ("ttft", reading.first_s), ("tds", tds)):
        unit = {"qoe": "", "ttft": "_s", "tds": "_tok_per_s"}[name]
        row |= {f"{name}_p{p}{unit}": float(np.percentile(values, p)) for p in (10, 50, 90)}
    return row


def sweep(pool: ProcessPoolExecutor, name: str, tasks: Iterable[Task]) -> list[dict[str, Any]]:
    """Run all tasks and write their rows."""
    rows = list(pool.map(run, tasks))
    write(name, rows)
    return rows


def write(name: str, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows to `results/andes/<name>.csv`."""
    path = Path("results") / "andes" / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    say(f"wrote {path}")


def say(text: str) -> None:
    """Print to the terminal."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def table(rows: Sequence[dict[str, Any]], metrics: Sequence[str], spec: str = ".3f") -> None:
    """Print mean and interval of every setting and scheduler, and the ratio of the first metric to FCFS's."""
    by: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        by.setdefault((row["setting"], row["scheduler"]), []).append(row)
    say("| setting | scheduler | " + " | ".join(metrics) + f" | {metrics[0]} over FCFS |")
    say("|" + " --- |" * (len(metrics) + 3))
    for (setting, scheduler), group in by.items():
        cells = [t_interval([row[m] for row in group]).text(spec) for m in metrics]
        base = by.get((setting, "FCFS"))
        ratio = "-"
        if base is not None and scheduler != "FCFS":
            change = change_of_means([r[metrics[0]] for r in group], [r[metrics[0]] for r in base])
            ratio = f"{1 + change.mean / 100:.3f} ± {change.half_width / 100:.3f}"
        say(f"| {setting} | {scheduler} | " + " | ".join(cells) + f" | {ratio} |")


def tolerated(rows: Sequence[dict[str, Any]], target: float) -> None:
    """Print the burst intensity at which the average QoE falls to a target, on a line between the two runs around it.

    A replication that stays above or below the target at all intensities has none; then no interval is given.
    """
    intensity = {row["setting"]: float(row["setting"].split()[2].strip(",")) for row in rows}
    names = list(dict.fromkeys(row["scheduler"] for row in rows))
    samples: dict[str, list[float]] = {name: [] for name in names}
    for name, k in itertools.product(names, sorted({row["replication"] for row in rows})):
        mine = [
            r for r in rows if (r["scheduler"], r["replication"]) == (name, k) and r["setting"].endswith("w = 0.35")
        ]
        curve = sorted((intensity[r["setting"]], r["qoe_mean"]) for r in mine)
        h, qoe = np.array(curve).T
        is_crossed = qoe.min() < target < qoe.max()
        samples[name].append(float(np.interp(-target, -qoe, h)) if is_crossed else float("nan"))
    for name, values in samples.items():
        found = f"{t_interval(values).text('.2f')}" if np.isfinite(values).all() else "outside of what was run"
        say(f"burst intensity at a QoE of {target:g}: {name} {found}")


def tasks(
    file: str, settings: dict[str, tuple[str, ...]], schedulers: Sequence[str], n_replications: int
) -> list[Task]:
    """Return one task per setting, scheduler and replication."""
    return [
        Task(file, setting, scheduler, overrides, k)
        for (setting, overrides), scheduler, k in itertools.product(settings.items(), schedulers, range(n_replications))
    ]


# --- the experiments ------------------------------------------------------------------------------------------


def rates(pool: ProcessPoolExecutor, n: int) -> None:
    """Average QoE (a) and throughput (e) against the request rate."""
    settings = {f"{r:g} req/s": (f"{RATE}={r}",) for r in (5.0, 5.5, 6.0, 6.5, 7.0, 8.0, 10.0, 14.0)}
    names = ("FCFS", "round robin", "LQSF", "Andes v1", "Andes v2", "Andes code")
    rows = sweep(pool, "rates", tasks("opt66b.yaml", settings, names, n))
    table(rows, ("qoe_mean", "qoe_ge_0_95_share", "n_preemptions_mean"))
    table(rows, ("throughput_tok_per_s",), ".0f")


def capacity_of(task: Task) -> dict[str, Any]:
    """Return the capacity of one scheduler in one replication, in requests/s."""

    def quality(rate: float) -> float:
        row = run(Task(task.file, "", task.scheduler, (*task.overrides, f"{RATE}={rate}"), task.replication))
        return float(row["qoe_mean"])

    low, high, target = (float(x) for x in task.setting.split())
    return {
        "setting": f"QoE {target:g}",
        "scheduler": task.scheduler,
        "replication": task.replication,
        "capacity_rps": capacity(quality, target, low, high, tolerance=0.05),
    }


def capacities(pool: ProcessPoolExecutor, n: int) -> None:
    """Highest request rate that keeps an average QoE of 0.9 (b)."""
    names = ("FCFS", "round robin", "LQSF", "Andes v1", "Andes v2", "Andes code")
    rows = list(pool.map(capacity_of, tasks("opt66b.yaml", {"3 16 0.9": ()}, names, n)))
    write("capacity", rows)
    table(rows, ("capacity_rps",), ".2f")


def bursts(pool: ProcessPoolExecutor, n: int) -> None:
    """Bursts of rising intensity and width (c)."""
    arrivals = "workload.arrivals"
    settings = {f"h = {h}, w = 0.35": (f"{arrivals}.intensity={h}",) for h in (1.2, 1.6, 2.0, 2.4, 2.8)}
    settings |= {f"h = 2, w = {w}": (f"{arrivals}.width={w}",) for w in (0.25, 0.3, 0.4, 0.45)}
    names = ("FCFS", "chunked", "LQSF", "Andes v2", "v2, no refiner", "Andes code")
    rows = sweep(pool, "bursts", tasks("bursts.yaml", settings, names, n))
    table(rows, ("qoe_mean", "qoe_ge_0_95_share", "ttft_mean_s", "n_preemptions_mean"))
    for target in (0.95, 0.8):
        tolerated(rows, target)


def bursts_moe(pool: ProcessPoolExecutor, n: int) -> None:
    """Run bursts where readers get the 11 tokens/s of the paper, at the authors' mean rate and at saturation (c)."""
    arrivals = "workload.arrivals"
    settings = {
        f"h = {h}, {rate:g} req/s": (
            f"{arrivals}.intensity={h}",
            f"{arrivals}.rate_per_s={rate}",
            f"workload.n_requests={round(1200 * rate)}",
        )
        for rate in (2.3, 2.6)
        for h in (1.2, 1.6, 2.0, 2.4, 2.8)
    }
    rows = sweep(pool, "bursts_moe", tasks("bursts_moe.yaml", settings, ("FCFS", "LQSF", "Andes v2", "Andes code"), n))
    table(rows, ("qoe_mean", "qoe_ge_0_95_share", "ttft_mean_s", "tds_p50_tok_per_s", "n_preemptions_mean"))


def bursts_swap(pool: ProcessPoolExecutor, n: int) -> None:
    """Bursts where a preempted cache goes to host memory instead: the paper takes whichever is faster (c)."""
    arrivals = "workload.arrivals"
    # eight links of 12 GB/s, and the host memory of the authors' notes (13 107 blocks)
    swap = "server.preemption={kind: swap, host_kv_tok: 200000, gbyte_per_s: 96}"
    settings = {f"h = {h}, w = 0.35": (f"{arrivals}.intensity={h}", swap) for h in (1.6, 2.0, 2.4, 2.8)}
    names = ("FCFS", "Andes v2", "v2, no refiner", "Andes code")
    rows = sweep(pool, "bursts_swap", tasks("bursts.yaml", settings, names, n))
    table(rows, ("qoe_mean", "qoe_ge_0_95_share", "ttft_mean_s", "tds_p50_tok_per_s", "n_preemptions_mean"))


def bursts_slack(pool: ProcessPoolExecutor, n: int) -> None:
    """Run the bursts where decoding is twice as fast as reading and prefill is cheap: the first paper's world (c)."""
    settings = {
        f"h = {h}, w = 0.35": (
            f"workload.arrivals={{kind: burst, rate_per_s: 5.5, intensity: {h}, width: 0.35, cycle_s: 400}}",
            "workload.n_requests=2200",
        )
        for h in (1.2, 1.6, 2.0, 2.4, 2.8)
    }
    names = ("FCFS", "Andes v2", "v2, no refiner", "Andes code")
    rows = sweep(pool, "bursts_slack", tasks("opt66b.yaml", settings, names, n))
    table(rows, ("qoe_mean", "qoe_ge_0_95_share", "ttft_mean_s", "tds_p50_tok_per_s", "n_preemptions_mean"))
    for target in (0.95, 0.8):
        tolerated(rows, target)


def thrash(pool: ProcessPoolExecutor, n: int) -> None:
    """Long prompts, with and without control of preemptions (d)."""
    settings = {f"{r:g} req/s": (f"{RATE}={r}",) for r in (0.1, 0.15, 0.2)}
    names = ("FCFS", "Andes v1", "v1, no cap", "Andes v2", "v2, no refiner", "Andes code")
    todo = tasks("long_prompts.yaml", settings, names, n)
    # the code without its rule comes nearly to a stop: its run grows with the square of the number of requests
    short = {"0.15 req/s, 120 requests": (f"{RATE}=0.15", "workload.n_requests=120")}
    todo += tasks("long_prompts.yaml", short, ("FCFS", "Andes code", "code, no overhead rule"), n)
    rows = sweep(pool, "thrash", todo)
    table(rows, ("qoe_mean", "n_preemptions_mean"))
    # per metric, so that the last column compares TTFTs pair by pair
    for metric in ("ttft_p50_s", "ttft_mean_s", "throughput_tok_per_s"):
        table(rows, (metric,), ".1f")


def overload(pool: ProcessPoolExecutor, n: int) -> None:
    """Percentiles of QoE, TTFT and TDS at the overload point (f)."""
    names = ("FCFS", "round robin", "LQSF", "Andes v1", "Andes v2", "Andes code")
    # so many requests that the median TTFT of first come, first served is about the 57 s of the paper's table
    settings = {"8 req/s, 4000 requests": (f"{RATE}=8", "workload.n_requests=4000")}
    rows = sweep(pool, "overload", tasks("opt66b.yaml", settings, names, n))
    for stem, unit in (("qoe", ""), ("ttft", "_s"), ("tds", "_tok_per_s")):
        table(rows, [f"{stem}_p{p}{unit}" for p in (10, 50, 90)], ".2f")


def knee(pool: ProcessPoolExecutor, n: int) -> None:
    """Why the paper's packing loses at the knee: calls, cap, and the price of a swap."""
    free = "server.preemption.gbyte_per_s=4800"
    settings = {
        "6 req/s": (f"{RATE}=6",),
        "6 req/s, swaps for free": (f"{RATE}=6", free),
        "8 req/s": (f"{RATE}=8",),
        "8 req/s, swaps for free": (f"{RATE}=8", free),
    }
    names = ("FCFS", "Andes v1", "v1, every boundary", "v1, P = 0.2", "v1, P = 0", "v1, no cap", "Andes v2")
    rows = sweep(pool, "knee", tasks("opt66b.yaml", settings, names, n))
    table(rows, ("qoe_mean", "n_preemptions_mean"))


def lengths(pool: ProcessPoolExecutor, n: int) -> None:
    """Average QoE against the length of the overload: the ratio to FCFS has no value of its own."""
    settings = {f"{k} requests at 8 req/s": (f"{RATE}=8", f"workload.n_requests={k}") for k in (1000, 2000, 4000, 9600)}
    rows = sweep(pool, "lengths", tasks("opt66b.yaml", settings, ("FCFS", "Andes v1", "Andes code"), n))
    table(rows, ("qoe_mean", "ttft_p50_s", "ttft_p90_s"))


EXPERIMENTS = {
    f.__name__: f
    for f in (rates, capacities, bursts, bursts_moe, bursts_swap, bursts_slack, thrash, overload, lengths, knee)
}


def main() -> None:
    """Run one experiment."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment", choices=[*EXPERIMENTS, "all"])
    parser.add_argument("--replications", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    args = parser.parse_args()
    with ProcessPoolExecutor(args.jobs) as pool:
        for name, experiment in EXPERIMENTS.items():
            if args.experiment in {name, "all"}:
                say(f"\n## {name}: {experiment.__doc__}")
                experiment(pool, args.replications)


if __name__ == "__main__":
    main()
