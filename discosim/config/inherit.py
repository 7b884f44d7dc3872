"""Scenarios that begin from another one: `base:` names it, and what is written wins key by key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from discosim.config.keypath import KeyPath, shown
from discosim.config.problems import ConfigError, Place
from discosim.config.yaml_loader import Document, read_file
from discosim.core.errors import UserError, close_match
from discosim.core.own_code import usual_name

BASE = "base"
POLICIES = "policies"


def inherited(document: Document, folder: Path, chain: tuple[Path, ...] = ()) -> Document:
    """Return a scenario with the keys of its base below its own; one without `base` as it is.

    A section is completed key by key, unless it is of another `kind` than that of the base, which it then replaces, as
    a list does. Policies may be a mapping of names to options: it changes those of the base by name, adds others, and
    takes away those whose options are null.

    Parameters
    ----------
    document : Document
        What was read; each key of the result keeps the place, and so the folder, where it was written.
    folder : Path
        Where it lies: a base that is a file lies relative to it.
    chain : tuple of Path
        Files that led here, so that a circle is seen.

    Raises
    ------
    UserError
        If there is no such base, or a scenario begins from itself.
    """
    data = document.data
    if not isinstance(data, dict) or BASE not in data:
        return document
    place = document.places.get((BASE,), Place("", BASE))
    where = place.value if place.value.endswith(BASE) else f"{place.value} {BASE}".strip()
    below = read_base(data.pop(BASE), folder, where, chain)
    _forget(document.places, (BASE,))
    if not isinstance(below.data, dict):
        raise UserError("is no scenario: it must be a mapping of keys to values", where=where)
    if isinstance(data.get(POLICIES), Mapping):
        _name_policies(document, below)
    _merge(below, document, ())
    if chain or () in document.places:
        below.places[()] = document.places.get((), below.places.get((), Place("", "")))
    return below


def read_base(
    name: Any, folder: Path, where: str, chain: tuple[Path, ...] = (), *, whose: str = "scenario"
) -> Document:
    """Return the scenario that a base names, with what it begins from itself.

    Parameters
    ----------
    name : object
        As it was written: a file relative to `folder`, or the bare name of a shipped scenario.
    folder : Path
        Where the file that says so lies.
    where : str
        For messages.
    chain : tuple of Path
        Files that led here.
    whose : str
        What says so, for messages.
    """
    from discosim.traces.catalogue import shipped_config

    if not isinstance(name, str) or not name:
        raise UserError(f"must be a file or the name of a shipped scenario (got {shown(name)})", where=where)
    beside = folder / name
    is_path = len(Path(name).parts) > 1 or Path(name).suffix in {".yaml", ".yml"}
    try:
        path = beside if beside.is_file() or is_path else shipped_config(name)
        if path.resolve() in chain:
            start = chain.index(path.resolve())
            names = [held.name for held in (*chain[start:], path)]
            raise UserError(f"goes round in a circle: {' -> '.join(names)}", where=where)
        document = read_file(path)
        if isinstance(document.data, dict) and {"sweep", "set", "compare"} & document.data.keys():
            raise UserError(f"{path.name} is a sweep; name a scenario", where=where)
        document.places.setdefault((), Place(str(path), str(path)))
        return inherited(document, path.resolve().parent, (*chain, path.resolve()))
    except ConfigError:
        raise
    except UserError as error:
        if error.where == where or f"{where}:" in str(error):
            raise
        hint = ""
        if not beside.exists() and Path(name).is_file():
            hint = f"; it is relative to the {whose}'s folder, not to the working directory, which has a {name}"
        raise UserError(f"{error}{hint}", where=where) from None


def _merge(below: Document, above: Document, path: KeyPath) -> None:
    """Lay the keys of a mapping over those of the base, in place."""
    under, over = _at(below.data, path), _at(above.data, path)
    for key, value in over.items():
        here = (*path, key)
        held = under.get(key)
        if (
            isinstance(value, Mapping)
            and isinstance(held, dict)
            and value.get("kind", held.get("kind")) == held.get("kind")
        ):
            if here in above.places:
                below.places[here] = above.places[here]
            _merge(below, above, here)
            continue
        under[key] = value
        _forget(below.places, here)
        below.places |= {known: place for known, place in above.places.items() if known[: len(here)] == here}


def _at(data: Any, path: KeyPath) -> dict[str, Any]:
    for step in path:
        data = data[step]
    held: dict[str, Any] = data
    return held


def _name_policies(document: Document, below: Document) -> None:
    """Turn policies by name into the whole list, so that it replaces that of the base."""
    changes = document.data[POLICIES]
    base = below.data.get(POLICIES)
    listed = [dict(item) for item in base if isinstance(item, Mapping)] if isinstance(base, list) else []
    names = [str(item.get("name") or usual_name(item.get("kind"))) for item in listed]
    written = {path[1:]: place for path, place in document.places.items() if path[:1] == (POLICIES,)}
    old = {path[1:]: place for path, place in below.places.items() if path[:1] == (POLICIES,)}
    result: list[tuple[dict[str, Any], dict[KeyPath, Place]]] = []
    for i, (name, item) in enumerate(zip(names, listed, strict=True)):
        places = {path[1:]: place for path, place in old.items() if path[:1] == (i,)}
        if name not in changes:
            result.append((item, places))
        elif changes[name] is not None:
            result.append(_changed(name, item, places, changes[name], written))
    for name, options in changes.items():
        if name not in names:
            place = written.get((name,), Place("", ""))
            if not isinstance(options, Mapping) or "kind" not in options:
                said = f"is no policy of the base, and a new one needs a kind; {close_match(str(name), names)}"
                raise UserError(said, where=f"{place.key} {POLICIES}.{name}".strip())
            result.append(_changed(name, {}, {}, options, written))
    here = document.places.get((POLICIES,), Place("", ""))
    _forget(document.places, (POLICIES,))
    document.data[POLICIES] = [item for item, _ in result]
    document.places[POLICIES,] = here
    for i, (_, places) in enumerate(result):
        document.places |= {(POLICIES, i, *path): place for path, place in places.items()}


def _changed(
    name: str, item: dict[str, Any], places: dict[KeyPath, Place], options: Any, written: Mapping[KeyPath, Place]
) -> tuple[dict[str, Any], dict[KeyPath, Place]]:
    """Return a policy with the options that are written over those of the base, and where each stands."""
    place = written.get((name,), Place("", ""))
    if not isinstance(options, Mapping):
        said = f"must be a mapping of options, or null to leave the policy out (got {shown(options)})"
        raise UserError(said, where=f"{place.value} {POLICIES}.{name}".strip())
    is_other = options.get("kind", item.get("kind")) != item.get("kind")
    kept = {} if is_other else {**item}
    if is_other:
        places = {}
    mine = {path[1:]: held for path, held in written.items() if path[:1] == (name,) and len(path) > 1}
    return {**kept, "name": name, **options}, {**places, (): replace(place), **mine}


def _forget(places: dict[KeyPath, Place], path: KeyPath) -> None:
    for known in [held for held in places if held[: len(path)] == path]:
        del places[known]
