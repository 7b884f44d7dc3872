"""Whether a weak and a strong model would answer each request right, and what a router can tell of it."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from discosim.core.joint_quality import JointTable, LengthBand
from discosim.world.link import BYTES_PER_TOK
from discosim.world.luck import Luck

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
BOTH, ONLY_STRONG, ONLY_WEAK, NEITHER = range(4)
FARTHEST = 1e3
"""How far the scores of a router that never errs are apart: an AUC of 1 has no finite distance."""


@dataclass(frozen=True)
class JointModel:
    """Which of two models is right, as counted on the questions of a benchmark.

    The weak model writes on devices and at the edge, the strong one at the server.

    Parameters
    ----------
    bands : tuple of LengthBand
        Questions by the length of their prompts, short to long; one band where length does not count.
    """

    bands: tuple[LengthBand, ...]

    @classmethod
    def of(cls, table: JointTable) -> JointModel:
        """Return the model in which the length of a prompt does not count."""
        return cls((LengthBand(longest_chars=1, table=table),))

    @cached_property
    def ends(self) -> Floats:
        """Where the draws of BOTH, ONLY_STRONG and ONLY_WEAK end in each band; shape (bands, 3)."""
        shares = np.array([band.table.counts for band in self.bands], dtype=float)
        found: Floats = np.cumsum(shares / shares.sum(axis=1, keepdims=True), axis=1)[:, :-1]
        return found

    def cells(self, prompt_tok: Ints, u: Floats) -> Ints:
        """Return which models are right, one of BOTH, ONLY_STRONG, ONLY_WEAK, NEITHER, given uniform draws."""
        found: Ints = (u[:, None] >= self.ends[self.band(prompt_tok)]).sum(axis=1)
        return found

    def band(self, prompt_tok: Ints) -> Ints:
        """Return the band of each prompt; a token is taken for four characters, as on the uplink."""
        ends = [band.longest_chars for band in self.bands]
        at = np.searchsorted(ends, prompt_tok * BYTES_PER_TOK["text"], side="left")
        found: Ints = np.minimum(at, len(ends) - 1)
        return found

    def only_strong_share(self, prompt_tok: Ints) -> float:
        """Return the expected share of requests with such prompts that only the strong model answers right."""
        shares = np.array([band.table.only_strong_share for band in self.bands])
        return float(shares[self.band(prompt_tok)].mean())


class Judge:
    """The joint quality of one replication's requests; every draw belongs to a request, so all policies meet the same.

    Parameters
    ----------
    model : JointModel
        Which models are right how often.
    luck : Luck
        Draws of the replication.
    """

    def __init__(self, model: JointModel, luck: Luck) -> None:
        self.model = model
        self._luck = luck
        self._longest = [band.longest_chars for band in model.bands]
        self._only_strong: list[list[float]] = model.ends[:, [BOTH, ONLY_STRONG]].tolist()

    def cells(self, prompt_tok: Ints) -> Ints:
        """Return which models would answer each request right."""
        return self.model.cells(prompt_tok, self._luck.uniform("quality.joint"))

    def score(self, request_id: int, prompt_tok: int, auc: float) -> float:
        """Return what a router of this AUC thinks of a request: the more, the likelier only the strong model is right.

        Notes
        -----
        Binormal: a standard normal, shifted by ``sqrt(2) * ndtri(auc)`` where the strong model is right and the weak
        one wrong, so that such a request has the higher score of two with probability ``auc``.
        """
        from scipy.special import ndtri

        u = self._luck.uniform_list("quality.joint")[request_id]
        band = bisect_left(self._longest, prompt_tok * BYTES_PER_TOK["text"])
        low, high = self._only_strong[min(band, len(self._longest) - 1)]
        noise = float(ndtri(max(self._luck.uniform_list("quality.score")[request_id], 1e-12)))
        return noise + shift(auc) if low <= u < high else noise


def shift(auc: float) -> float:
    """Return how far apart the scores of the two kinds of requests lie, in standard deviations, >= 0."""
    from scipy.special import ndtri

    return min(math.sqrt(2.0) * float(ndtri(auc)), FARTHEST)


def threshold(only_strong_share: float, auc: float, budget: float) -> float:
    """Return the score that a share ``budget`` of all requests reaches, by bisection to about 1e-12.

    Parameters
    ----------
    only_strong_share : float
        Share of requests that only the strong model answers right, in [0, 1].
    auc : float
        AUC of the score, in [0.5, 1].
    budget : float
        Share of requests, in [0, 1].
    """
    if budget <= 0.0 or budget >= 1.0:
        return math.inf if budget <= 0.0 else -math.inf
    from scipy.special import ndtr

    far = shift(auc)
    low, high = -40.0, far + 40.0
    for _ in range(200):
        middle = (low + high) / 2.0
        above = only_strong_share * float(ndtr(far - middle)) + (1.0 - only_strong_share) * float(ndtr(-middle))
        low, high = (middle, high) if above > budget else (low, middle)
    return (low + high) / 2.0
