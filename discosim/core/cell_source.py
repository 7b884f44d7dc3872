"""The text of a class of a notebook or a script, with what it needs of it, as a file that stands alone."""

from __future__ import annotations

import ast
import builtins
import linecache
import sys
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from discosim.core.errors import UserError

MOST_VALUES = 10_000
"""Values of the largest array that is written out."""
_FUTURE_ANNOTATIONS = 0x1000000
_PLAIN = (type(None), bool, int, float, str, bytes)


def text_of(value: type) -> str:
    """Return the source of a class and of everything at the top of its module that it uses, in the order it needs.

    Functions and classes come as their text, imports as imports, numbers, texts, lists and arrays as they are now.

    Parameters
    ----------
    value : type
        A class whose module is no file that others could import: a notebook's, or that of the script that runs.

    Raises
    ------
    UserError
        If its source is nowhere, or it uses what cannot be written down; without a place.

    Notes
    -----
    Source: our choice. Text travels to workers rather than pickled code, since text is what identity holds: what is
    hashed, what runs and what lies beside the results are one file, that of next year's reader too.
    """
    found = _Parts(vars(sys.modules[value.__module__]), value.__module__)
    found.define(value.__name__, value)
    head = ["from __future__ import annotations"] if found.is_future else []
    imports = [text for text in found.parts.values() if text.startswith(("import ", "from "))]
    rest = [text for text in found.parts.values() if text not in imports]
    return "\n".join([*head, *imports]) + "\n\n\n" + "\n\n\n".join(rest) + "\n"


@dataclass
class _Parts:
    """What is written down so far, in the order in which it can be run."""

    names: dict[str, Any]
    module: str
    parts: dict[str, str] = field(default_factory=dict)
    is_future: bool = False
    _begun: set[str] = field(default_factory=set)

    def define(self, name: str, value: Any) -> None:
        """Write down what a name stands for, after what that needs."""
        if name in self._begun:
            return
        self._begun.add(name)
        if isinstance(value, ModuleType):
            self.parts[name] = f"import {value.__name__}" + (f" as {name}" if value.__name__ != name else "")
        elif isinstance(value, type | FunctionType) and value.__module__ == self.module:
            self._define_text(name, value)
        elif (home := _home(name, value)) is not None:
            module, attribute = home
            self.parts[name] = f"from {module} import {attribute}" + (f" as {name}" if attribute != name else "")
        elif isinstance(value, np.ndarray) and value.size <= MOST_VALUES and value.dtype.kind in "biuf":
            self.parts[name] = f"{name} = __import__('numpy').array({value.tolist()!r}, dtype={value.dtype.str!r})"
        elif _is_plain(value):
            self.parts[name] = f"{name} = {value!r}"
        else:
            raise UserError(
                f"uses '{name}', {_a(value)}, which cannot be written into a file for the workers; make it inside the "
                "class, or put the class into a file of its own"
            )

    def _define_text(self, name: str, value: type | FunctionType) -> None:
        text = _source(value)
        tree = ast.parse(text)
        used = dict.fromkeys(_names(tree))
        for code in _codes(value):
            self.is_future |= bool(code.co_flags & _FUTURE_ANNOTATIONS)
            if lost := [free for free in code.co_freevars if free != "__class__"]:
                raise UserError(
                    f"'{value.__name__}' stands in a function and uses its {', '.join(lost)}; define it at the top"
                )
        for other in used:
            if other in self.names and other != value.__name__ and not hasattr(builtins, other):
                self.define(other, self.names[other])
        self.parts[name] = text.rstrip() + (f"\n\n\n{name} = {value.__name__}" if name != value.__name__ else "")


def _source(value: type | FunctionType) -> str:
    """Return the text of a class or function, found by the code that it holds: a cell has no file."""
    for code in _codes(value):
        lines = linecache.getlines(code.co_filename)
        try:
            tree = ast.parse("".join(lines))
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            if not isinstance(node, ast.ClassDef | ast.FunctionDef) or node.name != value.__name__:
                continue
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            if first <= code.co_firstlineno <= (node.end_lineno or first):
                return textwrap.dedent("".join(lines[first - 1 : node.end_lineno]))
    raise UserError(f"the source of '{value.__name__}' cannot be had; save it in a file")


def _codes(value: Any) -> Iterator[CodeType]:
    """Yield the code of a function, or of the methods that were written into a class."""
    if isinstance(value, FunctionType):
        yield value.__code__
        return
    for held in vars(value).values():
        function = getattr(held, "__func__", None) or getattr(held, "fget", None) or held
        if isinstance(function, FunctionType) and function.__code__.co_qualname.startswith(f"{value.__qualname__}."):
            yield function.__code__  # others were made by decorators


def _names(tree: ast.AST) -> Iterator[str]:
    """Yield the names that a text uses, those in annotations that are written as text included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.arg | ast.AnnAssign) and isinstance(note := node.annotation, ast.Constant):
            with suppress(SyntaxError):
                yield from _names(ast.parse(str(note.value)))


def _home(name: str, value: Any) -> tuple[str, str] | None:
    """Return from where a value was imported, and under which name it stands there."""
    module = getattr(value, "__module__", None)
    if not isinstance(module, str) or module in {"__main__", "builtins"}:
        return None
    for attribute in (getattr(value, "__name__", None), getattr(value, "_name", None), name):
        if isinstance(attribute, str) and getattr(sys.modules.get(module), attribute, None) is value:
            return module, attribute
    return None


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(map(_is_plain, (*value, *value.values())))
    return type(value) in _PLAIN and not (isinstance(value, float) and not np.isfinite(value))


def _a(value: object) -> str:
    kind = type(value).__name__
    return f"{'an' if kind[:1] in 'aeiou' else 'a'} {kind}"
