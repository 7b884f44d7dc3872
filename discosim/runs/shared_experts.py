"""Iteration times of one rank of several that share their experts, and whether the replicas are that many ranks.

Such times reckon with the tokens of all ranks already: as many touch a rank's experts, and as many cross the exchange
between the ranks. In lock-step the engine counts them itself, so the times are taken apart first
(`discosim.traces.engine_digest.in_step`). Where a digest tells its ranks by its name alone, that cannot be done, and
both together count them twice.
"""

from __future__ import annotations

import re

from discosim.core.scenario import EngineServer
from discosim.traces.engine_digest import EngineDigest

_RANKS = re.compile(r"-ep(\d+)$")


def rank_notes(spec: EngineServer, digest: EngineDigest | None) -> tuple[str, ...]:
    """Return what a reader of results must know where iterations of several ranks meet replicas that do not fit them.

    Parameters
    ----------
    spec : EngineServer
        The server.
    digest : EngineDigest or None
        What its iteration times are from; it tells the ranks, or, if it is an older one, its name does (``...-ep2``).
    """
    n_ranks, is_known = _ranks(digest)
    if n_ranks < 2:
        return ()
    held = f"iterations of {n_ranks} ranks that share their experts (ep {n_ranks})"
    if spec.lockstep and not is_known:
        right = f"make the digest anew (traces fit-profile --ep {n_ranks}), or set lockstep: false"
        seen = "and a real run's time per token came out 21 % too long"
        return (f"{held} beside server.lockstep: true count the tokens of all ranks twice, {seen}; {right}",)
    if spec.n_replicas != n_ranks:
        return (f"{held} beside server.n_replicas: {spec.n_replicas}; they are those of {n_ranks} replicas",)
    return ()


def _ranks(digest: EngineDigest | None) -> tuple[int, bool]:
    """Return of how many ranks the times are, and whether the digest says so itself."""
    if digest is None or (digest.validated or "").startswith("calibrated"):  # what a fit in lock-step found is right
        return 1, False
    if digest.n_expert_ranks is not None:
        return digest.n_expert_ranks, True
    found = _RANKS.search(digest.name)
    return (int(found.group(1)), False) if found else (1, False)
