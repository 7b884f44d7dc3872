"""What makes a device differ from its line: noise, stalls, heat. Plain data, shared by digests and the world."""

from __future__ import annotations

import math
from dataclasses import dataclass

from discosim.core.bounds import require_within
from discosim.core.empirical import CorrelatedSeries, QuantileTable

MOST_TIMES = 1e4
"""More than any device needs of its usual time: a longer one is a mistake of units."""


@dataclass(frozen=True, kw_only=True)
class Stalls:
    """Rare long pauses of a device, at most one in an answer, in its prefill.

    Parameters
    ----------
    share : float
        Share of requests that meet one, in [0, 1].
    duration : QuantileTable
        How long one lasts, in s, > 0.
    """

    share: float
    duration: QuantileTable

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0 or not self.duration.values[0] > 0:
            raise ValueError("stalls need a share in [0, 1] and durations > 0")
        require_within("the longest stall", "s", self.duration.values[-1])


@dataclass(frozen=True, kw_only=True)
class Residual:
    """Measured time over the time of the line, drawn once a request for prefill and decode.

    Parameters
    ----------
    prefill : CorrelatedSeries
        Measured time to the first token over the line's, stalls left out; > 0, of request after request.
    decode : CorrelatedSeries or None
        Measured time of all later tokens over the line's; None where only first tokens were measured: then the
        answer decodes at the profile's rate.
    stalls : Stalls or None
        What was left out of `prefill` as a stall; None for none.
    first : float
        Time of the first request after a start over that of a later one, >= 1 (the runtime warms up).
    n : int or None
        Rows behind the law, of the part that has the fewest; None where it was chosen, or of means alone.
    """

    prefill: CorrelatedSeries
    decode: CorrelatedSeries | None = None
    stalls: Stalls | None = None
    first: float = 1.0
    n: int | None = None

    def __post_init__(self) -> None:
        laws = [law for law in (self.prefill, self.decode) if law is not None]
        if any(not law.table.values[0] > 0 for law in laws) or not 1.0 <= self.first <= MOST_TIMES:
            raise ValueError(
                "a residual law needs ratios > 0 and a first request that is no quicker than the others "
                f"(and at most {MOST_TIMES:,.0f} times as slow)"
            )
        if any(law.table.values[-1] > MOST_TIMES for law in laws):
            raise ValueError(f"a residual law's ratios are at most {MOST_TIMES:,.0f}")
        if self.n is not None and self.n < 1:
            raise ValueError("a residual law has at least one row behind it")
        if any(not -1.0 < law.latent_rho < 1.0 for law in laws):
            raise ValueError("a residual law's latent_rho lies between -1 and 1")


@dataclass(frozen=True, kw_only=True)
class Heat:
    """Heat of a device between 0 (cold) and 1, carried between requests; its speed is a function of it.

    While the device works, heat h goes to 1 as ``dh/dt = (1 - h) / heating_s``; while it is idle, to 0 as
    ``dh/dt = -h / cooling_s``. Speed is 1 up to the heat `onset` and falls in a straight line to `floor` at heat 1.

    Parameters
    ----------
    heating_s, cooling_s : float
        Time constants, in s, > 0.
    onset : float
        Heat up to which the device keeps its full speed, in [0, 1).
    floor : float
        Speed at heat 1 over full speed, in (0, 1].
    """

    heating_s: float
    cooling_s: float
    onset: float = 0.0
    floor: float

    def __post_init__(self) -> None:
        is_timed = 0 < self.heating_s < math.inf and 0 < self.cooling_s < math.inf
        if not (is_timed and 0.0 <= self.onset < 1.0 and 0.0 < self.floor <= 1.0):
            raise ValueError("heat needs time constants > 0, an onset in [0, 1) and a floor in (0, 1]")
