"""The map as tables: every policy in every cell, the winners to look up, the boundaries, and the ladder of loads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from .answers import answers, effects, p99_once
from .axes import LOADS, World, as_row, cells
from .boundaries import BOUNDARIES
from .closed_form import Laws
from .engine_tables import engine_loads, engine_saturation
from .runs import play
from .settings import LOADED, RUNS

if TYPE_CHECKING:
    from discosim.reproduce.tables import Context

SEEDS = {"quick": 4, "paper": 20}
N_LOADED = {"quick": 400, "paper": 1000}
SLOTS = 8
N_REPLICATIONS = 3
__all__ = ["boundaries", "engine_loads", "engine_saturation", "loads", "lookup", "policies"]


def _played(context: Context) -> list[dict[str, Any]]:
    tasks = [
        {"cell": i, "part": part, "world": as_row(world)} for i, (part, world) in enumerate(cells(context.profile))
    ]
    return context.map("cell", tasks)


def cell(task: dict[str, Any]) -> dict[str, Any]:
    """Return all that the tables say of one cell."""
    world = World(**task["world"])
    played = play(world, RUNS, [f"seed={task['cell'] + 1}"])
    return {**task, "answers": answers(played, task["cell"]), "effects": effects(played, task["cell"])}


def policies(context: Context) -> pd.DataFrame:
    """Return what every policy reaches in every cell, and how much worse than the best it is there."""
    rows = [
        {"cell": found["cell"], "part": found["part"], "n": N_REPLICATIONS, **row}
        for found in _played(context)
        for row in found["answers"]
    ]
    return pd.DataFrame(rows)


def lookup(context: Context) -> pd.DataFrame:
    """Return the map: a row per cell and question, with the best policy, who ties, and the simplest of these."""
    rows = []
    for found in _played(context):
        for question in dict.fromkeys(row["question"] for row in found["answers"]):
            own = [row for row in found["answers"] if row["question"] == question]
            best = next(row for row in own if row["is_best"])
            tied = [row["policy"] for row in own if row["is_tied"]]
            others = [row for row in own if not row["is_tied"]]
            following = min(others, key=lambda row: row["worse"], default=None)
            alone = min(
                (r for r in own if r["policy"] in ("server_only", "device_only")),
                key=lambda r: r["worse"],
                default=None,
            )
            rows.append(
                {
                    "cell": found["cell"],
                    "part": found["part"],
                    **found["world"],
                    "question": question,
                    "policy": tied[0],
                    "seed": 0,
                    "best": best["policy"],
                    "setting": best["setting"],
                    "value": best["value"],
                    "spend_usd": best["spend_usd"],
                    "tied": "; ".join(tied),
                    "next": "" if following is None else following["policy"],
                    "next_worse": None if following is None else following["worse"],
                    "next_low": None if following is None else following["low"],
                    "next_high": None if following is None else following["high"],
                    "alone": "" if alone is None else alone["policy"],
                    "alone_worse": None if alone is None else alone["worse"],
                }
            )
    return pd.DataFrame(rows)


def boundaries(context: Context) -> pd.DataFrame:
    """Return what each closed form says of each cell, and what the cell shows."""
    rows = []
    for found in _played(context):
        world = World(**found["world"])
        laws = Laws(world)
        for name, boundary in BOUNDARIES.items():
            shown = found["effects"][name]
            rows.append(
                {
                    "cell": found["cell"],
                    "part": found["part"],
                    "boundary": name,
                    "policy": boundary.policy,
                    "seed": 0,
                    "at": boundary.at(laws),
                    "is_beyond": boundary.at(laws) > 0.0,
                    "threshold": boundary.threshold,
                    "is_above": boundary.is_above,
                    "n": N_REPLICATIONS,
                    **shown,
                }
            )
    return pd.DataFrame(rows)


def loads(context: Context) -> pd.DataFrame:
    """Return every setting on a service that works on eight requests at once, against its load; a row per replication.

    Lots are no mixture here, as requests feel who serves the others; so each setting stands as it is.
    """
    tasks = [
        {"load": load, "seed": seed, "n_requests": N_LOADED[context.profile]}
        for load in LOADS
        for seed in range(SEEDS[context.profile])
    ]
    return pd.DataFrame([row for rows in context.map("loaded", tasks) for row in rows])


def loaded(task: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one replication at one load."""
    world = World(load=task["load"])
    more = [
        f"seed={task['seed'] + 1}",
        "replications=1",
        f"workload.n_requests={task['n_requests']}",
        f"server.capacity={{concurrent: {SLOTS}}}",
        f"workload.arrivals.rate_per_s={task['load'] * Laws(world).service_per_s(SLOTS)!r}",
    ]
    played = play(world, LOADED, more)
    return [
        {
            "load": task["load"],
            "policy": name,
            "seed": task["seed"],
            "ttft_p99_s": p99_once(played, name),
            "qoe_mean": float(own.qoe.mean()),
            "spend_mean_usd": float(own.spend_usd.mean()),
        }
        for name, own in played.by.items()
    ]
