"""What a run gives back: tables, summary, pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discosim.core.scenario import Scenario
from discosim.metrics.summary import SummaryTable
from discosim.runs.collect import Columns
from discosim.runs.input_intervals import InputIntervals, widened

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class RunResult:
    """The outcome of one scenario.

    Attributes
    ----------
    scenario : Scenario
        What was run.
    columns : dict of str to array
        The columns of requests.parquet, sorted by policy, replication and request.
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
    """

    scenario: Scenario
    columns: Columns = field(repr=False)
    summary: SummaryTable = field(repr=False)
    replication_columns: Columns = field(repr=False)
    example_columns: Columns = field(repr=False)
    notes: tuple[str, ...] = field(repr=False)
    folder: Path | None = None
    endpoint_columns: Columns = field(default_factory=dict, repr=False)
    series_columns: Columns = field(repr=False, default_factory=dict)
    input_intervals: InputIntervals | None = field(repr=False, default=None)
    kernels: Mapping[str, Mapping[str, int]] = field(repr=False, default_factory=dict)

    @cached_property
    def requests(self) -> pd.DataFrame:
        """One row per request, policy and replication; see docs/metrics.md for the columns."""
        import pandas as pd

        return pd.DataFrame(self.columns)

    @cached_property
    def by_replication(self) -> pd.DataFrame:
        """One row per policy and replication: the sample behind every interval."""
        import pandas as pd

        return pd.DataFrame(self.replication_columns)

    @cached_property
    def server_series(self) -> pd.DataFrame:
        """One row per policy, replication and second of a white-box server; no rows without one."""
        import pandas as pd

        return pd.DataFrame(self.series_columns)

    @cached_property
    def example_tokens(self) -> pd.DataFrame:
        """One row per token of a few requests."""
        import pandas as pd

        return pd.DataFrame(self.example_columns)

    @cached_property
    def by_endpoint(self) -> pd.DataFrame:
        """One row per policy, replication, request and endpoint asked; no row where the scenario has no `services`."""
        import pandas as pd

        return pd.DataFrame(self.endpoint_columns)

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

    def __str__(self) -> str:
        """Return the table that the command line prints."""
        from importlib import import_module

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
        from importlib import import_module

        summary = self.summary if baseline is None else self.summary.against(baseline)
        text: str = import_module("discosim.report.text").comparison_text(self._printed(summary), metrics)
        return text

    # The report room stands above this one; these shortcuts reach up at call time so that a notebook can say
    # result.plot_ttft_cdf() without knowing the rooms.

    def plot_ttft_cdf(self) -> Figure:
        """Draw the distribution of TTFT by policy."""
        from importlib import import_module

        figure: Figure = import_module("discosim.report.figures").ttft_cdf(self.requests, self.summary.policies)
        return figure

    def plot_cost_ttft(self) -> Figure:
        """Draw the trade-off of unified cost and TTFT."""
        from importlib import import_module

        figure: Figure = import_module("discosim.report.figures").cost_ttft(self.printed_summary)
        return figure

    def plot_metrics(self, *metrics: str) -> Figure:
        """Draw the named summary metrics side by side, one panel each, policies below one another."""
        from importlib import import_module

        figure: Figure = import_module("discosim.report.figures").metric_panels(self.printed_summary, metrics)
        return figure

    def plot_timeline(self, request_id: int | None = None) -> Figure:
        """Draw who prefilled, who decoded, what was buffered and what was on screen for one request."""
        from importlib import import_module

        draw = import_module("discosim.report.figures").timeline
        figure: Figure = draw(self.example_tokens, self.requests, request_id=request_id, policies=self.summary.policies)
        return figure
