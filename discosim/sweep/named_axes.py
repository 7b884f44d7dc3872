"""Axes with a name of their own: `{as: budget, values: [...]}` in place of the values alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from discosim.config.keypath import KeyPath, shown
from discosim.config.problems import Problems
from discosim.config.yaml_loader import Document

AS, VALUES = "as", "values"


def split_names(document: Document) -> None:
    """Turn axes that are written with their names into lists, and put the names into `sweep.names`, in place.

    Raises
    ------
    ConfigError
        With every axis that is written otherwise.
    """
    problems = Problems(document.places)
    found: dict[str, Any] = {}
    for start, lists in list(_lists(document.data)):
        for key, entry in lists.items():
            here = (*start, key)
            if not isinstance(entry, Mapping):
                continue
            if set(entry) != {AS, VALUES} or not isinstance(entry[AS], str) or not entry[AS]:
                said = "must be a list of values, or a mapping {as: NAME, values: [...]}"
                problems.add(here, f"{said} (got {shown(entry)})")
                continue
            if found.setdefault(key, entry[AS]) != entry[AS]:
                problems.add((*here, AS), f"must be {found[key]} as elsewhere (got {entry[AS]})")
            lists[key] = entry[VALUES]
            _move(document, here)
    problems.raise_if_any()
    if found:
        sweep = document.data.setdefault("sweep", {})
        if isinstance(sweep, dict) and isinstance(names := sweep.setdefault("names", {}), dict):
            sweep["names"] = {**found, **names}


def _lists(data: Any) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    """Yield every mapping of axes in a sweep file, whatever else is wrong with it."""
    if not isinstance(data, dict):
        return
    sections: list[tuple[KeyPath, Any]] = [(("sweep",), data.get("sweep"))]
    if isinstance(profiles := data.get("profiles"), Mapping):
        sections += [(("profiles", name), profile) for name, profile in profiles.items()]
    for start, section in sections:
        for name in ("grid", "zip"):
            if isinstance(section, Mapping) and isinstance(held := section.get(name), dict):
                yield (*start, name), held


def _move(document: Document, here: KeyPath) -> None:
    """Let the places of the values be those of the axis."""
    n = len(here)
    for path in [path for path in document.places if path[:n] == here and len(path) > n]:
        place = document.places.pop(path)
        if path[n] == VALUES:
            document.places[(*here, *path[n + 1 :])] = place
