"""How runs are handed to workers on this machine: one by one, and they write their folders themselves."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, cast

from discosim.config import as_plain
from discosim.core.errors import UserError
from discosim.core.owners import owner
from discosim.core.same import Same
from discosim.runs.identity import code_facts
from discosim.sweep.executors import Engine
from discosim.sweep.plan import Plan, Run
from discosim.sweep.store import FAILURES, KEPT, Store
from discosim.sweep.taken_over import kept_names
from discosim.sweep.terms import Terms
from discosim.sweep.worker import Outcome, Task, perform

Came = Iterator[tuple[Run, Outcome | None]]
"""Runs, and what became of each; None where nothing was tried."""


class Courier(Protocol):
    """Whoever takes runs to workers and brings back what became of them."""

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave nothing behind."""
        ...

    def notes(self) -> list[str]:
        """Return what a person should know about how the results came."""
        ...

    def batch(self, waiting: deque[Run]) -> tuple[Run, ...]:
        """Take the next runs that go together."""
        ...

    def send(self, runs: Sequence[Run]) -> Future[Any]:
        """Hand runs to a worker."""
        ...

    def receive(self, future: Future[Any], runs: Sequence[Run]) -> Came:
        """Return what became of them."""
        ...


@dataclass(frozen=True)
class Direct:
    """Workers that see the folder of the sweep, because they are on this machine.

    Parameters
    ----------
    plan, store, engine, terms
        As `carry_out` takes them.
    """

    plan: Plan
    store: Store
    engine: Engine
    terms: Terms
    _keep: list[tuple[str, ...]] = field(default_factory=list)

    def __enter__(self) -> Self:
        """Find out which policies several runs have in common."""
        self._keep.extend(kept_names(self.plan))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave nothing behind: workers tidy up after themselves."""

    def notes(self) -> list[str]:
        """Return nothing: it is as it always was."""
        return []

    def batch(self, waiting: deque[Run]) -> tuple[Run, ...]:
        """Take the next run."""
        return (waiting.popleft(),)

    def send(self, runs: Sequence[Run]) -> Future[Any]:
        """Hand a run to a worker."""
        return self.engine.executor.submit(perform, self._task(runs[0]))

    def _task(self, run: Run) -> Task:
        return {**task_of(self.plan, run, self.store, self.terms, self.engine, self._keep), "tells": True}

    def receive(self, future: Future[Any], runs: Sequence[Run]) -> Came:
        """Return what became of it, also where its worker is no more."""
        error = error_of(future)
        yield runs[0], future.result() if error is None else died(error, runs[0], self.store, self.terms)


def task_of(
    plan: Plan, run: Run, store: Store, terms: Terms, engine: Engine, keep: Sequence[Sequence[str]] = ()
) -> Task:
    """Return a run as plain data."""
    folder = store.folder.resolve()
    there = replace(store, folder=folder)
    return Task(
        run_id=run.id,
        target=str(there.path(run)),
        scenario={**_plain(Same(plan.points[run.point].scenario)), "seed": run.seed},
        code=code_facts(),
        command=command_of(terms, engine),
        limit_s=terms.limit_s,
        watch=str(watch_of(there, run)),
        inputs_sha256=dict(plan.points[run.point].inputs_sha256),
        kept=str(folder / KEPT),
        keep=list(keep[run.point]) if keep else [],
    )


@lru_cache(maxsize=64)
def _plain(scenario: Same) -> dict[str, Any]:
    """Return a point as plain data, made once for all its seeds; nobody changes it."""
    return cast("dict[str, Any]", as_plain(scenario.held))


def command_of(terms: Terms, engine: Engine) -> str:
    """Return what run.json says of how the run came about."""
    return f"{terms.command} [executor: {engine.code}]" if engine.code else terms.command


def watch_of(store: Store, run: Run) -> Path:
    """Return where a run that hangs says so."""
    return store.folder / FAILURES / f".{run.folder}.{owner()}.watch"


def error_of(future: Future[Any]) -> BaseException | None:
    """Return why nothing came back from a worker, or None.

    Raises
    ------
    UserError
        If the executor has dropped it, because it is gone itself.
    """
    try:
        return future.exception()
    except CancelledError as error:
        raise UserError("is gone; what is finished stays, give the same command again", where="--executor") from error


def died(error: BaseException, run: Run, store: Store, terms: Terms) -> Outcome:
    """Return what became of a run whose worker is no more."""
    watch = watch_of(store, run)
    trace = watch.read_text(encoding="utf-8", errors="replace") if watch.is_file() else ""
    watch.unlink(missing_ok=True)
    if re.match(r"Timeout \(", trace):
        what = f"ran past its limit of {terms.limit_s:g} s"
    else:
        what = f"its worker died ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
    return Outcome(status="failed", error=what, traceback=trace, is_final=False, wall_s=0.0)
