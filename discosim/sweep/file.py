"""The sweep file: which scenario, which values, which seeds, and what is compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from discosim.core.spec import spec


@dataclass(frozen=True, kw_only=True)
class Seeds:
    """Replications: each seed is one, and equal seeds share all luck."""

    root: int = spec(1, doc="The first seed; the others count up from it.", ge=0)
    n: int = spec(20, doc="How many seeds, the sample of every interval.", ge=1)


@dataclass(frozen=True, kw_only=True)
class Axes:
    """What is varied."""

    grid: Mapping[str, tuple[Any, ...]] = spec(
        dict,
        doc="Path of --set -> values; every combination is a point. Several paths with commas take the same value.",
        min_length=1,
    )
    zip: Mapping[str, tuple[Any, ...]] = spec(
        dict, doc="Path of --set -> values that go together, one by one; as one more axis of the grid.", min_length=1
    )
    seeds: Seeds = spec(Seeds, doc="Replications of every point.")
    names: Mapping[str, str] = spec(
        dict,
        doc="Key of the grid or zip -> name of its column; {as: NAME, values: [...]} in place of the list says so too.",
        since="0.2",
        min_length=1,
    )


@dataclass(frozen=True, kw_only=True)
class Compare:
    """A paired difference, computed at every point it applies to."""

    name: str | None = spec(None, doc="Name by which `stop` refers to it; metric and policies if left out.")
    metric: str = spec(doc="Summary metric (`discosim explain metric`).", min_length=1)
    policy: str = spec(doc="Name of the policy.", min_length=1)
    baseline: str | None = spec(
        None, doc="Policy to compare with; null is the scenario's baseline, or the same policy beside `against`."
    )
    at: Mapping[str, Any] = spec(dict, doc="Path -> value: only at points with these values.")
    against: Mapping[str, Any] = spec(
        dict, doc="Path -> value: the baseline is the point with these values instead, all others being equal."
    )
    interval: Literal["t", "bootstrap"] = spec("t", doc="Student's t, or the BCa bootstrap (from about 20 seeds).")
    level: float = spec(0.95, doc="Coverage of the interval.", gt=0.5, lt=1)
    margin: float | None = spec(
        None, doc="Largest harm that does not matter, in the metric's unit: asks for a test of 'no worse'.", gt=0
    )


@dataclass(frozen=True, kw_only=True)
class Stop:
    """Add seeds until a comparison is narrow enough at all its points."""

    compare: str = spec(doc="Name of an entry of `compare`.", min_length=1)
    half_width: float = spec(doc="Half-width at which to stop, in the metric's unit.", gt=0)
    n_max: int = spec(200, doc="Seeds at most.", ge=2)
    step: int = spec(10, doc="Seeds added at a time; the rule looks only between steps.", ge=1)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Another size of the same sweep."""

    set: Mapping[str, Any] = spec(dict, doc="Path of --set -> value, for every point.")
    grid: Mapping[str, tuple[Any, ...]] = spec(dict, doc="Other values for axes of the grid.", min_length=1)
    zip: Mapping[str, tuple[Any, ...]] = spec(dict, doc="Other values for all axes of the zip.", min_length=1)
    n_seeds: int | None = spec(None, doc="Another number of seeds.", ge=1)
    n_max: int | None = spec(None, doc="Another maximum of `stop`.", ge=2)


@dataclass(frozen=True, kw_only=True)
class SweepFile:
    """A sweep: one scenario, the values that vary, and what is compared."""

    name: str = spec(doc="Name of the sweep; the default output folder is results/<name>.", min_length=1)
    base: Any = spec(doc="Path of a scenario relative to this file, name of a shipped one, or the scenario itself.")
    set: Mapping[str, Any] = spec(dict, doc="Path of --set -> value: changes to the base, for every point.")
    sweep: Axes = spec(Axes, doc="What is varied.")
    compare: tuple[Compare, ...] = spec((), doc="Paired differences to compute.")
    stop: Stop | None = spec(None, doc="Sequential rule; null runs the given number of seeds.")
    profiles: Mapping[str, Profile] = spec(dict, doc="Other sizes of this sweep, chosen with --profile.")
