"""What the clock of a world may lose: an event for t that is scheduled now comes at now + (t - now), which is nearly t.

So a device without prefill can make the first token an ulp before the request arrived, and an endpoint that takes over
an ulp before the token it goes on from. Records are exact: who closes the books raises such times to their cause.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ROUNDING = 1.0 + 2.0**-50
"""A stop lets pass what was due up to this factor of its time.

A policy that reacts to a token acts at ``now + (t - now)``, which may miss the token's time t by a rounding error; the
token it has seen must not count as never generated.
"""

REL = 2.0**-46
"""More than a few sums of event times can lose, relative to them; 27 us where the clock shows 60 years."""


def raised(times_s: Floats, at_s: float, *, in_order: bool = True) -> Floats:
    """Return times of which those that lie before their cause, at ``at_s``, by mere rounding are raised to it.

    Where one lies before it by more, they are returned as they are: that is no rounding, and the checks will find it.
    Without ``in_order`` the first of them need not be the least.
    """
    if not times_s.size:
        return times_s
    least_s = times_s[0] if in_order else times_s.min()
    if least_s >= at_s or least_s < at_s - REL * abs(at_s):
        return times_s
    return np.maximum(times_s, at_s)
