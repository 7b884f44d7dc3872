"""JSON a record to the line: the same content, and lines that people read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discosim.core.json_layout import WIDTH, laid_out

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
TREES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=25
)


@given(TREES)
def test_it_holds_what_was_given(tree: Any) -> None:
    assert json.loads(laid_out(tree)) == tree


@given(st.lists(st.dictionaries(st.text(), SCALARS | st.text('x}, "', max_size=WIDTH), max_size=3), max_size=4))
def test_each_record_stands_on_one_line_unless_it_is_long_text(records: list[dict[str, Any]]) -> None:
    text = laid_out({"all": records})
    assert json.loads(text) == {"all": records}
    for record in records:
        line = json.dumps(record, ensure_ascii=False)
        if record and (len(line) <= WIDTH or not any(isinstance(value, str) for value in record.values())):
            assert f"\n  {line}" in text
        elif record:
            assert f"\n  {line}" not in text


def test_numbers_stand_on_one_line_and_long_texts_on_one_each() -> None:
    long = ["x" * WIDTH, "y"]
    text = laid_out({"cells": {"a": {"mean": 1.5, "n": 2}, "b": dict.fromkeys(map(str, range(60)), 0)}, "notes": long})
    lines = text.splitlines()
    assert lines[2] == '  "a": {"mean": 1.5, "n": 2},'
    assert lines[3].startswith('  "b": {"0": 0, ')
    assert len(lines[3]) > WIDTH
    assert [line.strip() for line in lines[-4:-2]] == [f'"{long[0]}",', '"y"']


def test_keys_are_text_as_json_has_it_and_nan_is_refused() -> None:
    assert laid_out({1: {"é": [True]}}) == '{\n "1": {\n  "é": [true]\n }\n}'
    with pytest.raises(ValueError, match="Out of range float"):
        laid_out({"a": {"b": float("nan")}})
