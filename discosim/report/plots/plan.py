"""A picture that is ready to be drawn: what was asked for, and every number of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from discosim.core.errors import UserError, close_match
from discosim.report.plots.caption import caption_of
from discosim.report.plots.cells import cells_of, curves_of, metrics_of
from discosim.report.plots.choice import NOTHING, Asked, Choice, choose
from discosim.report.plots.heat import best_of
from discosim.report.plots.source import Source, source_of

if TYPE_CHECKING:
    from discosim.report.plots.source import Given

INTERVALS = ("band", "bars", "none")


@dataclass(frozen=True)
class Plan:
    """A picture that is ready to be drawn.

    Parameters
    ----------
    source : Source
        Where its numbers come from.
    choice : Choice
        What is drawn.
    table : DataFrame
        Every number that is drawn.
    intervals : str
        ``band``, ``bars`` or ``none``.
    caption : str
        What belongs below it.
    """

    source: Source
    choice: Choice
    table: pd.DataFrame
    intervals: str
    caption: str

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of panels."""
        return max(1, len(self.metrics)) * len(self.choice.rows.values), len(self.choice.columns.values)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics that have panels of their own."""
        return self.choice.y if self.choice.kind in ("lines", "bars") else ()

    @property
    def is_best(self) -> bool:
        """Whether cells say who is best, and not how much it is."""
        return self.choice.kind == "heat" and self.choice.series is not NOTHING


def plan_of(given: Given, asked: Asked, intervals: str = "", *, luck: bool = False) -> Plan:
    """Read, choose and compute; draw nothing yet.

    ``luck`` asks for intervals by luck alone, also where inputs have few rows.

    Raises
    ------
    UserError
        For whatever is not there or cannot be drawn.
    """
    if intervals and intervals not in INTERVALS:
        raise UserError(f"unknown '{intervals}'; {close_match(intervals, INTERVALS)}", where="--intervals")
    numbers = (asked.z,) if asked.z else asked.y
    source = source_of(given, (*numbers, asked.x) if asked.kind in ("pareto", "cdf") else numbers)
    choice = choose(source, asked)
    few, beyond = "", list[str]()
    if choice.kind == "cdf":
        table = curves_of(source, choice)
    elif choice.kind == "heat" and choice.series is not NOTHING:
        table = best_of(source, choice)
    else:
        is_wide = source.inputs is not None and choice.kind != "heat" and intervals != "none" and not luck
        inputs = source.inputs(metrics_of(choice)) if source.inputs is not None and is_wide else None
        table = cells_of(source, choice, inputs)
        few = "" if inputs is None else inputs.rows_text()
        beyond = [] if inputs is None else [name for name in metrics_of(choice) if inputs.rests_on_no_row(name)]
    how = intervals or ("bars" if choice.kind in ("bars", "pareto") else "band")
    return Plan(source, choice, table, how, caption_of(source, choice, table, how, few, beyond))
