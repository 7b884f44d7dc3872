"""Which schedulers exist: one module each in this package, plus the entry points of other packages."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from discosim.core.errors import UserError
from discosim.core.own_code import is_own, own_class
from discosim.core.plugins import Plugins, classes_of, construct, points
from discosim.core.scenario import SchedulerSpec
from discosim.world.engine.schedulers.base import Scheduler

ENTRY_POINT_GROUP = "discosim.schedulers"


def _is_scheduler(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, Scheduler) and bool(value.kind)


@cache
def known_schedulers() -> dict[str, type[Scheduler]]:
    """Return every scheduler class by its ``kind``, sorted by name; plug-ins that cannot be used are left out."""
    others = {kind: plugin.value for kind, plugin in scheduler_plugins().found.items()}
    return dict(sorted({**_own_schedulers(), **others}.items()))


@cache
def scheduler_plugins() -> Plugins:
    """Return what other packages add, and what they would add if it worked."""
    return classes_of(points(ENTRY_POINT_GROUP, entry_points), Scheduler, _own_schedulers())


@cache
def _own_schedulers() -> dict[str, type[Scheduler]]:
    package = import_module("discosim.world.engine.schedulers")
    found: dict[str, type[Scheduler]] = {}
    for info in pkgutil.iter_modules(package.__path__):
        module = import_module(f"discosim.world.engine.schedulers.{info.name}")
        for _, value in inspect.getmembers(module, _is_scheduler):
            found[value.kind] = value
    return found


def scheduler_class(kind: str) -> type[Scheduler]:
    """Return the scheduler class of this kind, or say which kinds exist, or why its plug-in cannot be used."""
    if is_own(kind):
        return own_class(kind, Scheduler)
    known = known_schedulers()
    if kind not in known:
        raise UserError(f"unknown scheduler '{kind}'; {scheduler_plugins().why_missing(kind, known)}")
    return known[kind]


def maker_of(spec: SchedulerSpec) -> Callable[[], Scheduler]:
    """Return what makes a fresh scheduler for one replica.

    Raises
    ------
    UserError
        If the kind is unknown, or the scheduler refuses the combination of its options, or fails over it.
    """
    try:
        scheduler, options = scheduler_class(spec.kind), dict(spec.options)
    except UserError as error:
        raise UserError(error.message, where="server.scheduler") from None

    def make() -> Scheduler:
        return construct(scheduler, options, "server.scheduler")

    make()
    return make
