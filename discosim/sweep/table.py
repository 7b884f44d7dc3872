"""From the runs of a sweep to one tidy table: index.parquet, a row per run and policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from discosim.metrics.summary_definitions import SUMMARY_METRICS
from discosim.sweep.axes import shown
from discosim.sweep.plan import Run
from discosim.sweep.rules import HEAD
from discosim.sweep.store import Store
from discosim.sweep.views import with_units

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def collect(store: Store) -> pd.DataFrame:
    """Read every finished run of the plan and return the table of the sweep.

    Returns
    -------
    pandas.DataFrame
        ``run, point, seed, status, error, requests_sha256, discosim, source_sha256``, one column for each path of an
        axis (named as in the sweep file), ``policy``, and every summary metric. Rows are in the order of the plan; a
        run that failed or is missing has one row without a policy.
    """
    import pandas as pd

    plan = store.read_plan()
    runs = store.planned()
    failures = store.failures()
    paths = list(dict.fromkeys(path for point in plan["points"] for path in point["values"]))
    parts = [_part(store, run, plan["points"][run.point]["values"], failures) for run in runs]
    rows = [row for part in parts for row in part.rows()]
    heads = pd.DataFrame(rows, columns=[*HEAD, *paths, "policy"])
    for path in paths:
        heads[path] = _same_type(heads[path].tolist())
    kinds = dict.fromkeys(("error", "requests_sha256", "discosim", "source_sha256", "policy"), "string")
    names = [metric.name for metric in SUMMARY_METRICS]
    numbers = pd.DataFrame(_numbers(parts, names), columns=names, index=heads.index)
    return with_units(pd.concat([heads.astype(kinds), numbers], axis=1))


@dataclass(frozen=True)
class _Part:
    """What a run gives to the table: what stands in front of each row, and replications.parquet of a finished one."""

    head: dict[str, Any]
    table: pa.Table | None = None

    @property
    def n_rows(self) -> int:
        return 1 if self.table is None else int(self.table.num_rows)

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows without their numbers."""
        if self.table is None:
            return [self.head]
        return [self.head | {"policy": name} for name in self.table["policy"].to_pylist()]


def _numbers(parts: Sequence[_Part], names: Sequence[str]) -> NDArray[np.float64]:
    """Return the numbers of all rows, shape (rows, names); NaN where there are none.

    Runs whose tables have the same columns, mostly all, are put together first: then a column is converted once.
    """
    from pyarrow import concat_tables

    starts = np.cumsum([0, *(part.n_rows for part in parts)])
    alike: dict[tuple[Any, ...], list[tuple[int, pa.Table]]] = {}
    for start, table in zip(starts.tolist(), (part.table for part in parts), strict=False):
        if table is not None:
            alike.setdefault((*table.schema.names, *table.schema.types), []).append((start, table))
    found = np.full((starts[-1], len(names)), np.nan)
    for held in alike.values():
        known = [name for name in names if name in held[0][1].schema.names]
        whole = concat_tables([table.select(known).replace_schema_metadata(None) for _, table in held])
        rows = np.concatenate([np.arange(start, start + table.num_rows) for start, table in held])
        for i, name in enumerate(names):
            if name in whole.schema.names:
                found[rows, i] = whole[name].to_numpy()
    return found


def _part(store: Store, run: Run, values: dict[str, Any], failures: dict[str, dict[str, Any]]) -> _Part:
    head: dict[str, Any] = {"run": run.folder, "point": run.point, "seed": run.seed, **values}
    facts = store.facts(run)
    if facts is None:
        failure = failures.get(run.folder)
        return _Part(head | ({"status": "failed", "error": failure["error"]} if failure else {"status": "missing"}))
    from pyarrow import parquet

    head |= {
        "status": "finished",
        "requests_sha256": facts["files"]["requests.parquet"]["sha256"],
        "discosim": facts["discosim"],
        "source_sha256": facts["code"].get("source_sha256"),
    }
    # One replication per run: its rows are the policies. A small file is opened three times faster this way.
    with (store.path(run) / "replications.parquet").open("rb") as file:
        return _Part(head, parquet.ParquetFile(file).read(use_threads=False))


def _same_type(values: list[Any]) -> list[Any]:
    """Return the values of an axis as one column can hold them: numbers and booleans as they are, else text."""
    kinds = {type(value) for value in values}
    if kinds <= {int, float} or kinds == {bool}:
        return [float(value) for value in values] if float in kinds else values
    return [shown(value) for value in values]


def policies_of(table: pd.DataFrame) -> Sequence[str]:
    """Return the policies of a table in their order."""
    return [str(name) for name in table["policy"].dropna().unique()]
