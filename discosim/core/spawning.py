"""Starting worker processes from a script or a notebook that was not written for it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def without_main() -> Iterator[None]:
    """Let processes that are started meanwhile leave the user's script alone.

    A fresh process imports the script that started it, to find what it defines there, and so runs it again unless the
    user guards it with `if __name__ == '__main__':`. Our workers get plain data and files, and need nothing of it.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
