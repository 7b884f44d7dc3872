"""What ties several keys of a sweep file together, checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from discosim.config.checks import why_no_file_name
from discosim.config.keypath import KeyPath
from discosim.config.problems import Problems
from discosim.core.errors import UserError, close_match
from discosim.core.scenario import Scenario
from discosim.metrics.definitions import definition
from discosim.metrics.summary_definitions import SUMMARY_METRICS
from discosim.sweep.axes import Axis, key_of, split_paths
from discosim.sweep.file import Compare, SweepFile

OWN = {
    "seed": "seeds stand in sweep.seeds",
    "replications": "the seeds of a sweep are its replications: sweep.seeds.n",
    "name": "the points of a sweep are told apart by their values",
}
"""Keys of a scenario that a sweep decides itself."""
HEAD = ("run", "point", "seed", "status", "error", "requests_sha256", "discosim", "source_sha256")
"""Columns of index.parquet before those of the axes."""


def check_file(file: SweepFile, problems: Problems) -> None:
    """Note everything that is wrong with a sweep file whatever its base holds."""
    if reason := why_no_file_name(file.name):
        problems.add(("name",), reason)
    for name in file.profiles:
        if reason := why_no_file_name(name):
            problems.add(("profiles", name), reason, at_key=True)
    _check_lists(file.sweep.grid, ("sweep", "grid"), problems)
    _check_lists(file.sweep.zip, ("sweep", "zip"), problems)
    _check_zip(file.sweep.zip, ("sweep", "zip"), problems)
    _check_paths(file, problems)
    _check_names(file, problems)
    _check_own(file.set, ("set",), problems)
    for name, profile in file.profiles.items():
        start: KeyPath = ("profiles", name)
        _check_own(profile.set, (*start, "set"), problems)
        for section in ("grid", "zip"):
            lists, axes = getattr(profile, section), getattr(file.sweep, section)
            _check_lists(lists, (*start, section), problems)
            for key in lists:
                if key not in axes:
                    problems.add((*start, section, key), f"is no axis; {close_match(key, axes)}", at_key=True)
        _check_zip(profile.zip, (*start, "zip"), problems)
        if profile.zip and set(profile.zip) != set(file.sweep.zip):
            problems.add((*start, "zip"), f"must give all of {', '.join(file.sweep.zip)}")
        if profile.n_max is not None and file.stop is None:
            problems.add((*start, "n_max"), "has a meaning only beside stop")
    _check_compare(file, problems)


def _check_lists(lists: Mapping[str, Sequence[Any]], start: KeyPath, problems: Problems) -> None:
    for key, values in lists.items():
        seen: set[str] = set()
        for i, value in enumerate(values):
            if start[-1] == "grid" and key_of(value) in seen:
                problems.add((*start, key, i), f"is there already: {key_of(value)}")
            seen.add(key_of(value))


def _check_zip(lists: Mapping[str, Sequence[Any]], start: KeyPath, problems: Problems) -> None:
    lengths = {key: len(values) for key, values in lists.items()}
    first = next(iter(lengths), "")
    for key, length in lengths.items():
        if length != lengths[first]:
            problems.add((*start, key), f"must have as many values as {first}: {lengths[first]} (got {length})")


def _check_paths(file: SweepFile, problems: Problems) -> None:
    first: dict[str, str] = {}
    for section in ("grid", "zip"):
        for key in getattr(file.sweep, section):
            for path in split_paths(key):
                here: KeyPath = ("sweep", section, key)
                if not path:
                    problems.add(here, "expected paths with commas between them", at_key=True)
                elif path in first:
                    problems.add(here, f"{path} is varied already, by {first[path]}", at_key=True)
                elif path in OWN:
                    problems.add(here, f"cannot be varied: {OWN[path]}", at_key=True)
                first[path] = key


def _check_names(file: SweepFile, problems: Problems) -> None:
    keys = [*file.sweep.grid, *file.sweep.zip]
    taken = {*HEAD, "policy", *(metric.name for metric in SUMMARY_METRICS)}
    others = {path for key in keys if key not in file.sweep.names for path in split_paths(key)}
    for key, name in file.sweep.names.items():
        here: KeyPath = ("sweep", "names", key)
        if key not in keys:
            problems.add(here, f"is no axis; {close_match(key, keys)}", at_key=True)
        elif name in taken:
            problems.add(here, f"is a column of every sweep: {name}; choose another name")
        elif name in others:
            problems.add(here, f"is the name of another axis: {name}")
        elif reason := why_no_file_name(name):
            problems.add(here, reason)
        others.add(name)


def _check_own(values: Mapping[str, Any], start: KeyPath, problems: Problems) -> None:
    for key in values:
        if key in OWN and key != "name":
            problems.add((*start, key), f"cannot be set: {OWN[key]}", at_key=True)


def _check_compare(file: SweepFile, problems: Problems) -> None:
    names: list[str] = []
    for i, compare in enumerate(file.compare):
        here: KeyPath = ("compare", i)
        try:
            metric = definition(compare.metric)
        except UserError as error:
            problems.add((*here, "metric"), error.message)
        else:
            if metric.level != "summary":
                problems.add((*here, "metric"), f"is a column of single requests, not a summary ({compare.metric})")
        if name_of(compare) in names:
            problems.add(here, f"is there already: {name_of(compare)}; give it a name of its own")
        names.append(name_of(compare))
    stop = file.stop
    if stop is None:
        return
    if stop.compare not in names:
        problems.add(("stop", "compare"), f"unknown comparison '{stop.compare}'; {close_match(stop.compare, names)}")
    if stop.n_max < file.sweep.seeds.n:
        problems.add(("stop", "n_max"), f"must be >= sweep.seeds.n = {file.sweep.seeds.n} (got {stop.n_max})")


def name_of(compare: Compare) -> str:
    """Return the name of a comparison, made of its parts where it has none."""
    baseline = f" - {compare.baseline}" if compare.baseline else ""
    return compare.name or f"{compare.metric}: {compare.policy}{baseline}"


def check_points(file: SweepFile, axes: Sequence[Axis], scenarios: Sequence[Scenario], problems: Problems) -> None:
    """Note comparisons that name a policy or a value which the points do not have."""
    values: dict[str, dict[str, Any]] = {}
    for axis in axes:
        for step in axis.steps:
            for setting in step:
                values.setdefault(setting.path, {})[key_of(setting.value)] = setting.value
    policies = set.intersection(*({policy.name for policy in scenario.policies} for scenario in scenarios))
    for i, compare in enumerate(file.compare):
        for key in ("policy", "baseline"):
            name = getattr(compare, key)
            if name is not None and name not in policies:
                problems.add(("compare", i, key), f"unknown policy '{name}'; {close_match(name, policies)}")
        for section in ("at", "against"):
            for path, value in getattr(compare, section).items():
                here: KeyPath = ("compare", i, section, path)
                if path not in values:
                    problems.add(here, f"is no axis of the sweep; {close_match(path, values)}", at_key=True)
                elif key_of(value) not in values[path]:
                    problems.add(here, f"is no value of that axis; {close_match(key_of(value), values[path])}")
