"""What a user asked for, resolved against what there is: which numbers, along what, in how many panels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from discosim.core.errors import UserError, close_match
from discosim.metrics.definitions import DEFINITIONS
from discosim.report.plots.kept import Kept, only
from discosim.report.plots.names import Names
from discosim.report.plots.source import Dim, Source, text_of

KINDS = ("lines", "bars", "cdf", "pareto", "heat")
MOST_PANELS = 30
NOTHING = Dim(("",), ("",))
"""The dim of a picture that has no panels, or no series: one value, which every row has."""


@dataclass(frozen=True)
class Asked:
    """What was asked for, in the user's words; '' where nothing was said. Fields are those of `discosim.plot`."""

    x: str = ""
    y: tuple[str, ...] = ()
    z: str = ""
    kind: str = ""
    facet: tuple[str, ...] = ()
    series: str = ""
    policies: tuple[str, ...] | None = None
    where: Mapping[str, Any] = field(default_factory=dict)
    average: tuple[str, ...] = ()
    best: bool = False


@dataclass(frozen=True)
class Choice:
    """What is drawn.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    x : str or Dim
        What lies along x: a metric's name (or, of a CDF, a column of requests), or what was varied.
    y : tuple of str
        Metrics along y; several are rows of panels.
    y_dim : Dim
        What lies along the y of a heat map.
    z : str
        The metric of a heat map.
    columns, rows, series : Dim
        What differs from panel to panel and from line to line; `NOTHING` where nothing does.
    path : Dim
        What the points of one series of a Pareto front differ in.
    averaged : tuple of Dim
        What numbers are means over, replication by replication.
    kept : mapping of str to tuple
        Column -> the values that stay.
    notes : tuple of str
        What the user did not ask for and gets.
    """

    kind: str
    x: str | Dim
    y: tuple[str, ...]
    y_dim: Dim = NOTHING
    z: str = ""
    columns: Dim = NOTHING
    rows: Dim = NOTHING
    series: Dim = NOTHING
    path: Dim = NOTHING
    averaged: tuple[Dim, ...] = ()
    kept: Kept = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def choose(source: Source, asked: Asked) -> Choice:
    """Resolve what was asked for.

    Raises
    ------
    UserError
        For a name that is not there, with the nearest that is and what there is; for what cannot be drawn; and where
        the sweep varied more than the picture shows, with the options that settle it.
    """
    source, kept = only(source, asked.policies, asked.where)
    chooser = _Chooser(source, asked)
    kind = chooser.kind()
    y: tuple[str, ...] = ()
    y_dim, z = NOTHING, ""
    x: str | Dim
    if kind == "cdf":
        x = chooser.names.metric(asked.x or asked.y[0], "x", by_request=True)
    elif kind == "heat":
        if not asked.x or len(asked.y) != 1 or not asked.z:
            raise UserError("a heat map takes what was varied as --x and --y, and a metric as --z", where="--kind heat")
        x, y_dim = chooser.take(asked.x, "x"), chooser.take(asked.y[0], "y")
        z = chooser.names.metric(asked.z, "z")
    else:
        y = tuple(chooser.names.metric(name, "y") for name in asked.y)
        x = chooser.two_metrics(y) if kind == "pareto" else chooser.along_x(kind)
    averaged = tuple(chooser.take(name, "average") for name in asked.average)
    columns, rows, series, path = chooser.share_out(kind, y)
    n_panels = len(columns.values) * len(rows.values) * max(1, len(y))
    if n_panels > MOST_PANELS:
        raise UserError(f"would have {n_panels} panels, at most {MOST_PANELS}; --where picks values", where="--facet")
    return Choice(kind, x, y, y_dim, z, columns, rows, series, path, averaged, kept, tuple(chooser.notes))


class _Chooser:
    """Gives each thing that was varied its place, until none is left."""

    def __init__(self, source: Source, asked: Asked) -> None:
        self.source, self.asked = source, asked
        self.names = Names(source)
        self.free = [dim for dim in source.dims if len(dim.values) > 1]
        self._placed: set[str] = set()
        self.notes: list[str] = []

    def take(self, name: str, option: str) -> Dim:
        """Return what a word names, which then has its place."""
        dim = self.names.dim(name, option)
        if set(dim.paths) & self._placed:
            raise UserError(f"'{name}' has its place already", where=f"--{option}")
        self._drop(dim)
        return dim

    def _drop(self, dim: Dim) -> None:
        self._placed |= set(dim.paths)
        self.free = [other for other in self.free if not set(other.paths) & set(dim.paths)]

    def kind(self) -> str:
        """Return the kind, by what was asked for where nobody named it."""
        asked = self.asked
        if asked.kind and asked.kind not in KINDS:
            raise UserError(f"unknown kind '{asked.kind}'; {close_match(asked.kind, KINDS)}", where="--kind")
        kind = asked.kind or self._kind_by_x()
        if asked.z and kind != "heat":
            raise UserError("is the metric of a heat map; leave it out, or say --kind heat", where="--z")
        if asked.best and kind != "heat":
            raise UserError("is for heat maps: which policy is best in each cell", where="--best")
        if kind == "cdf" and not (asked.x or asked.y):
            raise UserError("is needed, for example --x ttft_s", where="--x")
        if kind == "cdf" and len(asked.y) + bool(asked.x) > 1:
            raise UserError("a distribution is of one column of requests, as --x", where="--kind cdf")
        if kind in ("lines", "bars") and not asked.y:
            known = self.source.metrics
            example = "ttft_p99_s" if "ttft_p99_s" in known or not known else known[0]
            raise UserError(f"is needed, for example --y {example}", where="--y")
        return kind

    def _kind_by_x(self) -> str:
        x, y, names = self.asked.x, self.asked.y, self.names
        if self.asked.z or self.asked.best:
            return "heat"
        if x:
            if names.is_metric(x):
                return "pareto"
            if names.is_column(x) and not names.is_dim(x):
                return "cdf"
            return "lines" if names.dim(x, "x").is_number else "bars"
        if y and all(names.is_column(name) and not names.is_metric(name) for name in y):
            return "cdf"
        return "lines" if any(dim.is_number for dim in self.free) else "bars"

    def along_x(self, kind: str) -> Dim:
        """Return what lies along x: where nobody said it a number that was varied, else anything, else the policy."""
        if self.asked.x:
            return self.take(self.asked.x, "x")
        varied = [dim for dim in self.free if dim.name != "policy"]
        numbers = [dim for dim in varied if dim.is_number]
        if kind == "lines" and not varied:
            raise UserError(
                "lines need something along x that was varied, and nothing was; try --kind bars", where="--x"
            )
        dim = (numbers or varied or [self.source.dims[0]])[0]
        self._drop(dim)
        return dim

    def two_metrics(self, y: Sequence[str]) -> str:
        """Return the metric along the x of a Pareto front."""
        if not self.asked.x or len(y) != 1:
            raise UserError("a Pareto front takes two metrics, one as --x and one as --y", where="--kind pareto")
        x = self.names.metric(self.asked.x, "x")
        for name in (x, y[0]):
            if name in DEFINITIONS and DEFINITIONS[name].direction == "neutral":
                raise UserError(f"'{name}' is better neither low nor high, so it has no front", where="--kind pareto")
        return x

    def share_out(self, kind: str, y: Sequence[str]) -> tuple[Dim, Dim, Dim, Dim]:
        """Return columns and rows of panels, series, and what lies along a series; whatever is left is a panel too."""
        asked, series, path = self.asked, NOTHING, NOTHING
        most = 1 if len(y) > 1 else 2
        if len(asked.facet) > most:
            why = (
                "one name, as several metrics are the rows" if most == 1 else "two names: columns of panels, then rows"
            )
            raise UserError(f"takes at most {why}", where="--facet")
        panels = [self.take(name, "facet") for name in asked.facet]
        policy = self.source.dims[0]
        if asked.series:
            series = self.take(asked.series, "series")
        elif policy in self.free and (kind != "heat" or asked.best):
            series = self.take("policy", "series")
        if kind == "pareto" and self.free:
            path = next((dim for dim in self.free if dim.is_number), self.free[0])
            self._drop(path)
            self.notes.append(f"points of a line differ in {path.name}")
        while self.free and len(panels) < most:
            dim = self.free.pop(0)
            panels.append(dim)
            if dim.name != "policy":
                self.notes.append(f"a panel for each {dim.name}, as it varies too (--where and --average settle it)")
        if self.free:
            said = "; ".join(f"{dim.name} ({_some(dim.values)})" for dim in self.free)
            raise UserError(
                f"the picture would hide that more was varied: {said}; pick values with --where NAME=VALUE, "
                "or take means with --average NAME",
                where=self.source.name,
            )
        columns, rows = [*panels, NOTHING, NOTHING][:2]
        return columns, rows, series, path


def _some(values: Sequence[Any]) -> str:
    return ", ".join(map(text_of, values[:6])) + (", ..." if len(values) > 6 else "")
