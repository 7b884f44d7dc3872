"""What rows of a service show beside quantiles and memory: prompt length, hour of the day, runs of refusals."""

from __future__ import annotations

from dataclasses import dataclass

from discosim.core.empirical import CorrelatedSeries

HOURS = 24


@dataclass(frozen=True, kw_only=True)
class PromptSlope:
    """How TTFT depends on the length of the prompt.

    Parameters
    ----------
    s_per_tok : float
        Theil-Sen slope, in s per prompt token.
    low_s_per_tok, high_s_per_tok : float
        Its interval (`recipes.rows.SLOPE_LEVEL`).
    n : int
        Rows behind it.
    shortest_tok, longest_tok : int
        Range of the prompts, in tokens.
    ttft : CorrelatedSeries or None
        TTFT at the shortest prompt, in s, where the interval lies above 0; None where no slope is to be used.
    """

    s_per_tok: float
    low_s_per_tok: float
    high_s_per_tok: float
    n: int
    shortest_tok: int
    longest_tok: int
    ttft: CorrelatedSeries | None = None

    def __post_init__(self) -> None:
        if not self.low_s_per_tok <= self.s_per_tok <= self.high_s_per_tok:
            raise ValueError("a slope must lie in its interval")
        if self.ttft is not None and self.low_s_per_tok <= 0:
            raise ValueError("a slope is used only where its interval lies above 0")
        if not 0 < self.shortest_tok <= self.longest_tok:
            raise ValueError("a slope needs prompts of a token or more, the shortest first")


@dataclass(frozen=True, kw_only=True)
class HourFactors:
    """How times depend on the hour of the day.

    Parameters
    ----------
    days : float
        Span of the rows, in days.
    clock : str
        ``utc``: hours are of UTC, or of the file's own wall clock; ``first_row``: they count from the first row.
    ttft_factor, tpot_factor : tuple of float
        Times of each hour over those of all, 24 each, > 0; empty where the rows show no dependence.
    ttft, tpot : CorrelatedSeries or None
        The times with the factors (and the slope, where that is used) taken out, in s; None where none is shown.
    """

    days: float
    clock: str
    ttft_factor: tuple[float, ...] = ()
    tpot_factor: tuple[float, ...] = ()
    ttft: CorrelatedSeries | None = None
    tpot: CorrelatedSeries | None = None

    def __post_init__(self) -> None:
        if self.clock not in {"utc", "first_row"}:
            raise ValueError("hours are of clock utc or first_row")
        n_factors = HOURS if self.is_shown else 0
        if any(len(held) != n_factors or min(held, default=1) <= 0 for held in (self.ttft_factor, self.tpot_factor)):
            raise ValueError("hours that are shown need 24 factors above 0 for TTFT and for time per token")
        if (self.ttft is None) != (self.tpot is None):
            raise ValueError("hours that are shown need both laws without them")

    @property
    def is_shown(self) -> bool:
        """Whether the rows show a dependence on the hour."""
        return self.ttft is not None


@dataclass(frozen=True, kw_only=True)
class RefusalRuns:
    """How refusals come together.

    Parameters
    ----------
    n_runs : int
        Runs of refused attempts, in order of sending.
    mean_run : float
        Refused attempts in a row, on average, >= 1.
    """

    n_runs: int
    mean_run: float

    def __post_init__(self) -> None:
        if self.n_runs < 1 or not self.mean_run >= 1:
            raise ValueError("runs of refusals need one run or more, of one attempt or more")
