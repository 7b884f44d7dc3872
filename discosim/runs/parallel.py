"""Worlds of one run in several processes of this machine: the same bytes, sooner."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

from discosim.config import as_plain, load_scenario
from discosim.core.errors import UserError
from discosim.core.rng import RandomStreams
from discosim.core.scenario import Scenario
from discosim.core.spawning import worker_start
from discosim.policies.base import Policy
from discosim.runs.build import Blueprint, build
from discosim.runs.entrants import entrants_of
from discosim.runs.given_policies import specs_of
from discosim.runs.input_versions import InputVersions
from discosim.runs.outcomes import Compute, own_errors
from discosim.runs.replicate import Entrant, Outcome, replicate
from discosim.world.luck import Luck


class Elsewhere:
    """Gives outcomes that processes compute, in the order in which they are asked for.

    Parameters
    ----------
    futures : mapping
        (name of a policy, replication) -> what is computed.
    """

    is_apart = True

    def __init__(self, futures: dict[tuple[str, int], Future[Outcome]]) -> None:
        self._futures = futures

    def of(self, entrant: Entrant, replication: int, compute: Compute) -> Outcome:
        """Wait for an outcome; it is forgotten then."""
        del compute
        try:
            return self._futures.pop((entrant.name, replication)).result()
        except BrokenProcessPool as error:
            raise UserError(f"a worker process died ({error}); is memory full?", where="n_jobs") from None


def check_jobs(n_jobs: object) -> int:
    """Return the number of processes that is meant; -1 is one for each processor.

    Raises
    ------
    UserError
        If it is none.
    """
    if n_jobs == -1:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, int) or n_jobs < 1:
        raise UserError(f"must be a whole number >= 1, or -1 for all processors (got {n_jobs!r})", where="n_jobs")
    return n_jobs


@contextmanager
def elsewhere(
    scenario: Scenario, extra: Mapping[str, Policy], keeps: Sequence[range], n_jobs: int
) -> Iterator[Elsewhere]:
    """Start processes, hand all worlds of a run to them, and end them.

    Parameters
    ----------
    scenario : Scenario
        What is run.
    extra : mapping of str to Policy
        Policies that run beside those of the scenario; they travel as text.
    keeps : sequence of range
        Request ids whose token rows are kept, by replication.
    n_jobs : int
        Processes.
    """
    with tempfile.TemporaryDirectory(prefix="discosim-") as folder:
        whole = replace(scenario, policies=(*scenario.policies, *specs_of(extra, Path(folder))))
        names = [spec.name for spec in whole.policies]
        n = min(n_jobs, len(names) * scenario.replications)
        others = set(active_children())
        pool = ProcessPoolExecutor(n, mp_context=get_context("spawn"), initializer=_leave_interrupts)
        try:
            with worker_start():
                futures = {
                    (name, k): pool.submit(_run, as_plain(whole), name, k, keep)
                    for k, keep in enumerate(keeps)
                    for name in names
                }
            yield Elsewhere(futures)
        except BaseException:  # nobody waits for the other worlds any more
            for process in set(active_children()) - others:
                process.kill()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _leave_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _run(plain: dict[str, Any], name: str, replication: int, keep: range) -> Outcome:
    """Run one world in a worker."""
    entrants, blueprint, versions = _setup(_Plain(plain))
    world = versions.of(replication) if versions else blueprint
    requests = blueprint.requests(replication)
    luck = Luck(RandomStreams(blueprint.scenario.seed, replication), len(requests))
    entrant = entrants[name]
    return own_errors(entrant, partial(replicate, entrant, world, requests, luck, keep))


class _Plain(dict[str, Any]):
    """Plain data that a cache may remember; a worker only ever sees one scenario."""

    def __hash__(self) -> int:  # type: ignore[override]  # dict says None; nothing changes it here
        return hash(str(self))


@cache
def _setup(plain: _Plain) -> tuple[Mapping[str, Entrant], Blueprint, InputVersions | None]:
    scenario = load_scenario(plain)
    entrants = {entrant.name: entrant for entrant in entrants_of(scenario, ())}
    blueprint = build(scenario)
    return entrants, blueprint, InputVersions(blueprint) if scenario.inputs.resample else None
