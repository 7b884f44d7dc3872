"""Draws of requests that never meet on a device."""

from __future__ import annotations

from typing import Any

import numpy as np
from worlds import profile

from discosim.world.world import Draws


def idle_draws(*, server_s: Any, device_s: Any, prompt_tok: Any) -> Draws:
    """Return draws of requests that never meet: one user each."""
    n = len(prompt_tok)
    return Draws(
        server_ttft_s=np.asarray(server_s, dtype=float),
        device_ttft_s=np.asarray(device_s, dtype=float),
        prompt_tok=np.asarray(prompt_tok),
        output_tok=np.ones(n, dtype=np.int64),
        rejected=np.zeros(n, dtype=bool),
        arrival_s=np.arange(n, dtype=float),
        user_id=np.arange(n),
        profiles=(profile(),) * n,
    )
