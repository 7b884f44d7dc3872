"""The short form of an Arrow schema is read as the schema, by whoever reads one, and refused where it would not be."""

from __future__ import annotations

import base64
import struct
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from discosim.metrics.definitions import DEFINITIONS
from discosim.runs.arrow_schema import KEY, short_schema
from discosim.runs.tables import write_parquet

WORD = pa.dictionary(pa.int32(), pa.string())
TYPES = [pa.int64(), pa.int32(), pa.int8(), pa.float64(), pa.bool_(), pa.string(), WORD]
TEXTS = st.text(st.characters(codec="utf-8"), max_size=9)


@given(st.lists(st.tuples(TEXTS, st.sampled_from(TYPES), st.booleans(), st.dictionaries(TEXTS, TEXTS, max_size=3))))
def test_it_is_read_as_the_schema(fields: list[tuple[str, pa.DataType, bool, dict[str, str]]]) -> None:
    schema = pa.schema([pa.field(name, kind, nullable=is_null, metadata=said) for name, kind, is_null, said in fields])
    short = short_schema(schema)
    assert short is not None
    read = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(short)))
    assert read.equals(schema, check_metadata=True)
    assert [field.nullable for field in read] == [field.nullable for field in schema]


def test_a_reader_never_has_to_look_back() -> None:
    """Each table, and what says where its fields lie, comes after the place that led to it: Polars reads no other."""
    fields = [pa.field(f"f{i}", kind, metadata={"unit": "s", f"own{i}": "x"}) for i, kind in enumerate(TYPES * 2)]
    raw = base64.b64decode(short_schema(pa.schema(fields)) or "")[8:]

    def table(at: int) -> int:
        found = at + struct.unpack_from("<I", raw, at)[0]
        assert at < found - struct.unpack_from("<i", raw, found)[0]
        return int(found)

    def slot(held: int, n: int) -> int:
        vtable = held - struct.unpack_from("<i", raw, held)[0]
        return held + int(struct.unpack_from("<H", raw, vtable + 4 + 2 * n)[0])

    def tables(at: int) -> list[int]:
        start = at + struct.unpack_from("<I", raw, at)[0]
        return [table(start + 4 + 4 * i) for i in range(struct.unpack_from("<I", raw, start)[0])]

    found = tables(slot(table(slot(table(0), 2)), 1))
    assert len(found) == len(fields)
    for i, held in enumerate(found):
        table(slot(held, 3))
        assert len(tables(slot(held, 6))) == 2
        if pa.types.is_dictionary(fields[i].type):
            table(slot(table(slot(held, 4)), 1))


def test_units_that_differ_are_told_apart() -> None:
    one, other = (pa.schema([pa.field("a", pa.int64(), metadata={"unit": unit})]) for unit in ("s", "J"))
    assert one == other, "to Arrow, which leaves metadata out"
    assert short_schema(one) != short_schema(other)


@pytest.mark.parametrize(
    "schema",
    [
        pa.schema([pa.field("a", pa.float32())]),
        pa.schema([pa.field("a", pa.uint8())]),
        pa.schema([pa.field("a", pa.list_(pa.int64()))]),
        pa.schema([pa.field("a", pa.timestamp("s"))]),
        pa.schema([pa.field("a", pa.dictionary(pa.int32(), pa.string(), ordered=True))]),
        pa.schema([pa.field("a", pa.dictionary(pa.uint8(), pa.string()))]),
        pa.schema([pa.field("a", pa.int64())], metadata={"made": "by hand"}),
    ],
)
def test_what_it_does_not_know_is_written_by_arrow(schema: pa.Schema, tmp_path: Path) -> None:
    assert short_schema(schema) is None
    write_parquet(schema.empty_table(), tmp_path / "ours.parquet")
    parquet.write_table(schema.empty_table(), tmp_path / "arrow.parquet")
    ours, arrow = (parquet.read_schema(tmp_path / f"{name}.parquet") for name in ("ours", "arrow"))
    assert ours.equals(arrow, check_metadata=True)


def test_a_file_of_few_rows_has_half_of_it(tmp_path: Path) -> None:
    named = list(DEFINITIONS)[:80]
    schema = pa.schema([pa.field(name, pa.float64(), metadata={"unit": DEFINITIONS[name].unit}) for name in named])
    table = pa.table({name: [1.0] for name in named}, schema=schema)
    write_parquet(table, tmp_path / "short.parquet")
    parquet.write_table(table, tmp_path / "long.parquet")
    held = {name: parquet.read_metadata(tmp_path / f"{name}.parquet").metadata for name in ("short", "long")}
    assert set(held["short"]) == set(held["long"]) == {KEY.encode()}
    assert len(held["short"][KEY.encode()]) < 0.55 * len(held["long"][KEY.encode()])
    for name in held:
        assert parquet.read_table(tmp_path / f"{name}.parquet").schema.equals(schema, check_metadata=True)
