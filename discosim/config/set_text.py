"""The value of ``--set a.b=VALUE``: YAML, without what YAML leaves out of a line without a word."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

import yaml
from yaml import tokens as t
from yaml.nodes import MappingNode, ScalarNode, SequenceNode

from discosim.config.dump import dump_yaml
from discosim.config.yaml_loader import StrictLoader, read_text
from discosim.core.errors import UserError

_BREAK = re.compile("[\n\r\x85\u2028\u2029]")
_SILENT = (t.StreamStartToken, t.StreamEndToken, t.BlockMappingStartToken, t.BlockSequenceStartToken, t.BlockEndToken)


def value_of(text: str, path: str, label: str) -> Any:
    """Return what a text after ``=`` means, if all of it means something.

    Parameters
    ----------
    text, path : str
        The value as written, and the path before it.
    label : str
        What error messages call the override.

    Raises
    ------
    UserError
        If the text is no YAML, or if YAML would read less or something else than stands there: it has a comment, a mark
        of the end or beginning of a document, a key or an item without a value, or a line break inside a text.
    """
    value = read_text(text, label, positions=False).data
    tokens = list(yaml.scan(text, Loader=StrictLoader))
    if reason := next(_losses(text, tokens), ""):
        quoted = shlex.quote(f"{path}={_quoted(text.strip())}")
        raise UserError(f"{reason}; if it is all one text, put it in quotes: --set {quoted}", where=label)
    return value


def _losses(text: str, tokens: Sequence[Any]) -> Iterator[str]:
    """Yield what of the text is lost on the way, in words."""
    seen = [token for token in tokens if not isinstance(token, _SILENT)]
    if any(isinstance(token, t.DirectiveToken | t.DocumentStartToken | t.DocumentEndToken) for token in seen):
        yield "YAML reads '---', '...' and '%' at the start of a line as marks between documents"
    ends = [0, *(token.end_mark.index for token in seen)]
    starts = [*(token.start_mark.index for token in seen), len(text)]
    for lost in (text[end:start].strip(" \t\r\n") for end, start in zip(ends, starts, strict=True)):
        if lost.startswith("#"):
            yield f"YAML reads {lost!r} as a comment and leaves it out"
        elif lost:
            yield f"YAML leaves {lost!r} out"
    for token in seen:
        if isinstance(token, t.ScalarToken):
            yield from _scalar_losses(text[token.start_mark.index : token.end_mark.index], token)
    yield from _absent(StrictLoader(text).get_single_node())


def _absent(node: Any) -> Iterator[str]:
    """Yield where YAML puts in a null that nobody wrote: as in ``a:`` and ``{a:1}``, whose key is ``a:1``."""
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if _is_absent(value):
                yield f"YAML reads {key.value!r} as a key without a value (a blank must follow a colon; null is none)"
            yield from _absent(value)
    elif isinstance(node, SequenceNode):
        for item in node.value:
            if _is_absent(item):
                yield "an item after '-' has no value (null is none)"
            yield from _absent(item)


def _is_absent(node: Any) -> bool:
    return isinstance(node, ScalarNode) and node.value == "" and node.style is None


def _scalar_losses(written: str, token: Any) -> Iterator[str]:
    if token.style in {"|", ">"}:
        yield f"YAML reads '{token.style}' as the beginning of a text on the next lines"
    elif _BREAK.search(written):
        yield "YAML reads a line break inside a text as a blank (in double quotes, \\n is one)"
    elif token.plain and written != token.value:
        yield f"YAML reads {token.value!r} alone"


def _quoted(text: str) -> str:
    """Return a text as YAML in quotes, on one line."""
    if not text.isprintable():
        return dump_yaml({"": text}).partition(": ")[2].strip()
    return json.dumps(text, ensure_ascii=False)
