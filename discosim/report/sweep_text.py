"""A sweep as fixed-width text: what was run, the paired differences, what failed."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from discosim.metrics.definitions import definition
from discosim.metrics.summary import HEADLINE
from discosim.report.cells import aligned, alone, cell, decimals_of, few_replications, half_width, lone, number
from discosim.report.chosen import sweep_table
from discosim.report.input_rows import BEYOND, MARK
from discosim.sweep.axes import shown
from discosim.sweep.compare import Difference
from discosim.sweep.diff import FolderDiff
from discosim.sweep.metric_diff import MetricDiff
from discosim.sweep.run import SweepResult
from discosim.sweep.spent import Rivals, Spent, of_rows, rivals_of, spent_at
from discosim.sweep.store import FAILURES, State, Store

WIDTH = 120
MOST_FAILURES = 10
MOST_PLACES = 9


def render_sweep(result: SweepResult, columns: Sequence[str] | None = None) -> str:
    """Return the text that a sweep prints.

    Parameters
    ----------
    result : SweepResult
        A sweep.
    columns : sequence of str, optional
        Numbers to print of every point and policy, too; where there is nothing to compare, the headline by default.
    """
    plan, n_seeds = result.plan, len(result.seeds)
    n_points = len(plan.points)
    what = f"{plan.name}: {_n(n_points, 'point')} x {_n(n_seeds, 'seed')} = {_n(n_points * n_seeds, 'run')}"
    blocks = [f"{what}, {status_line(result.state)}", *(f"note: {note}" for note in result.notes)]
    if result.differences and result.table is not None:
        spent = spent_at(plan, result.table, result.seeds, result.differences)
        sides = of_rows(plan, result.differences, spent)
        blocks += [_comparison(rows, beside) for rows, beside in _by_compare(result.differences, sides)]
        blocks.append(_rivals(rivals_of(result.differences, sides)))
        blocks.append(_chance(result.differences))
    if columns is None and not result.differences:
        columns = HEADLINE
    if columns is not None and result.table is not None:
        blocks.append(sweep_table(result.table, columns))
    blocks += [failures_text(result.store, result.state), f"written    {result.store.shown}/"]
    return "\n\n".join(block for block in blocks if block)


def render_status(store: Store, state: State) -> str:
    """Return where a sweep stands: runs, failures, and folders that belong to no point."""
    blocks = [f"{store.shown}: {status_line(state)}", failures_text(store, state), damage_text(state)]
    if state.strangers:
        blocks.append(
            f"{_n(len(state.strangers), 'run')} of another plan in this folder; `discosim sweep clean` removes them"
        )
    return "\n\n".join(block for block in blocks if block)


def status_line(state: State) -> str:
    """Return how many runs are finished, failed and missing.

    Examples
    --------
    >>> status_line(State((), (), (), {}, ()))
    '0 finished, 0 failed, 0 missing'
    """
    return f"{len(state.finished)} finished, {len(state.failed)} failed, {len(state.missing)} missing"


def pace_text(store: Store, state: State, n_new: int, passed_s: float) -> str:
    """Return where a sweep stands, and how long the rest takes if it goes on as it did since somebody looked.

    Examples
    --------
    >>> from pathlib import Path
    >>> from discosim.sweep.plan import Run
    >>> runs = tuple(Run(0, seed, "0" * 64) for seed in range(4))
    >>> pace_text(Store(Path("here")), State(runs[:2], (), runs[2:], {}, ()), 1, 30.0)
    'here: 2 finished, 0 failed, 2 missing; 2.00 a minute, about 1 min left'
    """
    line = f"{store.folder}: {status_line(state)}"
    if not (n_new and state.missing and passed_s > 0.0):
        return line
    left_s = passed_s / n_new * len(state.missing)
    left = (
        f"{left_s:.0f} s"
        if left_s < 60.0
        else f"{left_s / 60:.0f} min"
        if left_s < 5400.0
        else f"{left_s / 3600:.1f} h"
    )
    return f"{line}; {lone(60.0 * n_new / passed_s)} a minute, about {left} left"


def failures_text(store: Store, state: State) -> str:
    """Return the failed runs with their errors; empty if there are none."""
    if not state.failed:
        return ""
    lines = [f"failed     (errors and traces: {store.shown}/{FAILURES}/; the same command tries them again)"]
    for run in state.failed[:MOST_FAILURES]:
        failure = state.failures[run.folder]
        tries = f"after {_n(failure['tries'], 'try', 'tries')}: " if "tries" in failure else ""
        lines += _wrapped(f"  {run.folder}", f"{tries}{failure['error']}")
    if len(state.failed) > MOST_FAILURES:
        lines.append(f"  and {len(state.failed) - MOST_FAILURES} more")
    return "\n".join(lines)


def damage_text(state: State) -> str:
    """Return the runs whose folders are there and not as they were written; empty if there are none."""
    if not state.damaged:
        return ""
    lines = ["damaged    (the command that made the sweep makes them anew; `discosim sweep clean` removes them)"]
    for name, reason in list(state.damaged.items())[:MOST_FAILURES]:
        lines += _wrapped(f"  {name}", reason)
    if len(state.damaged) > MOST_FAILURES:
        lines.append(f"  and {len(state.damaged) - MOST_FAILURES} more")
    return "\n".join(lines)


def render_diff(diff: FolderDiff) -> str:
    """Return how two result folders differ: configuration first, then numbers."""
    lines = [f"A  {diff.a}", f"B  {diff.b}", ""]
    lines += [f"  {line}" for line in diff.config] or ["  the same configuration"]
    blocks = ["\n".join(lines)]
    if diff.note:
        blocks.append(diff.note)
    for metric in dict.fromkeys(row.metric for row in diff.rows):
        rows = [row for row in diff.rows if row.metric == metric]
        unit = definition(metric).unit
        is_thin = any(row.few_rows for row in rows)
        head = ["policy", *rows[0].values, "n", "A", "B", "B - A", "95 %", *(["with inputs"] if is_thin else [])]
        places = _places([row.a for row in rows] + [row.b for row in rows])
        body = [_diff_row(row, places, is_thin=is_thin) for row in rows]
        blocks.append("\n".join([f"{metric} [{unit}], paired t over equal seeds", *_table(head, body)]))
    if any(few_replications(row.diff.n) for row in diff.rows):
        blocks.append("\n".join(textwrap.wrap(f"pairs: {few_replications(2)}", WIDTH)))
    if few := "; ".join(dict.fromkeys(row.few_rows for row in diff.rows if row.few_rows)):
        blocks.append(f"with inputs: also what few rows leave open ({few}); n/a where that is not known of the metric")
    return "\n\n".join(blocks)


# --- parts ----------------------------------------------------------------------------------------------------


Sides = tuple[Spent | None, Spent | None]


def _by_compare(
    differences: Sequence[Difference], sides: Sequence[Sides]
) -> list[tuple[list[Difference], list[Sides]]]:
    pairs = list(zip(differences, sides, strict=True))
    names = dict.fromkeys(row.compare for row in differences)
    return [
        ([row for row, _ in pairs if row.compare == name], [side for row, side in pairs if row.compare == name])
        for name in names
    ]


def _comparison(rows: Sequence[Difference], sides: Sequence[Sides]) -> str:
    """Return one comparison: a line per point, and what the numbers are made of."""
    first = rows[0]
    metric = definition(first.metric)
    labels = _short_names(first.values)
    other = _other(first)
    title = f"{first.compare}   [{metric.unit}]" + (
        "" if metric.direction == "neutral" else f", {metric.direction} is better"
    )
    is_thin = any(row.few_rows for row in rows)
    head = [*labels.values(), "n", first.policy, other if len(other) < 40 else "baseline", "difference", "interval", ""]
    head += ["with inputs", ""] if is_thin else []
    is_limited = [any(pair[i] for pair in sides) for i in (0, 1)]
    limits = {spent.side for pair in sides for spent in pair if spent is not None}
    side = "".join(limits) if len(limits) == 1 else ""
    head += [f"{who} used" for who, is_any in zip((first.policy, first.baseline), is_limited, strict=True) if is_any]
    places = _places([row.mean for row in rows] + [row.baseline_mean for row in rows])
    body = [
        _comparison_row(row, labels, places, is_thin=is_thin)
        + [_used(spent, with_side=not side) for spent, is_any in zip(pair, is_limited, strict=True) if is_any]
        for row, pair in zip(rows, sides, strict=True)
    ]
    return "\n".join([title, "", *_table(head, body), "", *_footer(rows, side)])


def _comparison_row(row: Difference, labels: Mapping[str, str], places: int, *, is_thin: bool) -> list[str]:
    """Return one line; its interval says how many digits its numbers have, ``places`` where there is none."""
    own = decimals_of(row.diff, row.half_width)
    change = places if own is None else own
    return [
        *(shown(row.values[path]) for path in labels),
        str(row.n) if not row.n_missing else f"{row.n} ({row.n_missing} missing)",
        number(row.mean, change),
        number(row.baseline_mean, change),
        _change(row.diff, row.half_width, change),
        "" if own is None and row.low == row.high else _interval(row.low, row.high, change),
        row.verdict,
        *(_with_inputs(row, change) if is_thin else ()),
    ]


def _diff_row(row: MetricDiff, places: int, *, is_thin: bool) -> list[str]:
    own = decimals_of(row.diff.mean, row.diff.half_width)
    change = places if own is None else own
    half = cell(row.diff.mean, row.diff.half_width, change)[1]
    return [
        row.policy,
        *row.values.values(),
        str(row.diff.n),
        number(row.a, change),
        number(row.b, change),
        _change(row.diff.mean, row.diff.half_width, change),
        f"±{half}" if half else "n/a" if math.isnan(row.diff.half_width) else "",
        *([_half_with_inputs(row)] if is_thin else []),
    ]


def _used(spent: Spent | None, *, with_side: bool = True) -> str:
    """Return what was spent of what was allowed, for example ``29.8 of 30 % server``."""
    if spent is None:
        return "no budget"
    used = alone(100.0 * spent.used.mean, 100.0 * spent.used.half_width, 1)
    return f"{used} of {100.0 * spent.allowed:g}{f' % {spent.side}' if with_side else ''}"


def _rivals(found: Sequence[Rivals]) -> str:
    """Return where rivals whose budgets limit the same endpoint spent differently; '' where none did."""
    unequal = [rivals for rivals in found if rivals.spent_differently]
    if not unequal:
        return ""
    what = _n(len(unequal), "comparison")
    lines = textwrap.wrap(f"spent      rivals spent differently in {what}: part of a difference may be bought", WIDTH)
    for rivals in unequal[:MOST_FAILURES]:
        at = ", ".join(f"{path.rpartition('.')[2]}={shown(value)}" for path, value in rivals.row.values.items())
        own, base, gap = rivals.policy, rivals.baseline, rivals.difference
        more, half = cell(100.0 * gap.mean, 100.0 * gap.half_width, 1, is_signed=True)
        lines += _wrapped(
            f"  {own.policy} and {base.policy}",
            f"{more}{f' ± {half}' if half else ''} points of the {own.side}'s prompt tokens "
            f"({_used(own)}, {_used(base)}){f' at {at}' if at else ''}",
        )
    if len(unequal) > MOST_FAILURES:
        lines.append(f"  and {len(unequal) - MOST_FAILURES} more")
    return "\n".join(lines)


def _change(value: float, half: float, decimals: int) -> str:
    return cell(value, half, decimals, is_signed=True)[0]


def _interval(low: float, high: float, decimals: int) -> str:
    return f"[{number(low, decimals, is_signed=True)}, {number(high, decimals, is_signed=True)}]"


def _with_inputs(row: Difference, decimals: int) -> tuple[str, str]:
    """Return bounds with inputs and the verdict by them."""
    if not row.few_rows:
        return "as by luck", ""
    low, high = row.low_with_inputs, row.high_with_inputs
    own = decimals_of(row.diff, (high - low) / 2.0)
    return f"{_interval(low, high, decimals if own is None else own)}{MARK if row.rests_on_no_row else ''}", (
        row.verdict_with_inputs
    )


def _half_with_inputs(row: MetricDiff) -> str:
    if not row.few_rows:
        return "as by luck"
    return "" if row.half_width_with_inputs == 0.0 else f"±{half_width(row.half_width_with_inputs)}"


def _footer(rows: Sequence[Difference], side: str = "") -> list[str]:
    first = rows[0]
    metric = definition(first.metric)
    requests, failed = sum(row.n_requests for row in rows), sum(row.n_failed for row in rows)
    text = (
        f"{first.policy} minus {_other(first)}; {100 * first.level:g} % intervals, {first.method} over n seeds with "
        f"the same luck. {metric.description} {requests:,} requests of {first.policy}; failed: "
        f"{f'{failed:,}' if failed else 'none'}."
    )
    if side:
        text += f" Used: per cent of the prompt tokens that the {side} took, of those allowed."
    if few := "; ".join(dict.fromkeys(row.few_rows for row in rows if row.few_rows)):
        text += f" With inputs: also what few rows leave open ({few})"
        text += (
            "; n/a as that is not known of this metric." if any(math.isnan(r.low_with_inputs) for r in rows) else "."
        )
        if any(row.rests_on_no_row for row in rows):
            text += f" {MARK} {BEYOND}"
    if any(few_replications(row.n) for row in rows):
        text += f" Seeds: {few_replications(2)}."
    if not math.isnan(first.margin):
        text += (
            f" 'no worse': two one-sided tests against a margin of {first.margin:g} {metric.unit}, "
            f"alpha {1 - first.level:.2g}."
        )
    return textwrap.wrap(text, WIDTH)


def _chance(differences: Sequence[Difference]) -> str:
    """Say how many of so many intervals miss their truth by chance."""
    expected = sum(1.0 - row.level for row in differences)
    if expected < 1.0:
        return ""
    return f"Of these {len(differences)} intervals about {expected:.0f} will miss the truth by chance alone."


def _short_names(values: Mapping[str, Any]) -> dict[str, str]:
    """Return a short heading for each path that says something on its own; paths that move together share one."""
    last = {path: path.rpartition(".")[2] for path in values}
    seen: dict[str, tuple[str, str]] = {}
    names: dict[str, str] = {}
    for path, name in last.items():
        twin = seen.get(name)
        if twin and shown(values[path]) == twin[1]:
            continue
        names[path] = name if twin is None else path
        seen.setdefault(name, (path, shown(values[path])))
    return names


def _other(row: Difference) -> str:
    """Return what a row is compared with."""
    at = ", ".join(f"{path.rpartition('.')[2]}={shown(value)}" for path, value in row.against.items())
    return f"{row.baseline} at {at}" if at else row.baseline


def _places(values: Sequence[float]) -> int:
    """Return how many decimals give the median of the non-zero sizes three digits."""
    sizes = sorted(abs(value) for value in values if value and math.isfinite(value))
    return min(MOST_PLACES, max(0, 2 - math.floor(math.log10(sizes[(len(sizes) - 1) // 2])))) if sizes else 2


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return aligned lines: text to the left, numbers to the right with their points below one another."""
    columns = list(zip(head, *rows, strict=True))
    parts = []
    for column in columns:
        width = max(map(len, column))
        is_text = any(word[:1].isalpha() and word != "n/a" for word in column[1:])
        if not is_text and not any(word[:1] in {"[", "±"} for word in column[1:]):
            below = aligned(column[1:])
            width = max(len(column[0]), *map(len, below))
            parts.append([word.rjust(width) for word in (column[0], *below)])
            continue
        parts.append([word.ljust(width) if is_text or word[:1] == "±" else word.rjust(width) for word in column])
    lines = ["   ".join(row).rstrip() for row in zip(*parts, strict=True)]
    return [lines[0], "   ".join("-" * len(part[0]) for part in parts if part[0].strip() or len(part[0])), *lines[1:]]


def _wrapped(label: str, text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=f"{label}  ", subsequent_indent=" " * 4)


def _n(count: int, word: str, plural: str = "") -> str:
    return f"{count:,} {word if count == 1 else plural or word + 's'}"
