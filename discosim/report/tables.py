"""What figures and text ask of the tables they are drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from discosim.core.errors import UserError, close_match
from discosim.core.json_text import read_json
from discosim.metrics.definitions import MetricDefinition, definition
from discosim.metrics.targets import TARGET_NUMBERS
from discosim.runs.folder import INPUTS
from discosim.runs.input_intervals import widened
from discosim.runs.shapes import Shape, check_shape, read_bounded, read_object
from discosim.runs.slim import full_summary

if TYPE_CHECKING:
    import pandas as pd

    from discosim.metrics.summary import SummaryTable

PlainSummary = Mapping[str, Any]
"""A summary in the form of summary.json, see ``SummaryTable.to_json_dict``."""


class _Metric(Shape):
    unit: str
    direction: str


class _Summary(Shape):
    baseline: str
    n_replications: int = Field(ge=1)
    level: float = 0.95
    metrics: Mapping[str, _Metric] = {}
    policies: Mapping[str, Mapping[str, Mapping[str, float | None]]] = Field(min_length=1)
    notes: Sequence[str] = ()


class _InputRows(Shape):
    role: str
    name: str
    n_rows: int = Field(ge=0)
    unit: str
    in_intervals: bool


class _Inputs(Shape):
    method: str
    inputs: Sequence[_InputRows]
    with_inputs: Mapping[str, Mapping[str, Mapping[str, float | None]]]
    luck: Mapping[str, Mapping[str, Mapping[str, float | None]]]
    beyond: Mapping[str, Sequence[str]]
    asked: Mapping[str, Sequence[str]]


def read_summary(path: Path) -> PlainSummary:
    """Read a summary.json, with the intervals of an inputs.json beside it.

    Raises
    ------
    UserError
        If the file is missing or is no summary, or the one beside it is not what a run writes.
    """
    try:
        summary = read_json(read_bounded(path))
    except UserError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise UserError("no such file; expected the summary of a run", where=str(path)) from None
        raise UserError(f"not a JSON file ({error.message})", where=str(path)) from None
    if not isinstance(summary, dict) or not {"baseline", "policies", "n_replications"} <= summary.keys():
        raise UserError("not a summary: expected the keys baseline, policies, n_replications", where=str(path))
    check_shape(_Summary, summary, path, "a run")
    if summary["baseline"] not in summary["policies"]:
        raise UserError("not a summary: its baseline is none of its policies", where=str(path))
    summary = full_summary(summary)
    inputs = path.with_name(INPUTS)
    if not inputs.is_file():
        return summary
    intervals = read_object(inputs)
    check_shape(_Inputs, intervals, inputs, "a run")
    return widened(summary, intervals)


def read_columns(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read some columns of a Parquet file.

    Raises
    ------
    UserError
        If the file is missing, is no Parquet, or lacks a column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as file:
            content = pq.ParquetFile(file)
            _check(content.schema_arrow.names, columns, str(path))
            frame: pd.DataFrame = content.read(columns=list(columns)).to_pandas()
    except FileNotFoundError:
        raise UserError("no such file; expected a table of a run", where=str(path)) from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UserError(f"not a readable Parquet file ({' '.join(str(error).split())})", where=str(path)) from None
    return frame


def known_columns(path: Path, columns: Sequence[str]) -> list[str]:
    """Return those of some columns that a Parquet file has; none of a file that cannot be read."""
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as file:
            names = pq.read_schema(file).names
    except (OSError, ValueError):
        return []
    return [name for name in columns if name in names]


def need_columns(frame: pd.DataFrame, columns: Sequence[str], what: str) -> pd.DataFrame:
    """Return the named columns of a table, or say which one is missing from ``what``."""
    _check(list(frame.columns), columns, what)
    return frame[list(columns)]


def policy_names(frame: pd.DataFrame, wanted: Sequence[str] | None) -> list[str]:
    """Return the wanted policies, or all of a table in their order there; unknown ones raise ``UserError``."""
    known = [str(name) for name in frame["policy"].unique()]
    if wanted is None:
        return known
    for name in wanted:
        if name not in known:
            raise UserError(f"unknown policy '{name}'; {close_match(name, known)}", where="policies")
    return list(wanted)


def _check(known: Sequence[str], wanted: Sequence[str], where: str) -> None:
    for name in wanted:
        if name not in known:
            raise UserError(f"no column '{name}'; {close_match(name, known)}", where=where)


def plain(summary: SummaryTable | PlainSummary) -> PlainSummary:
    """Return a summary in the form of summary.json."""
    return summary if isinstance(summary, Mapping) else summary.to_json_dict()


def number(summary: PlainSummary, policy: str, metric: str, field: str = "mean") -> float:
    """Return one number of a plain summary, NaN where it is null or was not computed."""
    value = summary["policies"][policy].get(metric, {}).get(field)
    return float("nan") if value is None else float(value)


def summary_metrics(names: Sequence[str]) -> list[MetricDefinition]:
    """Return the definitions of at least one summary metric.

    Raises
    ------
    UserError
        If there is no name, or one is unknown or names something else than a number of the summary.
    """
    if not names:
        raise UserError("name at least one summary metric, for example ttft_mean_s", where="metrics")
    found = [definition(name) for name in names]
    for metric in found:
        if metric.level != "summary" and metric.name not in TARGET_NUMBERS:
            raise UserError(
                f"'{metric.name}' is no summary metric; `discosim explain metric` lists them", where="metrics"
            )
    return found


def readable(metric: MetricDefinition) -> tuple[float, str]:
    """Return the factor and the unit in which people read a metric; thousandths of a dollar, else as it is."""
    if metric.unit == "USD":
        return 1000.0, "mUSD"
    return 1.0, "no unit" if metric.unit == "1" else metric.unit
