"""Series with memory as one pass of the compiled library; the values are changed in place."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_double, c_int64

import numpy as np
from numpy.typing import NDArray

from discosim.kernel.library import load

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_FLOATS, _INTS = POINTER(c_double), POINTER(c_int64)


def remember(rho: float, step: float, before: Ints, values: Floats) -> bool:
    """Add to each value what it keeps of the one before; False, and nothing changed, where nothing compiled is used.

    Parameters
    ----------
    rho, step : float
        ``values[i] = rho * values[before[i]] + step * values[i]``, in order.
    before : array of int, shape (n,)
        Smaller than i, or -1 for a value that stays as it is.
    values : array of float, shape (n,)
        Side by side in memory.
    """
    library = load()
    if library is None:
        return False
    library.remember.restype = None
    library.remember.argtypes = [c_double, c_double, _INTS, _FLOATS, c_int64]
    held = np.ascontiguousarray(before, dtype=np.int64)
    library.remember(rho, step, held.ctypes.data_as(_INTS), _of(values), values.size)
    return True


def remember_in_row(rho: float, values: Floats) -> bool:
    """Do the same where each value remembers its neighbour, and the steps have been multiplied already."""
    library = load()
    if library is None:
        return False
    library.remember_in_row.restype = None
    library.remember_in_row.argtypes = [c_double, _FLOATS, c_int64]
    library.remember_in_row(rho, _of(values), values.size)
    return True


def _of(values: Floats) -> ctypes._Pointer[c_double]:
    assert values.flags.c_contiguous
    assert values.dtype == np.float64
    return values.ctypes.data_as(_FLOATS)
