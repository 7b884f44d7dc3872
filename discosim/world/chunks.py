"""When the tokens of an answer leave a service that sends them in groups."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from discosim.core.chunk_law import ChunkLaw
from discosim.world.stream import ramp

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
TAPE_EVENTS = 1 << 14
N_CANDIDATES = 4
"""Starting points of which an answer takes the one that fits best.

Source: our choice. In a measured stream the gaps add up to its time by definition, so a piece of tape must be found
that nearly does. With one point, Azure's answers would be stretched by 0.65 to 1.5 and a tenth of their gaps be of
another kind; with four it is a thirtieth.
"""


class ChunkTape:
    """Events in a row, drawn once per replication; every answer reads them from an event of its own.

    An answer of n tokens takes as many events as bring n tokens, the last one cut short. Its gaps are stretched by one
    factor, so that the last event comes (n - 1) times its time per token after the first: the time per token stays what
    was drawn for it, and gaps keep their shares of it. All tokens of an event leave with it.

    Parameters
    ----------
    law : ChunkLaw
        What events are like.
    rng : Generator
        Where they are drawn from.
    """

    def __init__(self, law: ChunkLaw, rng: np.random.Generator) -> None:
        sizes, gaps = law.sample(TAPE_EVENTS, rng)
        ends_tok, ends = np.cumsum(sizes), np.cumsum(gaps)
        self._n_tok, self._length = int(ends_tok[-1]), float(ends[-1])
        self._at_tok: Ints = np.concatenate(([0], ends_tok[:-1]))
        self._at: Floats = np.concatenate(([0.0], ends[:-1]))
        self._of_tok: Floats = np.repeat(self._at, sizes)
        self._at_tok_list: list[int] = self._at_tok.tolist()  # quicker to read one by one
        self._at_list: list[float] = self._at.tolist()
        starts = np.arange(TAPE_EVENTS) if law.first is None else _alike(law, sizes, rng)
        apart = TAPE_EVENTS // N_CANDIDATES
        self._starts: Ints = np.stack([np.roll(starts, -k * apart) for k in range(N_CANDIDATES)], axis=1)

    def leaves(self, n_tok: int, u: float) -> Floats:
        """Return when each token of an answer leaves after its first, in units of its time per token; ascending.

        Parameters
        ----------
        n_tok : int
            Tokens of the answer, >= 1.
        u : float
            The answer's own draw, uniform on [0, 1).
        """
        start = self._start(n_tok, int(u * TAPE_EVENTS))
        first, begin = self._at_tok_list[start], self._at_list[start]
        if first + n_tok <= self._n_tok:
            since: Floats = self._of_tok[first : first + n_tok] - begin
        else:
            since = self._time(first + np.arange(n_tok)) - begin
        last = since.item(-1)
        if last > 0.0:
            since *= (n_tok - 1) / last
        else:  # shorter than its first event
            since[-1] = n_tok - 1
        return since

    def _start(self, n_tok: int, at: int) -> int:
        """Return the event, of those that may be it, from which on the answer is stretched least."""
        among: list[int] = self._starts[at].tolist()
        if n_tok < 2:
            return among[0]
        best, least, wanted = among[0], math.inf, n_tok - 1
        for start in among:
            tok = self._at_tok_list[start] + wanted
            if tok < self._n_tok:
                last = self._of_tok.item(tok) - self._at_list[start]
            else:
                last = float(self._time(np.array([tok]))[0]) - self._at_list[start]
            if last > 0.0:
                stretch = last / wanted if last > wanted else wanted / last
                if stretch < least:
                    best, least = start, stretch
        return best

    def leave(self, k: Ints, n_tok: Ints, u: Floats) -> Floats:
        """Return when token ``k`` (from 0) of each of many answers leaves, as `leaves` has it; shape of ``k``."""
        start = self._starts_of(n_tok, u)
        first, begin = self._at_tok[start], self._at[start]
        last = self._time(first + n_tok - 1) - begin
        per_last = np.divide(n_tok - 1, last, out=np.zeros(k.size), where=last > 0.0)
        since: Floats = (self._time(first + k) - begin) * per_last
        return np.where((last == 0.0) & (k == n_tok - 1), n_tok - 1.0, since)

    def leaves_of(self, n_tok: Ints, u: Floats) -> Floats:
        """Return `leaves` of many answers, end to end."""
        start = self._starts_of(n_tok, u)
        ends = np.cumsum(n_tok)
        # where on the tape each token lies: its place in all answers, less where its own begins, plus the start
        tok = np.arange(ends[-1] if ends.size else 0) + np.repeat(self._at_tok[start] - (ends - n_tok), n_tok)
        since: Floats = self._time(tok) - np.repeat(self._at[start], n_tok)
        last = since[ends - 1]
        since *= np.repeat(np.divide(n_tok - 1, last, out=np.ones(last.size), where=last > 0.0), n_tok)
        short = last <= 0.0
        since[ends[short] - 1] = n_tok[short] - 1
        return since

    def _starts_of(self, n_tok: Ints, u: Floats) -> Ints:
        """Return `_start` of many answers."""
        among = self._starts[(u * TAPE_EVENTS).astype(np.int64)]
        wanted = (n_tok - 1)[:, None]
        last = self._time(self._at_tok[among] + wanted) - self._at[among]
        stretch = np.full(last.shape, np.inf)
        np.divide(last, wanted, out=stretch, where=(last > wanted) & (wanted > 0))
        np.divide(wanted, last, out=stretch, where=(last > 0.0) & (last <= wanted))
        best: Ints = among[np.arange(n_tok.size), stretch.argmin(axis=1)]
        return best

    def _time(self, tok: Ints) -> Floats:
        """Return when tokens of the tape leave; behind its end it begins again."""
        times: Floats = self._of_tok[tok % self._n_tok] + tok // self._n_tok * self._length
        return times


def _alike(law: ChunkLaw, sizes: Ints, rng: np.random.Generator) -> Ints:
    """Return events of the tape whose sizes follow the law of first events: of that size, or next to it."""
    assert law.first is not None
    wanted = np.maximum(np.rint(law.first.ppf(rng.random(TAPE_EVENTS))), 1.0).astype(np.int64)
    order = np.argsort(sizes, kind="stable")
    ranked = sizes[order]
    low, high = np.searchsorted(ranked, wanted, side="left"), np.searchsorted(ranked, wanted, side="right")
    at = low + (rng.random(TAPE_EVENTS) * np.maximum(high - low, 1)).astype(np.int64)
    starts: Ints = order[np.minimum(at, TAPE_EVENTS - 1)]
    return starts


def made(leaves: Floats) -> Floats:
    """Return when tokens exist that leave at these times: at an even pace, and no later than they leave."""
    early: Floats = np.minimum(leaves, ramp(leaves.size))
    return early
