"""Which schedulers exist: one module each in this package."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable
from functools import cache
from importlib import import_module

from discosim.core.engine_scenario import SchedulerSpec
from discosim.core.errors import UserError, close_match
from discosim.world.engine.schedulers.base import Scheduler


def _is_scheduler(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, Scheduler) and bool(value.kind)


@cache
def known_schedulers() -> dict[str, type[Scheduler]]:
    """Return every scheduler class by its ``kind``, sorted by name."""
    package = import_module("discosim.world.engine.schedulers")
    found: dict[str, type[Scheduler]] = {}
    for info in pkgutil.iter_modules(package.__path__):
        module = import_module(f"discosim.world.engine.schedulers.{info.name}")
        for _, value in inspect.getmembers(module, _is_scheduler):
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
