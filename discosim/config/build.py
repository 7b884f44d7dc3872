"""From plain data to frozen dataclasses, section by section, collecting every mistake on the way."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discosim.config.checks import FILES, check_section
from discosim.config.digests import check_digest
from discosim.config.keypath import KeyPath, shown
from discosim.config.leaf import read_leaf
from discosim.config.policy_specs import (
    POLICY_KEYS,
    SCHEDULER_KEYS,
    build_policy,
    build_scheduler,
    options_of,
    scheduler_options,
)
from discosim.config.problems import Problems
from discosim.config.shape import Key, item_type, keys_of, kind_of, mapping_value, sections_of, without_none
from discosim.core.engine_scenario import SchedulerSpec
from discosim.core.errors import UserError, close_match
from discosim.core.files import near_files
from discosim.core.scenario import PolicySpec

BAD: Any = object()
"""Stands for a value that was refused; the reason is among the problems."""


@dataclass(frozen=True)
class Builder:
    """Builds sections out of plain data.

    Parameters
    ----------
    problems : Problems
        Where mistakes are noted.
    base : Path
        Folder against which file names are resolved.
    """

    problems: Problems
    base: Path

    def value(self, annotation: Any, limits: Mapping[str, Any], raw: Any, path: KeyPath) -> Any:
        """Return the value of one key, or ``BAD``."""
        inner, is_nullable = without_none(annotation)
        if inner is Any or (raw is None and is_nullable):
            return raw
        if inner in {PolicySpec, SchedulerSpec}:
            return self._policy(raw, path) if inner is PolicySpec else self._scheduler(raw, path)
        if (named := mapping_value(inner)) is not None:
            return self._mapping(named, limits, raw, path)
        if sections := sections_of(inner):
            return self._choice(sections, raw, path)
        if (item := item_type(inner)) is not None:
            return self._items(item, limits, raw, path)
        return self._leaf(annotation, limits, raw, path)

    def _leaf(self, annotation: Any, limits: Mapping[str, Any], raw: Any, path: KeyPath) -> Any:
        try:
            return read_leaf(annotation, limits, raw)
        except UserError as error:
            self.problems.add(path, error.message)
            return BAD

    def section(self, section: type, raw: Any, path: KeyPath) -> Any:
        """Return one dataclass instance, or ``BAD``."""
        if not self._is_mapping(raw, path):
            return BAD
        keys = keys_of(section)
        misspelt = self._unknown(raw, keys, path)
        values: dict[str, Any] = {}
        for key in keys.values():
            here = (*path, key.name)
            if key.name in raw:
                values[key.name] = self.value(key.type, key.limits, raw[key.name], here)
            elif key.has_default:
                values[key.name] = key.default
            else:
                values[key.name] = BAD
                if key.name not in misspelt:
                    self.problems.add(here, _is_missing(key))
        for file_key in FILES.get(section, ()):
            self._find_file(values, file_key, path)
        good = {name: value for name, value in values.items() if value is not BAD}
        for name, message in (*check_section(section, good, raw), *check_digest(section, good)):
            self.problems.add((*path, *name), message, at_key=not name)
        return BAD if misspelt or len(good) < len(values) else section(**good)

    def _choice(self, sections: tuple[type, ...], raw: Any, path: KeyPath) -> Any:
        """Pick the section that ``kind`` names."""
        if len(sections) == 1:
            return self.section(sections[0], raw, path)
        if not self._is_mapping(raw, path):
            return BAD
        by_kind = {kind_of(section): section for section in sections}
        kind = self._kind(raw, by_kind, path)
        return BAD if kind is None else self.section(by_kind[kind], raw, path)

    def _kind(self, raw: Mapping[str, Any], known: Mapping[str, Any], path: KeyPath) -> str | None:
        here = (*path, "kind")
        kinds = ", ".join(sorted(known))
        if "kind" not in raw:
            self.problems.add(here, f"is missing. Known: {kinds}")
        elif not isinstance(raw["kind"], str):
            self.problems.add(here, f"must be one of {kinds} (got {shown(raw['kind'])})")
        elif raw["kind"] not in known:
            self.problems.add(here, f"unknown kind '{raw['kind']}'; {close_match(raw['kind'], known)}")
        else:
            return raw["kind"]
        return None

    def _items(self, item: Any, limits: Mapping[str, Any], raw: Any, path: KeyPath) -> Any:
        if not isinstance(raw, list | tuple):
            self.problems.add(path, f"must be a list (got {shown(raw)})")
            return BAD
        least, most = limits.get("min_length", 0), limits.get("max_length", len(raw))
        if not least <= len(raw) <= most:
            bound = f"at least {least}" if len(raw) < least else f"at most {most}"
            self.problems.add(path, f"must have a length of {bound} (got {len(raw)})")
            return BAD
        inner = {name: limit for name, limit in limits.items() if not name.endswith("_length")}
        values = tuple(self.value(item, inner, part, (*path, i)) for i, part in enumerate(raw))
        return BAD if any(value is BAD for value in values) else values

    def _mapping(self, item: Any, limits: Mapping[str, Any], raw: Any, path: KeyPath) -> Any:
        """Read a mapping with keys of the user's own; the limits are those of its values."""
        if not self._is_mapping(raw, path):
            return BAD
        values = {name: self.value(item, limits, part, (*path, name)) for name, part in raw.items()}
        return BAD if any(value is BAD for value in values.values()) else values

    def _policy(self, raw: Any, path: KeyPath) -> Any:
        """Read one policy: its kind decides which options it has."""
        from discosim.policies import known_policies

        if not self._is_mapping(raw, path):
            return BAD
        kind = self._kind(raw, known_policies(), path)
        if kind is None:
            return BAD
        values = self._options(POLICY_KEYS | options_of(known_policies()[kind]), raw, path)
        if values is None:
            return BAD
        options = {name: value for name, value in values.items() if name not in POLICY_KEYS}
        spec = PolicySpec(kind=kind, name=values["name"] or kind, options=options)
        return spec if self._is_buildable(spec, path) else BAD

    def _scheduler(self, raw: Any, path: KeyPath) -> Any:
        """Read the scheduler of an engine: its kind decides which options it has."""
        from discosim.world.engine.schedulers.registry import known_schedulers

        if not self._is_mapping(raw, path):
            return BAD
        kind = self._kind(raw, known_schedulers(), path)
        if kind is None:
            return BAD
        values = self._options(SCHEDULER_KEYS | scheduler_options(known_schedulers()[kind]), raw, path)
        if values is None:
            return BAD
        options = {name: value for name, value in values.items() if name not in SCHEDULER_KEYS}
        spec = SchedulerSpec(kind=kind, options=options)
        return spec if self._is_buildable(spec, path) else BAD

    def _options(self, keys: Mapping[str, Key], raw: Mapping[str, Any], path: KeyPath) -> dict[str, Any] | None:
        """Return the value of every option, or None where one was refused."""
        misspelt = self._unknown(raw, keys, path)
        values: dict[str, Any] = {}
        for key in keys.values():
            here = (*path, key.name)
            if key.name in raw:
                values[key.name] = self.value(key.type, key.limits, raw[key.name], here)
            elif key.has_default:
                values[key.name] = key.default
            elif key.name not in misspelt:
                values[key.name] = BAD
                self.problems.add(here, _is_missing(key))
        return None if misspelt or BAD in values.values() else values

    def _is_buildable(self, spec: PolicySpec | SchedulerSpec, path: KeyPath) -> bool:
        """Let the policy's own checks speak before the run does."""
        try:
            if isinstance(spec, PolicySpec):
                build_policy(spec)
            else:
                build_scheduler(spec)
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

    def _find_file(self, values: dict[str, Any], name: str, path: KeyPath) -> None:
        """Make a file name absolute; it must exist."""
        file = values.get(name)
        if not isinstance(file, str):
            return
        named = Path(self.base / file)
        found = named.resolve()
        if named.is_fifo():
            values[name] = BAD
            self.problems.add((*path, name), f"{named} is a pipe, which can be read only once; save it to a file")
        elif found.is_file():
            values[name] = str(found)
        else:
            values[name] = BAD
            what = "a folder" if found.is_dir() else "a device or a socket"
            self.problems.add((*path, name), f"{found} is {what}, not a file" if found.exists() else _is_nowhere(found))


def _is_nowhere(file: Path) -> str:
    return f"no such file: {file}{near_files(file)}"


def _is_missing(key: Key) -> str:
    said = f"is missing. {key.description}".strip()
    sections = sections_of(key.type)
    if len(sections) != 1:
        return said
    needed = [part.name for part in keys_of(sections[0]).values() if not part.has_default]
    return f"{said} A section with {', '.join(needed)}." if needed else said
