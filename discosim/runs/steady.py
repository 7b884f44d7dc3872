"""Overload is said: whether what arrived was served, by the latencies of a run and not by its configuration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float64]

N_BATCHES = 20
LEAST_BATCH = 5
LEAST_BATCHES = 8
"""With fewer requests than eight batches of five nothing is said."""

CRITICAL = 2.33
"""Standard deviations: one in a hundred of a standard normal law is above."""

LEFT_OVER = 0.05
"""Share of the arrivals of the second half that has to pile up; less is not called overload."""

MATERIAL = 0.1
"""Growth of the latency over a run, as a share of its mean, that is more than rounding."""

SMOOTHING = math.sqrt(1.5)
"""Steps between batch means of a random walk have two thirds of the variance of the walk's own steps."""


@dataclass(frozen=True)
class Backlog:
    """How the requests of one replication fared while others still arrived.

    Parameters
    ----------
    steps_s : array of float, shape (k,)
        Change of the mean latency from one batch of requests to the next, in the order of arrival.
    mean_s : float
        Mean latency.
    n_arrived, n_served : int
        Requests that arrived, and that were finished, in the second half (by arrivals).
    span_s : float
        Length of that half.
    """

    steps_s: Floats
    mean_s: float
    n_arrived: int
    n_served: int
    span_s: float

    @classmethod
    def of(cls, columns: Columns) -> Backlog | None:
        """Measure a replication; None where it is too short to tell."""
        is_done = columns["status"] == "finished"
        arrival_s, latency_s = columns["arrival_s"][is_done], columns["e2e_s"][is_done]
        n_batches = min(N_BATCHES, arrival_s.size // LEAST_BATCH)
        if n_batches < LEAST_BATCHES:
            return None
        size = arrival_s.size // n_batches
        means_s = latency_s[: size * n_batches].reshape(n_batches, size).mean(axis=1)
        middle_s, end_s = float(arrival_s[(arrival_s.size - 1) // 2]), float(arrival_s[-1])
        done_s = arrival_s + latency_s
        return cls(
            np.diff(means_s),
            float(latency_s.mean()),
            int((arrival_s > middle_s).sum()),
            int(((done_s > middle_s) & (done_s <= end_s)).sum()),
            end_s - middle_s,
        )


def overload_note(policy: str, replications: Sequence[Columns]) -> str | None:
    """Return what to say of a policy under which requests pile up; None where they do not, or nobody can tell.

    Parameters
    ----------
    policy : str
        Its name.
    replications : sequence of mapping
        Columns of each replication.

    Notes
    -----
    Below capacity the latency is a random walk that is pulled back; above, one with a drift, and so it grows with the
    number of requests. Steps between the means of 20 batches, pooled over the replications, are taken to be those of a
    walk without drift *and without pull*, which is the hardest case below capacity: overload is said if their mean is
    more than 2.33 standard errors above 0 (one-sided, 1 %), and if in the second half more than 5 % of what arrived
    was left over. Latencies are looked at rather than the number in the system, which also grows while a service
    without a queue fills up.

    False alarms, in simulation (runs of 1,000 requests that begin empty; 6,000 replications): M/M/1 at load 0.8 none,
    at load 0.95 0.2 % with one replication or two and none with five or more; at load 1, where a run of this length
    has no steady state either, 3 to 7 %. Overload at load 1.3 is said in 99.9 % of single replications, in all with two
    or more; at 1.1 in 47 % of single ones, 94 % with five.

    Source: our choice.
    """
    found = [backlog for backlog in map(Backlog.of, replications) if backlog is not None]
    if not found:
        return None
    steps_s = np.concatenate([backlog.steps_s for backlog in found])
    growth_s = float(np.mean([backlog.steps_s.sum() for backlog in found]))
    error_s = SMOOTHING * float(steps_s.std(ddof=1)) / math.sqrt(steps_s.size)
    n_arrived = sum(backlog.n_arrived for backlog in found)
    n_served = sum(backlog.n_served for backlog in found)
    span_s = sum(backlog.span_s for backlog in found)
    is_growing = float(steps_s.mean()) > CRITICAL * error_s
    is_material = growth_s > MATERIAL * float(np.mean([backlog.mean_s for backlog in found]))
    if not (is_growing and is_material and n_arrived - n_served > LEFT_OVER * n_arrived):
        return None
    return (
        f"{policy}: served {n_served / span_s:.3g} of {n_arrived / span_s:.3g} requests/s while they arrived: no "
        "steady state, means grow with n"
    )
