"""Least QoE slack first: who is most at risk runs, whatever memory it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from discosim.world.engine.schedulers.base import LiveArrays
from discosim.world.engine.schedulers.future_qoe import slack_s
from discosim.world.engine.schedulers.periodic import Periodic

Floats = NDArray[np.float64]


@dataclass(kw_only=True)
class Lqsf(Periodic):
    """Serve by rising slack: tokens so far over rate, plus TTFT target, minus time since arrival.

    Notes
    -----
    A request that is late already has a negative slack and comes first, the latest before the others. Without the
    limit on preemptions (``is_overhead_aware: false``) nearly every call exchanges jobs, and all time goes into
    prefilling them again. The authors' code has a relative, LQF: the gain of Andes without the division by context;
    this is ``andes_code`` with ``weigh: nothing``.
    """

    kind: ClassVar[str] = "lqsf"
    source: ClassVar[str] = (
        "Baseline LQSF of Andes (arXiv 2404.16283) v2: most at risk first, blind to memory use (secondary source); "
        "slack as in the authors' code. That it preempts within the frame of the authors' code is our choice."
    )
    needs_live: ClassVar[bool] = True

    def worth(self, live: LiveArrays, now_s: float, block_tok: int) -> Floats:  # noqa: ARG002 - blind to memory
        """Return the slack with its sign turned."""
        return -slack_s(live, now_s)
