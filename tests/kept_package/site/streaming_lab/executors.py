"""An executor: where runs of a sweep are computed.

Kept as it is: part of a package of somebody else, written against the documentation of version 0.1. Never edit it.

Whoever wrote such a package does not follow our moves. If it no longer runs, what moved has to be made good, or be said
to break other packages; the test beside it also compares the bytes of these files.
"""

from concurrent.futures import Executor, ThreadPoolExecutor


def threads(text: str) -> Executor:
    """Return as many threads as the text behind the colon says."""
    return ThreadPoolExecutor(int(text or 1))
