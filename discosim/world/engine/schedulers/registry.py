"""Which schedulers exist: one module each in this package, plus the entry points of other packages."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from discosim.core.engine_scenario import SchedulerSpec
from discosim.core.errors import UserError, close_match
from discosim.world.engine.schedulers.base import Scheduler

ENTRY_POINT_GROUP = "discosim.schedulers"


def _is_scheduler(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, Scheduler) and bool(value.kind)


@cache
def known_schedulers() -> dict[str, type[Scheduler]]:
    """Return every scheduler class by its ``kind``, sorted by name.

    Raises
    ------
    UserError
        If two packages claim the same kind, or an entry point is no scheduler.
    """
    package = import_module("discosim.world.engine.schedulers")
    found: dict[str, type[Scheduler]] = {}
    for info in pkgutil.iter_modules(package.__path__):
        module = import_module(f"discosim.world.engine.schedulers.{info.name}")
        for _, value in inspect.getmembers(module, _is_scheduler):
            found[value.kind] = value
    for point in entry_points(group=ENTRY_POINT_GROUP):
        where, value = f"entry point {point.name}", point.load()
        if not _is_scheduler(value):
            raise UserError(f"group {ENTRY_POINT_GROUP}: not a Scheduler class with a kind", where=where)
        if value.kind in found:
            raise UserError(f"two packages define the scheduler '{value.kind}'", where=where)
        found[value.kind] = value
    return dict(sorted(found.items()))


def maker_of(spec: SchedulerSpec) -> Callable[[], Scheduler]:
    """Return what makes a fresh scheduler for one replica.

    Raises
    ------
    UserError
        If the kind is unknown, or the scheduler refuses the combination of its options.
    """
    known = known_schedulers()
    if spec.kind not in known:
        raise UserError(f"unknown scheduler '{spec.kind}'; {close_match(spec.kind, known)}", where="server.scheduler")
    scheduler, options = known[spec.kind], dict(spec.options)

    def make() -> Scheduler:
        return scheduler(**options)

    try:
        make()
    except ValueError as error:
        raise UserError(str(error), where="server.scheduler") from error
    return make
