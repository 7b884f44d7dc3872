"""Made-up results of a sweep of budgets and servers under three policies, whose numbers are known by arithmetic."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd

BUDGETS, SERVERS, POLICIES, SEEDS = (0.2, 0.5, 0.8), ("gpt", "deepseek"), ("race", "server_only", "own"), (1, 2, 3, 4)
LUCK = {1: -0.3, 2: -0.1, 3: 0.1, 4: 0.3}
HALF = 3.182446305284263 * np.std(list(LUCK.values()), ddof=1) / 2.0
"""Half-width of the 95 % interval over four seeds: Student's t with three degrees of freedom, from a table."""


def ttft(budget: float, server: str, policy: str) -> float:
    """Return the mean TTFT of a cell."""
    return 10.0 * (1.0 - budget) + (1.0 if server == "gpt" else 3.0) + 2.0 * POLICIES.index(policy)


def rows() -> pd.DataFrame:
    """Return a row per cell and seed; cost falls where TTFT rises, so that every policy is on the front."""
    found = []
    for budget, server, policy, seed in product(BUDGETS, SERVERS, POLICIES, SEEDS):
        mean = ttft(budget, server, policy)
        found.append(
            {
                "seed": seed,
                "status": "finished",
                "policies.race.budget": budget,
                "policies.own.budget": budget,
                "server.digest": server,
                "policy": policy,
                "n_requests": 100.0,
                "ttft_p99_s": mean + LUCK[seed],
                "unified_cost_mean_usd": 0.001 * (20.0 - mean + LUCK[seed]),
                "qoe_andes_mean": 1.0 - 0.01 * mean,
            }
        )
    return pd.DataFrame(found)


def one_setting() -> pd.DataFrame:
    """Return the rows of one budget and server."""
    held = rows()
    held = held[(held["server.digest"] == "gpt") & (held["policies.race.budget"] == 0.5)]
    return held.drop(columns=["server.digest", "policies.race.budget", "policies.own.budget"])


def requests() -> pd.DataFrame:
    """Return requests of two policies in two replications: TTFTs 1 to 10 s, of `b` twice that and one failed."""
    found = []
    for policy, replication, i in product("ab", (0, 1), range(1, 11)):
        is_failed = policy == "b" and i == 10
        found.append(
            {
                "policy": policy,
                "replication": replication,
                "request_id": i,
                "status": "failed" if is_failed else "finished",
                "ttft_s": np.nan if is_failed else float(i) * (1 if policy == "a" else 2),
            }
        )
    return pd.DataFrame(found)
