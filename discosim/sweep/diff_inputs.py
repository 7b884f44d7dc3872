"""Differences of two result folders with what few rows behind their inputs leave open."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from discosim.config import load_scenario
from discosim.core.errors import UserError
from discosim.metrics.stats import LEVEL
from discosim.runs.facts import read_facts
from discosim.runs.finished import Finished, Side, finished, part_of, version_half_width
from discosim.runs.provenance import fingerprints, measured
from discosim.sweep.axes import shown
from discosim.sweep.metric_diff import MetricDiff
from discosim.sweep.results import is_sweep
from discosim.sweep.store import Store


def with_inputs(
    rows: Sequence[MetricDiff], a: Path, b: Path, samples: Mapping[int, Sequence[float]]
) -> list[MetricDiff]:
    """Return differences with their half-widths with inputs, where an input of either side has few rows.

    Parameters
    ----------
    rows : sequence of MetricDiff
        Differences B minus A.
    a, b : Path
        The folders.
    samples : mapping of int to sequence of float
        Place of a row -> its differences by seed and replication.
    """
    names = {row.metric for row in rows}
    sides = [_Folder(folder, names) for folder in (a, b)]
    found = []
    for i, row in enumerate(rows):
        base, own = (side.of(row.values) for side in sides)
        if own is None or base is None or not (own.inputs or base.inputs):
            found.append(row)
            continue
        both = Side(own, row.policy), Side(base, row.policy)
        if own.is_resampled and base.is_resampled:
            half = version_half_width(row.metric, samples[i], *both, LEVEL) if own.sizes == base.sizes else math.nan
        else:
            half = math.hypot(row.diff.half_width, part_of(row.metric, *both).half_width())
        few = "; ".join(dict.fromkeys(text for runs in (base, own) if (text := runs.rows_text())))
        found.append(replace(row, few_rows=few, half_width_with_inputs=half))
    return found


class _Folder:
    """The runs of a folder by the values of its axes, read when they are asked for."""

    def __init__(self, folder: Path, names: Collection[str]) -> None:
        self._folder, self._names = folder, names
        self._known: dict[tuple[tuple[str, str], ...], Finished | None] = {}
        self._points: list[tuple[Mapping[str, Any], dict[int, Path]]] = []
        if is_sweep(folder):
            store = Store(folder)
            self._points = [(point["values"], {}) for point in store.read_plan()["points"]]
            for run in store.planned():
                if store.facts(run):
                    self._points[run.point][1][run.seed] = store.path(run)

    def of(self, values: Mapping[str, str]) -> Finished | None:
        """Return the runs at a point, or the run; None where its inputs are not to be had any more."""
        key = tuple(values.items())
        if key not in self._known:
            self._known[key] = self._read(values)
        return self._known[key]

    def _read(self, values: Mapping[str, str]) -> Finished | None:
        by_seed = self._by_seed(values) if self._points else {-1: self._folder}
        if not by_seed:
            return None
        first = next(iter(by_seed.values()))
        try:
            scenario = load_scenario(first / "config.yaml", runs_own=False)
            if measured(read_facts(first)["inputs_sha256"]) != measured(fingerprints(scenario)):
                return None
        except UserError:
            return None
        return finished(scenario, by_seed if self._points else {scenario.seed: first}, self._names)

    def _by_seed(self, values: Mapping[str, str]) -> dict[int, Path]:
        """Return the runs at the only point with these values; none where axes of one sweep alone tell points apart."""
        matching = [
            runs for held, runs in self._points if all(shown(held.get(path)) == value for path, value in values.items())
        ]
        return matching[0] if len(matching) == 1 else {}
