"""Both intervals of a run: by luck alone, and with what the rows behind its inputs leave open."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.core.scenario import Scenario
from discosim.metrics.influence import LEVELS, NUMBERS, Columns, is_beyond
from discosim.metrics.input_uncertainty import (
    Open,
    Part,
    Rows,
    luck_influences,
    luck_variance,
    open_part,
    together,
    versions_half_widths,
)
from discosim.metrics.stats import LEVEL, Comparison, t_interval
from discosim.metrics.summary import SummaryTable
from discosim.metrics.tails import Tails, is_tail
from discosim.runs.inputs import DEVICE, FEW, MeasuredInput
from discosim.runs.meetings import Meetings

Floats = NDArray[np.float64]
KEYS = ("half_width", "diff_half_width", "change_half_width_pct")


@dataclass(frozen=True)
class InputIntervals:
    """Half-widths with inputs, beside those by luck alone.

    Parameters
    ----------
    is_resampled : bool
        Whether replications had versions of their own; else requests of one row share its weight.
    inputs : tuple of MeasuredInput
        Inputs whose number of rows is known.
    left_out : tuple of MeasuredInput
        Those of few rows that the intervals leave out.
    with_inputs, luck : mapping of (policy, number) to mapping
        Half-widths of a number, of its difference to the baseline, and of its change in per cent; luck is empty where
        it is that of the summary. Numbers that are not there are not known.
    beyond : mapping of str to tuple of str
        Policy -> numbers that are quantiles beyond what the rows hold.
    met : mapping of str to sequence of Rows
        Role -> which rows the requests met, where requests of one row share its weight.
    asked : mapping of str to tuple of str
        Policy -> roles of the inputs of few rows that it met.
    """

    is_resampled: bool
    inputs: tuple[MeasuredInput, ...]
    left_out: tuple[MeasuredInput, ...] = ()
    with_inputs: Mapping[tuple[str, str], Mapping[str, float]] = field(default_factory=dict, repr=False)
    luck: Mapping[tuple[str, str], Mapping[str, float]] = field(default_factory=dict, repr=False)
    beyond: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    met: Mapping[str, Sequence[Rows]] = field(default_factory=dict, repr=False)
    asked: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    def against(self, columns: Columns, summary: SummaryTable) -> InputIntervals:
        """Return the intervals of the same run with another baseline."""
        if self.is_resampled:
            return intervals_of_versions(self.inputs, columns, summary)
        return intervals_of_rows(self.inputs, self.met, columns, summary)

    def to_json_dict(self) -> dict[str, Any]:
        """Return plain data for inputs.json; undefined numbers are null."""
        return {
            "level": LEVEL,
            "method": "versions" if self.is_resampled else "weights of rows",
            "inputs": [
                {"role": i.role, "name": i.name, "n_rows": i.n, "unit": i.unit, "in_intervals": self._counts(i)}
                for i in self.inputs
            ],
            "with_inputs": _nested(self.with_inputs),
            "luck": _nested(self.luck),
            "beyond": {policy: list(names) for policy, names in self.beyond.items()},
            "asked": {policy: list(roles) for policy, roles in self.asked.items()},
        }

    def _counts(self, given: MeasuredInput) -> bool:
        return given.n > 1 and given not in self.left_out and (self.is_resampled or given.is_thin)


def _nested(cells: Mapping[tuple[str, str], Mapping[str, float]]) -> dict[str, dict[str, dict[str, float | None]]]:
    nested: dict[str, dict[str, dict[str, float | None]]] = {}
    for (policy, name), found in cells.items():
        plain = {key: value if math.isfinite(value) else None for key, value in found.items()}
        nested.setdefault(policy, {})[name] = plain
    return nested


def input_intervals(
    scenario: Scenario,
    inputs: Sequence[MeasuredInput],
    meetings: Meetings,
    columns: Columns,
    summary: SummaryTable,
) -> InputIntervals | None:
    """Return the intervals of a run with its inputs; None where no input has few rows and none was drawn anew."""
    if scenario.inputs.resample:
        return intervals_of_versions(inputs, columns, summary)
    if not any(given.is_thin for given in inputs):
        return None
    return intervals_of_rows(inputs, meetings.rows(), columns, summary)


def intervals_of_rows(
    inputs: Sequence[MeasuredInput], met: Mapping[str, Sequence[Rows]], columns: Columns, summary: SummaryTable
) -> InputIntervals:
    """Return the intervals of a run that took what was measured for the truth.

    Parameters
    ----------
    inputs : sequence of MeasuredInput
        Inputs whose number of rows is known.
    met : mapping of str to sequence of Rows
        Role -> which rows the requests met, of inputs of few rows.
    columns : mapping of str to array
        As in requests.parquet: by policy, replication and request.
    summary : SummaryTable
        The numbers, and their intervals by luck.
    """
    parts = {policy: _part(columns, policy) for policy in summary.policies}
    asked = {
        policy: [one for role, rows in met.items() if asks(part, role) for one in rows]
        for policy, part in parts.items()
    }
    everything = [r for rows in met.values() for r in rows]
    cells: dict[tuple[str, str], dict[str, float]] = {}
    tails = Tails()
    # of one replication nothing is known of luck, so of both together neither
    for name in (name for name in NUMBERS if name in summary.metrics and summary.n_replications > 1):
        found = {policy: open_part(name, part, asked[policy]) for policy, part in parts.items()}
        base = found[summary.baseline]
        for policy, own in found.items():
            row = summary.cells[policy, name]
            if own is None or base is None or math.isnan(row.value.mean):
                continue
            spread = (asked[policy], asked[summary.baseline])
            cells[policy, name] = _widened(row, own, base, spread, everything, tails)
    return InputIntervals(
        False,
        tuple(inputs),
        left_out=tuple(i for i in inputs if i.is_thin and i.role not in met),
        with_inputs=cells,
        beyond={policy: beyond(inputs, part, summary) for policy, part in parts.items()},
        met=met,
        asked={policy: _thin_roles(inputs, part) for policy, part in parts.items()},
    )


def _widened(
    row: Comparison,
    own: Open,
    base: Open,
    asked: tuple[Sequence[Rows], Sequence[Rows]],
    inputs: Sequence[Rows],
    tails: Tails,
) -> dict[str, float]:
    mine, theirs = asked
    is_far = is_tail(row.metric, [*mine, *theirs])

    def part(factor: float) -> Part:
        variances = []
        for rows in inputs:
            each = np.zeros_like(own.each)
            if rows in mine:
                each = each + own.each
            if rows in theirs:
                each = each - factor * base.each
            variances.append(rows.variance(each))
            if is_far and (rows in mine or rows in theirs):
                sides = own if rows in mine else None, base if rows in theirs else None
                variances[-1] = max(variances[-1], tails.variance(rows, *sides, factor))
        return together(variances, inputs)

    found = {"half_width": math.hypot(row.value.half_width, own.part.half_width())}
    if own is base:
        return found | {"diff_half_width": row.diff.half_width, "change_half_width_pct": row.change_pct.half_width}
    found["diff_half_width"] = math.hypot(row.diff.half_width, part(1.0).half_width())
    ratio = own.value / base.value if base.value else math.nan
    wide = math.nan if math.isnan(ratio) else 100.0 * part(ratio).half_width() / abs(base.value)
    return found | {"change_half_width_pct": math.hypot(row.change_pct.half_width, wide)}


def intervals_of_versions(inputs: Sequence[MeasuredInput], columns: Columns, summary: SummaryTable) -> InputIntervals:
    """Return the intervals of a run whose replications had versions of their own; parameters as above."""
    parts = {policy: _part(columns, policy) for policy in summary.policies}
    by_replication = {policy: _replications(part, summary.n_replications) for policy, part in parts.items()}
    meets = {policy for policy, part in parts.items() if any(i.n > 1 and asks(part, i.role) for i in inputs)}
    has_spread = summary.n_replications > 1  # else there is no interval that luck could be a part of
    wide: dict[tuple[str, str], dict[str, float]] = {}
    narrow: dict[tuple[str, str], dict[str, float]] = {}
    for name in summary.metrics:
        each = {
            policy: luck_influences(name, held) if has_spread else [None] for policy, held in by_replication.items()
        }
        base_each, base = each[summary.baseline], _sample(summary, summary.baseline, name)
        base_mean = summary.cells[summary.baseline, name].value.mean
        for policy in summary.policies:
            sample, mean = _sample(summary, policy, name), summary.cells[policy, name].value.mean
            if math.isnan(mean):
                continue
            ratio = mean / base_mean if base_mean else math.nan
            per_cent = 100.0 / abs(base_mean) if base_mean else math.nan
            ways = {
                "half_width": (sample, each[policy], 1.0),
                "diff_half_width": (sample - base, _less(each[policy], base_each, 1.0), 1.0),
                "change_half_width_pct": (sample - ratio * base, _less(each[policy], base_each, ratio), per_cent),
            }
            halves = {
                key: versions_half_widths(values, luck_variance(influences))
                if policy in meets or (key != KEYS[0] and summary.baseline in meets)
                else (t_interval(values).half_width,) * 2
                for key, (values, influences, _) in ways.items()
            }
            narrow[policy, name] = {key: ways[key][2] * luck for key, (luck, _) in halves.items()}
            wide[policy, name] = {key: ways[key][2] * half for key, (_, half) in halves.items()}
    return InputIntervals(
        True,
        tuple(inputs),
        with_inputs=wide,
        luck=narrow,
        beyond={policy: beyond(inputs, part, summary) for policy, part in parts.items()},
        asked={policy: _thin_roles(inputs, part) for policy, part in parts.items()},
    )


def _replications(part: Columns, n: int) -> list[dict[str, NDArray[Any]]]:
    edges = np.searchsorted(part["replication"], np.arange(n + 1))
    return [{name: values[i:j] for name, values in part.items()} for i, j in pairwise(edges.tolist())]


def _sample(summary: SummaryTable, policy: str, name: str) -> Floats:
    return np.array([numbers[name] for numbers in summary.summaries[policy]], dtype=float)


def _less(own: Sequence[Floats | None], base: Sequence[Floats | None], factor: float) -> list[Floats | None]:
    return [None if a is None or b is None else a - factor * b for a, b in zip(own, base, strict=True)]


def _part(columns: Columns, policy: str) -> dict[str, NDArray[Any]]:
    """Return the columns of one policy; they lie together."""
    at = np.flatnonzero(columns["policy"] == policy)
    return {name: values[at[0] : at[-1] + 1] for name, values in columns.items()}


def asks(part: Columns, role: str) -> bool:
    """Say whether a policy met rows of an input at all; who asks no server, or no device, meets none of its rows."""
    if role == DEVICE:
        return bool(part["is_device_dispatched"].any() or (part["device_prefill_tok"] > 0).any())
    if not role.startswith(("server", "service")):
        return True
    return bool(part["is_server_dispatched"].any() or (part["server_prompt_tok"] > 0).any())


def _thin_roles(inputs: Sequence[MeasuredInput], part: Columns) -> tuple[str, ...]:
    return tuple(given.role for given in inputs if given.is_thin and asks(part, given.role))


def beyond(inputs: Sequence[MeasuredInput], part: Columns, summary: SummaryTable) -> tuple[str, ...]:
    """Return the numbers of a policy that are quantiles beyond the rows of an input it met."""
    rows = [given.n for given in inputs if given.n < FEW and asks(part, given.role)]
    if not rows:
        return ()
    return tuple(name for name in LEVELS if name in summary.metrics and is_beyond(min(rows), name))


def widened(summary: Mapping[str, Any], intervals: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of summary.json with the half-widths of inputs.json in place of its own.

    Those by luck alone are kept under ``luck_*``, and what was read from inputs.json under ``inputs``. Where it is not
    known how much the inputs leave open in a number of a policy that met few rows, there is no half-width.
    """
    wide, luck = intervals["with_inputs"], intervals["luck"]
    policies = {}
    for policy, cells in summary["policies"].items():
        asked = bool(intervals["asked"].get(policy))
        policies[policy] = {
            name: _cell(cell, wide.get(policy, {}).get(name), luck.get(policy, {}).get(name), asked=asked)
            for name, cell in cells.items()
        }
    return {**summary, "policies": policies, "inputs": intervals}


def _cell(
    cell: Mapping[str, Any], wide: Mapping[str, Any] | None, luck: Mapping[str, Any] | None, *, asked: bool
) -> dict[str, Any]:
    narrow = {f"luck_{key}": (luck or cell).get(key) for key in KEYS}
    if wide is None:
        # a number that luck does not move at all, such as a count, is taken to be moved by nothing
        wide = {key: None if asked and cell.get(key) else cell.get(key) for key in KEYS}
    return {**cell, **wide, **narrow}
