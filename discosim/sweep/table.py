"""From the runs of a sweep to one tidy table: index.parquet, a row per run and policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from discosim.metrics.summary_definitions import SUMMARY_METRICS
from discosim.sweep.axes import shown
from discosim.sweep.plan import Run
from discosim.sweep.rules import HEAD
from discosim.sweep.store import Store
from discosim.sweep.told import REPLICATIONS
from discosim.sweep.views import with_units
from discosim.sweep.worker import Outcome

if TYPE_CHECKING:
    import pandas as pd


class Told:
    """Hears of runs while a sweep is carried out, and keeps the numbers that workers of this machine tell."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[tuple[str, ...], tuple[str, ...], NDArray[np.float64]]] = {}
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {}

    def done(self, run: Run, outcome: Outcome) -> None:
        """Hear of a run."""
        del run
        if numbers := outcome.get("numbers"):
            policies, names = (self._once(tuple(numbers[key])) for key in ("policies", "names"))
            self._held[numbers["sha256"]] = policies, names, np.array(numbers["rows"], dtype=float).T

    def _once(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return equal names that are held already: those of a run take more room than its numbers."""
        return self._names.setdefault(names, names)

    def part(self, head: dict[str, Any], sha256: str) -> _Part | None:
        """Return what stands in a replications.parquet of this hash, where somebody has told."""
        held = self._held.get(sha256)
        return None if held is None else _Part(head, *held)


def collect(store: Store, told: Told | None = None) -> pd.DataFrame:
    """Read every finished run of the plan and return the table of the sweep.

    Parameters
    ----------
    store : Store
        Where the runs are.
    told : Told, optional
        What workers have told of runs: of a file that is as they wrote it, it is not read again.

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
    parts = [_part(store, run, plan["points"][run.point]["values"], failures, told) for run in runs]
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
    """What a run gives to the table: what stands in front of each row, and the numbers of a finished one."""

    head: dict[str, Any]
    policies: Sequence[str] | None = None
    names: tuple[str, ...] = ()
    numbers: Sequence[NDArray[Any]] | NDArray[np.float64] = ()
    """Of each name a number per policy, shape (names, policies)."""

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows without their numbers; a run that is not finished has one."""
        return [self.head] if self.policies is None else [self.head | {"policy": name} for name in self.policies]


def _numbers(parts: Sequence[_Part], names: Sequence[str]) -> NDArray[np.float64]:
    """Return the numbers of all rows, shape (rows, names); NaN where there are none."""
    places = {name: i for i, name in enumerate(names)}
    found = np.full((sum(len(part.rows()) for part in parts), len(names)), np.nan)
    start = 0
    for part in parts:
        n_rows = len(part.rows())
        if part.policies is not None:
            known = {places[name]: held for name, held in zip(part.names, part.numbers, strict=True) if name in places}
            found[start : start + n_rows, list(known)] = np.array(list(known.values()), dtype=float).T
        start += n_rows
    return found


def _part(
    store: Store, run: Run, values: dict[str, Any], failures: dict[str, dict[str, Any]], told: Told | None
) -> _Part:
    head: dict[str, Any] = {"run": run.folder, "point": run.point, "seed": run.seed, **values}
    facts = store.facts(run)
    if facts is None:
        failure = failures.get(run.folder)
        return _Part(head | ({"status": "failed", "error": failure["error"]} if failure else {"status": "missing"}))
    head |= {
        "status": "finished",
        "requests_sha256": facts["files"]["requests.parquet"]["sha256"],
        "discosim": facts["discosim"],
        "source_sha256": facts["code"].get("source_sha256"),
    }
    # One replication per run: its rows are the policies.
    part = told.part(head, facts["files"][REPLICATIONS]["sha256"]) if told else None
    return _read(store.path(run) / REPLICATIONS, head) if part is None else part


def _read(path: Path, head: dict[str, Any]) -> _Part:
    from pyarrow import parquet

    with path.open("rb") as file:  # a small file is opened three times faster this way
        table = parquet.ParquetFile(file).read(use_threads=False)
    names = [name for name in table.column_names if name != "policy"]
    return _Part(head, table["policy"].to_pylist(), tuple(names), [table[name].to_numpy() for name in names])


def _same_type(values: list[Any]) -> list[Any]:
    """Return the values of an axis as one column can hold them: numbers and booleans as they are, else text."""
    kinds = {type(value) for value in values}
    if kinds <= {int, float} or kinds == {bool}:
        return [float(value) for value in values] if float in kinds else values
    return [shown(value) for value in values]


def policies_of(table: pd.DataFrame) -> Sequence[str]:
    """Return the policies of a table in their order."""
    return [str(name) for name in table["policy"].dropna().unique()]
