"""Relearning while running: an account of the tokens used and earned, and the factor that it puts on every wait."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from discosim.policies.view import View

if TYPE_CHECKING:
    from discosim.world.session import Session
    from discosim.world.stream import Stream

GAIN = 0.1
"""Change of the log of the waits per typical request that used the endpoint; ten of them make a factor e."""

FARTHEST = 60.0
"""Largest |log| of the factor; a budget that no wait can spend would drive it on."""


class Account:
    """Keeps the share of prompt tokens that an endpoint is used for at the budget, whatever comes.

    Every request earns ``budget`` times its prompt tokens when it arrives, and pays them all when the endpoint starts.
    With A what was paid less what was earned, and ``unit_tok = E[L^2] / E[L]`` the length of the prompt that a random
    token belongs to, all waits are multiplied by

        f = exp(GAIN A / unit_tok)

    and a threshold below which the endpoint starts at once is divided by it (one above which it starts, multiplied).

    Notes
    -----
    *It sees no more than a client does*: whether the server has spoken before the wait was over. That question is never
    left open by having acted, as a TTFT is that was cut off.

    *Bounds, for any sequence of arrivals, lengths and TTFTs.* Let the frozen wait be w > 0, and each TTFT lie in
    [t, T]. The endpoint starts for a request only while the server has been silent for ``w f``, so only if
    ``w f < T``, that is ``A < unit_tok / GAIN log(T / w)``; the start adds at most the longest prompt. Hence at
    all times

        used <= budget * arrived + unit_tok / GAIN * log(T / w) + longest prompt,

    however many wait at the same time: the factor is looked up again when a wait is over, so every start lengthens the
    waits of all. Below ``A = -unit_tok / GAIN log(w / t)`` every wait is shorter than every TTFT and each request
    pays; the account falls no further than what is earned within t. Divided by the tokens arrived, the share used
    converges to the budget like log(T) / n: also where TTFTs grow in proportion to n, as in an overloaded server. The
    bounds need control: short prompts that start at once do so until the threshold has come down to them, and requests
    that the server refuses or the device cannot hold follow no wait.

    *No harm where nothing drifts*: A is then a random walk with a pull towards the A whose factor is right, of variance
    ``GAIN b (1 - b) / (2 d)`` in log f, d the tokens' density in log w there: a tenth to a fifth of scatter in the
    waits. In return the share used scatters like 1/n instead of 1/sqrt(n).

    Source: our choice. Stochastic approximation of a quantile (Robbins and Monro 1951), with a constant gain as for
    coverage under drift (Gibbs and Candes, "Adaptive conformal inference", 2021), in the log so that no scale has to be
    known; earned on arrival, as a token bucket is filled, so that nothing undecided is left out.
    """

    def __init__(self, budget: float, unit_tok: float) -> None:
        self._budget = budget
        self._gain = GAIN / unit_tok
        self._level = 0.0

    @classmethod
    def of(cls, budget: float, view: View) -> Account:
        """Open an account for prompts like those of the past."""
        lengths = view.prompt_tok.astype(float)
        return cls(budget, float((lengths**2).sum() / lengths.sum()))

    def arrive(self, prompt_tok: int) -> None:
        """Note that a request has arrived."""
        self._level -= self._gain * self._budget * prompt_tok

    def use(self, prompt_tok: int) -> None:
        """Note that the endpoint has started for a request."""
        self._level += self._gain * prompt_tok

    @property
    def level(self) -> float:
        """Log of the factor."""
        return max(-FARTHEST, min(FARTHEST, self._level))

    @property
    def factor(self) -> float:
        """What waits are multiplied by, > 0."""
        return math.exp(self.level)


def held_back(
    session: Session, first: Stream, wait_s: Callable[[], float], *, look_again: bool
) -> Generator[Any, Any, Stream | None]:
    """Wait for ``first`` to speak; return it, or None once it has failed or the wait is over.

    Parameters
    ----------
    session : Session
        The request.
    first : Stream
        The endpoint that was asked at once.
    wait_s : callable
        How long to wait for it since it was asked, as things stand; ``inf`` for until it fails.
    look_again : bool
        Whether the wait is looked up again when it is over, because an account may have lengthened it.
    """
    waited_s, until_s = 0.0, wait_s()
    while until_s > waited_s:
        within_s = None if until_s == math.inf else until_s - waited_s
        winner: Stream | None = yield session.first_token_of(first, within_s=within_s)
        if winner is not None:
            return winner
        if first.has_failed or not look_again:
            return None
        waited_s, until_s = until_s, wait_s()
    return None
