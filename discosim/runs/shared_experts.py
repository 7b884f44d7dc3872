"""Iteration times of one rank of several that share their experts, and whether the replicas are that many ranks.

Such times reckon with the tokens of all ranks already: as many touch a rank's experts, and as many cross the exchange
between the ranks. In lock-step the engine counts them itself, so both together count them twice.
"""

from __future__ import annotations

import re

from discosim.core.scenario import EngineServer, Iterations, PhysicsIterations
from discosim.traces.engine_digest import EngineDigest

_RANKS = re.compile(r"-ep(\d+)$")


def rank_notes(spec: EngineServer, digest: EngineDigest | None) -> tuple[str, ...]:
    """Return what a reader of results must know where iterations of several ranks meet replicas that do not fit them.

    Parameters
    ----------
    spec : EngineServer
        The server.
    digest : EngineDigest or None
        What its iteration times are from; its name tells the ranks, as in ``...-ep2``.
    """
    n_ranks = _ranks(spec.iterations, digest)
    if n_ranks < 2:
        return ()
    held = f"iterations of {n_ranks} ranks that share their experts (ep {n_ranks})"
    if spec.lockstep:
        right = f"set lockstep: false with n_replicas: {n_ranks}, or take iterations without ep"
        seen = "and a real run's time per token came out 21 % too long"
        return (f"{held} beside server.lockstep: true count the tokens of all ranks twice, {seen}; {right}",)
    if spec.n_replicas != n_ranks:
        return (f"{held} beside server.n_replicas: {spec.n_replicas}; they are those of {n_ranks} replicas",)
    return ()


def _ranks(iterations: Iterations, digest: EngineDigest | None) -> int:
    if isinstance(iterations, PhysicsIterations):
        return iterations.ep
    found = None if digest is None else _RANKS.search(digest.name)
    return int(found.group(1)) if found else 1
