"""Results as labelled arrays: policies, replications, axes and seeds are dimensions, metrics are variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from discosim.core.errors import UserError
from discosim.metrics.definitions import definition
from discosim.report.frames import axes_of_table, chosen_metrics, chosen_policies, metrics_of_table

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
    held = {n: (("policy", "replication"), wide[n].reindex(at).to_numpy(dtype=float).reshape(shape)) for n in names}
    return _described(xarray.Dataset(held, coords={"policy": kept, "replication": replications}), names)


def sweep_arrays(
    table: pd.DataFrame, metrics: Sequence[str] | None = None, policies: Sequence[str] | None = None
) -> Any:
    """Return a sweep's table as an ``xarray.Dataset``: axes, policy and seed are its dimensions.

    Axes that move together (`zip` in the sweep file) share the dimension ``point``, with the axes as coordinates on it;
    so do the points of a sweep whose axes name none of them alone. Runs that are not finished are NaN.
    """
    xarray = _xarray()
    names = chosen_metrics(metrics_of_table(table), metrics)
    done = table[(table["status"] == "finished") & table["policy"].notna()]
    kept = chosen_policies([str(name) for name in done["policy"].unique()], policies)
    axes, seeds = axes_of_table(table), sorted(table["seed"].unique().tolist())
    points = table.drop_duplicates("point").set_index("point")[axes]
    sizes = [points[axis].nunique() for axis in axes]
    is_grid = bool(axes) and int(np.prod(sizes)) == len(points) and not points.duplicated().any()
    inner = [(policy, seed) for policy in kept for seed in seeds]
    by = done.set_index(["point", "policy", "seed"])
    if is_grid:
        values = {axis: list(dict.fromkeys(points[axis].tolist())) for axis in axes}
        index = {tuple(row): point for point, row in zip(points.index, points.itertuples(index=False), strict=True)}
        order = [index[key] for key in _product(list(values.values()))]
        dims, shape = (*axes, "policy", "seed"), (*sizes, len(kept), len(seeds))
        coords: dict[str, Any] = {**values, "policy": kept, "seed": seeds}
    else:
        order = list(points.index)
        dims, shape = ("point", "policy", "seed"), (len(points), len(kept), len(seeds))
        coords = {"point": order, "policy": kept, "seed": seeds}
        coords |= {axis: ("point", points[axis].to_numpy()) for axis in axes}
    at = [(point, *pair) for point in order for pair in inner]
    held = {name: (dims, by[name].reindex(at).to_numpy(dtype=float).reshape(shape)) for name in names}
    return _described(xarray.Dataset(held, coords=coords), names)


def _product(lists: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    from itertools import product

    return list(product(*lists))


def _described(dataset: Any, names: Sequence[str]) -> Any:
    """Write into each variable what the registry says of it, by the names that xarray's plots read."""
    for name in names:
        metric = definition(name)
        dataset[name].attrs |= {"units": metric.unit, "long_name": name, "description": metric.description}
    return dataset
