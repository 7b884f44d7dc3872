"""Budgets that were promised and not kept: what a run says of them, and what counts as noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.metrics.cost import budget_used
from discosim.metrics.stats import LEVEL
from discosim.policies.budget import Promise

Columns = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float64]

FALSE_ALARM = 1e-3
"""Chance that a promise that is kept is said to be broken."""

ENOUGH = 5
"""Replications from which on they are the sample; the t quantile of fewer is so large that nothing would be found."""

N_BATCHES = 20

RELEARN = "; the run is not like the past that was learned from, and `relearn: true` would follow it"


def broken_promise(policy: str, promise: Promise, replications: Sequence[Columns], n_past: int) -> str | None:
    """Return what to say of a policy that used more than its budget by more than noise, else None.

    Parameters
    ----------
    policy : str
        Its name.
    promise : Promise
        What it promised.
    replications : sequence of mapping
        Columns of each replication.
    n_past : int
        Requests that it could learn from.

    Notes
    -----
    The share used is that of the budget columns (`budget_used`). Two noises are allowed for, each at the level 0.1 %,
    one-sided.

    *The run.* Replications are independent, so with five or more the shares used are a sample of their mean (Student's
    t). With fewer, the requests of each are cut into 20 batches, and the sample is the tokens that each batch used
    beyond the mean share: batches are long against what ties neighbouring requests together, and where a trend runs
    through them their scatter grows, which is on the safe side.

    *The past.* A rule learned from m past requests is as wrong as they are. If it keeps the budget b among them
    exactly, the share it uses of other requests is off by a standard deviation of at most ``sqrt(V / m) / E[L]``, V the
    mean of ``L^2 (u - b)^2``, u whether the endpoint is used. V is largest where the longest prompts use it; with the
    run's lengths that bound is computed, so no knowledge of the rule is needed.

    With a budget of 0 there is no noise: whatever is used is too much.

    Source: our choice.
    """
    from scipy.special import stdtrit

    served = [column["status"] != "rejected" for column in replications]
    tokens = [c["prompt_tok"][s].astype(float) for c, s in zip(replications, served, strict=True)]
    is_used = [c[f"is_{promise.side}_dispatched"][s] for c, s in zip(replications, served, strict=True)]
    total_tok = sum(float(t.sum()) for t in tokens)
    if total_tok == 0.0:
        return None
    if len(replications) >= ENOUGH:
        shares = np.array([budget_used(c, promise.side) for c in replications])
        shares = shares[~np.isnan(shares)]
        used, error, freedom = float(shares.mean()), float(shares.std(ddof=1)) / math.sqrt(shares.size), shares.size - 1
    else:
        used = sum(float(t[u].sum()) for t, u in zip(tokens, is_used, strict=True)) / total_tok
        beyond = [t * (u - used) for t, u in zip(tokens, is_used, strict=True)]
        sums = np.concatenate([_batch_sums(values) for values in beyond])
        freedom = sums.size - 1
        error = math.sqrt(sums.size) * float(sums.std(ddof=1)) / total_tok if freedom else math.inf
    if promise.share == 0.0:
        is_broken = used > 0.0
    else:
        excess = used - promise.share
        quantile = float(stdtrit(freedom, 1.0 - FALSE_ALARM)) if freedom else math.inf
        past = _past_error(np.concatenate(tokens), promise.share, n_past)
        normal = float(stdtrit(1e6, 1.0 - FALSE_ALARM))
        is_broken = excess > 1e-9 and excess > quantile * error and excess > normal * past
    if not is_broken:
        return None
    half = float(stdtrit(freedom, 0.5 + LEVEL / 2.0)) * error if freedom else math.nan
    half_text = "n/a" if math.isnan(half) else f"{100 * half:.1f}"
    return (
        f"{policy}: used {100 * used:.1f} ± {half_text} % of the prompt tokens on the {promise.side}, promised "
        f"{100 * promise.share:g} %: more than noise explains"
        f"{RELEARN if promise.may_relearn else ''}"
    )


def _batch_sums(values: Floats) -> Floats:
    return np.array([part.sum() for part in np.array_split(values, min(N_BATCHES, max(1, values.size)))])


def _past_error(tokens: Floats, share: float, n_past: int) -> float:
    """Return the largest standard deviation of the share used that comes from ``n_past`` requests of such lengths."""
    ranked = np.sort(tokens)[::-1]
    is_top = np.cumsum(ranked) <= share * ranked.sum()
    spread = float((ranked**2 * np.where(is_top, 1.0 - share, share) ** 2).mean())
    return math.sqrt(spread / n_past) / float(ranked.mean())
