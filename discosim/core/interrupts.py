"""Ctrl-C and its like: heard everywhere, but never in the middle of a step that must be whole.

A signal becomes a ``KeyboardInterrupt`` between any two instructions of the main thread: also after a folder is made
and before anybody remembers it, or in the middle of removing it. `uninterrupted` holds it back for such a step; it
comes when the step is over. Only the main thread hears signals, so elsewhere nothing has to be held back.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

ENDS = ("SIGINT", "SIGTERM", "SIGHUP")
"""Ctrl-C, the end of a batch job, the end of a terminal; Windows lacks the last one."""
_AGAIN_S = 0.01


class Listener:
    """Hears the signals that end a command; what comes while it is closed waits until it is opened.

    Attributes
    ----------
    was_asked : bool
        Whether any has come.
    """

    def __init__(self, then: Callable[[int, FrameType | None], Any] = signal.default_int_handler) -> None:
        self.was_asked = False
        self._then = then
        self._is_open = False
        self._number = int(signal.SIGINT)
        self._is_waiting = False
        self._hook = sys.unraisablehook

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Raise, or do what ``then`` does; or remember it."""
        self.was_asked, self._number = True, number
        if self._is_open:
            self._then(number, frame)
        else:
            self._is_waiting = True

    @property
    def is_open(self) -> bool:
        """Whether an interrupt comes at once."""
        return self._is_open

    def open(self) -> None:
        """Let interrupts come; one that waits comes now."""
        self._is_open = True
        if self._is_waiting:
            self._is_open = self._is_waiting = False
            self._then(self._number, None)
            self._is_open = True  # whoever else listens had something else in mind

    def close(self) -> None:
        """Let them wait."""
        self._is_open = False

    def swallowed(self, lost: sys.UnraisableHookArgs) -> None:
        """Ask again where an interrupt was lost in a place that cannot raise, such as a callback of a C library."""
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            self._hook(lost)
            return
        again = threading.Timer(_AGAIN_S, self._ask_again)
        again.daemon = True
        again.start()

    def _ask_again(self) -> None:
        heard_by: object = signal.getsignal(self._number)
        if heard_by is self:
            signal.raise_signal(self._number)


@contextmanager
def listening() -> Iterator[Listener]:
    """Give a closed listener that hears the signals which end a command; whoever asked opens it where it can catch.

    In a thread other than the main one, which hears no signals, nothing is changed; nor are signals that whoever
    started this process wants ignored, as ``nohup`` and background commands of a script do.
    """
    listener = Listener()
    if threading.current_thread() is not threading.main_thread():
        yield listener
        return
    before: dict[int, Any] = {}
    hook = sys.unraisablehook
    try:
        sys.unraisablehook = listener.swallowed
        for name in ENDS:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.getsignal(number)
                signal.signal(number, listener)
        yield listener
    finally:
        listener.close()  # what comes now comes too late, and must not stop the others from being put back
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.unraisablehook = hook


def settle() -> None:
    """Let the exit code of a command stand that an interrupt has ended.

    Python notes an interrupt that leaves a text given to ``exec``, as dataclasses use it while they are imported, and
    at its end dies of the signal although somebody has caught it. The next such text clears the note.
    """
    eval("0")  # noqa: S307 (a constant)


def uninterrupted() -> Step:
    """Return a step that must be whole, for a `with` statement.

    Examples
    --------
    >>> with uninterrupted() as step:
    ...     made = ["a folder"]
    ...     try:
    ...         with step.opened():
    ...             pass  # long work, which Ctrl-C may end
    ...     finally:
    ...         made.clear()
    """
    return Step()


class Step:
    """A step during which an interrupt waits, but for the parts that are `opened`."""

    def __init__(self) -> None:
        self._listener = Listener()
        self._was_open = False
        self._before: Any = None

    def __enter__(self) -> Self:
        """Close the listener; where nobody listens, as in a notebook, listen for this step."""
        if threading.current_thread() is not threading.main_thread():
            return self
        handler = signal.getsignal(signal.SIGINT)
        if isinstance(handler, Listener):
            self._listener, self._was_open = handler, handler.is_open
            handler.close()
        elif callable(handler):
            self._before, self._was_open, self._listener = handler, True, Listener(handler)
            signal.signal(signal.SIGINT, self._listener)
        return self

    def __exit__(self, *_: object) -> None:
        """Let a waiting interrupt come now."""
        self._listener.close()
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
        if self._was_open:
            self._listener.open()

    def opened(self) -> _Opened:
        """Return a part of the step that an interrupt may end, if it might have come before the step."""
        return _Opened(self._listener, may_open=self._was_open)


class _Opened:
    def __init__(self, listener: Listener, *, may_open: bool) -> None:
        self._listener = listener
        self._may_open = may_open

    def __enter__(self) -> None:
        if self._may_open:
            self._listener.open()

    def __exit__(self, *_: object) -> None:
        self._listener.close()
