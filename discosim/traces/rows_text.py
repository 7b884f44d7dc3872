"""What the rows of a service show, or do not, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from discosim.traces.rows_digest import HourFactors, PromptSlope, RefusalRuns

DAYS_TO_TELL = 2.7
"""Days of rows, the hours that make a day counted, that can tell the hour from a drift; see `recipes.rows`."""


def slope_sentence(slope: PromptSlope) -> str:
    """Return what the rows say of the prompt's length."""
    figures = (
        f"Theil-Sen {slope.s_per_tok:.3g} s per token, 99 % interval {slope.low_s_per_tok:.3g} to "
        f"{slope.high_s_per_tok:.3g}, {slope.n:,} rows of {slope.shortest_tok:,} to {slope.longest_tok:,} tokens"
    )
    if slope.ttft is not None:
        return f"TTFT grows with the prompt ({figures}); its law is around that line"
    if slope.high_s_per_tok < 0:
        return f"TTFT falls with the prompt's length ({figures}), which no prefill does: not used"
    return f"TTFT shows no growth with the prompt ({figures}): none is used"


def hours_sentence(hours: HourFactors) -> str:
    """Return what the rows say of the hour of the day."""
    if not hours.is_shown and hours.days < DAYS_TO_TELL:
        return f"{hours.days:.1f} days of rows cannot tell the hour of the day from a drift, which three days can"
    if not hours.is_shown:
        return f"times show no dependence on the hour of the day ({hours.days:.1f} days of rows)"
    low, high = min(hours.ttft_factor), max(hours.ttft_factor)
    ends = (
        f"TTFT {low:.2f} to {high:.2f} and time per token {min(hours.tpot_factor):.2f} to {max(hours.tpot_factor):.2f}"
    )
    clock = "UTC, or the file's own clock" if hours.clock == "utc" else "hours since the first row"
    return f"times depend on the hour of the day ({ends} times the median by hour, {clock}, {hours.days:.1f} days)"


def runs_sentence(runs: RefusalRuns, failure_share: float) -> str:
    """Return what the rows say of refusals in a row."""
    alone = 1.0 / (1.0 - failure_share) if failure_share < 1 else float("inf")
    return (
        f"refusals come {runs.mean_run:.3g} in a row ({runs.n_runs:,} runs; by themselves they would come {alone:.3g})"
    )


def sentences(
    slope: PromptSlope | None, hours: HourFactors | None, runs: RefusalRuns | None, failure_share: float
) -> Iterator[tuple[str, str]]:
    """Yield what is known of each, with a label."""
    if slope is not None:
        yield "prompt", slope_sentence(slope)
    if hours is not None:
        yield "hour of day", hours_sentence(hours)
    if runs is not None:
        yield "refusals", runs_sentence(runs, failure_share)
