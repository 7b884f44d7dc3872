"""Timelines of many requests, each laid out from one or two pieces: what was shown before a hand-over, and after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.core.request import RequestRecord
from discosim.core.timeline import Ragged, offsets_of
from discosim.core.timelines import SCALARS, Segments, Timelines
from discosim.core.works import Works
from discosim.world.batch.flat import Rows
from discosim.world.rounding import raised

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
NAMES = ("server", "device")
DEFAULTS = {f.name: f.default for f in fields(RequestRecord) if f.name in SCALARS}


@dataclass(frozen=True)
class Piece:
    """Tokens that some of m requests were shown, in one go.

    Parameters
    ----------
    n_tok : array of int, shape (m,)
        How many of each; 0 for who has no part in it.
    first : array of int, shape (m,)
        Where the first of them lies.
    made_s, arrival_s : array of float
        When each token was made, and when it arrived.
    """

    n_tok: Ints
    first: Ints
    made_s: Floats
    arrival_s: Floats

    @classmethod
    def none(cls, m: int) -> Piece:
        """Return a piece of which nobody was shown anything."""
        return cls(np.zeros(m, dtype=np.int64), np.zeros(m, dtype=np.int64), np.empty(0), np.empty(0))

    @classmethod
    def of(cls, m: int, at: Ints, rows: Rows, made_s: Floats, arrival_s: Floats) -> Piece:
        """Return the whole rows of requests ``at``."""
        n_tok, first = np.zeros((2, m), dtype=np.int64)
        n_tok[at], first[at] = rows.sizes, rows.first
        return cls(n_tok, first, made_s, arrival_s)


def laid_out(
    order: Ints, scalars: dict[str, NDArray[Any]], pieces: Sequence[Piece], is_server: Bools, goes: Bools
) -> Timelines:
    """Return requests in an order, the first piece of each before the second.

    Parameters
    ----------
    order : array of int, shape (m,)
        Rows in the order wanted.
    scalars : dict of str to array, shape (m,)
        Numbers; those that are left out have the default of a record.
    pieces : sequence of Piece
        What was shown; the first holds something of every request, the others something of those that ``goes``.
    is_server, goes : array of bool, shape (m,)
        Who spoke first, and whether the other went on.
    """
    m = order.size
    before = np.cumsum([0, *(piece.made_s.size for piece in pieces)])
    # places in the pool of all tokens, first and second piece of each request in turn
    n_tok, first = np.zeros((2, m, 2), dtype=np.int64)
    n_tok[:, 0], first[:, 0] = pieces[0].n_tok, pieces[0].first
    for piece, start in zip(pieces[1:], before[1:].tolist(), strict=False):
        n_tok[:, 1] += piece.n_tok
        first[:, 1] += np.where(piece.n_tok > 0, piece.first + start, 0)
    n_tok, first = n_tok[order].ravel(), first[order].ravel()
    bounds = offsets_of(n_tok)
    at = np.arange(bounds[-1]) + np.repeat(first - bounds[:-1], n_tok)
    made_s = np.concatenate([piece.made_s for piece in pieces])[at]
    shown_s = np.concatenate([piece.arrival_s for piece in pieces])[at]
    columns = {name: _column(name, scalars, m)[order] for name in SCALARS}
    _raise_early(made_s, shown_s, bounds, columns["arrival_s"], goes[order])
    offsets = bounds[::2].copy()
    return Timelines(
        scalars=columns,
        segments=_segments(n_tok, is_server[order], goes[order]),
        generated_s=Ragged(made_s, offsets),
        delivered_s=Ragged(shown_s, offsets),
        paced_s=_empty(m),
        sketch_s=_empty(m),
        work=Works.none(m),
    )


def _column(name: str, scalars: dict[str, NDArray[Any]], m: int) -> NDArray[Any]:
    held = scalars.get(name)
    return np.full(m, DEFAULTS[name], dtype=SCALARS[name]) if held is None else held


def _empty(m: int) -> Ragged:
    return Ragged(np.empty(0), np.zeros(m + 1, dtype=np.int64))


def _raise_early(made_s: Floats, shown_s: Floats, bounds: Ints, arrival_s: Floats, goes: Bools) -> None:
    """Raise what rounding has put before its cause, in place, as `world.shown` does; hardly any row has any."""
    first, middle, end = bounds[:-1:2], bounds[1::2], bounds[2::2]
    early = (made_s[first] < arrival_s) | (goes & (shown_s[first] < arrival_s))
    second = np.where(goes, middle, first)
    early |= goes & ((made_s[second] < arrival_s) | (shown_s[second] < shown_s[np.maximum(second, 1) - 1]))
    for row in np.flatnonzero(early).tolist():
        begin = slice(first[row], middle[row])
        made_s[begin] = raised(made_s[begin], arrival_s[row])
        shown_s[begin] = raised(shown_s[begin], arrival_s[row])
        if goes[row]:
            rest = slice(middle[row], end[row])
            made_s[rest] = raised(made_s[rest], arrival_s[row])
            shown_s[rest] = raised(shown_s[rest], float(shown_s[middle[row] - 1]))


def _segments(n_tok: Ints, is_server: Bools, goes: Bools) -> Segments:
    code = np.empty((goes.size, 2), dtype=np.int64)
    code[:, 0] = np.where(is_server, 0, 1)
    code[:, 1] = 1 - code[:, 0]
    last = np.cumsum(n_tok.reshape(-1, 2), axis=1)
    first = np.ones_like(last)
    first[:, 1] += last[:, 0]
    held = np.ones((goes.size, 2), dtype=np.bool_)
    held[:, 1] = goes
    return Segments(NAMES, ("", ""), code[held], first[held], last[held], offsets_of(1 + goes.astype(np.int64)))
