"""What a caption must say: what is drawn, of how many replications, and what bands are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from discosim.metrics.labels import key_label, metric_label
from discosim.report.input_rows import by_what
from discosim.report.plots.choice import NOTHING, Choice
from discosim.report.plots.source import Dim, Source, text_of

_BANDS = {"band": "bands", "bars": "bars"}


def caption_of(
    source: Source,
    choice: Choice,
    table: pd.DataFrame,
    intervals: str,
    few_rows: str = "",
    beyond: Sequence[str] = (),
) -> str:
    """Return the sentences that belong below a picture.

    ``few_rows`` are inputs that intervals take into account, ``beyond`` metrics for which they have too few rows.
    """
    parts = [_what(choice), _panels(choice), _numbers(source, choice, table, intervals, few_rows), _averaged(choice)]
    if beyond:
        what = " and ".join(_plain(metric_label(name)) for name in beyond)
        parts.append(
            f"{what[0].upper() if what[1:2].isalpha() else what[0]}{what[1:]} lies beyond the rows of an input."
        )
    if choice.kind == "pareto":
        parts.append("The broad line joins the points that no other one beats in both.")
    if choice.kind == "heat" and "best" in table and not table["is_clear"].all():
        parts.append("Hatched: the paired 95 % interval of its gain over some other one holds 0, by luck alone.")
    if source.n_left_out:
        parts.append(f"{source.n_left_out} runs that failed or are missing are left out.")
    return " ".join(filter(None, parts))


def _what(choice: Choice) -> str:
    if choice.kind == "cdf":
        text = f"Distribution of {_plain(metric_label(str(choice.x)))} over requests"
    elif choice.kind == "heat":
        what = _plain(metric_label(choice.z))
        over = f"over {_dim(choice.x)} and {_dim(choice.y_dim)}"
        is_best = choice.series is not NOTHING
        text = f"Best {_dim(choice.series)} by {what}, {over}" if is_best else f"{what} {over}"
    else:
        ys = " and ".join(_plain(metric_label(name)) for name in choice.y)
        against = _dim(choice.x) if isinstance(choice.x, Dim) else _plain(metric_label(choice.x))
        text = f"{ys} by {against}" if against == "policy" else f"{ys} against {against}"
    if choice.path is not NOTHING:
        text += f", {_dim(choice.path)} along each line ({', '.join(text_of(v) for v in choice.path.values)})"
    return f"{_sentence(text)}."


def _sentence(text: str) -> str:
    """Return a text with a capital; quantiles keep their small p."""
    return text if text[1:2].isdigit() else text[0].upper() + text[1:]


def _panels(choice: Choice) -> str:
    named = [_dim(dim) for dim in (choice.columns, choice.rows) if dim is not NOTHING]
    return f"Panels: {' by '.join(named)}." if named else ""


def _averaged(choice: Choice) -> str:
    said = [f"{_dim(dim)} ({', '.join(text_of(v) for v in dim.values)})" for dim in choice.averaged]
    return f"Each replication's mean over {' and '.join(said)}." if said else ""


def _numbers(source: Source, choice: Choice, table: pd.DataFrame, intervals: str, few_rows: str) -> str:
    few, many = int(table["n"].min()), int(table["n"].max())
    count = f"{few}" if few == many else f"{few} to {many}"
    of = _requests(source, choice, table)
    if choice.kind == "cdf":
        has = many > 1 and intervals != "none"
        bands = f"; bands: 95 % interval over {count} replications by luck alone" if has else ""
        return f"{of or 'All'} requests a line, {count} {_n(many, 'replication')}{bands}."
    if many == 1:
        return f"One replication{of}, so no intervals."
    means = f"Means over {count} replications{of}"
    if intervals == "none" or choice.kind == "heat":
        return f"{means}."
    by = by_what(few_rows, is_partly=bool(table["is_by_luck"].any()))
    return f"{means}; {_BANDS[intervals]}: 95 % interval over them, {by}."


def _requests(source: Source, choice: Choice, table: pd.DataFrame) -> str:
    if choice.kind == "cdf":
        few, many = int(table["n_requests"].min()), int(table["n_requests"].max())
        return f"{few:,}" if few == many else f"{few:,} to {many:,}"
    if "n_requests" not in source.rows:
        return ""
    held = source.rows["n_requests"].dropna().astype(int)
    few, many = int(held.min()), int(held.max())
    return f" of {few:,} requests" if few == many else f" of {few:,} to {many:,} requests"


def _n(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"


def _plain(label: str) -> str:
    return label.partition(" [")[0]


def _dim(dim: Any) -> str:
    return "policy" if dim.name == "policy" else _plain(key_label(dim.name))
