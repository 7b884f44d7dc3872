"""What a device's work takes more, or less, than its line says: drawn by request, the same under every policy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from discosim.core.device_law import Residual
from discosim.core.empirical import Turns
from discosim.core.rng import RandomStreams

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Noise(NamedTuple):
    """The luck of one stream of a device.

    Parameters
    ----------
    prefill, decode : float
        Time over that of the line, of the work before the first token and of every later token, > 0.
    stall_s : float
        A pause in the prefill, in s, >= 0.
    """

    prefill: float = 1.0
    decode: float = 1.0
    stall_s: float = 0.0


NONE = Noise()


class Noises:
    """The noise of one kind of device in one replication.

    Draw i of a role belongs to request i. Ratios remember: those of one user's requests follow each other in his own
    series, as they were measured on one device. A request that asks its device again meets independent luck.

    Parameters
    ----------
    residual : Residual
        The law.
    kind : int
        Which kind of the fleet, part of the names of the streams.
    user_id : array of int, shape (n,)
        Whose requests they are.
    streams : RandomStreams
        Streams of the replication.
    """

    def __init__(self, residual: Residual, kind: int, user_id: Ints, streams: RandomStreams) -> None:
        self._residual = residual
        self._kind = kind
        self._turns = Turns.of(user_id)
        self._streams = streams
        self._columns: dict[int, tuple[list[float], list[float], list[float]]] = {}

    def of(self, request_id: int, attempt: int) -> Noise:
        """Return what a request meets when it asks its device for the time ``attempt``, from 0."""
        columns = self._columns.get(attempt)
        if columns is None:
            prefill, decode, stall_s = self.draws(attempt)
            columns = self._columns[attempt] = prefill.tolist(), decode.tolist(), stall_s.tolist()
        return Noise(columns[0][request_id], columns[1][request_id], columns[2][request_id])

    def draws(self, attempt: int) -> tuple[Floats, Floats, Floats]:
        """Return prefill ratios, decode ratios and stalls of all requests, each of shape (n,)."""
        law, n = self._residual, self._turns.size
        prefill = law.prefill.sample_by(self._turns, self._generator("prefill_ratio", attempt))
        decode, stall_s = np.ones(n), np.zeros(n)
        if law.decode is not None:
            decode = law.decode.sample_by(self._turns, self._generator("decode_ratio", attempt))
        if law.stalls is not None and law.stalls.share > 0.0:
            level = self._generator("stall", attempt).random(n) / law.stalls.share
            stall_s = np.where(level < 1.0, law.stalls.duration.ppf(np.minimum(level, 1.0)), 0.0)
        return prefill, decode, stall_s

    def _generator(self, what: str, attempt: int) -> np.random.Generator:
        return self._streams.generator(f"device.{what}.{self._kind}.{attempt}")
