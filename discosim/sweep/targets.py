"""A sweep's table with targets for its requests: two columns more, from the requests of every finished run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from discosim.core.errors import UserError
from discosim.metrics.targets import TARGET_NUMBERS, Targets, checked_targets, target_numbers
from discosim.sweep.store import RUNS, Store
from discosim.sweep.views import with_units

if TYPE_CHECKING:
    import pandas as pd


def table_with_targets(store: Store, table: pd.DataFrame, targets: Mapping[str, float]) -> pd.DataFrame:
    """Return the table of a sweep with `slo_attainment` and `goodput_rps` at its end.

    Parameters
    ----------
    store : Store
        Where the runs are.
    table : DataFrame
        One row per run and policy.
    targets : mapping of str to float
        Column of requests.parquet -> the most that it may be, in seconds.

    Raises
    ------
    UserError
        For targets that are none, or a run whose requests cannot be read.
    """
    import pandas as pd

    targets = checked_targets(targets)
    held: dict[tuple[str, str], dict[str, float]] = {}
    for run, rows in table[table["status"] == "finished"].groupby("run", sort=False):
        spans = dict(zip(rows["policy"].astype(str), rows["span_s"], strict=True))
        held |= {(str(run), policy): numbers for policy, numbers in _of_run(store, str(run), spans, targets).items()}
    keys = list(zip(table["run"].astype(str), table["policy"].astype(str), strict=True))
    more = {name: [held.get(key, {}).get(name, np.nan) for key in keys] for name in TARGET_NUMBERS}
    return with_units(pd.concat([table, pd.DataFrame(more, index=table.index)], axis=1))


def _of_run(store: Store, run: str, spans: Mapping[str, float], targets: Targets) -> dict[str, dict[str, float]]:
    from pyarrow import ArrowException, parquet

    path = store.folder / RUNS / run / "requests.parquet"
    try:
        with path.open("rb") as file:
            read = parquet.read_table(file, columns=["policy", "status", *targets])
    except (OSError, ArrowException, ValueError) as error:
        raise UserError(f"cannot be read ({' '.join(str(error).split())})", where=str(path)) from None
    columns = {name: read.column(name).to_numpy() for name in read.column_names}
    found = {}
    for policy, span_s in spans.items():
        at = columns["policy"] == policy
        part = {name: values[at] for name, values in columns.items()}
        found[policy] = target_numbers(part, targets, float(span_s))
    return found
