"""Carrying a plan out: hand runs to an executor, try again what may be tried again, keep every error."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from time import monotonic
from typing import Any, Protocol

from discosim.core.errors import UserError
from discosim.sweep.couriers import Courier, Direct
from discosim.sweep.engine import Engine
from discosim.sweep.parcels import Parcels
from discosim.sweep.plan import Plan, Run
from discosim.sweep.store import Store
from discosim.sweep.terms import Terms
from discosim.sweep.worker import Outcome

LOOK_S = 5.0
"""How often somebody looks whether there are workers, where nothing comes back."""
GONE_S = 120.0
"""How long a cluster may be without any, as while others are started in their place. Source: our choice."""


class Watcher(Protocol):
    """Whoever wants to know how it goes."""

    def done(self, run: Run, outcome: Outcome) -> None:
        """Hear of a run that finished, or failed for good."""
        ...


def carry_out(
    plan: Plan, runs: Sequence[Run], store: Store, engine: Engine, terms: Terms, watchers: Iterable[Watcher] = ()
) -> list[str]:
    """Simulate runs until each is finished or has failed for good; failures are kept, and the others go on.

    Returns
    -------
    list of str
        What a person should know about where the results came from.

    Raises
    ------
    UserError
        If the folder cannot be written any more, a worker is of another version, or no worker is left; what is finished
        stays.
    KeyboardInterrupt
        As it came; what is finished stays.
    """
    if terms.limit_s is not None and not engine.has_own_process:
        raise UserError("needs runs in processes of their own; use --executor local:1", where="--timeout-s")
    courier: Courier = Parcels(plan, store, engine, terms) if engine.is_remote else Direct(plan, store, engine, terms)
    waiting = deque(runs)
    tries = dict.fromkeys(runs, 0)
    flying: dict[Future[Any], tuple[Run, ...]] = {}
    watchers = tuple(watchers)
    with courier:
        while waiting or flying:
            while waiting and len(flying) < engine.n_at_once:
                batch = courier.batch(waiting)
                flying[courier.send(batch)] = batch
            for future in _come_back(flying, engine):
                for run, outcome in courier.receive(future, flying.pop(future)):
                    if outcome is None:  # nothing was tried
                        waiting.appendleft(run)
                        continue
                    tries[run] += 1
                    if _is_settled(run, outcome, store, tries[run], terms.retries):
                        for watcher in watchers:
                            watcher.done(run, outcome)
                    else:
                        waiting.append(run)
    return courier.notes()


def _come_back(flying: Iterable[Future[Any]], engine: Engine) -> Iterable[Future[Any]]:
    """Wait until any task comes back; where no worker is left to bring one, not for ever."""
    if engine.n_workers is None:
        return wait(flying, return_when=FIRST_COMPLETED).done
    seen_s = monotonic()
    while not (done := wait(flying, timeout=LOOK_S, return_when=FIRST_COMPLETED).done):
        if engine.n_workers() > 0:
            seen_s = monotonic()
        elif monotonic() - seen_s > GONE_S:
            raise UserError(
                f"all workers are gone, and none has come for {GONE_S:g} s; what is finished stays: start workers, and "
                "give the same command again",
                where="--executor",
            )
    return done


def _is_settled(run: Run, outcome: Outcome, store: Store, n_tries: int, retries: int) -> bool:
    """Keep what became of a run, and tell whether that is the end of it."""
    if outcome["status"] in {"unwritable", "refused"}:
        raise UserError(outcome["error"], where="" if outcome["status"] == "unwritable" else run.folder)
    if outcome["status"] == "failed" and not outcome["is_final"] and n_tries <= retries:
        return False
    if outcome["status"] == "failed":
        store.write_failure(run, {"error": outcome["error"], "tries": n_tries, "traceback": outcome["traceback"]})
    else:
        store.forget_failure(run)
    return True


__all__ = ["Terms", "Watcher", "carry_out"]
