"""Where a picture's numbers come from: a folder, a result or a table, as rows with what was varied."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd

from discosim.core.errors import UserError
from discosim.core.files import near_files
from discosim.metrics.definitions import DEFINITIONS
from discosim.report.plots.inputs import Inputs, OfRun, OfSweep
from discosim.report.tables import need_columns, read_columns, read_summary
from discosim.sweep.axes import shown
from discosim.sweep.results import is_sweep, load_results
from discosim.sweep.rules import HEAD

if TYPE_CHECKING:
    from discosim.runs.result import RunResult
    from discosim.sweep.run import SweepResult

    Given: TypeAlias = str | os.PathLike[str] | RunResult | SweepResult | pd.DataFrame

UNIT = "replication"
"""The column that tells replications apart; in a sweep the seeds are the replications."""
MOST_VALUES = 40
_NOT_VARIED = {*HEAD, "policy", "replication", "seed", "request_id", "user_id"}


def text_of(value: Any) -> str:
    """Return a value as people read it."""
    return f"{value:g}" if isinstance(value, float | np.floating) else str(value)


@dataclass(frozen=True)
class Dim:
    """Something that differs between rows: the policy, or what a sweep has varied.

    Parameters
    ----------
    paths : tuple of str
        Columns that hold it; keys of the scenario that were varied together are one.
    values : tuple
        Its values in their order, those of the first path.
    """

    paths: tuple[str, ...]
    values: tuple[Any, ...]

    @property
    def name(self) -> str:
        """The column by which rows are told apart."""
        return self.paths[0]

    @property
    def is_number(self) -> bool:
        """Whether its values lie on a line."""
        return all(isinstance(value, int | float | np.number) and not isinstance(value, bool) for value in self.values)


@dataclass(frozen=True)
class Source:
    """What there is to draw.

    Parameters
    ----------
    name : str
        What the user calls it.
    rows : DataFrame
        One row per policy, setting and replication, with summary metrics as columns; without rows where only
        requests are known.
    dims : tuple of Dim
        The policy, then everything that was varied.
    requests : callable
        Names of columns of requests.parquet -> one row per request, with ``status`` and the columns of the dims.
    request_columns : tuple of str
        What may be asked of it.
    n_left_out : int
        Runs that failed or are missing.
    inputs : callable, optional
        Names of metrics -> what few rows behind the inputs leave open in them.
    """

    name: str
    rows: pd.DataFrame
    dims: tuple[Dim, ...]
    requests: Callable[[Sequence[str]], pd.DataFrame]
    request_columns: tuple[str, ...]
    n_left_out: int = 0
    inputs: Callable[[Sequence[str]], Inputs] | None = None

    @property
    def metrics(self) -> tuple[str, ...]:
        """Columns that can be drawn, metrics of a summary first."""
        if self.rows.empty:
            return ()
        taken = {*_NOT_VARIED, *(path for dim in self.dims for path in dim.paths)}
        numbers = [str(name) for name in self.rows.select_dtypes("number").columns if name not in taken]
        return tuple(sorted(numbers, key=lambda name: name not in DEFINITIONS))


def source_of(given: Given, wanted: Sequence[str] = ()) -> Source:
    """Read what was given.

    Parameters
    ----------
    given : path, RunResult, SweepResult or DataFrame
        Folder of a run or of a sweep; a result; a table with a row per policy and replication, or per request.
    wanted : sequence of str
        Names that stand for numbers and not for what was varied, where a table does not say which is which.

    Raises
    ------
    UserError
        If it is none of these, or no run is finished.
    """
    if isinstance(given, str | os.PathLike):
        return _of_folder(Path(given))
    if isinstance(given, pd.DataFrame):
        return _of_frame(given, "the table", wanted)
    if hasattr(given, "store"):
        return _of_folder(Path(given.store.folder))
    if hasattr(given, "by_replication"):
        requests = given.requests
        summary = given.printed_summary
        columns, order = tuple(requests.columns), tuple(summary["policies"])
        source = _source("the result", given.by_replication, (), lambda _: requests, columns, order=order)
        return replace(source, inputs=lambda _: OfRun(summary))
    raise UserError(f"expected a folder, a result or a table (got {type(given).__name__})", where="source")


def _of_folder(folder: Path) -> Source:
    if not folder.is_dir():
        raise UserError(f"no such folder; expected that of a run or of a sweep{near_files(folder)}", where=str(folder))
    rows = load_results(folder)
    if not is_sweep(folder):
        path = folder / "requests.parquet"

        def of_run(names: Sequence[str]) -> pd.DataFrame:
            return read_columns(path, list(dict.fromkeys(("policy", "replication", "status", *names))))

        source = _source(str(folder), rows, (), of_run, _columns_of(path), order=_order(folder))
        summary = read_summary(folder / "summary.json")
        return replace(source, inputs=lambda _: OfRun(summary))
    whole = rows[rows["status"] == "finished"].copy()  # in one piece: it was put together column by column
    if whole.empty:
        raise UserError("no run of this sweep is finished yet, so there is nothing to draw", where=str(folder))
    varied = [str(name) for name in rows.columns[: list(rows.columns).index("policy")] if name not in HEAD]
    runs = whole.drop_duplicates("run")

    def of_sweep(names: Sequence[str]) -> pd.DataFrame:
        parts = []
        for _, run in runs.iterrows():
            path = folder / "runs" / str(run["run"]) / "requests.parquet"
            part = read_columns(path, list(dict.fromkeys(("policy", "status", *names))))
            parts.append(part.assign(**{UNIT: int(run["seed"])}, **{name: run[name] for name in varied}))
        return pd.concat(parts, ignore_index=True)

    first = folder / "runs" / str(runs["run"].iloc[0]) / "requests.parquet"
    n_lost = int((rows["status"] != "finished").sum())
    # a sweep's run has one replication, and equal seeds share their luck
    table = whole.assign(**{UNIT: whole["seed"]})
    source = _source(str(folder), table, varied, of_sweep, _columns_of(first), order=_order(first.parent))
    return replace(source, n_left_out=n_lost, inputs=lambda names: OfSweep(folder, names))


def _order(folder: Path) -> tuple[str, ...]:
    """Return the policies in the order of the scenario, so that each has the colour it has in other figures."""
    try:
        return tuple(read_summary(folder / "summary.json")["policies"])
    except UserError:  # the order is worth no refusal
        return ()


def _columns_of(path: Path) -> tuple[str, ...]:
    from pyarrow import parquet

    try:
        return tuple(parquet.read_schema(path).names)
    except (OSError, ValueError):
        return ()


def _of_frame(frame: pd.DataFrame, name: str, wanted: Sequence[str]) -> Source:
    frame = need_columns(frame, ("policy", *(str(c) for c in frame.columns if c != "policy")), name)
    if "status" in frame and "request_id" not in frame:
        frame = frame[frame["status"] == "finished"]
    if frame.empty:
        raise UserError("has no rows", where=name)
    if UNIT not in frame:
        units = frame["seed"] if "seed" in frame else frame.groupby("policy", observed=True).cumcount()
        frame = frame.assign(**{UNIT: units})
    elif "seed" in frame and len(set(frame["seed"])) > 1:
        pairs = frame[["seed", UNIT]].astype(str).agg("/".join, axis=1)
        frame = frame.assign(**{UNIT: pd.factorize(pairs)[0]})
    skipped = {*_NOT_VARIED, *DEFINITIONS, *wanted}
    varied = [str(c) for c in frame.columns if c not in skipped and frame[c].map(_key).nunique() <= MOST_VALUES]
    frame = frame.assign(**{path: frame[path].map(_key) for path in varied if frame[path].dtype == object})
    if "request_id" in frame:
        if "status" not in frame:
            frame = frame.assign(status="finished")
        return _source(name, frame.iloc[:0], varied, lambda _: frame, tuple(frame.columns), like=frame)
    return _source(name, frame, varied, lambda _: frame.iloc[:0], ())


def _source(
    name: str,
    rows: pd.DataFrame,
    varied: Sequence[str],
    requests: Callable[[Sequence[str]], pd.DataFrame],
    columns: tuple[str, ...],
    like: pd.DataFrame | None = None,
    order: Sequence[str] = (),
) -> Source:
    seen = rows if like is None else like
    there = dict.fromkeys(str(policy) for policy in seen["policy"].dropna())
    policies = Dim(("policy",), tuple(dict.fromkeys([*(name for name in order if name in there), *there])))
    groups: dict[bytes, list[str]] = {}
    for path in varied:
        codes = pd.factorize(seen[path].map(_key))[0]
        if len(set(codes.tolist())) > 1:
            groups.setdefault(codes.tobytes(), []).append(path)
    dims = tuple(Dim(tuple(paths), _ordered(seen[paths[0]])) for paths in groups.values())
    return Source(name, rows.assign(policy=rows["policy"].astype(str)), (policies, *dims), requests, columns)


def _key(value: Any) -> Any:
    return shown(value) if isinstance(value, dict | list | tuple) else value


def _ordered(column: pd.Series) -> tuple[Any, ...]:
    values = list(dict.fromkeys(column.map(_key)))
    is_number = all(isinstance(value, int | float | np.number) for value in values)
    return tuple(sorted(values) if is_number else values)
