"""Bars that show how far something is: on a terminal, or in a notebook; nowhere else."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from discosim.core.printable import for_stream

PATIENCE_S = 1.0
"""What is done sooner shows no bar in a notebook, where it would stay. Source: our choice."""


def is_notebook() -> bool:
    """Tell whether this is the kernel of a notebook: there output is read, and stderr is no terminal."""
    shell = sys.modules.get("IPython")
    found = None if shell is None else shell.get_ipython()
    return found is not None and type(found).__name__ == "ZMQInteractiveShell"


def is_terminal() -> bool:
    """Tell whether somebody may look at stderr."""
    return sys.stderr is not None and sys.stderr.isatty()


def open_bar(total: int, *, unit: str, is_shown: bool, done: int = 0, what: str = "", leave: bool = True) -> Any:
    """Return a bar of tqdm on stderr; in a notebook one of its widgets, where there are such.

    Parameters
    ----------
    total, done : int
        How many there are, and how many of them are done already.
    unit : str
        What is counted.
    is_shown : bool
        Whether there is anybody to look at it.
    what : str
        What is going on.
    leave : bool
        Whether it stays on a terminal when all is done.
    """
    is_shown = is_shown and os.environ.get("TQDM_DISABLE", "") in {"", "0"}  # tqdm's own switch
    options: dict[str, Any] = {"total": total, "initial": done, "unit": unit, "disable": not is_shown, "leave": leave}
    if is_notebook() and is_shown:
        options |= {"leave": False, "delay": PATIENCE_S}
        if find_spec("ipywidgets") is not None:
            from tqdm.notebook import tqdm as widget

            return widget(desc=what or None, **options)
    from tqdm import tqdm

    said = for_stream(what, sys.stderr) if what else None
    return tqdm(desc=said, file=sys.stderr, dynamic_ncols=True, **options)


@contextmanager
def ticking(tick: Callable[[], object] | None, total: int, what: str) -> Iterator[Callable[[], object] | None]:
    """Give what is called after each of ``total`` worlds: ``tick``, else in a notebook what moves a bar."""
    if tick is not None or not is_notebook():
        yield tick
        return
    with open_bar(total, unit="world", is_shown=True, what=what) as bar:
        yield bar.update
