"""The part that all latency recipes share."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

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
    failure_share: float | None = None,
    prompt_tok: int | None = None,
    spacing_s: float | None = None,
) -> LatencyDigest:
    """Compute a latency digest from the successes of one service and its failures by code.

    Parameters
    ----------
    name : str
        Name of the digest.
    card : Card
        Origin.
    ttft_s, tpot_s : array of float, shape (n,)
        Times of the successes in order; NaN where one was not seen. Each table holds what was seen of its own.
    failures : mapping of str to int
        Failed attempts by code.
    failure_share : float, optional
        Share of all attempts that failed; without it, the failures over themselves and the successes given.
    prompt_tok, spacing_s
        As in `LatencyDigest`.
    """
    n_failed = sum(failures.values())
    seen_ttft_s, seen_tpot_s = ttft_s[np.isfinite(ttft_s)], tpot_s[np.isfinite(tpot_s)]
    both = np.isfinite(ttft_s) & np.isfinite(tpot_s)
    return LatencyDigest(
        name=name,
        card=card,
        n=int(seen_ttft_s.size),
        ttft=measure.series(seen_ttft_s),
        tpot=measure.series(seen_tpot_s),
        failure_share=n_failed / (n_failed + int(ttft_s.size)) if failure_share is None else failure_share,
        failures=dict(sorted(failures.items())),
        prompt_tok=prompt_tok,
        spacing_s=spacing_s,
        moments={
            **measure.moments("ttft", seen_ttft_s),
            **measure.moments("tpot", seen_tpot_s),
            "ttft_tpot_pearson": measure.pearson(ttft_s[both], tpot_s[both]),
            "lag1_standard_error": 1.0 / float(seen_ttft_s.size) ** 0.5,
        },
    )


def failures_by_code(series: LatencySeries, *, but: str = "") -> dict[str, int]:
    """Return the failed attempts of a series by error code, from the reader's notes, leaving out one code."""
    prefix = "failed_code_" if series.notes["format"] == "llmperf" else "failed_"
    counts = {key.removeprefix(prefix): int(n) for key, n in series.notes.items() if key.startswith(prefix)}
    return {code: n for code, n in counts.items() if code != but}
