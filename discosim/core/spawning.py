"""Starting worker processes from a script or a notebook that was not written for it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import ModuleType


@contextmanager
def worker_start() -> Iterator[None]:
    """Let processes that are started meanwhile leave the user's script alone, and Ctrl-C to whoever starts them.

    A fresh process imports the script that started it, to find what it defines there, and so runs it again unless the
    user guards it with `if __name__ == '__main__':`. Our workers get plain data and files, and need nothing of it.

    A terminal sends Ctrl-C to the workers too. One that is still being imported has said nothing about it yet, and
    would die with a traceback; so it is born deaf to it: a process inherits which signals are held back. What this
    process is sent meanwhile comes when all are started, so that none is left half-begun.
    """
    if hasattr(signal, "pthread_sigmask"):
        resource_tracker.ensure_running()  # which lets signals in when it has started, so not in between
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if hasattr(signal, "pthread_sigmask") else None
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        if held is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
