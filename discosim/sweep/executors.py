"""Where runs are computed: one seam, ``concurrent.futures.Executor``, and what stands behind it."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from multiprocessing import active_children, get_context
from typing import Any

from discosim.core.errors import UserError, close_match
from discosim.core.interrupts import uninterrupted
from discosim.core.plugins import PluginError, code_of, in_words, load, package_of, points
from discosim.core.spawning import worker_start
from discosim.sweep.engine import Engine
from discosim.sweep.worker import prepare_worker

ENTRY_POINT_GROUP = "discosim.executors"
MODULES = {"ray": "ray", "dask": "distributed"}
"""What an engine on more machines needs to be installed."""
BUILT_IN = ("serial", "local", *MODULES)


def open_engine(text: str) -> Engine:
    """Return the engine that a text names.

    Parameters
    ----------
    text : str
        ``serial``; ``local`` or ``local:N`` (processes of this machine); ``ray``, ``ray:N`` (a cluster of this
        machine, or that of RAY_ADDRESS) or ``ray://host:port``; ``dask``, ``dask:N`` or ``dask://host:port``; or the
        name of an entry point of the group ``discosim.executors``, whose object is called with what stands behind
        the colon and returns an Executor or an Engine.

    Raises
    ------
    UserError
        For an unknown name, a bad number, an engine that is not installed, or a plug-in that does not work.
    """
    check_name(text)
    name, _, rest = text.partition(":")
    if name in MODULES:
        from discosim.sweep.clusters import open_dask, open_ray

        n = 0 if rest.startswith("//") else _count(rest, name, n_cpus())
        return (open_ray if name == "ray" else open_dask)(rest, n)
    if name in BUILT_IN:
        return _serial(rest) if name == "serial" else _local(rest)
    return _from_plugin(name, rest)


def check_name(text: str) -> None:
    """Refuse a text that names no engine, before a sweep makes its folder; nothing is started.

    Raises
    ------
    UserError
        For an unknown name, a bad number, an engine that is not installed, or a plug-in that cannot be loaded.
    """
    name, _, rest = text.partition(":")
    # who asks for one of ours does not wait until the metadata of every installed package is read
    if name not in BUILT_IN and name not in (known := {*BUILT_IN, *_plugins()}):
        raise UserError(f"unknown executor '{name}'; {close_match(name, known)}", where="--executor")
    if name == "serial" and rest:
        raise UserError(f"serial takes no number (got 'serial:{rest}')", where="--executor")
    if name == "local" or (name in MODULES and not rest.startswith("//")):
        _count(rest, name, 1)
    if name in MODULES and not find_spec(MODULES[name]):
        raise UserError(f"is not installed; pip install 'discosim[{name}]'", where=f"--executor {name}")
    if name not in BUILT_IN:
        _loaded(name)


def _plugins() -> dict[str, list[EntryPoint]]:
    """Return the entry points of other packages by name; the names of this package are its own."""
    found: dict[str, list[EntryPoint]] = {}
    for point in points(ENTRY_POINT_GROUP, entry_points):
        if point.name not in BUILT_IN:
            found.setdefault(point.name, []).append(point)
    return found


def _loaded(name: str) -> tuple[Callable[[str], object], str]:
    """Return what an entry point names, and the package it comes from."""
    held = _plugins()[name]
    where = f"--executor {name}"
    if len({str(getattr(point, "value", "")) for point in held}) > 1:
        named = " and ".join(package_of(point) for point in held)
        raise UserError(f"two packages have an executor of this name: {named}", where=where)
    package = package_of(held[0])
    try:
        made: Callable[[str], object] = load(held[0])
    except PluginError as error:
        raise UserError(f"the plug-in '{name}' of {package} cannot be used: {error}", where=where) from error
    if not callable(made):
        raise UserError(f"the plug-in '{name}' of {package} is nothing to be called", where=where)
    return made, package


def _from_plugin(name: str, rest: str) -> Engine:
    make, package = _loaded(name)
    where = f"--executor {name}"
    try:
        made = make(rest)
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise UserError(f"the plug-in '{name}' of {package} does not start: {in_words(error)}", where=where) from error
    if isinstance(made, Executor):
        made = Engine(made, n_at_once=2 * n_cpus(), has_own_process=False)
    if not isinstance(made, Engine):
        raise UserError(f"the plug-in '{name}' of {package} gives no Executor ({type(made).__name__})", where=where)
    return replace(made, code=made.code or f"{package}, sha256 {code_of(make).sha256[:10] or 'unknown'}")


def n_cpus() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _count(rest: str, name: str, default: int) -> int:
    if not rest:
        return default
    if not rest.isdigit() or int(rest) < 1:
        raise UserError(f"expected {name}:N with N >= 1 (got '{name}:{rest}')", where="--executor")
    return int(rest)


# --- this machine ---------------------------------------------------------------------------------------------


class SerialExecutor(Executor):
    """Runs everything at once, here."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call the function now."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - a Future carries any error to whoever asks for its result
            future.set_exception(error)
        return future


class LocalExecutor(Executor):
    """A fixed number of processes, each with a pool of its own.

    A pool breaks as a whole when one of its processes dies, and cannot tell whose run it was; with one process per
    pool a death costs one run, and the next one finds a fresh process.

    Parameters
    ----------
    n : int
        Number of processes, started afresh (``spawn``).
    """

    def __init__(self, n: int) -> None:
        self._context = get_context("spawn")
        self._free: list[_Slot] = []
        self._busy: dict[Future[Any], _Slot] = {}
        try:
            with uninterrupted():
                self._free += [_Slot(self._context) for _ in range(n)]
        except BaseException:  # nobody else knows of those that are started
            self.shutdown(wait=False)
            raise

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Hand a call to a free process; the caller never has more calls out than there are processes."""
        for future in [future for future in self._busy if future.done()]:
            slot = self._busy.pop(future)
            self._free.append(_Slot(self._context) if slot.is_broken(future) else slot)
        slot = self._free.pop(0)
        try:
            future = slot.pool.submit(fn, *args, **kwargs)
        except RuntimeError:  # the process died while it was idle
            slot = _Slot(self._context)
            future = slot.pool.submit(fn, *args, **kwargs)
        self._busy[future] = slot
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End all processes; without ``wait`` at once, whatever they are doing."""
        for slot in (*self._free, *self._busy.values()):
            if not wait:
                slot.kill()
            slot.pool.shutdown(wait=True, cancel_futures=cancel_futures)


class _Slot:
    """One process."""

    def __init__(self, context: Any) -> None:
        others = set(active_children())
        self.pool = ProcessPoolExecutor(1, mp_context=context, initializer=prepare_worker)
        with worker_start():
            self.pool.submit(os.getpid)  # starts the process, so that it imports while others already work
        self._processes = set(active_children()) - others

    def is_broken(self, future: Future[Any]) -> bool:
        """Tell whether the process died over this call."""
        return not future.cancelled() and isinstance(future.exception(), BrokenProcessPool)

    def kill(self) -> None:
        """End the process at once."""
        for process in self._processes:
            process.kill()
            process.join()


def _serial(_rest: str) -> Engine:
    return Engine(SerialExecutor(), n_at_once=1, has_own_process=False, is_remote=False)


def _local(rest: str) -> Engine:
    n = _count(rest, "local", n_cpus())
    return Engine(LocalExecutor(n), n_at_once=n, is_remote=False)


__all__ = ["Engine", "LocalExecutor", "SerialExecutor", "check_name", "n_cpus", "open_engine"]
