"""The part that all latency recipes share."""

from __future__ import annotations

from collections.abc import Mapping

from discosim.traces.digest import Card, LatencyDigest
from discosim.traces.readers.base import LatencySeries
from discosim.traces.recipes import measure
from discosim.traces.recipes.measure import Floats

METHOD = (
    "quantile tables of TTFT and of TPOT = (end-to-end - TTFT) / (output tokens - 1) over the successes; "
    "each with the latent correlation that gives its Pearson lag-1 autocorrelation in the order of the file"
)


def latency_digest(
    name: str,
    card: Card,
    ttft_s: Floats,
    tpot_s: Floats,
    *,
    failures: Mapping[str, int],
    prompt_tok: int | None = None,
    spacing_s: float | None = None,
) -> LatencyDigest:
    """Compute a latency digest from the successes of one service and its failures by code."""
    n_failed = sum(failures.values())
    return LatencyDigest(
        name=name,
        card=card,
        n=int(ttft_s.size),
        ttft=measure.series(ttft_s),
        tpot=measure.series(tpot_s),
        failure_share=n_failed / (n_failed + int(ttft_s.size)),
        failures=dict(sorted(failures.items())),
        prompt_tok=prompt_tok,
        spacing_s=spacing_s,
        moments={
            **measure.moments("ttft", ttft_s),
            **measure.moments("tpot", tpot_s),
            "ttft_tpot_pearson": measure.pearson(ttft_s, tpot_s),
            "lag1_standard_error": 1.0 / float(ttft_s.size) ** 0.5,
        },
    )


def failures_by_code(series: LatencySeries, *, but: str = "") -> dict[str, int]:
    """Return the failed attempts of a series by error code, from the reader's notes, leaving out one code."""
    prefix = "failed_code_" if series.notes["format"] == "llmperf" else "failed_"
    counts = {key.removeprefix(prefix): int(n) for key, n in series.notes.items() if key.startswith(prefix)}
    return {code: n for code, n in counts.items() if code != but}
