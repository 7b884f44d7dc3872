"""The part that all workload recipes share: from arrivals and lengths to a digest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from discosim.traces.digest import Card, WorkloadDigest
from discosim.traces.recipes import measure
from discosim.traces.recipes.measure import Floats, Ints

ARRIVAL_METHOD = (
    "gap law: quantile table of the gaps between successive requests, with the latent correlation that "
    "gives their Pearson lag-1 autocorrelation; rate profile: counts in equal bins of about 300 s, over "
    "their mean; detrended gaps: gaps on the clock that runs at the profile's speed"
)
LENGTH_METHOD = "lengths: quantile tables, and counts of requests in 24 x 24 bins of equal rank"


def workload_digest(
    name: str, card: Card, prompt_tok: Ints, output_tok: Ints, arrival_s: Floats | None = None
) -> WorkloadDigest:
    """Compute a workload digest from columns of equal length; ``arrival_s`` sorted, where there is one."""
    figures = {
        **measure.moments("prompt", np.asarray(prompt_tok, dtype=float)),
        **measure.moments("output", np.asarray(output_tok, dtype=float)),
        "prompt_output_pearson": measure.pearson(prompt_tok, output_tok),
        "prompt_output_spearman": measure.rank_correlation(prompt_tok, output_tok),
    }
    lengths = WorkloadDigest(
        name=name,
        card=card,
        n=len(prompt_tok),
        prompt=measure.tabulate(prompt_tok),
        output=measure.tabulate(output_tok),
        joint_counts=measure.joint_counts(prompt_tok, output_tok),
        moments=figures,
    )
    if arrival_s is None:
        return lengths
    gaps = np.diff(arrival_s)
    profile = measure.rate_profile(arrival_s)
    operational = measure.detrended(arrival_s, profile)
    figures |= measure.moments("gap", gaps) | measure.moments("gap_detrended", operational)
    figures["span_s"] = float(arrival_s[-1] - arrival_s[0])
    return replace(
        lengths,
        rate_per_s=1.0 / float(gaps.mean()),
        gap=measure.series(gaps),
        gap_detrended=measure.series(operational),
        rate_profile=profile,
    )
