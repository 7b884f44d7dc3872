"""Columns become Arrow arrays and come back as they were, bit by bit."""

from __future__ import annotations

from typing import Any

import hypothesis.extra.numpy as arrays
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from discosim.runs.arrow_arrays import arrow_array, numpy_array
from discosim.runs.kept import _packed, _unpacked

KINDS = st.sampled_from(["<f8", "<i8", "<i4", "|b1"])
SIZES = st.integers(0, 40)
WORDS = st.lists(st.text(st.characters(codec="utf-8"), max_size=4), max_size=40)


@st.composite
def numbers(draw: Any) -> Any:
    return draw(arrays.arrays(draw(KINDS), draw(SIZES)))


def assert_same(one: Any, other: Any) -> None:
    assert one.dtype == other.dtype
    assert one.tobytes() == other.tobytes() if one.dtype != object else one.tolist() == other.tolist()


@given(numbers())
def test_numbers_come_back_bit_by_bit(values: Any) -> None:
    assert_same(numpy_array(arrow_array(values), values.dtype), values)


@given(WORDS)
def test_words_come_back(words: list[str]) -> None:
    values = np.array(words, dtype=object)
    assert_same(numpy_array(arrow_array(values), values.dtype), values)


def test_a_column_of_one_value_comes_back_as_one_that_can_be_written_into() -> None:
    for held in (np.broadcast_to(np.float64(2.5), 5), np.broadcast_to(np.array("server", dtype=object), 5)):
        found = numpy_array(arrow_array(held), held.dtype)
        assert_same(found, held.copy())
        assert found.flags.writeable


@given(numbers(), st.booleans())
def test_a_kept_table_comes_back_with_none_or_all_of_its_rows(values: Any, is_empty: bool) -> None:
    words = np.array([f"w{i % 3}" for i in range(values.size)], dtype=object)
    columns = {name: held[:0] if is_empty else held for name, held in (("number", values), ("word", words))}
    found = _unpacked(*_packed(columns))
    assert list(found) == list(columns)
    for name, held in columns.items():
        assert_same(found[name], held)
