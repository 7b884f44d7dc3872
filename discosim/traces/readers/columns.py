"""One column of a trace file: text cells of CSV, values of JSON, typed values of Parquet."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from discosim.traces.readers.base import Bools, Floats, Ints, Words

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


class Column(Protocol):
    """One column as the file holds it."""

    def floats(self) -> Floats:
        """Return the cells as numbers, NaN where a cell is not one."""

    def whole(self) -> Ints | None:
        """Return the cells as exact whole numbers, or None where one is none or beyond 64 bits."""

    def blank(self) -> Bools:
        """Return True where the cell is empty or null."""

    def words(self) -> Words:
        """Return the cells as text, empty where blank."""

    def take(self, rows: Ints) -> Column:
        """Return the cells of the given rows, in that order."""

    def cell(self, i: int) -> str:
        """Return cell ``i`` as a user would see it."""


@dataclass(frozen=True, eq=False)
class TextColumn:
    """Cells of a CSV file: an Arrow array of strings."""

    cells: Any

    def _trimmed(self) -> Any:
        import pyarrow.compute as pc

        return pc.utf8_trim_whitespace(self.cells)

    def floats(self) -> Floats:
        """Return the cells as numbers, NaN where a cell is not one."""
        import pyarrow as pa
        import pyarrow.compute as pc

        text = self._trimmed()
        filled = pc.if_else(pc.equal(text, ""), "nan", text)
        try:
            numbers = pc.cast(filled, pa.float64())
        except pa.ArrowInvalid:
            cells = text.to_pylist()
            return np.array([float(c) if _NUMBER.fullmatch(c) else np.nan for c in cells], dtype=np.float64)
        return np.asarray(numbers.to_numpy(zero_copy_only=False), dtype=np.float64)

    def whole(self) -> Ints | None:
        """Return the cells as exact whole numbers, or None where one is none."""
        import pyarrow as pa
        import pyarrow.compute as pc

        try:
            numbers = pc.cast(self._trimmed(), pa.int64())
        except pa.ArrowInvalid:
            return None
        return np.asarray(numbers.to_numpy(zero_copy_only=False), dtype=np.int64)

    def blank(self) -> Bools:
        """Return True where the cell is empty."""
        import pyarrow.compute as pc

        return np.asarray(pc.equal(self._trimmed(), "").to_numpy(zero_copy_only=False), dtype=np.bool_)

    def words(self) -> Words:
        """Return the cells as text."""
        return np.array(self._trimmed().to_pylist(), dtype=np.object_)

    def take(self, rows: Ints) -> TextColumn:
        """Return the cells of the given rows, in that order."""
        import pyarrow as pa

        return TextColumn(self.cells.take(pa.array(rows)))

    def cell(self, i: int) -> str:
        """Return cell ``i`` as a user would see it."""
        return repr(self.cells[i].as_py())


@dataclass(frozen=True, eq=False)
class JsonColumn:
    """Values of one key over JSON records; None where the key is absent or null."""

    cells: Sequence[Any]

    def floats(self) -> Floats:
        """Return the values as numbers, NaN where a value is none; booleans and text are no numbers."""
        kinds = set(map(type, self.cells))
        cells = self.cells if kinds <= {int, float} else [self._number(c) for c in self.cells]
        try:
            return np.array(cells, dtype=np.float64)
        except OverflowError:
            return np.array([self._number(c) for c in cells], dtype=np.float64)

    @staticmethod
    def _number(cell: Any) -> float:
        try:
            return float(cell) if type(cell) in {int, float} else np.nan
        except OverflowError:
            return np.inf

    def whole(self) -> Ints | None:
        """Return the values as exact whole numbers, or None where one is none."""
        if set(map(type, self.cells)) != {int}:
            return None
        try:
            return np.array(self.cells, dtype=np.int64)
        except OverflowError:
            return None

    def blank(self) -> Bools:
        """Return True where the value is absent or null."""
        return np.array([c is None for c in self.cells], dtype=np.bool_)

    def words(self) -> Words:
        """Return the values as text without blanks around it, empty where null or NaN."""
        return np.array([_word(c) for c in self.cells], dtype=np.object_)

    def take(self, rows: Ints) -> JsonColumn:
        """Return the values of the given rows, in that order."""
        return JsonColumn([self.cells[i] for i in rows.tolist()])

    def cell(self, i: int) -> str:
        """Return value ``i`` as JSON."""
        return json.dumps(self.cells[i])


@dataclass(frozen=True, eq=False)
class ArrowColumn:
    """A typed column of a Parquet file."""

    cells: Any

    def floats(self) -> Floats:
        """Return the values as numbers, NaN where null; a column of another type is all NaN."""
        import pyarrow as pa

        kind = self.cells.type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
            return np.full(len(self.cells), np.nan)
        return np.asarray(self.cells.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)

    def whole(self) -> Ints | None:
        """Return the values as exact whole numbers, or None where the column is of another type or has nulls."""
        import pyarrow as pa

        if not pa.types.is_integer(self.cells.type) or self.cells.null_count:
            return None
        try:
            return np.asarray(self.cells.cast(pa.int64()).to_numpy(zero_copy_only=False), dtype=np.int64)
        except pa.ArrowInvalid:
            return None

    def blank(self) -> Bools:
        """Return True where the value is null."""
        return np.asarray(self.cells.is_null().to_numpy(zero_copy_only=False), dtype=np.bool_)

    def words(self) -> Words:
        """Return the values as text without blanks around it, empty where null or NaN."""
        return np.array([_word(c) for c in self.cells.to_pylist()], dtype=np.object_)

    def moments_ns(self) -> Ints | None:
        """Return points in time in ns since 1970, or None where the column is of another type or has nulls."""
        import pyarrow as pa

        if not pa.types.is_timestamp(self.cells.type) or self.cells.null_count:
            return None
        moments = self.cells.cast(pa.timestamp("ns", self.cells.type.tz)).cast(pa.int64())
        return np.asarray(moments.to_numpy(zero_copy_only=False), dtype=np.int64)

    def is_truth(self) -> bool:
        """Tell whether the values are truth values."""
        import pyarrow as pa

        return bool(pa.types.is_boolean(self.cells.type))

    def is_plain(self) -> bool:
        """Tell whether the values are neither lists nor objects nor truth values."""
        import pyarrow as pa

        return not (pa.types.is_nested(self.cells.type) or self.is_truth())

    def take(self, rows: Ints) -> ArrowColumn:
        """Return the cells of the given rows, in that order."""
        import pyarrow as pa

        return ArrowColumn(self.cells.take(pa.array(rows)))

    def cell(self, i: int) -> str:
        """Return value ``i`` as text."""
        return repr(self.cells[i].as_py())


def _word(value: Any) -> str:
    # NaN is what data frames write for a name that is missing
    if value is None or value != value:  # noqa: PLR0124 - NaN alone differs from itself
        return ""
    if isinstance(value, bytes):
        try:
            return value.decode().strip()
        except UnicodeDecodeError:  # a hash, or a UUID in its 16 bytes
            return value.hex()
    return str(value).strip()
