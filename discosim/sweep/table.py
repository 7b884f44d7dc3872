"""From the runs of a sweep to one tidy table: index.parquet, a row per run and policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from discosim.metrics.summary_definitions import SUMMARY_METRICS
from discosim.sweep.axes import shown
from discosim.sweep.plan import Run
from discosim.sweep.rules import HEAD
from discosim.sweep.store import Store
from discosim.sweep.views import with_units

if TYPE_CHECKING:
    import pandas as pd


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
    parts = [_rows(store, run, plan["points"][run.point]["values"], failures) for run in runs]
    columns = [*HEAD, *paths, "policy", *(metric.name for metric in SUMMARY_METRICS)]
    rows = [row for part in parts for row in part]
    table = pd.DataFrame(rows, columns=columns)
    for path in paths:
        table[path] = _same_type(table[path].tolist())
    kinds = dict.fromkeys(("error", "requests_sha256", "discosim", "source_sha256", "policy"), "string")
    return with_units(table.astype(kinds | {metric.name: "float64" for metric in SUMMARY_METRICS}))


def _rows(store: Store, run: Run, values: dict[str, Any], failures: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    head: dict[str, Any] = {"run": run.folder, "point": run.point, "seed": run.seed, **values}
    facts = store.facts(run)
    if facts is None:
        failure = failures.get(run.folder)
        return [head | ({"status": "failed", "error": failure["error"]} if failure else {"status": "missing"})]
    from pyarrow import parquet

    head |= {
        "status": "finished",
        "requests_sha256": facts["files"]["requests.parquet"]["sha256"],
        "discosim": facts["discosim"],
        "source_sha256": facts["code"].get("source_sha256"),
    }
    # One replication per run: its rows are the policies. A small file is opened three times faster this way.
    with (store.path(run) / "replications.parquet").open("rb") as file:
        return [head | row for row in parquet.ParquetFile(file).read(use_threads=False).to_pylist()]


def _same_type(values: list[Any]) -> list[Any]:
    """Return the values of an axis as one column can hold them: numbers and booleans as they are, else text."""
    kinds = {type(value) for value in values}
    if kinds <= {int, float} or kinds == {bool}:
        return [float(value) for value in values] if float in kinds else values
    return [shown(value) for value in values]


def policies_of(table: pd.DataFrame) -> Sequence[str]:
    """Return the policies of a table in their order."""
    return [str(name) for name in table["policy"].dropna().unique()]
