"""Strict YAML: numbers and booleans as YAML 1.2 reads them, no surprises, and the place of every key."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from discosim.config.keypath import KeyPath, dotted, shown
from discosim.config.problems import ConfigError, Place
from discosim.core.errors import UserError
from discosim.core.files import near_files

_MAP, _SEQ = "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"
_STR, _INT, _FLOAT, _BOOL, _NULL = (f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null"))
_RULES = (
    (_NULL, re.compile(r"(?:~|null|Null|NULL|)")),
    (_BOOL, re.compile(r"(?:true|True|TRUE|false|False|FALSE)")),
    (_INT, re.compile(r"[-+]?[0-9]+")),
    (_FLOAT, re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")),
    (_FLOAT, re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")),
)
_MAX_DIGITS = 400


def scalar_tag(text: str) -> str:
    """Return the YAML tag of an unquoted scalar under the core schema of YAML 1.2.

    Notes
    -----
    Source: YAML 1.2.2, section 10.3.2, less hexadecimal and octal integers (our choice: no scenario needs
    them). PyYAML itself follows YAML 1.1, where ``1e-3`` is text, ``no`` is false, ``010`` is 8 and
    ``12:30`` is 750.
    """
    return next((tag for tag, rule in _RULES if rule.fullmatch(text)), _STR)


class StrictLoader(yaml.SafeLoader):
    """A safe loader with the scalars of YAML 1.2, without anchors, aliases and tags."""

    def resolve(self, kind: type[Node], value: Any, implicit: Any) -> str:
        """Choose the tag of a node: plain scalars by the rules of YAML 1.2, quoted ones are text."""
        if kind is ScalarNode:
            return scalar_tag(value) if implicit[0] else _STR
        return _MAP if kind is MappingNode else _SEQ

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        """Refuse the features that make a file mean something else than it shows."""
        peek: Callable[[], Any] = self.peek_event
        event = peek()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            problem = "anchors and aliases (&name, *name) are not supported; write the value out"
            raise yaml.composer.ComposerError(None, None, problem, event.start_mark)
        if getattr(event, "tag", None):
            raise yaml.composer.ComposerError(None, None, "tags (!name) are not supported", event.start_mark)
        return super().compose_node(parent, index)


@dataclass
class Document:
    """Plain data, and where each of its keys stands."""

    data: Any
    places: dict[KeyPath, Place] = field(default_factory=dict)


def read_file(path: Path) -> Document:
    """Read a YAML file.

    Raises
    ------
    UserError
        If the file is missing, unreadable, not UTF-8, or not strict YAML; duplicate keys are all reported.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"no such file{near_files(path)}", where=str(path)) from None
    except IsADirectoryError:
        raise UserError("is a folder, not a YAML file", where=str(path)) from None
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", where=str(path)) from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UserError("is not UTF-8 text", where=f"{path}:{line}") from None
    return read_text(text, str(path), folders=(path.resolve().parent,))


def read_text(text: str, label: str, *, positions: bool = True, folders: tuple[Path, ...] = ()) -> Document:
    """Read one YAML document.

    Parameters
    ----------
    text : str
        The document.
    label : str
        What error messages call it: a file name, or ``--set a.b=c``.
    positions : bool
        Add line and column to the label.
    folders : tuple of Path
        Where files named in the document are looked for.
    """

    def at(mark: Any) -> str:
        return f"{label}:{mark.line + 1}:{mark.column + 1}" if positions and mark is not None else label

    try:
        loader = StrictLoader(text)
        try:
            root = loader.get_single_node()
        finally:
            loader.dispose()
        walk = _Walk(at, folders)
        data = walk.value(root, ())
    except yaml.MarkedYAMLError as error:
        what = " ".join(filter(None, (error.context, error.problem))).replace("\n", " ")
        raise UserError(f"not valid YAML: {what}", where=at(error.problem_mark)) from None
    except yaml.reader.ReaderError as error:
        raise UserError(f"not valid YAML: character U+{_code(error):04X} is not allowed", where=label) from None
    except RecursionError:
        raise UserError("not a usable configuration: nested too deeply", where=label) from None
    if walk.problems:
        raise ConfigError(tuple(walk.problems))
    return Document(data, walk.places)


def _code(error: yaml.reader.ReaderError) -> int:
    return error.character if isinstance(error.character, int) else ord(error.character)


class _Walk:
    """Turn the tree of YAML nodes into plain data."""

    def __init__(self, at: Any, folders: tuple[Path, ...]) -> None:
        self.at = at
        self.folders = folders
        self.problems: list[UserError] = []
        self.places: dict[KeyPath, Place] = {}

    def value(self, node: Node | None, path: KeyPath, key: Node | None = None) -> Any:
        if node is None:
            return None
        self.places[path] = Place(self.at((key or node).start_mark), self.at(node.start_mark), self.folders)
        if isinstance(node, MappingNode):
            return {name: self.value(item, (*path, name), mark) for name, item, mark in self._items(node, path)}
        if isinstance(node, SequenceNode):
            return [self.value(item, (*path, i)) for i, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _items(self, node: MappingNode, path: KeyPath) -> Iterator[tuple[str, Node, Node]]:
        seen: dict[str, Node] = {}
        for key, item in node.value:
            if not isinstance(key, ScalarNode) or key.tag != _STR:
                what = shown(self._scalar(key, path)) if isinstance(key, ScalarNode) else "a list or mapping"
                self._problem(key, path, f"a key must be text (got {what})")
            elif key.value in seen:
                first = seen[key.value].start_mark.line + 1
                self._problem(key, (*path, key.value), f"duplicate key, first given in line {first}")
            else:
                seen[key.value] = key
                yield key.value, item, key

    def _scalar(self, node: Any, path: KeyPath) -> Any:
        text = str(node.value)
        if node.tag == _NULL:
            return None
        if node.tag == _BOOL:
            return text.lower() == "true"
        if node.tag == _INT and len(text) <= _MAX_DIGITS:
            return int(text)
        if node.tag in {_INT, _FLOAT}:
            number = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
            if number == 0.0 and re.search("[1-9]", text.lower().partition("e")[0]):
                self._problem(node, path, f"{text} is too small for a number; it would be read as 0")
            return number
        return text

    def _problem(self, node: Node, path: KeyPath, message: str) -> None:
        where = " ".join(filter(None, (self.at(node.start_mark), dotted(path))))
        self.problems.append(UserError(message, where=where))
