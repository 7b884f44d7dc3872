"""Intervals with what few rows behind the inputs leave open, of the cells of a picture."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pandas as pd

from discosim.metrics.influence import is_beyond
from discosim.metrics.stats import LEVEL
from discosim.report.input_rows import few_rows
from discosim.report.tables import PlainSummary, number
from discosim.runs.finished import Finished, Side, part_of, version_half_width
from discosim.runs.input_intervals import asks
from discosim.sweep.finished_inputs import finished_of

UNKNOWN = math.nan
MANY = 10**9
"""Rows of whoever met none of an input of few."""


class Inputs(Protocol):
    """What is known of the inputs behind a source."""

    def half_width(self, metric: str, rows: pd.DataFrame, luck: float) -> float:
        """Return the half-width with inputs of a metric of some rows of the source.

        ``luck`` is that by luck alone, which is given back where no input has few rows; NaN where it is not known what
        they leave open.
        """
        ...

    def rows_text(self) -> str:
        """Return the inputs of few rows that were met, the fewest first; '' where there was none."""
        ...

    def rests_on_no_row(self, metric: str, policy: str | None = None) -> bool:
        """Tell whether a metric is a quantile beyond the rows of an input that was met, by a policy or by any."""
        ...


@dataclass(frozen=True)
class OfRun:
    """Those of one run, as its summary has them."""

    summary: PlainSummary

    def half_width(self, metric: str, rows: pd.DataFrame, luck: float) -> float:
        """Return the half-width with inputs; see `Inputs`."""
        if not self.summary.get("inputs"):
            return luck
        policies = set(rows["policy"])
        if len(policies) != 1:
            return UNKNOWN
        return number(self.summary, policies.pop(), metric, "half_width")

    def rows_text(self) -> str:
        """Return the inputs of few rows; see `Inputs`."""
        return few_rows(self.summary)

    def rests_on_no_row(self, metric: str, policy: str | None = None) -> bool:
        """Tell whether a metric is a quantile beyond the rows; see `Inputs`."""
        beyond = self.summary.get("inputs", {}).get("beyond", {})
        return any(metric in names for name, names in beyond.items() if policy in (None, name))


@dataclass
class OfSweep:
    """Those of a sweep's points, read from the files of its runs when they are asked for.

    Parameters
    ----------
    folder : Path
        The sweep.
    names : collection of str
        Metrics that will be asked for.
    targets : mapping of str to float
        Targets for requests, where their numbers are among them.
    """

    folder: Path
    names: Collection[str]
    targets: Mapping[str, float] = field(default_factory=dict)
    _points: dict[int, Finished | None] = field(default_factory=dict)
    _met: dict[str, int] = field(default_factory=dict)
    _met_by: dict[str, int] = field(default_factory=dict)

    def half_width(self, metric: str, rows: pd.DataFrame, luck: float) -> float:
        """Return the half-width with inputs; see `Inputs`."""
        cells = set(zip(rows["point"].astype(int), rows["policy"], strict=True))
        if len(cells) != 1 or math.isnan(luck):
            return UNKNOWN
        point, policy = cells.pop()
        if point not in self._points:
            self._points[point] = self._read(dict(zip(rows["seed"].astype(int), rows["run"], strict=True)))
        runs = self._points[point]
        if runs is None:
            return UNKNOWN
        if not runs.inputs:
            return luck
        self._met |= {f"{given.role} {given.n:,} {given.unit}": given.n for given in runs.inputs}
        asked = [given.n for given in runs.inputs if asks(runs.columns[str(policy)], given.role)]
        self._met_by[str(policy)] = min([*asked, self._met_by.get(str(policy), MANY)])
        side = Side(runs, str(policy))
        if runs.is_resampled:
            return version_half_width(metric, rows.sort_values("seed")[metric].tolist(), side, None, LEVEL)
        return math.hypot(luck, part_of(metric, side).half_width())

    def rows_text(self) -> str:
        """Return the inputs of few rows that were met; see `Inputs`."""
        return ", ".join(sorted(self._met, key=self._met.__getitem__))

    def rests_on_no_row(self, metric: str, policy: str | None = None) -> bool:
        """Tell whether a metric is a quantile beyond the rows; see `Inputs`."""
        held = self._met.values() if policy is None else [self._met_by.get(policy, MANY)]
        return any(is_beyond(n, metric) for n in held)

    def _read(self, runs: Mapping[int, str]) -> Finished | None:
        """Return the finished runs of a point; None where their inputs are not to be had any more."""
        by_seed = {seed: self.folder / "runs" / str(name) for seed, name in runs.items()}
        return finished_of(by_seed, self.names, self.targets)
