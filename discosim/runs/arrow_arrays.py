"""Columns as Arrow arrays: numbers share their memory, text becomes codes.

``pyarrow.array`` and ``ChunkedArray.to_numpy`` load pandas, which takes longer than a small run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from discosim.runs.coded import coded

if TYPE_CHECKING:
    import pyarrow as pa


def arrow_array(values: NDArray[Any]) -> pa.Array:
    """Return a column as an Arrow array; the numbers are not copied where they lie side by side."""
    import pyarrow as pa

    if values.dtype.kind in "OU":
        return _text(values)
    if values.dtype == np.bool_:
        return pa.Array.from_buffers(
            pa.bool_(), values.size, [None, pa.py_buffer(np.packbits(values, bitorder="little"))]
        )
    held = np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(held.dtype), held.size, [None, pa.py_buffer(held)])


def _text(values: NDArray[Any]) -> pa.DictionaryArray:
    """Return text as codes, in the order in which each word first comes."""
    import pyarrow as pa

    codes, words = coded(values)
    return pa.DictionaryArray.from_arrays(arrow_array(codes), _words([word.encode() for word in words]))


def _words(encoded: list[bytes]) -> pa.StringArray:
    import pyarrow as pa

    offsets = np.zeros(len(encoded) + 1, dtype=np.int32)
    np.cumsum([len(word) for word in encoded], out=offsets[1:])
    return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded)))
