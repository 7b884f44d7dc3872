"""Handing calls to an executor, as many at once as it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from discosim.sweep.executors import open_engine


def each(executor: str, function: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
    """Call a function with each set of arguments in worker processes; give number and result as they come back.

    Parameters
    ----------
    executor : str
        See :func:`discosim.sweep.executors.open_engine`.
    function : callable
        Of a module, with arguments and a result that are plain data.
    calls : sequence of tuple
        Arguments of each call.

    Raises
    ------
    Exception
        The first that a call raised; what has not begun is dropped, what runs is ended.
    """
    engine = open_engine(executor)
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
        engine.executor.shutdown(wait=False, cancel_futures=True)
        raise
    engine.executor.shutdown(wait=True)
