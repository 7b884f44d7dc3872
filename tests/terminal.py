"""What a terminal gives the commands that it starts."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ctrl_c_is_heard() -> Iterator[None]:
    """Let children that are started here hear Ctrl-C, also where these tests run in the background of a script.

    A shell lets background commands ignore it, and their children inherit that.
    """
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
