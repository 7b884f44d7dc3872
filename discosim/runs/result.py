"""What a run gives back: tables, summary, pictures."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discosim.core.scenario import Scenario
from discosim.metrics.definitions import units_of
from discosim.metrics.endpoints import ENDPOINT_FIELDS
from discosim.metrics.summary import SummaryTable
from discosim.metrics.targets import IS_GOOD, TARGET_NUMBERS, checked_targets, is_good, targets_text
from discosim.runs.collect import Columns
from discosim.runs.input_intervals import InputIntervals, widened
from discosim.runs.tables import SERIES_FIELDS, TOKEN_FIELDS
from discosim.runs.targets import target_summary

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from discosim.policies.base import Policy


@dataclass(frozen=True, repr=False)
class RunResult:
    """The outcome of one scenario.

    Attributes
    ----------
    scenario : Scenario
        What was run.
    columns : dict of str to array
        The columns of requests.parquet, sorted by policy, replication and request; one that holds one value alone
        takes no memory and cannot be written to.
    summary : SummaryTable
        Means over replications, their intervals, and paired differences to the baseline.
    replication_columns : dict of str to array
        The columns of replications.parquet: every summary number of each policy and replication.
    example_columns : dict of str to array
        Token rows of a few requests of the first replication.
    endpoint_columns : dict of str to array
        The columns of endpoints.parquet, sorted likewise and by endpoint; empty where the scenario has no `services`.
    notes : tuple of str
        How the inputs are known and what was done to them.
    folder : Path or None
        Where the files are, if they were written.
    series_columns : dict of str to array
        The columns of series.parquet: a white-box server by the second; empty without one.
    input_intervals : InputIntervals or None
        Intervals with what the rows behind the inputs leave open; None where every input has plenty of them.
    kernels : mapping of str to mapping of str to int
        By policy, how many requests went through SimPy and how many each kernel did.
    given : mapping of str to Policy
        Policies that were given as objects, by name.
    basis : mapping of str to str
        Fingerprints of the user's own files and policy objects as they were when it ran.
    written : mapping of str to mapping
        By name, size and sha256 of each file as it was written; empty where none was.
    plain : RunResult or None
        The same run without the numbers that targets added to its summary; None where there are none.
    """

    scenario: Scenario
    columns: Columns
    summary: SummaryTable
    replication_columns: Columns
    example_columns: Columns
    notes: tuple[str, ...]
    folder: Path | None = None
    endpoint_columns: Columns = field(default_factory=dict)
    series_columns: Columns = field(default_factory=dict)
    input_intervals: InputIntervals | None = None
    kernels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    plain: RunResult | None = None
    given: Mapping[str, Policy] = field(default_factory=dict, repr=False)
    basis: Mapping[str, str] = field(default_factory=dict, repr=False)
    written: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)

    @cached_property
    def requests(self) -> pd.DataFrame:
        """One row per request, policy and replication; see docs/metrics.md for the columns, ``attrs["units"]``."""
        return _frame(self.columns)

    @cached_property
    def by_replication(self) -> pd.DataFrame:
        """One row per policy and replication: the sample behind every interval."""
        return _frame(self.replication_columns)

    @cached_property
    def server_series(self) -> pd.DataFrame:
        """One row per policy, replication and second of a white-box server; no rows without one."""
        return _frame(self.series_columns, SERIES_FIELDS)

    @cached_property
    def example_tokens(self) -> pd.DataFrame:
        """One row per token of a few requests."""
        return _frame(self.example_columns, TOKEN_FIELDS)

    @cached_property
    def by_endpoint(self) -> pd.DataFrame:
        """One row per policy, replication, request and endpoint asked; no row where the scenario has no `services`."""
        return _frame(self.endpoint_columns, ENDPOINT_FIELDS)

    @cached_property
    def printed_summary(self) -> Mapping[str, Any]:
        """The summary as summary.json has it, its intervals those with inputs where any input has few rows."""
        return self._printed(self.summary)

    def _printed(self, summary: SummaryTable) -> Mapping[str, Any]:
        found = self.input_intervals
        if found is None:
            return summary.to_json_dict()
        if summary is not self.summary:
            found = found.against(self.columns, summary)
        return widened(summary.to_json_dict(), found.to_json_dict())

    def __repr__(self) -> str:
        """Return one line: what was run, how much of it, and where it lies."""
        summary, place = self.summary, "" if self.folder is None else f", in {str(self.folder)!r}"
        each = self.columns["policy"].size // max(1, len(summary.policies) * summary.n_replications)
        return (
            f"<RunResult {self.scenario.name!r}: {len(summary.policies)} policies x {summary.n_replications} "
            f"replications x {each:,} requests, seed {self.scenario.seed}{place}>"
        )

    def __str__(self) -> str:
        """Return the table that the command line prints."""
        text: str = import_module("discosim.report.text").render(self)
        return text

    def compare(self, *metrics: str, baseline: str | None = None) -> str:
        """Return a table of the named summary metrics: each policy's mean, and its paired change in per cent.

        Parameters
        ----------
        *metrics : str
            Names as in docs/metrics.md, for example ``ttft_mean_s``.
        baseline : str, optional
            Policy that the change refers to; the scenario's where omitted.

        Raises
        ------
        UserError
            For an unknown metric or policy.
        """
        summary = self.summary if baseline is None else self.summary.against(baseline)
        text: str = import_module("discosim.report.text").comparison_text(self._printed(summary), metrics)
        return text

    def with_targets(self, **targets: float) -> RunResult:
        """Return the same run with two numbers more: ``slo_attainment`` and ``goodput_rps``.

        Parameters
        ----------
        **targets : float
            The most that a duration of a request may be, in seconds, by its column: ``ttft_s=0.5, tpot_s=0.1``.

        Raises
        ------
        UserError
            For an unknown column, or a target that is no positive number.
        """
        plain, targets = self.plain or self, checked_targets(targets)
        summary, by_replication = target_summary(plain.summary, plain.columns, plain.replication_columns, targets)
        columns = {**plain.columns, IS_GOOD: is_good(plain.columns, targets).astype(float)}
        return replace(
            plain,
            summary=summary,
            replication_columns=dict(by_replication),
            input_intervals=plain.input_intervals and plain.input_intervals.against(columns, summary),
            notes=(*plain.notes, f"{' and '.join(TARGET_NUMBERS)}: {targets_text(targets)}"),
            plain=plain,
        )

    def write(self, folder: str | os.PathLike[str], *, force: bool = False, figures: bool = True) -> Path:
        """Write the result folder that `discosim run` would have written, whole or not at all.

        `discosim report`, `discosim diff`, `discosim table` and ``load_results`` work on it.

        Parameters
        ----------
        folder : path
            Where; one that holds another run is replaced only with ``force``, one that holds anything else never.
        force : bool
            Replace another run.
        figures : bool
            Also draw the pictures of a run.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        UserError
            If it cannot be written; nothing is changed then.

        Notes
        -----
        Every file is the same, byte by byte, except run.json: it has no command and no wall time. Policies that were
        passed as objects are named in config.yaml like all others, and their text lies in ``code/``; where one cannot
        be written down, the first line of config.yaml names those that it lacks.
        """
        written: Path = import_module("discosim.runs.store").write_result(self.plain or self, Path(folder), force=force)
        if figures:
            import_module("discosim.report.figures").draw_all(written)
        return written

    # The report room stands above this one; these shortcuts reach up at call time so that a notebook can say
    # result.plot_ttft_cdf() without knowing the rooms.

    def plot_ttft_cdf(self) -> Figure:
        """Draw the distribution of TTFT by policy."""
        figure: Figure = import_module("discosim.report.figures").ttft_cdf(self.requests, self.summary.policies)
        return figure

    def plot_cost_ttft(self) -> Figure:
        """Draw the trade-off of unified cost and TTFT."""
        figure: Figure = import_module("discosim.report.figures").cost_ttft(self.printed_summary)
        return figure

    def plot_metrics(self, *metrics: str) -> Figure:
        """Draw the named summary metrics side by side, one panel each, policies below one another."""
        figure: Figure = import_module("discosim.report.figures").metric_panels(self.printed_summary, metrics)
        return figure

    def plot_timeline(self, request_id: int | None = None) -> Figure:
        """Draw who prefilled, who decoded, what was buffered and what was on screen for one request."""
        draw = import_module("discosim.report.figures").timeline
        figure: Figure = draw(self.example_tokens, self.requests, request_id=request_id, policies=self.summary.policies)
        return figure

    def to_frame(self, columns: Sequence[str] | None = None, policies: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the summary as a tidy table: one row per policy and metric, with value, low, high and unit.

        Parameters
        ----------
        columns, policies : sequence of str, optional
            Which metrics and policies; all where omitted.

        Returns
        -------
        pandas.DataFrame
            ``policy, metric, value, low, high, unit, n``, and the paired change against the baseline (``diff``,
            ``change_pct``, each with its bounds). The bounds are those that are printed.
        """
        frame: pd.DataFrame = import_module("discosim.report.frames").summary_frame(
            self.printed_summary, columns, policies
        )
        return frame

    def to_latex(
        self,
        columns: Sequence[str] | None = None,
        policies: Sequence[str] | None = None,
        *,
        caption: str = "",
        label: str = "",
    ) -> str:
        """Return a LaTeX table (booktabs), a row per policy; with a caption or a label in a ``table`` environment.

        Four headline numbers by default; each has the digits that its own interval supports.
        """
        text: str = import_module("discosim.report.latex").run_latex(
            self.printed_summary, columns, policies, caption=caption, label=label
        )
        return text

    def to_xarray(self, columns: Sequence[str] | None = None, policies: Sequence[str] | None = None) -> Any:
        """Return every replication's numbers as an ``xarray.Dataset`` with the dimensions policy and replication.

        Raises
        ------
        UserError
            Where xarray is not installed, or for an unknown metric or policy.
        """
        return import_module("discosim.report.arrays").run_arrays(self.by_replication, columns, policies)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: one table with intervals."""
        html: str = import_module("discosim.report.notebook").run_html(self.printed_summary, self.scenario.name)
        return html


def _frame(columns: Columns, fields: Mapping[str, tuple[str, str]] | None = None) -> pd.DataFrame:
    """Return columns as a table whose ``attrs`` hold their units."""
    import pandas as pd

    table = pd.DataFrame(columns)
    table.attrs["units"] = units_of(columns) if fields is None else {name: fields[name][0] for name in columns}
    return table
