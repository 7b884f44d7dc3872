"""Overrides ``a.b[2].c=value``: the same paths as in error messages, the same scalars as in a file."""

from __future__ import annotations

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

from discosim.config.every_policy import EVERY_POLICY, policies_with
from discosim.config.keypath import KeyPath, dotted
from discosim.config.problems import Place
from discosim.config.set_text import value_of
from discosim.config.yaml_loader import Document
from discosim.core.errors import UserError, close_match
from discosim.core.own_code import usual_name

_INDEX = re.compile(r"\[(\d+)\]")


def apply_override(document: Document, override: str, folder: Path) -> None:
    """Set one value of a document in place.

    Parameters
    ----------
    document : Document
        Data and places; both are changed.
    override : str
        ``path=value``. A path goes through keys with dots, into lists with ``[index]``, and into the list of
        policies also with a policy's name: ``policies.DiSCo-S.budget=0.3``, or ``policies.*.budget=0.3`` for every
        policy that has such an option.
    folder : Path
        Folder of the configuration. A file that the value names is looked for in the working directory, where a shell
        completes its name, and then here; where both hold one and they differ, it is refused.

    Raises
    ------
    UserError
        If the text is no override, its path leads nowhere, or YAML would read less than stands there.
    """
    label = f"--set {override if override.isprintable() else ascii(override)[1:-1]}"
    path_text, equals, value_text = override.partition("=")
    if not equals or not path_text.strip():
        raise UserError("expected a.b=c", where=label)
    if not value_text.strip():
        raise UserError("has no value; write null for none", where=label)
    path = path_text.strip()
    place = Place(label, label, (Path.cwd(), folder))
    set_value(document, path, value_of(value_text, path, label), place, folder)


def set_value(document: Document, path_text: str, value: Any, place: Place, folder: Path | None = None) -> None:
    """Set the value at a path, making sections that are not there yet; it counts as written at ``place``.

    ``folder`` is that of the document, for policies in files that are named without a place.
    """
    if not isinstance(document.data, dict):
        return  # the file itself is refused later, with its place
    if path_text.startswith(EVERY_POLICY):
        option = path_text.removeprefix(EVERY_POLICY)
        for i in policies_with(document, option, place.value, folder or Path.cwd()):
            set_value(document, f"policies[{i}].{option}", deepcopy(value), place)
        return
    path: KeyPath = ()
    here: Any = document.data
    rest = path_text
    label = place.value
    while True:
        step, rest = _step(here, rest, path, label)
        path = (*path, step)
        if not rest:
            break
        if isinstance(here, dict) and here.get(step) is None:
            here[step] = {}
            document.places[path] = place
        here = here[step]
    here[step] = value
    for old in [known for known in document.places if known[: len(path)] == path]:
        del document.places[old]
    document.places[path] = place


def _step(here: Any, rest: str, path: KeyPath, label: str) -> tuple[str | int, str]:
    """Return the next key or index, and what is left of the path."""
    if isinstance(here, list):
        return _list_step(here, rest, path, label)
    if not isinstance(here, dict):
        raise UserError(f"{dotted(path)} is a single value and has no '{rest}'", where=label)
    name = re.split(r"[.\[]", rest, maxsplit=1)[0]
    tail = rest[len(name) :]
    if not name or tail == ".":
        raise UserError(f"no key stands before or after a dot in '{rest}'", where=label)
    return name, tail.removeprefix(".")


def _list_step(here: list[Any], rest: str, path: KeyPath, label: str) -> tuple[int, str]:
    if match := _INDEX.match(rest):
        index = int(match[1])
        if index >= len(here):
            counted = f"{len(here)} item{'s' * (len(here) != 1)}"
            raise UserError(f"{dotted(path)} has {counted}, counted from 0", where=label)
        return index, rest[match.end() :].removeprefix(".")
    names = {
        str(item.get("name") or usual_name(item.get("kind"))): i
        for i, item in enumerate(here)
        if isinstance(item, dict)
    }
    if path != ("policies",):
        raise UserError(f"{dotted(path)} is a list; name an item by its index, {dotted(path)}[0]", where=label)
    for name in sorted(names, key=len, reverse=True):
        if rest == name or rest.startswith(f"{name}."):
            return names[name], rest[len(name) :].removeprefix(".")
    raise UserError(
        f"no policy named '{rest.partition('.')[0]}'; {close_match(rest.partition('.')[0], names)}",
        where=label,
    )
