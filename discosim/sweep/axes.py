"""The axes of a sweep: which values are tried at which paths, and how they are told apart."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from discosim.config.keypath import KeyPath
from discosim.sweep.file import SweepFile

Values = Mapping[str, Any]
"""Path of ``--set`` -> value, for one point."""


@dataclass(frozen=True)
class Setting:
    """One value at one path, and where the sweep file says so.

    Parameters
    ----------
    path : str
        Name of the column: the path, or what the sweep calls it.
    value : object
        The value.
    place : tuple
        Where it stands in the sweep file.
    targets : tuple of str
        Paths that are set to it.
    """

    path: str
    value: Any
    place: KeyPath
    targets: tuple[str, ...]


@dataclass(frozen=True)
class Axis:
    """Paths, or the names that they have instead, whose values change together, step by step."""

    paths: tuple[str, ...]
    steps: tuple[tuple[Setting, ...], ...]


def axes_of(file: SweepFile, profile: str = "", original: SweepFile | None = None) -> tuple[Axis, ...]:
    """Return the axes of a sweep: those of the grid in their order, then the zip as one.

    Parameters
    ----------
    file : SweepFile
        The sweep, with its profile worked in.
    profile : str
        The profile, so that places can be named.
    original : SweepFile, optional
        The sweep before that.
    """
    overridden = (original or file).profiles[profile] if profile else None

    names = file.sweep.names

    def settings(section: str, key: str, i: int, value: Any) -> tuple[Setting, ...]:
        from_profile = overridden is not None and key in getattr(overridden, section)
        start: KeyPath = ("profiles", profile, section) if from_profile else ("sweep", section)
        place = (*start, key, i)
        if key in names:
            return (Setting(names[key], value, place, split_paths(key)),)
        return tuple(Setting(path, value, place, (path,)) for path in split_paths(key))

    axes = [
        Axis(columns_of(key, names), tuple(settings("grid", key, i, value) for i, value in enumerate(values)))
        for key, values in file.sweep.grid.items()
    ]
    zipped = file.sweep.zip
    if zipped:
        length = len(next(iter(zipped.values())))
        steps = tuple(
            tuple(setting for key, values in zipped.items() for setting in settings("zip", key, i, values[i]))
            for i in range(length)
        )
        axes.append(Axis(tuple(column for key in zipped for column in columns_of(key, names)), steps))
    return tuple(axes)


def with_profile(file: SweepFile, name: str) -> SweepFile:
    """Return the sweep with the lists and numbers of one of its profiles; '' changes nothing."""
    if not name:
        return file
    profile = file.profiles[name]
    seeds = file.sweep.seeds
    axes = replace(
        file.sweep,
        grid={**file.sweep.grid, **profile.grid},
        zip=profile.zip or file.sweep.zip,
        seeds=seeds if profile.n_seeds is None else replace(seeds, n=profile.n_seeds),
    )
    stop = file.stop
    if stop is not None and profile.n_max is not None:
        stop = replace(stop, n_max=profile.n_max)
    return replace(file, sweep=axes, stop=stop)


def split_paths(key: str) -> tuple[str, ...]:
    """Return the paths that a key of the grid names.

    Examples
    --------
    >>> split_paths("policies.A.budget, policies.B.budget")
    ('policies.A.budget', 'policies.B.budget')
    """
    return tuple(path.strip() for path in key.split(","))


def columns_of(key: str, names: Mapping[str, str]) -> tuple[str, ...]:
    """Return the columns that a key of the grid has: its paths, or its name."""
    return (names[key],) if key in names else split_paths(key)


def key_of(value: Any) -> str:
    """Return a value as text that tells it from others: JSON with sorted keys.

    Examples
    --------
    >>> key_of({"kind": "none"}), key_of(0.5), key_of("phone")
    ('{"kind": "none"}', '0.5', '"phone"')
    """
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def shown(value: Any) -> str:
    """Return a value as a table shows it.

    Examples
    --------
    >>> shown({"kind": "digest", "digest": "wifi"}), shown(0.5), shown("phone"), shown(None)
    ('digest wifi', '0.5', 'phone', 'null')
    """
    if isinstance(value, Mapping):
        return " ".join(shown(item) for item in value.values())
    if isinstance(value, list | tuple):
        return ", ".join(shown(item) for item in value)
    return value if isinstance(value, str) else json.dumps(value)
