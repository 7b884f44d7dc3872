"""Columns as Arrow arrays: numbers share their memory, text becomes codes.

``pyarrow.array`` and ``ChunkedArray.to_numpy`` load pandas, which takes longer than a small run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from discosim.runs.placed import is_one_value

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


def numpy_array(held: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return what `arrow_array` made of a column of this type, as a copy: each word of a text column once."""
    if dtype.kind in "OU":
        words: NDArray[Any] = np.array(held.dictionary.to_pylist(), dtype=dtype)
        codes: NDArray[np.int32] = held.indices.to_numpy()
        return words[codes]
    return np.array(held.to_numpy(zero_copy_only=False), dtype=dtype)


def _text(values: NDArray[Any]) -> pa.DictionaryArray:
    """Return text as codes, in the order in which each word first comes."""
    import pyarrow as pa

    is_one = is_one_value(values) and values.size > 0
    held = values[:1].tolist() if is_one else values.tolist()
    places = {word: place for place, word in enumerate(dict.fromkeys(held))}
    codes = np.zeros(values.size, dtype=np.int32)
    if not is_one:
        codes = np.fromiter(map(places.__getitem__, held), np.int32, len(held))
    return pa.DictionaryArray.from_arrays(arrow_array(codes), _words([word.encode() for word in places]))


def _words(encoded: list[bytes]) -> pa.StringArray:
    import pyarrow as pa

    offsets = np.zeros(len(encoded) + 1, dtype=np.int32)
    np.cumsum([len(word) for word in encoded], out=offsets[1:])
    return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded)))
