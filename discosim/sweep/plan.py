"""From a sweep file to its runs: every point is resolved and validated before the first one starts."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from discosim.config.dump import as_plain
from discosim.config.inherit import inherited, read_base
from discosim.config.load import build_section, copied
from discosim.config.overrides import apply_override, set_value
from discosim.config.problems import ConfigError, Place, Problems
from discosim.config.yaml_loader import Document, read_file
from discosim.core.errors import UserError, close_match
from discosim.core.scenario import PolicySpec, Scenario
from discosim.runs.identity import run_ids
from discosim.runs.provenance import fingerprints, foreign_parts, inputs_of
from discosim.sweep.axes import Axis, Values, axes_of, key_of, with_profile
from discosim.sweep.file import Compare, SweepFile
from discosim.sweep.named_axes import split_names
from discosim.sweep.rules import OWN, check_file, check_points
from discosim.traces.catalogue import list_configs, list_sweeps, shipped_folder

MOST_PROBLEMS = 20
MOST_RUNS = 10**7
"""Runs of the largest sweep: their plan alone takes gigabytes."""


@dataclass(frozen=True)
class Point:
    """One combination of values.

    Parameters
    ----------
    index : int
        Position in the plan, from 0.
    values : mapping
        Path, or the name it has instead -> value of every axis.
    scenario : Scenario
        Resolved, with the first seed and one replication.
    inputs_sha256 : mapping
        Fingerprints of its inputs.
    """

    index: int
    values: Values
    scenario: Scenario
    inputs_sha256: Mapping[str, str]


@dataclass(frozen=True)
class Run:
    """One point with one seed: the unit of work."""

    point: int
    seed: int
    id: str

    @property
    def folder(self) -> str:
        """Name of its folder below ``runs/``."""
        return f"{self.id[:10]}-s{self.seed}"


@dataclass(frozen=True)
class Plan:
    """A sweep that is ready to run.

    Parameters
    ----------
    file : SweepFile
        The sweep with its profile worked in.
    profile : str
        Name of the profile, or ''.
    axes : tuple of Axis
        What is varied, in the order of the file.
    points : tuple of Point
        All combinations; the first axis varies slowest.
    """

    file: SweepFile
    profile: str
    axes: tuple[Axis, ...]
    points: tuple[Point, ...]

    @property
    def name(self) -> str:
        """Name of the sweep, and of its folder."""
        return f"{self.file.name}-{self.profile}" if self.profile else self.file.name

    @property
    def paths(self) -> tuple[str, ...]:
        """Paths of all axes, or the names that they have instead."""
        return tuple(path for axis in self.axes for path in axis.paths)

    @property
    def seeds(self) -> range:
        """Seeds that run before any rule is asked."""
        seeds = self.file.sweep.seeds
        return range(seeds.root, seeds.root + seeds.n)

    def runs(self, seeds: Iterable[int]) -> list[Run]:
        """Return all points with each of the seeds, seed by seed, so that what is done first is a whole replication."""
        seeds = tuple(seeds)
        ids = [run_ids(point.scenario, seeds, point.inputs_sha256) for point in self.points]
        return [
            Run(point.index, seed, of_point[i])
            for i, seed in enumerate(seeds)
            for point, of_point in zip(self.points, ids, strict=True)
        ]

    def scenario(self, run: Run) -> Scenario:
        """Return what a run simulates."""
        return replace(self.points[run.point].scenario, seed=run.seed)

    def baseline(self, compare: Compare) -> str:
        """Return the policy that a comparison refers to."""
        scenario = self.points[0].scenario
        if compare.baseline is None and compare.against:
            return compare.policy
        return compare.baseline or scenario.baseline or scenario.policies[0].name


def load_plan(
    source: str | os.PathLike[str],
    *,
    profile: str = "",
    overrides: Iterable[str] = (),
    more: Callable[[str], Sequence[PolicySpec]] | None = None,
) -> Plan:
    """Read a sweep file and resolve all its points.

    Parameters
    ----------
    source : path or str
        A YAML file, or the bare name of a shipped sweep.
    profile : str
        One of the file's profiles.
    overrides : iterable of str
        ``a.b=c`` texts for the base scenario, as ``--set`` takes them. A file that one names is looked for in the
        working directory and then beside the sweep file.
    more : callable, optional
        Gives policies that stand beside those of the base, for the name of the sweep; they can be varied and compared
        like all others.

    Returns
    -------
    Plan
        The same file gives the same plan, in the same order. Every file that is named, the base included, lies relative
        to the file that names it: what the base names beside the base, what the sweep names beside the sweep.

    Raises
    ------
    UserError
        For every mistake at once, each with its place; a wrong value of an axis is reported where it stands.
    """
    document, path = _read(source)
    if isinstance(document.data, Mapping) and "policies" in document.data and "sweep" not in document.data:
        raise UserError(f"is a scenario, not a sweep; run it with `discosim run {source}`", where=str(source))
    folder = path.resolve().parent
    split_names(document)
    file = build_section(SweepFile, document, folder)
    assert isinstance(file, SweepFile)
    problems = Problems(document.places)
    check_file(file, problems)
    if profile and profile not in file.profiles:
        others = close_match(profile, file.profiles) if file.profiles else "this sweep has none"
        raise UserError(f"unknown profile '{profile}'; {others}", where=str(source))
    problems.raise_if_any()
    chosen = with_profile(file, profile)
    axes = axes_of(chosen, profile, file)
    base = _base(chosen, document, folder)
    if more is not None and isinstance(base.data, dict) and isinstance(listed := base.data.get("policies"), list):
        listed += map(as_plain, more(f"{chosen.name}-{profile}" if profile else chosen.name))
    for key, value in chosen.set.items():
        set_value(base, key, copied(value), document.places["set", key])
    if profile:
        for key, value in file.profiles[profile].set.items():
            set_value(base, key, copied(value), document.places["profiles", profile, "set", key])
    for override in overrides:
        name = override.partition("=")[0].strip()
        if name in OWN:
            raise UserError(f"has no effect: {OWN[name]}", where=f"--set {override}")
        apply_override(base, override, folder)
    _one_replication(base, chosen)
    _check_size(chosen, axes, problems)
    points = _points(base, folder, axes, document)
    check_points(chosen, axes, [point.scenario for point in points], problems)
    problems.raise_if_any()
    return Plan(chosen, profile, axes, points)


def _check_size(file: SweepFile, axes: tuple[Axis, ...], problems: Problems) -> None:
    """Refuse a product of axes that nobody can mean, before it is written out."""
    n_points = math.prod(len(axis.steps) for axis in axes)
    n_runs = n_points * max(file.sweep.seeds.n, 0 if file.stop is None else file.stop.n_max)
    if n_runs > MOST_RUNS:
        message = f"gives {n_points:,} points and {n_runs:,} runs; at most {MOST_RUNS:,} fit into one sweep"
        problems.add(("sweep",), message)
    problems.raise_if_any()


def _read(source: str | os.PathLike[str]) -> tuple[Document, Path]:
    path = Path(source)
    if len(path.parts) == 1 and path.suffix not in {".yaml", ".yml"} and not path.exists():
        known = list_sweeps()
        if path.name not in known and path.name in list_configs():
            raise UserError(f"'{path.name}' is a scenario, not a sweep; run it with `discosim run {path.name}`")
        if path.name not in known:
            raise UserError(f"unknown sweep '{path.name}'; {close_match(path.name, known)}")
        path = shipped_folder("configs") / "sweeps" / f"{path.name}.yaml"
    document = read_file(path)
    document.places.setdefault((), Place(str(path), str(path)))
    return document, path


def _base(file: SweepFile, document: Document, folder: Path) -> Document:
    """Return the base scenario as plain data that may be changed; its places know its folder."""
    where = document.places.get(("base",), Place("", "")).value
    if isinstance(file.base, Mapping):
        places = {key[1:]: place for key, place in document.places.items() if key[:1] == ("base",)}
        return inherited(Document(copied(file.base), places), folder)
    if not isinstance(file.base, str) or not file.base:
        raise UserError("must be a file, the name of a shipped scenario, or a scenario", where=f"{where} base")
    return read_base(file.base, folder, f"{where} base", whose="sweep")


def _one_replication(base: Document, file: SweepFile) -> None:
    """Let the seeds of the sweep be its replications, whatever the base says about them."""
    if isinstance(base.data, dict):
        base.data["replications"] = 1
        base.data["seed"] = file.sweep.seeds.root


def _points(base: Document, folder: Path, axes: tuple[Axis, ...], document: Document) -> tuple[Point, ...]:
    points: list[Point] = []
    problems: dict[str, UserError] = {}
    fingerprinted: dict[str, Mapping[str, str]] = {}
    for choice in itertools.product(*(axis.steps for axis in axes)):
        data = Document(copied(base.data), dict(base.places))
        values: dict[str, Any] = {}
        try:
            for step in choice:
                for setting in step:
                    for target in setting.targets:
                        set_value(data, target, copied(setting.value), document.places[setting.place])
                    values[setting.path] = setting.value
            scenario = build_section(Scenario, data, folder)
        except ConfigError as error:
            for problem in error.problems:
                problems.setdefault(_mistake(problem), problem)
            continue
        except UserError as error:
            problems.setdefault(error.message, error)
            continue
        inputs = _inputs(scenario, fingerprinted)
        points.append(Point(len(points), values, scenario, inputs))
    if problems:
        shown = list(problems.values())[:MOST_PROBLEMS]
        rest = len(problems) - len(shown)
        raise ConfigError((*shown, *([UserError(f"and {rest} more mistakes")] if rest else [])))
    return tuple(points)


def _mistake(problem: UserError) -> str:
    """Return what tells one mistake from another: key and message, wherever each value of an axis stands."""
    return f"{problem.where.rpartition(' ')[2]}: {problem.message}"


def _inputs(scenario: Scenario, known: dict[str, Mapping[str, str]]) -> Mapping[str, str]:
    """Fingerprint each set of inputs once: points mostly share them."""
    key = repr((inputs_of(scenario), foreign_parts(scenario)))
    if key not in known:
        known[key] = fingerprints(scenario)
    return known[key]


__all__ = ["Plan", "Point", "Run", "key_of", "load_plan"]
