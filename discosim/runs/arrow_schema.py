"""The Arrow schema of a small Parquet file, written so that fields share what they have in common.

Without ``ARROW:schema`` in its footer a Parquet file loses categories and units. Arrow writes type and unit of each
field anew, 139 bytes for a field, which is a third of a file of few rows. A flatbuffer may refer to one place many
times.
Source: Schema.fbs and Message.fbs of the Arrow format, version 5, and the internals page of flatbuffers.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

KEY = "ARROW:schema"
"""Where Arrow, and whoever reads for it, looks."""
_V5, _SCHEMA = 4, 1
_INT, _FLOAT, _UTF8, _BOOL = 2, 3, 5, 6
_DOUBLE = 2


def short_schema(schema: pa.Schema) -> str | None:
    """Return a schema as the value of ``KEY``; None for one that holds what is not known here.

    Whatever is returned has been read by Arrow, and was equal to the schema, to the last unit.
    """
    return _shortened(schema.serialize().to_pybytes())  # schemas are equal to Arrow whose units are not


@lru_cache(maxsize=64)
def _shortened(serialized: bytes) -> str | None:
    import pyarrow as pa

    schema = pa.ipc.read_schema(pa.py_buffer(serialized))
    parts = _Parts()
    fields = [_field(held, parts, i) for i, held in enumerate(schema)]
    if schema.metadata or any(held is None for held in fields):
        return None
    content = parts.table((1, "I", parts.vector(*fields)))
    message = parts.table((0, "h", _V5), (1, "B", _SCHEMA), (2, "I", content))
    body = _laid_out(message)
    raw = struct.pack("<Ii", 0xFFFFFFFF, len(body)) + body
    try:
        is_same = pa.ipc.read_schema(pa.py_buffer(raw)).equals(schema, check_metadata=True)
    except (pa.ArrowException, OSError):
        return None
    return base64.b64encode(raw).decode() if is_same else None


@dataclass(eq=False)
class _Part:
    """A table, a vector or a text of a flatbuffer: its bytes, and where they refer to parts that come later."""

    raw: bytes
    refers: dict[int, _Part] = field(default_factory=dict)
    vtable: bytes = b""
    align: int = 4


@dataclass
class _Parts:
    """Makes parts, each that is the same once."""

    known: dict[Hashable, _Part] = field(default_factory=dict)

    def text(self, text: str) -> _Part:
        raw = text.encode()
        return self._once(("text", raw), _Part(struct.pack("<I", len(raw)) + raw + b"\0"))

    def vector(self, *items: Any) -> _Part:
        refers = {4 + 4 * i: item for i, item in enumerate(items)}
        return self._once(
            ("vector", *map(id, items)), _Part(struct.pack("<I", len(items)) + bytes(4 * len(items)), refers)
        )

    def table(self, *slots: tuple[int, str, Any]) -> _Part:
        """Return a table of fields, each by its number, its type as `struct` has it, and its value; ``I`` refers."""
        key = ("table", *((n, kind, id(value) if isinstance(value, _Part) else value) for n, kind, value in slots))
        places = [0] * (1 + max((n for n, _, _ in slots), default=-1))
        raw, refers = bytearray(4), {}
        for n, kind, value in sorted(slots, key=lambda slot: -struct.calcsize(slot[1])):
            raw += bytes(-len(raw) % struct.calcsize(kind))  # numbers lie at multiples of their size
            places[n] = len(raw)
            if isinstance(value, _Part):
                refers[len(raw)] = value
            raw += struct.pack(f"<{kind}", 0 if isinstance(value, _Part) else value)
        vtable = struct.pack(f"<{2 + len(places)}H", 4 + 2 * len(places), len(raw), *places)
        align = max((struct.calcsize(kind) for _, kind, _ in slots), default=4)
        return self._once(key, _Part(bytes(raw), refers, vtable, max(4, align)))

    def _once(self, key: Hashable, part: _Part) -> _Part:
        return self.known.setdefault(key, part)


def _field(held: pa.Field, parts: _Parts, number: int) -> _Part | None:
    import pyarrow as pa

    kind, own = held.type, []
    if pa.types.is_dictionary(kind):
        codes = _type(kind.index_type, parts)
        if codes is None or kind.ordered:
            return None
        own = [(4, "I", parts.table((0, "q", number), (1, "I", codes[1])))]
        kind = kind.value_type
    found = _type(kind, parts)
    if found is None:
        return None
    said = [
        parts.table((0, "I", parts.text(key.decode())), (1, "I", parts.text(value.decode())))
        for key, value in (held.metadata or {}).items()
    ]
    return parts.table(
        (0, "I", parts.text(held.name)),
        (1, "B", int(held.nullable)),
        (2, "B", found[0]),
        (3, "I", found[1]),
        *own,
        (5, "I", parts.vector()),
        (6, "I", parts.vector(*said)),
    )


def _type(kind: pa.DataType, parts: _Parts) -> tuple[int, _Part] | None:
    """Return the number of a type and its table; None for types that tables of runs do not have."""
    import pyarrow as pa

    if pa.types.is_signed_integer(kind):
        return _INT, parts.table((0, "i", kind.bit_width), (1, "B", 1))
    if pa.types.is_float64(kind):
        return _FLOAT, parts.table((0, "h", _DOUBLE))
    if pa.types.is_string(kind):
        return _UTF8, parts.table()
    return (_BOOL, parts.table()) if pa.types.is_boolean(kind) else None


def _laid_out(root: _Part) -> bytes:
    """Return a flatbuffer: what is referred to comes later, and so does what tables have in common, their vtable.

    It stands before the last table that has it: a reader may look for it only behind the place that led it to the
    table, as Polars does, and there it is in what Arrow writes.
    """
    done: dict[int, _Part] = {}

    def visit(part: _Part) -> None:
        if id(part) not in done:
            for later in part.refers.values():
                visit(later)
            done[id(part)] = part

    visit(root)
    order = list(reversed(done.values()))
    last = {part.vtable: part for part in order if part.vtable}
    raw = bytearray(4)
    places: dict[int, int] = {}
    vtables: dict[bytes, int] = {}
    for part in order:
        if part.vtable and last[part.vtable] is part:
            raw += bytes(len(raw) % 2)
            vtables[part.vtable] = len(raw)
            raw += part.vtable
        raw += bytes(-len(raw) % part.align)
        places[id(part)] = len(raw)
        raw += part.raw
    for part in order:
        if part.vtable:
            struct.pack_into("<i", raw, places[id(part)], places[id(part)] - vtables[part.vtable])
        for at, later in part.refers.items():
            struct.pack_into("<I", raw, places[id(part)] + at, places[id(later)] - places[id(part)] - at)
    struct.pack_into("<I", raw, 0, places[id(root)])
    return bytes(raw + bytes(-len(raw) % 8))
