"""What this machine has, as far as Python tells."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup/memory.max")


def memory_bytes() -> float:
    """Return the memory that this process may use at most, in bytes; infinite where the system does not say."""
    held = math.inf
    with suppress(AttributeError, OSError, ValueError):  # no such question on Windows
        held = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with suppress(OSError, ValueError):  # a container may have less than its machine
        held = min(held, float(CGROUP.read_text(encoding="ascii")))
    return held if held > 0 else math.inf
