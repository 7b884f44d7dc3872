"""From where the times of a log count: from when a request came, or from when the engine first looked at it."""

from __future__ import annotations

import numpy as np

from discosim.traces.server_log import ServerLog

STAMPED = "requests are stamped when the engine looks at its mail, between iterations; simulated times count from there"
"""What a log of such stamps says of itself."""
INSTANT = 0.02
"""Waits of less than this share of a token's time are none."""
LEAST = 5
"""Fewer requests than these tell nothing."""


def is_stamped_at_look(log: ServerLog) -> bool:
    """Return whether a request is stamped when the engine looks at its mail, between two iterations.

    Who is stamped when he comes, while others are served, waits for the end of an iteration, for anything from nothing
    to a whole one; who is stamped at the look waits for nothing or, where the server is full, for many. So among those
    who came while others were there and who waited for no more than the time of a token, the majority decides.

    Source: vLLM V1 stamps ``queued_ts`` in ``Scheduler.add_request``, right before it decides; in two of its runs what
    lies between ``arrival_time`` and ``queued_ts`` is spread evenly over an iteration, and ``scheduled_ts`` comes 4 to
    10 us later. The rule is our choice.
    """
    came_s, queue_s = log.arrival_s, log.queue_s
    gone_s = came_s + np.where(np.isfinite(log.e2e_s), log.e2e_s, 0.0)
    is_busy = np.zeros(len(log), dtype=np.bool_)
    is_busy[1:] = np.maximum.accumulate(gone_s)[:-1] > came_s[1:]
    told = log.tpot_s[np.isfinite(log.tpot_s)]
    if not told.size:
        return False
    token_s = float(np.median(told))
    short = is_busy & (queue_s <= token_s)  # NaN is not
    return int(short.sum()) >= LEAST and float((queue_s[short] < INSTANT * token_s).mean()) > 0.5
