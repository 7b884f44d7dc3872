"""What a trace file holds, as plain data for programs."""

from __future__ import annotations

from typing import Any

from discosim.traces.check import PERCENTS, Quantiles, Section, TraceCheck


def plain(found: TraceCheck) -> dict[str, Any]:
    """Return facts of the file, and by series its facts, percentiles and warnings."""
    return {"facts": dict(found.facts), "sections": [_section(section) for section in found.sections]}


def _section(section: Section) -> dict[str, Any]:
    return {
        "title": section.title,
        "facts": dict(section.facts),
        "percentiles": [_percentiles(table) for table in section.tables],
        "warnings": list(section.warnings),
    }


def _percentiles(table: Quantiles) -> dict[str, Any]:
    values = {f"p{p}": value for p, value in zip(PERCENTS, table.values, strict=True)}
    return {"name": table.name, "n": table.n, "mean": table.mean, **values, "lag1": table.lag1}
