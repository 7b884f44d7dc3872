"""Finds the compiled library, and refuses one that was compiled from another text."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

from discosim.kernel.build import LIBRARY, SOURCE, source_sha

SWITCH = "DISCOSIM_NO_KERNEL"
"""Set it to 1, and nothing compiled is used."""


def load() -> ctypes.CDLL | None:
    """Return the compiled library; None where there is none to be used, see `why_not`."""
    return None if is_switched_off() else _loaded(LIBRARY)[0]


def why_not() -> str:
    """Return why nothing compiled is used, as half a sentence; '' where it is."""
    return f"{SWITCH} is set" if is_switched_off() else _loaded(LIBRARY)[1]


def is_switched_off() -> bool:
    """Tell whether the environment says that nothing compiled is to be used."""
    return os.environ.get(SWITCH, "") not in {"", "0"}


@cache
def _loaded(library: Path) -> tuple[ctypes.CDLL | None, str]:
    advice = "`python -m discosim.kernel build` compiles it"
    if not library.exists():
        return None, f"the kernel was not compiled ({advice})"
    try:
        held = ctypes.CDLL(str(library))
        held.kernel_source.restype = ctypes.c_char_p
        made_from = held.kernel_source().decode("ascii", "replace")
    except (OSError, AttributeError) as error:
        return None, f"{library.name} cannot be used: {error}"
    if made_from != source_sha(SOURCE):
        return None, f"{library.name} was compiled from another {SOURCE.name} ({advice})"
    return held, ""
