"""Schedulers of the engine in words."""

from __future__ import annotations

import inspect
import textwrap

from discosim.config.dump import one_line
from discosim.config.leaf import expectation
from discosim.config.shape import keys_of
from discosim.core.own_code import without_folder
from discosim.world.engine.schedulers.registry import known_schedulers, scheduler_class, scheduler_plugins

WIDTH = 100


def explain_scheduler(kind: str) -> str:
    """Return the header of one scheduler and its options as plain text.

    Raises
    ------
    UserError
        For an unknown kind, with the nearest known one, or why its plug-in cannot be used.
    """
    scheduler = scheduler_class(kind)
    parts = [
        f"{without_folder(kind)}: {inspect.getdoc(scheduler)}",
        textwrap.fill(f"Source: {scheduler.source}", WIDTH),
    ]
    lines = []
    for key in keys_of(scheduler).values():
        default = one_line(key.default)
        words = f"{key.description} Must be {expectation(key.type, key.limits)}."
        lines.append(f"  {key.name} (default {default})")
        lines.append(textwrap.fill(words, WIDTH, initial_indent="    ", subsequent_indent="    "))
    return "\n\n".join([*parts, "\n".join(["Options:", *lines]) if lines else "Options: none."])


def list_schedulers() -> str:
    """Return one line for each known scheduler, and for each plug-in that cannot be used."""
    known = known_schedulers()
    width = max(len(kind) for kind in known)
    titles = {kind: (held.__doc__ or "").strip().partition("\n")[0] for kind, held in known.items()}
    listed = "\n".join(f"{kind:<{width}}  {title}" for kind, title in titles.items())
    return listed + scheduler_plugins().listing()
