"""The page of an engine's comparison with a real server: the figures as a table, and the curves over each other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from discosim.core.errors import UserError
from discosim.core.json_text import read_json
from discosim.report.html.figures_folder import pictures
from discosim.report.html.markup import Html, facts, join, table, tag
from discosim.report.html.page import Page, Section

FILE = "validation.json"
PARTS = {"all": "All requests", "holdout": "Held out"}


def validate_page(folder: Path) -> Page:
    """Return the page of a folder that ``discosim engine validate --out`` made.

    Raises
    ------
    UserError
        If ``validation.json`` is not as it was written.
    """
    path = folder / FILE
    try:
        held = read_json(path.read_bytes(), where=str(path))
        sections = [
            Section(name=name, title=title, body=_table(title, held[name]))
            for name, title in PARTS.items()
            if name in held
        ]
        pairs = [(name, held[name]) for name in ("engine", "log", "requests")]
        pairs += [
            (f"{name}, median error of a request", _percent(value))
            for name, value in held["median_error_of_single_requests"].items()
        ]
        pairs += [(f"{name}, mean distance", f"{value:.1f} requests") for name, value in held["over_time"].items()]
        notes = [str(note) for note in held["notes"]]
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        raise UserError(
            f"is not as `discosim engine validate --out` writes it ({type(error).__name__}: {error})", where=str(path)
        ) from None
    sections.append(Section(name="curves", title="Curves", body=pictures(folder)))
    if notes:
        sections.append(Section(name="notes", title="Notes", body=tag("ul", *(tag("li", note) for note in notes))))
    words = tag("p", "The simulated engine was given the load of the log. Errors are simulated over real.")
    return Page(title=f"{held['engine']} and a real server", lead=join(words, facts(pairs)), sections=sections)


def _percent(value: float) -> str:
    return f"{value:.1%}"


def _table(title: str, metrics: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Html:
    rows = [
        [
            tag("code", metric if stat == "value" else f"{metric} {stat}"),
            "" if held["error_pct"] is None else f"{held['error_pct']:+.1f} %",
            f"{held['real']:.4g}",
            f"{held['simulated']:.4g}",
        ]
        for metric, stats in metrics.items()
        for stat, held in stats.items()
    ]
    return table(("metric", "error", "real", "simulated"), rows, title)  # a phone shows the first two at least
