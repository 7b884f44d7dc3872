"""What a sweep's result gives to Python: tidy tables, LaTeX, HTML, labelled arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any

from discosim.core.errors import UserError
from discosim.metrics.definitions import units_of
from discosim.metrics.stats import LEVEL
from discosim.runs.progress import is_notebook

if TYPE_CHECKING:
    import pandas as pd


def with_units(table: pd.DataFrame) -> pd.DataFrame:
    """Return a sweep's or a run's table, the units of its metrics in ``attrs["units"]``."""
    table.attrs["units"] = units_of(table.columns)
    return table


def notebook_bar() -> Callable[[int, int], Any] | None:
    """Return what makes the bar of a sweep, where this is a notebook; the command line brings its own."""
    bar: Callable[[int, int], Any] = import_module("discosim.report.progress").Bar
    return bar if is_notebook() else None


class TableViews:
    """The table of a sweep in other forms; whoever has a ``table`` and a ``title`` gets them.

    The report room stands above this one; it is looked up by name when it is asked.
    """

    @property
    def _rows(self) -> pd.DataFrame:
        """The table, or why there is none."""
        table: pd.DataFrame | None = getattr(self, "table", None)
        if table is None:
            message = "a shard sees its own part only; `discosim sweep collect` builds the table of all"
            raise UserError(message, where="table")
        return table

    @property
    def title(self) -> str:
        """What the tables are called."""
        return "sweep"

    def to_frame(
        self, columns: Sequence[str] | None = None, policies: Sequence[str] | None = None, level: float = LEVEL
    ) -> pd.DataFrame:
        """Return a tidy table: a row per point, policy and metric, with value, low, high and unit over the seeds.

        Raises
        ------
        UserError
            For an unknown metric or policy, or a shard, which has no table.
        """
        frame: pd.DataFrame = import_module("discosim.report.frames").sweep_frame(self._rows, columns, policies, level)
        return frame

    def to_latex(
        self,
        columns: Sequence[str] | None = None,
        policies: Sequence[str] | None = None,
        *,
        caption: str = "",
        label: str = "",
    ) -> str:
        """Return a LaTeX table (booktabs), a row per point and policy; see ``RunResult.to_latex``."""
        text: str = import_module("discosim.report.latex").sweep_latex(
            self._rows, columns, policies, caption=caption, label=label
        )
        return text

    def to_xarray(self, columns: Sequence[str] | None = None, policies: Sequence[str] | None = None) -> Any:
        """Return an ``xarray.Dataset`` whose dimensions are the axes, policy and seed.

        Raises
        ------
        UserError
            Where xarray is not installed, or for an unknown metric or policy.
        """
        return import_module("discosim.report.arrays").sweep_arrays(self._rows, columns, policies)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: a row per point and policy; of a shard, which has no table, its one line."""
        if getattr(self, "table", None) is None:
            return f"<pre>{escape(repr(self))}</pre>"
        html: str = import_module("discosim.report.notebook").sweep_html(self._rows, self.title)
        return html
