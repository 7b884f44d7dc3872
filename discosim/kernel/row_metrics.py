"""Metrics of token timelines as one pass of the compiled library; arrays in, arrays out."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_double, c_int, c_int64
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_FLOATS, _INTS = POINTER(c_double), POINTER(c_int64)
FACTS = ("first_s", "last_s", "end_s", "max_s", "p99_s", "shown_max_s", "shown_p99_s", "stall_s", "delay_s")
COUNTS = ("n_late", "n_stalls")
INDICES = ("offsets", "ends")


class _Rows(ctypes.Structure):
    _fields_ = (
        *((name, c_int64) for name in ("n_rows", "n_batches", "n_bins", "shift", "first_bin")),
        ("times_s", _FLOATS),
        ("offsets", _INTS),
        ("ends", _INTS),
        *((name, _FLOATS) for name in ("arrival_s", "interval_s", "target_s")),
        *((name, c_double) for name in ("tolerance_s", "plain_s")),
        *((name, _FLOATS) for name in (*FACTS, "delay_lagged_s")),
        *((name, _INTS) for name in (*COUNTS, "counts", "shown_counts")),
        *((name, _FLOATS) for name in ("sums_s", "shown_sums_s", "sums_here_s", "shown_sums_here_s")),
    )


def row_metrics(
    library: ctypes.CDLL, arrays: dict[str, NDArray[Any]], histograms: dict[str, NDArray[Any]], numbers: dict[str, Any]
) -> dict[str, NDArray[Any]] | None:
    """Return facts of each row, and add its gaps to the histograms; None where there is no memory.

    Parameters
    ----------
    library : CDLL
        The compiled library.
    arrays : dict of str to array
        ``times_s`` and ``offsets`` of rows of at least one token; their ``arrival_s``, ``interval_s``, ``target_s``;
        ``ends``, where each batch of rows ends: the gaps of one are added up, then added to the histograms.
    histograms : dict of str to array
        ``counts``, ``sums_s``, and those of gaps as displayed; they are changed.
    numbers : dict of str to number
        ``shift``, ``first_bin``, ``tolerance_s``, ``plain_s``.
    """
    n_rows, n_batches, n_bins = arrays["arrival_s"].size, arrays["ends"].size, histograms["counts"].size
    facts: dict[str, NDArray[Any]] = {name: np.empty(n_rows) for name in (*FACTS, "delay_lagged_s")}
    facts |= {name: np.empty(n_rows, dtype=np.int64) for name in COUNTS}
    here = {name: np.zeros(n_bins) for name in ("sums_here_s", "shown_sums_here_s")}
    inputs = {
        name: np.ascontiguousarray(array, dtype=np.int64 if name in INDICES else np.float64)
        for name, array in arrays.items()
    }
    held = {**inputs, **facts, **histograms, **here}
    library.row_metrics.restype = c_int
    library.row_metrics.argtypes = [POINTER(_Rows)]
    pointers = {
        name: array.ctypes.data_as(_INTS if array.dtype == np.int64 else _FLOATS) for name, array in held.items()
    }
    rows = _Rows(n_rows=n_rows, n_batches=n_batches, n_bins=n_bins, **pointers, **numbers)
    return None if library.row_metrics(ctypes.byref(rows)) else facts
