"""What a service lets through: buckets, daily quotas, and runs of refusals. Plain counting, without a clock of its own.

Runs of refusals are luck of the service: request *i* is refused or not, whoever asks and whatever the policy. Buckets
and quotas are state: whether a request gets through depends on who asked before, and so on the policy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from discosim.core.scenario import Quota, RateLimit

Bools = NDArray[np.bool_]
DAY_S = 86_400.0
SLACK = 1e-9
"""What a bucket may lack of a request: rounding of its level."""


def refused_in_runs(n: int, share: float, mean_run: float, rng: np.random.Generator) -> Bools:
    """Return which of ``n`` consecutive requests are refused: a chain of two states in its stationary law.

    Parameters
    ----------
    n : int
        Requests.
    share : float
        Share refused in the long run, in [0, 1].
    mean_run : float
        Mean number of refused requests in a row, >= max(1, share / (1 - share)).
    rng : numpy.random.Generator
        Luck.

    Notes
    -----
    Source: the model of Gilbert (Bell System Technical Journal 39, 1960) for errors in bursts. Runs are geometric; the
    mean of accepted runs follows from the share.
    """
    if share <= 0.0 or share >= 1.0:
        return np.full(n, share >= 1.0)
    is_refused = bool(rng.random() < share)
    means = {True: mean_run, False: max(1.0, mean_run * (1.0 - share) / share)}
    refused = np.zeros(n, dtype=np.bool_)
    at = 0
    while at < n:
        end = at + int(rng.geometric(1.0 / means[is_refused]))
        refused[at:end] = is_refused
        at, is_refused = end, not is_refused
    return refused


@dataclass(slots=True)
class Bucket:
    """A token bucket for requests; between any two moments it lets through at most rate times time, plus the burst.

    Parameters
    ----------
    rate_per_s : float
        What flows in, > 0.
    burst : int
        What it holds, >= 1; it begins full.
    """

    rate_per_s: float
    burst: int
    _level: float = field(init=False)
    _at_s: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._level = float(self.burst)

    def _fill(self, now_s: float) -> None:
        self._level = min(float(self.burst), self._level + self.rate_per_s * (now_s - self._at_s))
        self._at_s = now_s

    def takes(self, now_s: float, n: int = 1) -> bool:
        """Tell whether ``n`` requests get through at ``now_s``, which never falls, and count them where they do."""
        self._fill(now_s)
        if self._level < n - SLACK:
            return False
        self._level -= n
        return True

    def wait_s(self, now_s: float) -> float:
        """Return how long a request of ``now_s`` waits for its turn, after all that came before it, and count it."""
        self._fill(now_s)
        self._level -= 1.0
        return 0.0 if self._level >= -SLACK else -self._level / self.rate_per_s


class Buckets:
    """The rate limit of a service: one bucket, or one for each user."""

    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit
        self._held: dict[int, Bucket] = {}

    def of(self, user_id: int) -> Bucket:
        """Return the bucket of a user."""
        key = user_id if self._limit.per == "user" else -1
        if key not in self._held:
            self._held[key] = Bucket(self._limit.requests_per_s, self._limit.burst)
        return self._held[key]


class Quotas:
    """What each user has been given on each day.

    Parameters
    ----------
    quota : Quota
        What a user may have.
    start_s : float
        Time since midnight at time 0, in s.
    """

    def __init__(self, quota: Quota, start_s: float = 0.0) -> None:
        self._requests = math.inf if quota.requests_per_user_per_day is None else quota.requests_per_user_per_day
        self._tok = math.inf if quota.tok_per_user_per_day is None else quota.tok_per_user_per_day
        self._start_s = start_s
        self._given: dict[int, tuple[int, int, int]] = {}  # user -> day, requests, tokens

    def fits(self, user_id: int, now_s: float, n_tok: int, n: int = 1) -> bool:
        """Tell whether ``n`` requests of ``n_tok`` tokens, prompts and answers, are within what their user has left."""
        _, requests, tok = self._today(user_id, now_s)
        return requests + n <= self._requests and tok + n_tok <= self._tok

    def give(self, user_id: int, now_s: float, n_tok: int, n: int = 1) -> None:
        """Count requests that were taken."""
        day, requests, tok = self._today(user_id, now_s)
        self._given[user_id] = day, requests + n, tok + n_tok

    def _today(self, user_id: int, now_s: float) -> tuple[int, int, int]:
        day = int((self._start_s + now_s) // DAY_S)
        held = self._given.get(user_id)
        return held if held is not None and held[0] == day else (day, 0, 0)
