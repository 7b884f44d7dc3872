"""The strict YAML reader: scalars of YAML 1.2, no surprises, the place of every key."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from discosim.config.dump import dump_yaml
from discosim.config.yaml_loader import read_file, read_text
from discosim.core.errors import UserError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("5E+3", 5000.0),
        ("1e5", 1e5),
        (".5", 0.5),
        ("3.", 3.0),
        ("-7", -7),
        ("+7", 7),
        ("010", 10),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("0x1F", "0x1F"),
        ("2024-01-31", "2024-01-31"),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("'3'", "3"),
        ('"true"', "true"),
        ("<<", "<<"),
        ("=", "="),
        ("e3", "e3"),
        (".", "."),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    read = read_text(f"key: {text}", "x.yaml").data["key"]
    assert (read, type(read)) == (value, type(value))


def test_the_traps_are_real_in_plain_pyyaml() -> None:
    """What this reader is for: the same scalars through PyYAML's own loader."""
    assert yaml.safe_load("[1e-3, no, 010, 12:30]") == ["1e-3", False, 8, 750]


def test_not_a_number_is_read_as_such_and_left_to_the_validation() -> None:
    values = read_text("[.inf, -.Inf, .nan]", "x.yaml").data
    assert values[:2] == [math.inf, -math.inf]
    assert math.isnan(values[2])


def test_places_name_line_and_column_of_key_and_value() -> None:
    document = read_text("a:\n  - b: 1\n    c:   2\n", "x.yaml")
    place = document.places["a", 0, "c"]
    assert (place.key, place.value) == ("x.yaml:3:5", "x.yaml:3:10")


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "x.yaml:3:1 a", "duplicate key, first given in line 1"),
        ("s:\n  - {a: 1, a: 2}\n", "x.yaml:2:12 s[0].a", "duplicate key, first given in line 2"),
        ("a: &x 1\nb: *x\n", "x.yaml:1:4", "anchors and aliases"),
        ("a: !!python/object:os.system {}\n", "x.yaml:1:4", "tags (!name) are not supported"),
        ("a: !!float 3\n", "x.yaml:1:4", "tags (!name) are not supported"),
        ("1: a\n", "x.yaml:1:1", "a key must be text (got 1)"),
        ("null: a\n", "x.yaml:1:1", "a key must be text (got null)"),
        ("? [a]\n: b\n", "x.yaml:1:3", "a key must be text (got a list or mapping)"),
        ("a: b: c\n", "x.yaml:1:5", "not valid YAML: mapping values are not allowed here"),
        ("a:\n\t- 1\n", "x.yaml:2:1", "not valid YAML"),
        ("a: [1, 2\n", "x.yaml:2:1", "not valid YAML"),
        ("a: 1\n---\nb: 2\n", "x.yaml:2:1", "not valid YAML: expected a single document"),
        ("a: \x07\n", "x.yaml", "character U+0007 is not allowed"),
        ("[" * 5000, "x.yaml", "nested too deeply"),
    ],
)
def test_refusals_name_the_place_in_one_line(text: str, where: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        read_text(text, "x.yaml")
    assert str(caught.value).startswith(f"{where}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_duplicate_keys_are_reported() -> None:
    with pytest.raises(UserError) as caught:
        read_text("a: 1\na: 2\nb: {c: 1, c: 2}\n", "x.yaml")
    assert [line.split(": ")[0] for line in str(caught.value).splitlines()] == [
        "x.yaml:2:1 a",
        "x.yaml:3:11 b.c",
    ]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: 1\nb: caf\xe9\n")
    for path, message in [
        (tmp_path / "missing.yaml", "no such file"),
        (tmp_path, "is a folder"),
        (latin, "is not UTF-8 text"),
    ]:
        with pytest.raises(UserError, match=message) as caught:
            read_file(path)
        assert str(path) in caught.value.where
    assert str(latin) + ":2" in str(caught.value)


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_file(path).data == {"a": 1}


_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.sampled_from(["1e-3", "yes", "010", "12:30", "~", "", " x ", "5E+3", "&a", "!x", "<<", "=", "0x1f", "-"])
)
_data = st.recursive(
    _scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="ascii")), inner)
)


@given(_data)
def test_what_is_written_is_read_back(data: Any) -> None:
    assert read_text(dump_yaml(data), "x.yaml").data == data


def test_a_number_that_would_become_zero_is_refused() -> None:
    assert read_text("1e-300", "x").data == 1e-300
    assert read_text("[0.0, -0e5, 0e-999]", "x").data == [0.0, 0.0, 0.0]
    with pytest.raises(UserError, match=r"^x:1:4 a: 1e-999 is too small for a number; it would be read as 0$"):
        read_text("a: 1e-999", "x")
