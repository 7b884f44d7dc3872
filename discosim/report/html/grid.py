"""A tidy table with a row per policy, point and replication, as the chart of a metric against what was varied."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from discosim.metrics.definitions import DEFINITIONS
from discosim.metrics.stats import t_interval
from discosim.metrics.words import in_words, readable

if TYPE_CHECKING:
    import pandas as pd

MAX_NUMBERS = 90_000
"""Numbers that a page may carry for one table, at about 8 characters each; the last metrics give way."""

_UNITS = {
    "s": "s", "ms": "ms", "usd": "USD", "j": "J", "rps": "1/s", "tok": "tok", "share": "1", "pct": "%", "x": "x",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Something that was varied.

    Parameters
    ----------
    label : str
        Its name for the reader.
    values : sequence of str
        Its values as text, in their order.
    numbers : sequence of float or None
        The same as numbers, where all of them are.
    """

    label: str
    values: Sequence[str]
    numbers: Sequence[float] | None


def axis_of(label: str, values: Sequence[Any]) -> Axis:
    """Return the axis of a column's distinct values: numbers ascend, other values keep their order."""
    known = list(dict.fromkeys(values))
    is_numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in known)
    if is_numeric:
        known = sorted(known)
    numbers = [float(v) for v in known] if is_numeric else None
    return Axis(label=label, values=[f"{v:g}" if is_numeric else str(v) for v in known], numbers=numbers)


def grid(
    name: str,
    table: pd.DataFrame,
    axes: Sequence[Axis],
    places: Sequence[Sequence[int]],
    policies: Sequence[str],
    metrics: Sequence[str],
    *,
    first: str,
    wide: Mapping[tuple[tuple[int, ...], str, str], float] | None = None,
) -> dict[str, Any]:
    """Average a table over its replications.

    Parameters
    ----------
    name : str
        Of the table.
    table : DataFrame
        Rows with ``policy`` and the metrics; each is one replication.
    axes : sequence of Axis
        What was varied.
    places : sequence of sequence of int
        For each row of the table, its place on every axis.
    policies : sequence of str
        Of the whole page.
    metrics : sequence of str
        Columns to show.
    first : str
        The metric to begin with.
    wide : mapping of (place, policy, metric) to float, optional
        Half-widths that hold the inputs, too, where they are known.

    Returns
    -------
    dict
        ``axes``; ``cells``, one per policy and point; ``metrics``, each with the mean, the half-width of the 95 %
        interval over replications, and their number, by cell.
    """
    import pandas as pd

    where = pd.Series([tuple(place) for place in places], index=table.index, dtype=object, name="_place")
    keyed = pd.concat([table, where], axis=1)  # an index of a hundred columns and more grows slowly one by one
    groups = [rows for _, rows in keyed.groupby(["_place", "policy"], sort=False)]
    keys = [(tuple(rows["_place"].iloc[0]), str(rows["policy"].iloc[0])) for rows in groups]
    cells = [{"at": list(place), "policy": policies.index(policy)} for place, policy in keys]
    shown = []
    for metric in metrics[: max(1, MAX_NUMBERS // (3 * max(1, len(cells))))]:
        found = [t_interval(rows[metric].to_numpy(dtype=float)) for rows in groups]
        if all(not interval.n for interval in found):
            continue
        known = DEFINITIONS.get(metric)
        unit = readable(metric, unit_of(metric), [interval.mean for interval in found])
        both = [(wide or {}).get((place, policy, metric), math.nan) for place, policy in keys]
        shown.append(
            {
                "name": metric,
                "label": in_words(metric),
                "unit": unit.unit,
                "prefix": unit.prefix,
                "per": unit.per,
                "direction": "" if known is None else known.direction,
                "about": "" if known is None else known.description,
                "mean": [unit.factor * interval.mean for interval in found],
                "half": [unit.factor * interval.half_width for interval in found],
                "n": [interval.n for interval in found],
                **({"wide": [unit.factor * half for half in both]} if any(map(math.isfinite, both)) else {}),
            }
        )
    plain = [{"label": axis.label, "values": axis.values, "numbers": axis.numbers} for axis in axes]
    return {"name": name, "axes": plain, "cells": cells, "metrics": shown, "first": first, "sample": "replications"}


def unit_of(metric: str) -> str:
    """Return the unit of a metric: of its definition, else what its name says.

    Examples
    --------
    >>> unit_of("ttft_mean_s"), unit_of("gap_mean_max_ms"), unit_of("gpu_s_mean"), unit_of("gain")
    ('s', 'ms', 's', '')
    """
    if metric in DEFINITIONS:
        return DEFINITIONS[metric].unit
    if metric.endswith("tok_per_s"):
        return "tok/s"
    stem = re.sub(r"_(mean|total|max|min|p\d+)$", "", metric)
    return _UNITS.get(stem.rpartition("_")[2], "") if "_" in stem else ""
