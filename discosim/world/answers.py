"""What answers are like before anybody writes them: whether they fall into parts, how long the parts are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discosim.core.portable import exp
from discosim.world.luck import Luck

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class AnswerModel:
    """Parameters of the answers' inner form.

    Parameters
    ----------
    suitable_share : float
        Share of questions whose answer can be written in parts, in [0, 1].
    part_tok : float
        Answer tokens that one sentence of a sketch stands for, >= 1.
    part_sigma : float
        Sigma of the log of the parts' lengths inside one answer, >= 0.
    """

    suitable_share: float = 1.0
    part_tok: float = 40.0
    part_sigma: float = 0.5


class Answers:
    """The answers of one replication; every draw belongs to a request, so all policies meet the same."""

    def __init__(self, model: AnswerModel, luck: Luck) -> None:
        self.model = model
        self._luck = luck

    def is_suitable(self, request_id: int) -> bool:
        """Tell whether an answer falls into parts."""
        return self._luck.uniform_list("answer.suitable")[request_id] < self.model.suitable_share

    def seems_suitable(self, request_id: int, error: float) -> bool:
        """Tell what a classifier says that is wrong in a share ``error`` of the cases."""
        is_wrong = self._luck.uniform_list("answer.classified")[request_id] < error
        return self.is_suitable(request_id) != is_wrong

    def predicted_tok(self, request_id: int, output_tok: int, error: float) -> float:
        """Return a guess of the length whose log is off by a normal error of standard deviation ``error``."""
        if error == 0.0:
            return float(output_tok)
        from scipy.special import ndtri

        u = self._luck.uniform_list("answer.predicted")[request_id]
        return output_tok * math.exp(error * float(ndtri(max(u, 1e-12))))

    def parts_tok(self, request_id: int, output_tok: int, n_parts: int, error: float) -> tuple[Ints, list[float]]:
        """Return true and guessed lengths of an answer's parts; never more parts than tokens."""
        n = min(n_parts, output_tok)
        rng = self._luck.streams.generator("answer.parts", request_id)
        weights = exp(self.model.part_sigma * rng.standard_normal(n))
        lengths = split(output_tok, weights)
        guesses = lengths * exp(error * rng.standard_normal(n))
        return lengths, guesses.tolist()


def split(n_tok: int, weights: NDArray[np.float64]) -> Ints:
    """Split ``n_tok`` tokens by weights, at least one for each, by the largest remainders.

    Raises
    ------
    ValueError
        If there are more parts than tokens, or a weight is not positive.
    """
    if weights.size > n_tok:
        raise ValueError(f"{n_tok} tokens cannot make {weights.size} parts of at least one token")
    if not np.all(weights > 0):
        raise ValueError("weights must be > 0")
    rest = n_tok - weights.size
    shares = rest * weights / weights.sum()
    lengths: Ints = np.floor(shares).astype(np.int64)
    missing = rest - int(lengths.sum())
    order = np.argsort(lengths - shares, kind="stable")
    lengths[order[:missing]] += 1
    lengths += 1
    return lengths
