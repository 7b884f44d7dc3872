"""The numbers of a picture: a tidy table with a row per point, its mean and its interval over replications."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from discosim.core.errors import UserError
from discosim.metrics.labels import factor_of
from discosim.metrics.stats import t_interval
from discosim.report.plots.choice import NOTHING, Choice
from discosim.report.plots.inputs import Inputs
from discosim.report.plots.source import UNIT, Dim, Source

KEYS = ("row", "column", "series", "x")
QUANTILES = (0.5, 0.9, 0.95, 0.99)
N_POINTS = 300
MOST_STEPS = 50
LOG_FROM_RATIO = 100.0


def cells_of(source: Source, choice: Choice, inputs: Inputs | None = None) -> pd.DataFrame:
    """Average metrics over replications, for each point of a picture.

    Returns
    -------
    DataFrame
        One row per metric and point: ``row, column, series, x, y`` (the values there; '' where a picture has none),
        ``metric``, ``n`` replications, ``mean``, and the ends ``low`` and ``high`` of the 95 % interval over them, NaN
        for one. Units are those of the axes' labels. Where something is averaged, each replication's mean over it is
        one observation. With ``inputs`` the ends take in what few rows behind the inputs leave open, where that is
        known, and ``is_by_luck`` says where they do not.
    """
    dims = {"row": choice.rows, "column": choice.columns, "series": choice.series}
    dims["x"] = choice.path if isinstance(choice.x, str) else choice.x
    dims["y"] = choice.y_dim
    metrics = metrics_of(choice)
    rows = kept_rows(source.rows, choice)
    by = [dim.name for dim in dims.values() if dim is not NOTHING]
    units = rows.groupby([*by, UNIT], sort=False, observed=True)[list(metrics)].mean().reset_index()
    _check_one_each(rows, [*by, UNIT], choice)
    found: list[dict[str, Any]] = []
    for key, part in units.groupby(by, sort=False, observed=True) if by else [((), units)]:
        place = dict(zip(by, key if isinstance(key, tuple) else (key,), strict=True))
        where = {name: place.get(dim.name, "") for name, dim in dims.items()}
        for metric in metrics:
            interval, factor = t_interval(part[metric].to_numpy(dtype=float)), factor_of(metric)
            half, is_by_luck = interval.half_width, True
            if inputs is not None and not choice.averaged:
                wide = inputs.half_width(metric, _at(rows, place), half)
                half, is_by_luck = (half, True) if np.isnan(wide) else (wide, False)
            ends = {"low": factor * (interval.mean - half), "high": factor * (interval.mean + half)}
            mean = {"n": interval.n, "mean": factor * interval.mean}
            found.append({**where, "metric": metric, **mean, **ends, "is_by_luck": is_by_luck})
    return _sorted(pd.DataFrame(found), dims)


def _at(rows: pd.DataFrame, place: Mapping[str, Any]) -> pd.DataFrame:
    for name, value in place.items():
        rows = rows[rows[name] == value]
    return rows


def kept_rows(rows: pd.DataFrame, choice: Choice) -> pd.DataFrame:
    """Return the rows with the values that were asked for."""
    for column, values in (choice.kept or {}).items():
        rows = rows[rows[column].isin(list(values))]
    return rows


def metrics_of(choice: Choice) -> tuple[str, ...]:
    """Return the metrics whose means a picture shows."""
    if choice.kind == "heat":
        return (choice.z,)
    return (choice.x, *choice.y) if isinstance(choice.x, str) else choice.y


def _check_one_each(rows: pd.DataFrame, by: Sequence[str], choice: Choice) -> None:
    """Refuse a table in which something differs that nobody named: means over it would look like replications."""
    averaged = [dim.name for dim in choice.averaged]
    if rows.duplicated([*dict.fromkeys([*by, "policy"]), *averaged]).any():
        raise UserError(
            "holds several rows of one policy and replication; a column that says how they differ must be varied "
            "(text, or a number with few values), or drop rows first",
            where="the table",
        )


def _sorted(table: pd.DataFrame, dims: dict[str, Dim]) -> pd.DataFrame:
    order = {name: {value: i for i, value in enumerate(dim.values)} for name, dim in dims.items()}
    ranks = pd.DataFrame({name: table[name].map(lambda value, o=o: o.get(value, len(o))) for name, o in order.items()})
    return table.loc[ranks.sort_values(list(order), kind="stable").index].reset_index(drop=True)


# --- distributions --------------------------------------------------------------------------------------------


def curves_of(source: Source, choice: Choice) -> pd.DataFrame:
    """Compute distribution functions of a column of requests, for each line of a picture.

    Returns
    -------
    DataFrame
        One row per line and point: ``row, column, series, value``; ``share``, the part of the served requests of all
        replications; ``low`` and ``high``, its 95 % interval over the ``n`` replications (NaN for one); and
        ``n_requests``. A failed request has no value and is never reached, so the share then ends below 1.
    """
    blocks = _samples(source, choice)
    points = _points(np.concatenate([values for _, samples in blocks for values in samples] or [np.empty(0)]))
    if points.size == 0:
        raise UserError(f"no request has a '{choice.x}'", where=source.name)
    tables = []
    for place, samples in blocks:
        sizes = np.array([sample.size for sample in samples])
        within = np.array([np.searchsorted(np.sort(s[~np.isnan(s)]), points, "right") for s in samples])
        share, shares = within.sum(axis=0) / sizes.sum(), within / sizes[:, None]
        half = np.array([t_interval(column).half_width for column in shares.T])
        ends = {"low": np.clip(share - half, 0.0, 1.0), "high": np.clip(share + half, 0.0, 1.0)}
        counts = {"n": len(samples), "n_requests": int(sizes.sum())}
        tables.append(
            pd.DataFrame({**place, "value": factor_of(str(choice.x)) * points, "share": share, **ends, **counts})
        )
    return pd.concat(tables, ignore_index=True)


def quantiles_of(source: Source, choice: Choice) -> pd.DataFrame:
    """Return quantiles of a column of requests as `cells_of` returns metrics; ``x`` is the quantile's name."""
    assert isinstance(choice.x, str)
    found = []
    for place, samples in _samples(source, choice):
        for q in QUANTILES:
            values = [float(np.nanquantile(s, q)) if (~np.isnan(s)).any() else np.nan for s in samples]
            held = t_interval(factor_of(choice.x) * np.array(values))
            ends = {"low": held.mean - held.half_width, "high": held.mean + held.half_width}
            name: dict[str, Any] = {"x": f"p{100 * q:g}", "y": "", "metric": choice.x}
            found.append({**place, **name, "n": held.n, "mean": held.mean, **ends})
    return pd.DataFrame(found)


def _samples(source: Source, choice: Choice) -> list[tuple[dict[str, Any], list[np.ndarray]]]:
    """Return, for each line, one array of values per replication; NaN where a request failed."""
    column = str(choice.x)
    dims = {"row": choice.rows, "column": choice.columns, "series": choice.series}
    asked = source.requests((column,))
    rows = kept_rows(asked.assign(policy=asked["policy"].astype(str)), choice)
    rows = rows[rows["status"] != "rejected"]
    rows = rows[rows[column].notna() | (rows["status"] == "failed")]
    by = [dim.name for dim in dims.values() if dim is not NOTHING]
    found = []
    for key, part in rows.groupby(by, sort=False, observed=True) if by else [((), rows)]:
        place = dict(zip(by, key if isinstance(key, tuple) else (key,), strict=True))
        where = {name: place.get(dim.name, "") for name, dim in dims.items()}
        units = [group[column].to_numpy(dtype=float) for _, group in part.groupby(UNIT, observed=True)]
        found.append((where, units))
    order = [{value: i for i, value in enumerate(dim.values)} for dim in dims.values()]
    return sorted(found, key=lambda one: [o.get(v, len(o)) for o, v in zip(order, one[0].values(), strict=True)])


def _points(values: np.ndarray) -> np.ndarray:
    known: np.ndarray = values[~np.isnan(values)]
    if known.size == 0:
        return known
    low, high = float(known.min()), float(known.max())
    if np.unique(known[:5000]).size <= MOST_STEPS and (steps := np.unique(known)).size <= MOST_STEPS:
        return steps
    points: np.ndarray
    if low > 0.0 and high / low > LOG_FROM_RATIO:
        points = np.geomspace(low, high, N_POINTS)
    else:
        points = np.linspace(low, high, N_POINTS)
    points[[0, -1]] = low, high
    return points
