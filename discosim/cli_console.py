"""The one place where commands print: whatever a name or a file holds, it steers no terminal and ends no command."""

from __future__ import annotations

import sys
from contextlib import suppress

from discosim.core.printable import for_stream


def say(text: str, *, end: str = "\n") -> None:
    """Print a result on stdout."""
    if sys.stdout is not None:
        sys.stdout.write(for_stream(text + end, sys.stdout))


def tell(line: str) -> None:
    """Print a line about what is going on, or went wrong, on stderr."""
    if sys.stderr is not None:
        with suppress(OSError):  # nobody reads it any more
            sys.stderr.write(for_stream(f"{line}\n", sys.stderr))
            sys.stderr.flush()


def say_json(content: object) -> None:
    """Print one JSON document on stdout: strict, and ASCII, so that every encoding of an output takes it."""
    from discosim.core.json_text import strict_json

    say(strict_json(content))
