"""The page of an engine's comparison with a real server: the figures as a table, and the curves over each other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from discosim.core.errors import UserError
from discosim.core.json_text import read_json
from discosim.metrics.words import in_words, readable
from discosim.report.html.grid import unit_of
from discosim.report.html.markup import Group, Html, Number, facts, table, tag
from discosim.report.html.numbers import plain, with_unit
from discosim.report.html.page import Page, Section, opening
from discosim.report.html.pictures import pictures

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
        title = f"{held['engine']} and a real server"
        sections = [
            Section(name=name, title=heading, body=_table(heading, held[name]))
            for name, heading in PARTS.items()
            if name in held
        ]
        single = {str(name): float(value) for name, value in held["median_error_of_single_requests"].items()}
        over_time = [(f"{name}, mean distance", f"{value:.1f} requests") for name, value in held["over_time"].items()]
        notes = [str(note) for note in held["notes"]]
        said, rest = _answer(held, single)
        log = held["log"]
        question = f"How far is the simulated engine {held['engine']} from the server that wrote the log {log}?"
        question += f" It was given the load of the log: {held['requests']:,} requests."
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        raise UserError(
            f"is not as `discosim engine validate --out` writes it ({type(error).__name__}: {error})", where=str(path)
        ) from None
    sections.insert(0, Section(name="curves", title="Simulated over real", body=pictures(folder, words=CURVES)))
    if over_time:
        sections.append(Section(name="over-time", title="Over time", body=facts(over_time)))
    if notes:
        sections.append(Section(name="notes", title="Notes", body=tag("ul", *(tag("li", note) for note in notes))))
    return Page(title=title, lead=opening(question, said, rest), sections=sections)


CURVES = {
    "over_time": "requests that run and wait, real and simulated",
    "overlaid": "distributions of time to first token, time per token and time to the end, real and simulated",
    "request_errors": "error of each request by its arrival",
}
"""What the pictures of such a folder show."""


def _answer(held: Mapping[str, Any], single: Mapping[str, float]) -> tuple[str, list[str]]:
    """Return the largest error of what was held out, if anything was, and of single requests."""
    part = "holdout" if "holdout" in held else "all"
    errors = {
        (metric, stat): float(given["error_pct"])
        for metric, stats in held[part].items()
        for stat, given in stats.items()
        if given["error_pct"] is not None
    }
    of = "requests that were held out" if part == "holdout" else "all requests"
    if not errors:
        return f"No number of {of} can be compared.", []
    worst = max(errors, key=lambda key: abs(errors[key]))
    name = _words(*worst)
    error = f"{errors[worst]:+.1f} %".replace("-", "−")
    largest = f"{abs(errors[worst]):.1f} %"
    said = f"All numbers of {of} lie within {largest} of the real ones; the worst is {name} ({error})."
    each = [f"{name} {_percent(value)}" for name, value in single.items()]
    return said, [f"Median error of a single request: {', '.join(each)}."] if each else []


def _words(metric: str, stat: str) -> str:
    words = in_words(metric)
    return words if stat == "value" else f"{words}, {stat}"


def _percent(value: float) -> str:
    return f"{value:.1%}"


def _table(title: str, metrics: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Html:
    groups: list[Group] = []
    whole_run: list[list[object]] = []
    for metric, stats in metrics.items():
        unit = readable(metric, unit_of(metric), [float(held["real"]) for held in stats.values()])
        rows: list[list[object]] = []
        for stat, held in stats.items():
            error = "none" if held["error_pct"] is None else f"{held['error_pct']:+.1f} %".replace("-", "−")
            both = (Number(with_unit(plain(unit.factor * float(held[side])), unit)) for side in ("real", "simulated"))
            (whole_run if stat == "value" else rows).append(
                [in_words(metric) if stat == "value" else stat, Number(error), *both]
            )
        if rows:
            groups.append(Group(in_words(metric), rows))
    if whole_run:
        groups.append(Group("of the whole run", whole_run))
    return table(("number", "error", "real", "simulated"), groups, title)  # a phone shows the first two at least
