"""Columns become Arrow arrays, or bytes for the next run, and come back as they were, bit by bit."""

from __future__ import annotations

import json
from typing import Any

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from discosim.runs import packed as packing
from discosim.runs.arrow_arrays import arrow_array
from discosim.runs.coded import narrow
from discosim.runs.packed import packed, unpacked
from discosim.runs.placed import is_one_value

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
    assert_same(arrow_array(values).to_numpy(zero_copy_only=False), values)


@given(WORDS | st.lists(st.sampled_from(["", "a", "b"]), max_size=40))
def test_words_come_back_and_are_numbered_as_they_come(words: list[str]) -> None:
    held = arrow_array(np.array(words, dtype=object))
    assert held.to_pylist() == words
    assert held.dictionary.to_pylist() == list(dict.fromkeys(words))


@given(arrays.arrays(st.sampled_from(["<i8", "<i4", "|i1"]), SIZES))
def test_whole_numbers_take_as_little_as_holds_them(values: Any) -> None:
    found = narrow(values)
    assert_same(found.astype(values.dtype), values)
    fitting = [kind for kind in ("i1", "i2", "i4", "i8") if (values.astype(kind) == values).all()]
    assert found.itemsize == min(np.dtype(fitting[0]).itemsize, values.itemsize) or not values.size


def test_a_column_of_one_value_is_that_of_its_copy() -> None:
    for held in (np.broadcast_to(np.float64(2.5), 5), np.broadcast_to(np.array("server", dtype=object), 5)):
        assert arrow_array(held).equals(arrow_array(held.copy()))


@given(numbers(), st.booleans(), st.sampled_from([1, 10_000]))
def test_a_kept_table_comes_back_with_none_or_all_of_its_rows(values: Any, is_empty: bool, many: int) -> None:
    words = np.array([f"w{i % 3}" for i in range(values.size)], dtype=object)
    columns = {name: held[:0] if is_empty else held for name, held in (("number", values), ("word", words))}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "MANY_ROWS", many)  # with 1, every column is compressed
        content, about = packed(columns)
    found = unpacked(memoryview(content), json.loads(json.dumps(about)))
    assert list(found) == list(columns)
    for name, held in columns.items():
        assert_same(found[name], held)
        assert found[name].flags.writeable


@pytest.mark.parametrize("value", [2.5, -0.0, float("nan"), 7, True])
def test_a_kept_column_of_one_value_is_held_as_one_again(value: float) -> None:
    columns = {
        "number": np.broadcast_to(np.array(value), 1000),
        "word": np.broadcast_to(np.array("server", dtype=object), 1000),
        "fixed": np.array(["a", "bcd"]),
    }
    content, about = packed(columns)
    assert len(content) < 50
    found = unpacked(memoryview(content), json.loads(json.dumps(about)))
    for name, held in columns.items():
        assert_same(found[name], held.copy())
        assert is_one_value(found[name]) == is_one_value(held)
