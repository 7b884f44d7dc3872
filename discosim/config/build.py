"""From plain data to frozen dataclasses, section by section, collecting every mistake on the way."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_origin

from discosim.config.checks import FILES, check_section
from discosim.config.digests import check_digest
from discosim.config.dump import as_plain
from discosim.config.flavours import expanded
from discosim.config.keypath import KeyPath, shown
from discosim.config.leaf import read_leaf
from discosim.config.named_files import find_file
from discosim.config.own_kinds import check_cost, found_kind, names_file, unread
from discosim.config.plain import as_list, plain, plain_data
from discosim.config.policy_specs import (
    POLICY_KEYS,
    SCHEDULER_KEYS,
    build_policy,
    build_scheduler,
    options_of,
    scheduler_options,
)
from discosim.config.problems import Problems
from discosim.config.shape import (
    Key,
    first_kind,
    is_container,
    item_type,
    item_types,
    keys_of,
    kind_of,
    mapping_value,
    members_of,
    sections_of,
    without_none,
)
from discosim.core.errors import UserError, close_match
from discosim.core.own_code import is_own, usual_name
from discosim.core.plugins import Plugins, construct
from discosim.core.scenario import PluginIterations, PolicySpec, SchedulerSpec

BAD: Any = object()
"""Stands for a value that was refused; the reason is among the problems."""


@dataclass(frozen=True)
class Classes:
    """The classes that a section's ``kind`` chooses among, their options being the fields of each."""

    base: type
    keys: Mapping[str, Key]
    known: Mapping[str, type]
    plugins: Callable[[], Plugins]
    options: Callable[[Any], Mapping[str, Key]]


@dataclass(frozen=True)
class Builder:
    """Builds sections out of plain data.

    What it builds is a fixed point: written with ``as_plain`` and built again, in whatever process, it is equal. So a
    default goes the same way as a written value, and nothing is let through that a file could not give back.

    Parameters
    ----------
    problems : Problems
        Where mistakes are noted; also where each value was written, and so where its files are.
    base : Path
        Folder against which the files of values without a place of their own are resolved.
    runs_own : bool
        Whether to import what names a class in a file (`file.py:Class`). Else such a part is taken as it was written.
    """

    problems: Problems
    base: Path
    runs_own: bool = True

    def value(self, annotation: Any, limits: Mapping[str, Any], raw: Any, path: KeyPath) -> Any:
        """Return the value of one key, or ``BAD``."""
        inner, is_nullable = without_none(annotation)
        if raw is None and is_nullable:
            return None
        if inner is Any:
            return self._checked(plain_data, raw, path)
        if inner in {PolicySpec, SchedulerSpec}:
            return self._policy(raw, path) if inner is PolicySpec else self._scheduler(raw, path)
        if is_container(inner):
            return self._container(inner, limits, raw, path)
        if isinstance(as_list(raw), Mapping | list) and (shapes := [m for m in members_of(inner) if is_container(m)]):
            return self._first_of(shapes, limits, raw, path)
        return self._checked(lambda leaf: read_leaf(annotation, limits, leaf), raw, path)

    def _container(self, inner: Any, limits: Mapping[str, Any], raw: Any, path: KeyPath) -> Any:
        if (named := mapping_value(inner)) is not None:
            return self._mapping(named, limits, raw, path)
        if sections := sections_of(inner):
            return self._choice(sections, raw, path)
        if (item := item_type(inner)) is not None:
            return self._items(inner, item, limits, raw, path)
        return self._row(item_types(inner) or (), limits, raw, path)

    def _checked(self, read: Callable[[Any], Any], raw: Any, path: KeyPath) -> Any:
        try:
            return read(raw)
        except UserError as error:
            self.problems.add(path, error.message)
            return BAD

    def _first_of(self, shapes: list[Any], limits: Mapping[str, Any], raw: Any, path: KeyPath) -> Any:
        """Read a list or mapping as the first of several types that takes it; else say what the last one misses."""
        for shape in shapes[:-1]:
            if (value := self._aside().value(shape, limits, raw, path)) is not BAD:
                return value
        return self.value(shapes[-1], limits, raw, path)

    def _aside(self) -> Builder:
        """Return a builder that sees the same places and notes mistakes elsewhere."""
        return replace(self, problems=Problems(self.problems.places))

    def section(self, section: type, raw: Any, path: KeyPath) -> Any:
        """Return one dataclass instance, or ``BAD``."""
        if not self._is_mapping(raw, path):
            return BAD
        raw = expanded(section, raw)
        keys = keys_of(section)
        misspelt = self._unknown(raw, keys, path)
        values = {key.name: self._keyed(key, raw, path, misspelt) for key in keys.values()}
        for file_key in FILES.get(section, ()):
            if isinstance(values[file_key], str):
                values[file_key] = self._file(values[file_key], (*path, file_key))
        if section is PluginIterations and names_file(values["cost"]):
            values["cost"] = self._cost(values, (*path, "cost"))
        good = {name: value for name, value in values.items() if value is not BAD}
        for name, message in (*check_section(section, good, raw), *check_digest(section, good)):
            self.problems.add((*path, *name), message, at_key=not name)
        if misspelt or len(good) < len(values):
            return BAD
        return self._checked(lambda held: construct(section, held, ""), good, path)

    def _cost(self, values: Mapping[str, Any], path: KeyPath) -> Any:
        """Find a cost model in a file of the user's, and look at its options."""
        from discosim.world.engine.costs.registry import OwnCost

        def found(kind: str) -> str:
            absolute, held = found_kind(kind, self.problems.folders(path) or (self.base,), OwnCost)
            if values["options"] is not BAD:
                check_cost(PluginIterations(cost=absolute, options=values["options"]), held)
            return absolute

        return self._checked(found, values["cost"], path) if self.runs_own else values["cost"]

    def _file(self, name: str, path: KeyPath) -> Any:
        """Make a file name absolute; it must exist."""
        return self._checked(lambda _: find_file(name, self.problems.folders(path) or (self.base,)), name, path)

    def _keyed(self, key: Key, raw: Mapping[str, Any], path: KeyPath, misspelt: set[str]) -> Any:
        """Return the value of a key as it was written, else its default, or ``BAD``."""
        here = (*path, key.name)
        if key.name not in raw:
            if key.has_default:
                return self.default(key, here)
            if key.name not in misspelt:
                self.problems.add(here, _is_missing(key))
            return BAD
        n_before = len(self.problems.found)
        value = self.value(key.type, key.limits, raw[key.name], here)
        if value is BAD and key.has_default and _is_same(raw[key.name], key.default):
            del self.problems.found[n_before:]
            return self.default(key, here)
        return value

    def default(self, key: Key, path: KeyPath) -> Any:
        """Return the default of a key as if it had been written, or ``BAD``.

        A package of somebody else may give an option a default that its own type or range does not allow, such as None
        or infinity for a number. It is taken as it is, and may be written too, if a file can hold it.
        """
        given = as_plain(key.default)
        value = self._aside().value(key.type, key.limits, given, path)
        if value is not BAD:
            return value
        try:
            value = plain_data(given, is_finite=False)
        except UserError:
            self.problems.add(path, f"its default, a {type(key.default).__name__}, is nothing that a file can hold")
            return BAD
        return key.default if isinstance(key.default, os.PathLike) else value

    def _choice(self, sections: tuple[type, ...], raw: Any, path: KeyPath) -> Any:
        """Pick the section that ``kind`` names."""
        if len(sections) == 1:
            return self.section(sections[0], raw, path)
        if not self._is_mapping(raw, path):
            return BAD
        by_kind = {kind_of(section): section for section in sections}
        if PluginIterations in sections and names_file(raw.get("kind")):
            raw = {"kind": "plugin", "cost": raw["kind"], "options": {k: v for k, v in raw.items() if k != "kind"}}
        if "kind" not in raw and (first := first_kind(sections)):
            raw = {"kind": first, **raw}
        kind = self._kind(raw, by_kind, path)
        return BAD if kind is None else self.section(by_kind[kind], raw, path)

    def _kind(
        self,
        raw: Mapping[str, Any],
        known: Mapping[str, Any],
        path: KeyPath,
        plugins: Callable[[], Plugins] | None = None,
    ) -> str | None:
        here = (*path, "kind")
        kinds = ", ".join(sorted(known))
        if "kind" not in raw:
            self.problems.add(here, f"is missing. Known: {kinds}")
        elif not isinstance(raw["kind"], str):
            self.problems.add(here, f"must be one of {kinds} (got {shown(raw['kind'])})")
        elif raw["kind"] not in known:
            tail = close_match(raw["kind"], known) if plugins is None else plugins().why_missing(raw["kind"], known)
            self.problems.add(here, f"unknown kind '{raw['kind']}'; {tail}")
        else:
            return raw["kind"]
        return None

    def _items(self, kind: Any, item: Any, limits: Mapping[str, Any], raw: Any, path: KeyPath) -> Any:
        raw = as_list(raw)
        if not isinstance(raw, list):
            self.problems.add(path, f"must be a list (got {shown(raw)})")
            return BAD
        least, most = limits.get("min_length", 0), limits.get("max_length", len(raw))
        if not least <= len(raw) <= most:
            bound = f"at least {least}" if len(raw) < least else f"at most {most}"
            self.problems.add(path, f"must have a length of {bound} (got {len(raw)})")
            return BAD
        values = [self.value(item, _of_items(limits), part, (*path, i)) for i, part in enumerate(raw)]
        if any(value is BAD for value in values):
            return BAD
        return values if list in {kind, get_origin(kind)} else tuple(values)

    def _row(self, types: tuple[Any, ...], limits: Mapping[str, Any], raw: Any, path: KeyPath) -> Any:
        """Read a list of a fixed length, each item of its own type."""
        raw = as_list(raw)
        if not isinstance(raw, list) or len(raw) != len(types):
            got = f"a list of {len(raw)}" if isinstance(raw, list) else shown(raw)
            self.problems.add(path, f"must be a list of {len(types)} (got {got})")
            return BAD
        inner = _of_items(limits)
        values = tuple(
            self.value(kind, inner, part, (*path, i)) for i, (kind, part) in enumerate(zip(types, raw, strict=True))
        )
        return BAD if any(value is BAD for value in values) else values

    def _mapping(self, item: Any, limits: Mapping[str, Any], raw: Any, path: KeyPath) -> Any:
        """Read a mapping with keys of the user's own; the limits are those of its values."""
        if (
            not self._is_mapping(raw, path)
            or self._checked(lambda names: plain_data(dict.fromkeys(names)), raw, path) is BAD
        ):
            return BAD
        values = {plain(name): self.value(item, limits, part, (*path, plain(name))) for name, part in raw.items()}
        return BAD if any(value is BAD for value in values.values()) else values

    def _policy(self, raw: Any, path: KeyPath) -> Any:
        """Read one policy: its kind decides which options it has."""
        from discosim.policies import Policy, known_policies
        from discosim.policies.registry import policy_plugins

        classes = Classes(Policy, POLICY_KEYS, known_policies(), policy_plugins, options_of)
        values = self._with_options(raw, path, classes)
        if values is BAD:
            return BAD
        kind, name = values.pop("kind"), values.pop("name")
        spec = PolicySpec(kind=kind, name=name or usual_name(kind), options=values)
        is_left = is_own(kind) and not self.runs_own
        return spec if is_left or self._is_buildable(build_policy, spec, path) else BAD

    def _scheduler(self, raw: Any, path: KeyPath) -> Any:
        """Read the scheduler of an engine: its kind decides which options it has."""
        from discosim.world.engine.schedulers.base import Scheduler
        from discosim.world.engine.schedulers.registry import known_schedulers, scheduler_plugins

        classes = Classes(Scheduler, SCHEDULER_KEYS, known_schedulers(), scheduler_plugins, scheduler_options)
        values = self._with_options(raw, path, classes)
        if values is BAD:
            return BAD
        spec = SchedulerSpec(kind=values.pop("kind"), options=values)
        is_left = not self.runs_own and names_file(spec.kind)
        return spec if is_left or self._is_buildable(build_scheduler, spec, path) else BAD

    def _with_options(self, raw: Any, path: KeyPath, classes: Classes) -> Any:
        """Return ``kind``, the other keys that all have, and every option; ``BAD`` where one was refused."""
        if not self._is_mapping(raw, path):
            return BAD
        known = classes.known
        if names_file(raw.get("kind")):
            if not self.runs_own:
                return self._checked(unread, {**dict.fromkeys(classes.keys, ""), **raw}, path)
            here = (*path, "kind")
            folders = self.problems.folders(here) or (self.base,)
            found = self._checked(lambda kind: found_kind(kind, folders, classes.base), raw["kind"], here)
            if found is BAD:
                return BAD
            raw, known = {**raw, "kind": found[0]}, {found[0]: found[1]}
        kind = self._kind(raw, known, path, classes.plugins)
        if kind is None:
            return BAD
        try:
            keys = {**classes.keys, **classes.options(known[kind])}
        except UserError as error:
            self.problems.add(path, str(error))
            return BAD
        misspelt = self._unknown(raw, keys, path)
        values = {key.name: self._keyed(key, raw, path, misspelt) for key in keys.values()}
        return BAD if misspelt or any(value is BAD for value in values.values()) else values

    def _is_buildable(self, build: Callable[[Any], object], spec: Any, path: KeyPath) -> bool:
        """Let the policy's own checks speak before the run does."""
        try:
            build(spec)
        except UserError as error:
            self.problems.add(path, error.message)
            return False
        return True

    def _is_mapping(self, raw: Any, path: KeyPath) -> bool:
        if isinstance(raw, Mapping):
            return True
        self.problems.add(path, f"must be a mapping of keys to values (got {shown(raw)})")
        return False

    def _unknown(self, raw: Mapping[str, Any], keys: Mapping[str, Key], path: KeyPath) -> set[str]:
        """Note every unknown key; return the known keys they probably stand for (or the unknown ones)."""
        meant = set()
        for name in raw:
            if name not in keys:
                self.problems.add((*path, name), f"unknown key; {close_match(str(name), keys)}", at_key=True)
                meant.update(difflib.get_close_matches(str(name), keys, n=1, cutoff=0.6) or [str(name)])
        return meant


def _of_items(limits: Mapping[str, Any]) -> dict[str, Any]:
    return {name: limit for name, limit in limits.items() if not name.endswith("_length")}


def _is_same(raw: Any, default: Any) -> bool:
    """Tell whether a file says what an option is by default."""
    try:
        one, other = (
            json.dumps(plain_data(data, is_finite=False), sort_keys=True) for data in (raw, as_plain(default))
        )
    except UserError:
        return False
    return one == other


def _is_missing(key: Key) -> str:
    said = f"is missing. {key.description}".strip()
    sections = sections_of(key.type)
    if len(sections) != 1:
        return said
    needed = [part.name for part in keys_of(sections[0]).values() if not part.has_default]
    return f"{said} A section with {', '.join(needed)}." if needed else said
