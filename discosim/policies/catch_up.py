"""How many tokens the cloud has to deliver until a device has caught up, and what that occupies: closed forms.

Symbols: L prompt tokens, rho kept share, s start of the device's prefill, A_1 arrival of the first token, P_d(x) device
prefill time of x tokens, r_d its prefill rate, tau display interval, K tokens from the cloud, t_c cloud time per token.

Source: our reconstruction of P/D-Device (arXiv 2508.09035; no equation of the paper is public).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discosim.world.device_profile import DeviceProfile

NEVER = 1 << 40  # more tokens than any answer has
ROUNDING = 1e-9


def smallest_k(
    profile: DeviceProfile, prompt_tok: float, lead_s: float, interval_s: float, slowdown: float = 1.0
) -> int:
    """Return K_min = ceil((s + P_d(rho L) - A_1) / (tau - 1/r_d)), at least 1; NEVER where the device never catches up.

    Parameters
    ----------
    profile : DeviceProfile
        The device.
    prompt_tok : float
        Tokens it has to prefill, rho L.
    lead_s : float
        ``A_1 - s``: how long it has been at work when the first token is shown; negative if it starts later.
    interval_s : float
        Display interval tau, > 0.
    slowdown : float
        Factor on the device's prefill time, >= 1, for a cautious estimate.
    """
    gain_s = interval_s - slowdown * profile.prefill_s_per_tok
    missing_s = slowdown * profile.prefill_s(prompt_tok) - lead_s
    if missing_s <= 0.0:
        return 1
    if gain_s <= 0.0:
        return NEVER
    return max(1, math.ceil(missing_s / gain_s - ROUNDING))


def occupied_s(prefill_s: float, n_tok: float, cloud_gap_s: float) -> float:
    """Return O(K) = P_c + (K - 1) t_c, the time a request holds a slot of the cloud."""
    return prefill_s + max(0.0, n_tok - 1.0) * cloud_gap_s


class PastAnswers:
    """Lengths of past answers, an estimate of those to come.

    Parameters
    ----------
    output_tok : array of int, shape (n,)
        Their lengths, n >= 1.
    """

    def __init__(self, output_tok: NDArray[np.int64]) -> None:
        self._sorted_tok = np.sort(output_tok)
        self._tok_up_to = np.concatenate(([0], np.cumsum(self._sorted_tok)))

    def mean_tok(self, k: int) -> float:
        """Return E[min(M, K)]: what the cloud makes of an answer on average if it is asked for ``k`` tokens."""
        n = self._sorted_tok.size
        n_shorter = int(np.searchsorted(self._sorted_tok, k))
        return (float(self._tok_up_to[n_shorter]) + k * (n - n_shorter)) / n


@dataclass(frozen=True)
class Choice:
    """One setting for one request: the kept share, the tokens from the cloud, slot time, and relative quality."""

    kept_share: float
    cloud_tok: int
    slot_s: float
    quality: float


def cheapest(choices: Sequence[Choice], price_per_s: float) -> Choice:
    """Return the choice with the least ``price * slot time + lost quality``; the larger kept share where equal."""
    return min(choices, key=lambda c: (price_per_s * c.slot_s + 1.0 - c.quality, -c.kept_share))


def shadow_price(
    options: Callable[[], Sequence[Sequence[Choice]]], slot_limit_s: float, highest: float = 1e4, n_steps: int = 60
) -> float:
    """Return the smallest price of a slot second at which the mean slot time of the requests meets the limit.

    Parameters
    ----------
    options : callable
        Gives the choices of each of a sample of requests.
    slot_limit_s : float
        Slot seconds available per request (slots over arrival rate), > 0.
    highest : float
        Largest price tried.
    n_steps : int
        Halvings.

    Returns
    -------
    float
        0 where the limit does not bind, ``inf`` where no price meets it.
    """
    sample = options()

    def mean_s(price: float) -> float:
        return sum(cheapest(choices, price).slot_s for choices in sample) / len(sample)

    if mean_s(0.0) <= slot_limit_s:
        return 0.0
    if mean_s(highest) > slot_limit_s:
        return math.inf
    low, high = 0.0, highest
    for _ in range(n_steps):
        middle = (low + high) / 2.0
        low, high = (low, middle) if mean_s(middle) <= slot_limit_s else (middle, high)
    return high
