"""Time as a series in work, for a device that grows hot: many tokens from one of them, at the price of a product.

With t the work done beyond a token and x the time it takes, both in heating times (t at the speed of that token), and r
the share of that speed which heat will take away,

    t = x - r (x - 1 + exp(-x)),   so   x = sum over k of t^k / k! sum over l of (-1)^(k+l-1) S(k+l-1, l) r^l

by Lagrange's inversion, where S are associated Stirling numbers of the second kind (ways to part so many things into l
sets of at least two). Its radius is that of the nearest point at which dt/dx = 0, ``exp(-x) = -(1 - r) / r``. Within a
quarter of it, what 24 terms leave out is less than ``0.25**25 * 4/3``, 1e-15, of the radius, which is at least 1.

Source: our derivation; a test compares it with the function that it inverts.
"""

from __future__ import annotations

import math
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

N_TERMS, FEW_TERMS = 24, 16
NEAR_FEW = 0.125
"""How far, over the radius, the few terms reach: ``0.125**17 * 8/7`` is 5e-16."""
MOST_TOK = 380  # of a stretch
REACH = 0.25
"""How far a stretch goes on either side of its token, over the radius."""
AHEAD = 0.2
"""How far from the first token of a stretch that middle may be, over the radius at the first and at its speed.

Speed falls and the radius grows until the middle: by its own figures the first is then within `REACH` of it.
"""
LEAST_BEND = 1e-17
"""Below it the line is straight."""


def reach(bend: float) -> float:
    """Return the radius for r = ``bend`` in [0, 1), which is >= 1; below `LEAST_BEND` it is larger than said here."""
    bend = max(bend, LEAST_BEND)
    rest = 1.0 - bend
    return math.hypot(rest * (1.0 + math.log(bend / rest)) + bend, math.pi * rest)


def series(bend: float, gap: float, heating_s: float, n_terms: int = N_TERMS) -> Floats:
    """Return the coefficients for tokens ``gap`` of t apart, to be multiplied with `powers`; shape (n_terms,).

    Their sum is in seconds, for a heating time of ``heating_s``.
    """
    step = gap * MOST_TOK
    found = total(_weights(heating_s, n_terms), _rising(1.0, bend, n_terms))
    found *= _rising(step, step, n_terms)
    return found


def total(rows: Floats, factors: Floats) -> Floats:
    """Return the sum of each row times the factors; a matrix product would hang on what the processor can do."""
    found: Floats = np.einsum("ij,j->i", rows, factors)
    return found


def _rising(first: float, base: float, n: int) -> Floats:
    """Return ``first``, and each number the one before times ``base``; shape (n,)."""
    found = np.full(n, base)
    found[0] = first
    return np.multiply.accumulate(found, out=found)


def powers(first: int, end: int, n_terms: int = N_TERMS) -> Floats:
    """Return for tokens ``first`` <= i < ``end`` from the middle the powers of ``i / MOST_TOK``, from the first on."""
    return _powers(n_terms)[MOST_TOK + first : MOST_TOK + end]


@cache
def _powers(n_terms: int) -> Floats:
    steps = np.arange(-MOST_TOK, MOST_TOK + 1) / MOST_TOK
    table: Floats = np.multiply.accumulate(np.repeat(steps[:, None], n_terms, axis=1), axis=1)
    table.flags.writeable = False
    return table


@lru_cache(maxsize=64)
def _weights(heating_s: float, n_terms: int) -> Floats:
    """Return ``heating_s`` times the weights of so many terms."""
    return heating_s * _each_weight()[:n_terms, :n_terms]


@cache
def _each_weight() -> Floats:
    """Return the weight of r^l in the coefficient of t^k, rows k from 1, columns l from 0."""
    parts = [[0] * N_TERMS for _ in range(2 * N_TERMS)]  # parts[n][l]: ways to part n things into l sets of two or more
    parts[0][0] = 1
    for n in range(1, 2 * N_TERMS):
        for sets in range(1, N_TERMS):
            # the last thing joins a set, or one other in a new one
            parts[n][sets] = sets * parts[n - 1][sets] + (n - 1) * (parts[n - 2][sets - 1] if n > 1 else 0)
    weights = np.zeros((N_TERMS, N_TERMS))
    for k in range(1, N_TERMS + 1):
        for sets in range(k):
            sign = 1 if (k + sets) % 2 else -1
            weights[k - 1, sets] = sign * parts[k + sets - 1][sets] / math.factorial(k)
    return weights
