"""Handing calls to an executor, as many at once as it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from discosim.sweep.executors import Engine, open_engine


@dataclass
class Workers:
    """Worker processes that stay between one list of calls and the next: to start one takes longer than most calls.

    Parameters
    ----------
    executor : str
        See :func:`discosim.sweep.executors.open_engine`.
    """

    executor: str
    _engine: Engine | None = field(default=None, init=False, repr=False)

    def each(self, function: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
        """Call a function with each set of arguments; give number and result as they come back.

        Parameters
        ----------
        function : callable
            Of a module, with arguments and a result that are plain data.
        calls : sequence of tuple
            Arguments of each call.

        Raises
        ------
        Exception
            The first that a call raised; what has not begun is dropped, what runs is ended.
        """
        if self._engine is None:
            self._engine = open_engine(self.executor)
        engine = self._engine
        running: dict[Future[Any], int] = {}
        queue = list(enumerate(calls))
        try:
            while queue or running:
                while queue and len(running) < engine.n_at_once:
                    i, arguments = queue.pop(0)
                    running[engine.executor.submit(function, *arguments)] = i
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield running.pop(future), future.result()
        except BaseException:
            self._engine = None
            engine.executor.shutdown(wait=False, cancel_futures=True)
            raise

    def close(self) -> None:
        """Let the processes go."""
        if self._engine is not None:
            self._engine.executor.shutdown(wait=True)
            self._engine = None


def each(executor: str, function: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
    """Do what :meth:`Workers.each` does with worker processes of one's own."""
    with closing(Workers(executor)) as workers:
        yield from workers.each(function, calls)
