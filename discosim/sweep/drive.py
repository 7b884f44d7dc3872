"""Carrying a plan out: hand runs to an executor, try again what may be tried again, keep every error."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from discosim.config import as_plain
from discosim.core.errors import UserError
from discosim.core.owners import owner
from discosim.runs.identity import code_facts
from discosim.sweep.executors import Engine
from discosim.sweep.plan import Plan, Run
from discosim.sweep.store import FAILURES, KEPT, Store
from discosim.sweep.taken_over import kept_names
from discosim.sweep.worker import Outcome, Task, perform


class Watcher(Protocol):
    """Whoever wants to know how it goes."""

    def done(self, run: Run, outcome: Outcome) -> None:
        """Hear of a run that finished, or failed for good."""
        ...


@dataclass(frozen=True)
class Terms:
    """How runs are treated.

    Parameters
    ----------
    retries : int
        How often a run is tried again whose worker died, hung, or met an error that may pass.
    limit_s : float or None
        Time after which a run counts as hung, in s of wall-clock time.
    command : str
        The command line, kept with every run.
    """

    retries: int = 2
    limit_s: float | None = None
    command: str = ""


def carry_out(
    plan: Plan, runs: Sequence[Run], store: Store, engine: Engine, terms: Terms, watchers: Iterable[Watcher] = ()
) -> None:
    """Simulate runs until each is finished or has failed for good; failures are kept, and the others go on.

    Raises
    ------
    UserError
        If the folder cannot be written any more, or a worker is of another version; what is finished stays.
    KeyboardInterrupt
        As it came; what is finished stays.
    """
    if terms.limit_s is not None and not engine.has_own_process:
        raise UserError("needs runs in processes of their own; use --executor local:1", where="--timeout-s")
    waiting = deque(runs)
    tries = dict.fromkeys(runs, 0)
    flying: dict[Future[Outcome], Run] = {}
    watchers = tuple(watchers)
    keep = kept_names(plan)
    while waiting or flying:
        while waiting and len(flying) < engine.n_at_once:
            run = waiting.popleft()
            tries[run] += 1
            flying[engine.executor.submit(perform, _task(plan, run, store, terms, engine, keep))] = run
        for future in wait(flying, return_when=FIRST_COMPLETED).done:
            run = flying.pop(future)
            outcome = _outcome(future, run, store, terms)
            if outcome["status"] in {"unwritable", "refused"}:
                raise UserError(outcome["error"], where="" if outcome["status"] == "unwritable" else run.folder)
            if outcome["status"] == "failed" and not outcome["is_final"] and tries[run] <= terms.retries:
                waiting.append(run)
                continue
            if outcome["status"] == "failed":
                failure = {"error": outcome["error"], "tries": tries[run], "traceback": outcome["traceback"]}
                store.write_failure(run, failure)
            else:
                store.forget_failure(run)
            for watcher in watchers:
                watcher.done(run, outcome)


def _task(plan: Plan, run: Run, store: Store, terms: Terms, engine: Engine, keep: Sequence[Sequence[str]] = ()) -> Task:
    return Task(
        run_id=run.id,
        target=str(store.path(run).resolve()),
        scenario=as_plain(plan.scenario(run)),
        code=code_facts(),
        command=f"{terms.command} [executor: {engine.code}]" if engine.code else terms.command,
        limit_s=terms.limit_s,
        watch=str(_watch(store, run).resolve()),
        inputs_sha256=dict(plan.points[run.point].inputs_sha256),
        kept=str((store.folder / KEPT).resolve()),
        keep=list(keep[run.point]) if keep else [],
    )


def _watch(store: Store, run: Run) -> Path:
    return store.folder / FAILURES / f".{run.folder}.{owner()}.watch"


def _outcome(future: Future[Outcome], run: Run, store: Store, terms: Terms) -> Outcome:
    """Return what became of a run, also where its worker is no more."""
    error = future.exception()
    if error is None:
        return future.result()
    watch = _watch(store, run)
    trace = watch.read_text(encoding="utf-8", errors="replace") if watch.is_file() else ""
    watch.unlink(missing_ok=True)
    if re.match(r"Timeout \(", trace):
        what = f"ran past its limit of {terms.limit_s:g} s"
    else:
        what = f"its worker died ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
    return Outcome(status="failed", error=what, traceback=trace, is_final=False, wall_s=0.0)
