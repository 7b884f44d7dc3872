"""The one source of truth about metrics: every column and every summary number, found by name."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterable

from discosim.core.errors import UserError
from discosim.metrics.contrast import traps_of
from discosim.metrics.declare import MetricDefinition
from discosim.metrics.request_definitions import REQUEST_METRICS, TOKEN_METRICS
from discosim.metrics.streaming_definitions import STREAMING_METRICS
from discosim.metrics.summary_definitions import SUMMARY_METRICS
from discosim.metrics.targets import TARGET_METRICS

__all__ = [
    "DEFINITIONS",
    "REQUEST_METRICS",
    "STREAMING_METRICS",
    "SUMMARY_METRICS",
    "TARGET_METRICS",
    "TOKEN_METRICS",
    "MetricDefinition",
    "all_definitions",
    "definition",
    "explain",
    "list_metrics",
    "units_of",
]

DEFINITIONS: dict[str, MetricDefinition] = {
    metric.name: metric
    for metric in (*REQUEST_METRICS, *TOKEN_METRICS, *SUMMARY_METRICS, *STREAMING_METRICS, *TARGET_METRICS)
}

_FILES = {
    "request": "column of requests.parquet",
    "token": "column of tokens.parquet",
    "summary": "per policy and replication",
    "on_demand": "on demand",
}


def definition(name: str) -> MetricDefinition:
    """Return the definition of a metric.

    Raises
    ------
    UserError
        If there is no such metric; the message names the nearest ones (all would be a hundred).
    """
    try:
        return DEFINITIONS[name]
    except KeyError:
        near = [known for known in DEFINITIONS if name and known.startswith(name)]
        near = near or difflib.get_close_matches(name, DEFINITIONS, n=5)
        hint = f"did you mean {', '.join(near)}?" if near else "`discosim explain metric` lists all"
        raise UserError(f"unknown metric {name!r}; {hint}") from None


def units_of(names: Iterable[object]) -> dict[str, str]:
    """Return the units of those columns that are metrics, by name; '' for names and identifiers."""
    return {str(name): DEFINITIONS[str(name)].unit for name in names if str(name) in DEFINITIONS}


def all_definitions() -> tuple[MetricDefinition, ...]:
    """Return every definition: request columns, token columns, summary numbers, metrics on demand."""
    return tuple(DEFINITIONS.values())


def list_metrics() -> str:
    """Return one line for each metric: name, unit, and what it is."""
    lines = (f"{name:<28} {m.unit:<10} {m.description.partition('. ')[0]}" for name, m in DEFINITIONS.items())
    return "\n".join(line.rstrip() for line in lines)


def explain(name: str) -> str:
    """Return a paragraph of plain text about a metric, or about another tool's word for one.

    Examples
    --------
    >>> print(explain("tpot_s").splitlines()[0])
    tpot_s [s], column of requests.parquet, lower is better
    >>> print(explain("itl").splitlines()[0])
    'itl' is another tool's word. Here:
    """
    if name in DEFINITIONS:
        return _describe(DEFINITIONS[name])
    uses = [
        f"  {metric.name} is what {tool} calls {alias}"
        for metric in DEFINITIONS.values()
        if metric.level != "summary"
        for tool, alias in metric.aliases.items()
        if name.lower() == alias.split(" ")[0].lower()
    ]
    if uses:
        return "\n".join([f"{name!r} is another tool's word. Here:", *uses])
    return _describe(definition(name))


def _describe(metric: MetricDefinition) -> str:
    """Lay out one definition as text of at most 100 columns."""
    unit = f" [{metric.unit}]" if metric.unit else ""
    better = "" if metric.direction == "neutral" else f", {metric.direction} is better"
    parts = [("meaning", metric.description), ("formula", metric.formula), ("source", metric.source)]
    parts.append(("computed", f"by {metric.computed_by}"))
    if metric.aliases:
        parts.append(("elsewhere", "; ".join(f"{tool}: {word}" for tool, word in metric.aliases.items())))
    parts += [("beware", trap) for trap in traps_of(metric.name)]
    lines = [f"{metric.name}{unit}, {_FILES[metric.level]}{better}"]
    for label, text in parts:
        lines += textwrap.wrap(
            text,
            width=100,
            initial_indent=f"  {label:<10}",
            subsequent_indent=" " * 12,
            break_long_words=False,
        )
    return "\n".join(lines)
