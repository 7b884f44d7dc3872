"""``python -m discosim``, and the command ``discosim``."""

import atexit
import os
import sys
from contextlib import suppress
from typing import NoReturn

INTERRUPTED = 130


def command() -> NoReturn:
    """Run the command line and end the process with its exit code.

    An interrupted command leaves no work to Python's own end: threads of libraries that are still busy there can bring
    it down, and a shell would show that instead of the interrupt.
    """
    try:
        from discosim.cli import main

        code = main()
    except KeyboardInterrupt:  # before anybody listens
        sys.stderr.write("discosim: interrupted\n")
        code = INTERRUPTED
    if code != INTERRUPTED:
        sys.exit(code)
    atexit._run_exitfuncs()  # noqa: SLF001 - what Python itself calls at its end, and offers under no other name
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, full, or none
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    command()
