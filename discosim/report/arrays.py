"""Results as labelled arrays: policies, replications, axes and seeds are dimensions, metrics are variables."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

from discosim.core.errors import UserError
from discosim.metrics.definitions import definition
from discosim.report.frames import chosen_metrics, chosen_policies, metrics_of_table, together

if TYPE_CHECKING:
    import pandas as pd


def _xarray() -> Any:
    try:
        import xarray
    except ImportError:
        message = "needs the package xarray; `pip install 'discosim[xarray]'` brings it"
        raise UserError(message, where="to_xarray") from None
    return xarray


def run_arrays(table: pd.DataFrame, metrics: Sequence[str] | None = None, policies: Sequence[str] | None = None) -> Any:
    """Return a run's numbers as an ``xarray.Dataset`` with the dimensions policy and replication.

    Parameters
    ----------
    table : DataFrame
        One row per policy and replication.
    """
    xarray = _xarray()
    names = chosen_metrics([name for name in table.columns if name not in {"policy", "replication"}], metrics)
    kept = chosen_policies([str(name) for name in table["policy"].unique()], policies)
    replications = sorted(table["replication"].unique().tolist())
    wide = table.set_index(["policy", "replication"])
    at = [(policy, k) for policy in kept for k in replications]
    shape = (len(kept), len(replications))
    held = {
        n: (("policy", "replication"), _column(wide, n).reindex(at).to_numpy(dtype=float).reshape(shape)) for n in names
    }
    return _described(xarray.Dataset(held, coords={"policy": kept, "replication": replications}), names)


def sweep_arrays(
    table: pd.DataFrame, metrics: Sequence[str] | None = None, policies: Sequence[str] | None = None
) -> Any:
    """Return a sweep's table as an ``xarray.Dataset``: axes, policy and seed are its dimensions.

    Axes that move together, such as those of `zip` in a sweep file, share the dimension of the first of them. Where the
    points are no grid, they are one dimension ``point``. Runs that are not finished are NaN.
    """
    xarray = _xarray()
    names = chosen_metrics(metrics_of_table(table), metrics)
    done = table[(table["status"] == "finished") & table["policy"].notna()]
    kept = chosen_policies([str(name) for name in done["policy"].unique()], policies)
    groups, seeds = together(table), sorted(table["seed"].unique().tolist())
    axes = [axis for group in groups for axis in group]
    points = table.drop_duplicates("point").set_index("point")[axes]
    inner = [(policy, seed) for policy in kept for seed in seeds]
    by = done.set_index(["point", "policy", "seed"])
    values = {group[0]: list(dict.fromkeys(points[group[0]].tolist())) for group in groups}
    keys = list(points[list(values)].itertuples(index=False, name=None))
    grid = list(product(*values.values()))
    coords: dict[str, Any] = {"policy": kept, "seed": seeds}
    if groups and len(set(keys)) == len(keys) == len(grid):
        place = dict(zip(keys, points.index.tolist(), strict=True))
        order = [place[key] for key in grid]
        dims, shape = (*values, "policy", "seed"), (*map(len, values.values()), len(kept), len(seeds))
        coords |= values
        for first, *others in groups:
            one = points.drop_duplicates(first).set_index(first).loc[values[first]]
            coords |= {axis: (first, one[axis].to_numpy()) for axis in others}
    else:
        order = points.index.tolist()
        dims, shape = ("point", "policy", "seed"), (len(order), len(kept), len(seeds))
        coords |= {"point": order, **{axis: ("point", points[axis].to_numpy()) for axis in axes}}
    at = [(point, *pair) for point in order for pair in inner]
    held = {name: (dims, _column(by, name).reindex(at).to_numpy(dtype=float).reshape(shape)) for name in names}
    return _described(xarray.Dataset(held, coords=coords), names)


def _column(table: pd.DataFrame, name: str) -> pd.Series[float]:
    """Return a column; undefined throughout where the runs have none of that name."""
    return table[name] if name in table else table.iloc[:, 0].astype(str).map(lambda _: float("nan"))


def _described(dataset: Any, names: Sequence[str]) -> Any:
    """Write into each variable what the registry says of it, by the names that xarray's plots read."""
    for name in names:
        metric = definition(name)
        dataset[name].attrs |= {"units": metric.unit, "long_name": name, "description": metric.description}
    return dataset
