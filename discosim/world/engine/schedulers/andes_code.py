"""Andes as its first author's fork of vLLM computes it, with the quirks that decide its results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from discosim.core.spec import spec
from discosim.world.engine.job import State
from discosim.world.engine.schedulers.base import LiveArrays
from discosim.world.engine.schedulers.future_qoe import slack_s
from discosim.world.engine.schedulers.objectives import DIGITS
from discosim.world.engine.schedulers.periodic import Periodic

Floats = NDArray[np.float64]


@dataclass(kw_only=True)
class AndesCode(Periodic):
    """Worth = gain over blocks, the gain of running jobs counting 1.1 times; the packing divides by blocks once more.

    Notes
    -----
    So the packing's order is gain over squared blocks. With the objective ``max_min`` the gain is 1 - Q_wait, and 0
    once a request has fallen behind. With ``weigh: nothing`` no division takes place: the authors' baseline LQF,
    least QoE first.
    """

    kind: ClassVar[str] = "andes_code"
    source: ClassVar[str] = (
        "First author's fork of vLLM 0.6.1, andes_scheduler.py and andes_utils, newest commit 2025-04-17 (constants, "
        "formulas and order read there). Left out: its own running time; a request late once may catch up again."
    )
    needs_live: ClassVar[bool] = True

    ahead_s: float = spec(10.0, doc="Horizon Delta-t.", unit="s", gt=0)
    objective: Literal["average", "max_min"] = spec("average", doc="Mean QoE, or worst QoE.")
    weigh: Literal["blocks", "nothing"] = spec("blocks", doc="Divide the gain by memory, or not at all (LQF).")
    token_s: float = spec(0.02, doc="Token latency it assumes, whatever the batch.", unit="s", gt=0)
    favour: float = spec(1.1, doc="Factor on the gain of running jobs (hysteresis).", ge=1)

    def worth(self, live: LiveArrays, now_s: float, block_tok: int) -> Floats:
        """Return gain over blocks."""
        served, waiting = code_qoe(live, now_s, self.ahead_s, self.token_s)
        if self.objective == "max_min":
            gain = np.where(slack_s(live, now_s) < 0.0, 0.0, 1.0 - waiting)
        else:
            gain = served - waiting
        gain = gain.round(DIGITS)
        running = live.state == State.DECODING
        return np.where(running, self.favour * gain, gain) / self.weights(live, block_tok)

    def weights(self, live: LiveArrays, block_tok: int) -> Floats:
        """Return round((len + 1) / block_tok + 0.5), or ones for LQF."""
        if self.weigh == "nothing":
            return np.ones(len(live.jobs))
        return np.round((live.prompt_tok + live.generated_tok + 1) / block_tok + 0.5)


def code_qoe(live: LiveArrays, now_s: float, ahead_s: float, token_s: float) -> tuple[Floats, Floats]:
    """Return Q_serve and Q_wait as the code estimates them, each of shape (n,).

    With n tokens so far and E = (elapsed + Delta-t) / delta, from which the TTFT target is not subtracted:
    Q_serve is 1 while the newest token is ahead of its deadline, else
    min(1, ((n + Delta-t / max(delta, token_s)) / E)^2). Q_wait is 1 if n >= E, else 1 - ((E - n) / E)^2, and before
    the first token 1 or 0 by whether the TTFT target lies beyond the horizon.

    Source: first author's fork of vLLM 0.6.1, andes_utils.
    """
    delta = 1.0 / live.reader_tok_per_s
    n = live.generated_tok.astype(np.float64)
    elapsed = now_s - live.arrival_s
    expected = (elapsed + ahead_s) / delta
    reach = (n + ahead_s / np.maximum(delta, token_s)) / expected
    served = np.where(slack_s(live, now_s) > 0.0, 1.0, np.minimum(1.0, reach**2))
    behind = np.maximum(0.0, (expected - n) / expected)
    started = 1.0 - behind**2
    waiting = np.where(n > 0, started, (elapsed + ahead_s <= live.ttft_target_s).astype(np.float64))
    return served, waiting
