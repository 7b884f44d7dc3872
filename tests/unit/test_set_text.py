"""Values of ``--set``: all that stands there counts, or it is refused with what to write."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import examples

from discosim.cli import main
from discosim.config.set_text import value_of
from discosim.core.errors import UserError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a#b", "a#b"),
        ("'a #b'", "a #b"),
        ('"a #b"', "a #b"),
        ("http://x/#y", "http://x/#y"),
        (" a ", "a"),
        ("a  b", "a  b"),
        ("1e3", 1000.0),
        ("null", None),
        ("~", None),
        ("[a, 1, 2.5]", ["a", 1, 2.5]),
        ("{a: 1, b: {c: [d]}}", {"a": 1, "b": {"c": ["d"]}}),
        ("{a: null, b: ''}", {"a": None, "b": ""}),
        ("a: 1", {"a": 1}),
        ("a: 1\nb: 2", {"a": 1, "b": 2}),
        ("- a\n- b", ["a", "b"]),
        ("x,y", "x,y"),
        ("C:\\x", "C:\\x"),
        ("'it''s'", "it's"),
        ('"a\\nb"', "a\nb"),
        ("[a,]", ["a"]),
        ("-3", -3),
    ],
)
def test_what_is_read(text: str, value: object) -> None:
    assert value_of(text, "k", "--set") == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a #b", "YAML reads '#b' as a comment and leaves it out"),
        ("#b", "YAML reads '#b' as a comment"),
        ("[1, 2] # c", "YAML reads '# c' as a comment"),
        ("'x' #y", "YAML reads '#y' as a comment"),
        ("a: 1 # x\nb: 2", "YAML reads '# x' as a comment"),
        ("--- a", "marks between documents"),
        ("---", "marks between documents"),
        ("a\n...", "marks between documents"),
        ("%YAML 1.2\n--- a", "marks between documents"),
        ("a:", "reads 'a' as a key without a value"),
        ("{a}", "reads 'a' as a key without a value"),
        ("{a:1}", "reads 'a:1' as a key without a value"),
        ("{a: 1, b: }", "reads 'b' as a key without a value"),
        ("[{x: [{y:1}]}]", "reads 'y:1' as a key without a value"),
        ("? a", "reads 'a' as a key without a value"),
        ("-", "an item after '-' has no value"),
        ("- a\n-", "an item after '-' has no value"),
        ("|", "reads '|' as the beginning of a text on the next lines"),
        (">\n x", "reads '>' as the beginning"),
        ("a\nb", "reads a line break inside a text as a blank"),
        ("'a\nb'", "reads a line break inside a text as a blank"),
        ("a\u2028b", "reads a line break inside a text as a blank"),
        ("\ufeffa", "YAML leaves '\\ufeff' out"),
    ],
)
def test_what_yaml_would_leave_out_is_refused(text: str, reason: str) -> None:
    with pytest.raises(UserError) as caught:
        value_of(text, "some.key", "--set")
    assert reason in str(caught.value)
    advice = shlex.split(str(caught.value).rpartition("--set ")[2])
    (argument,) = advice
    path, _, quoted = argument.partition("=")
    assert path == "some.key"
    assert value_of(quoted, path, "--set") == text.strip(), "what is advised must mean the whole text"


@examples(300)
@given(st.text(alphabet="ab #:,-[]{}'\"\n|>?&*!%@`~\t1.e", max_size=8))
def test_a_text_is_read_whole_or_refused(text: str) -> None:
    """A value that comes out as text is the text between the blanks around it, unless it was written in quotes."""
    try:
        value = value_of(text, "k", "--set")
    except UserError:
        return
    if isinstance(value, str) and text.strip()[:1] not in {"'", '"'}:
        assert value == text.strip()


def test_the_command_line_refuses_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "quickstart", "--set", "name=a #b"]) == 2
    assert capsys.readouterr().err == (
        "discosim: error: --set name=a #b: YAML reads '#b' as a comment and leaves it out; if it is all one text, "
        "put it in quotes: --set 'name=\"a #b\"'\n"
    )
    assert main(["run", "quickstart", "--set", "name=a\nb"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("discosim: error: --set name=a\\nb: YAML reads a line break")
