"""JSON read strictly: what is refused, in which words, and that everything else is read as Python reads it."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import examples

from discosim.core.errors import UserError
from discosim.core.json_text import MOST_DEPTH, read_json

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@examples(200)
@given(VALUES)
def test_what_is_sound_is_read_as_it_was_written(value: object) -> None:
    text = json.dumps(value)
    assert read_json(text) == value
    assert read_json(text.encode()) == value
    assert read_json(b"\xef\xbb\xbf" + json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "b": 2, "a": 3}', 'f: gives the key "a" twice in one object (1, then 3)'),
        ('[{"x": {"b": "long' + "g" * 90 + '", "b": null}}]', 'gives the key "b" twice in one object ("long'),
        ('{"a": 1,\n "a": 1}', "twice in one object"),
        ("NaN", "f: is not JSON: NaN is no number"),
        ('{"a": [-Infinity]}', "-Infinity is no number"),
        ('{"a": 1e999}', "f: holds a number that is too large: 1e999"),
        ("-1" + "0" * 330 + ".5", "holds a number that is too large: -1000"),
        ("1" + "0" * 400, "f: holds a whole number of 401 digits; at most 308 are read"),
        ("-" + "9" * 309, "holds a whole number of 309 digits"),
        ("9" * 5000, "holds a whole number of 5000 digits"),
        ("[" * (MOST_DEPTH + 1) + "]" * (MOST_DEPTH + 1), f"f: is nested too deeply (more than {MOST_DEPTH} levels)"),
        ('{"a":' * 5000 + "1" + "}" * 5000, "is nested too deeply"),
        ("[" * 100_000, "is nested too deeply"),
        ('["\\ud800"]', "f: holds half of a surrogate pair"),
        ('{"\\uDFFF": 1}', "holds half of a surrogate pair"),
        ("", "f: is not JSON: Expecting value: line 1 column 1"),
        ('{"a": 1', "is not JSON: Expecting ',' delimiter: line 1 column 8"),
        ("{} {}", "is not JSON: Extra data"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    for given_text in (text, text.encode()):
        with pytest.raises(UserError) as caught:
            read_json(given_text, where="f")
        assert message in str(caught.value)
        assert str(caught.value).startswith("f: ")
        assert "\n" not in str(caught.value)


def test_what_is_at_the_edge_is_read() -> None:
    assert read_json("[" * MOST_DEPTH + "]" * MOST_DEPTH) is not None
    assert read_json("[" * (MOST_DEPTH + 50) + "]" * (MOST_DEPTH + 50), most_depth=None) is not None
    assert read_json("1e308") == 1e308
    assert read_json("1" + "0" * 307) == 10**307
    assert read_json(f"{2**1024 - 1}") == 2**1024 - 1
    assert read_json("0." + "0" * 400 + "1") == 0.0
    assert read_json("1e-999") == 0.0
    assert read_json('"\\ud83d\\ude00"') == "\N{GRINNING FACE}"
    assert read_json('[{"a": 1}, {"a": 2}]') == [{"a": 1}, {"a": 2}]


def test_files_of_other_tools_may_hold_nan() -> None:
    first, second = read_json("[NaN, 1e999]", is_finite=False)
    assert math.isnan(first)
    assert second == math.inf
    with pytest.raises(UserError, match="twice in one object"):
        read_json('{"a": NaN, "a": 1}', is_finite=False)


def test_bytes_that_are_no_text_are_refused_with_the_line() -> None:
    with pytest.raises(UserError, match=r"^f: is not UTF-8 text \(line 2\)$"):
        read_json(b'{"a":\n"\xff"}', where="f")
    with pytest.raises(UserError, match="is not UTF-8 text"):
        read_json('{"a": 1}'.encode("utf-16"), where="f")
