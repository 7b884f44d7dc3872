"""From a device's rows to its line: robust fits of times over lengths, steps where the data decide for them, energy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

HUBER = 1.345
"""Where Huber's loss turns linear, in robust deviations: 95 % efficient for normal errors (Huber, 1981)."""
MAD_TO_STD = 1.4826
ITERATIONS = 30
CHUNKS = (8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048)
"""Steps that are tried. Source: graphs of NPUs and runtimes are compiled for such lengths."""
CLEARLY = 0.8
"""Mean absolute error of the steps over that of the line, up to which steps may be preferred."""
STANDARD_ERRORS = 4.0
"""Standard errors by which the steps must be better besides, row by row. Source: our choice; many steps are tried."""
LEAST_FOR_CHUNKS = 20
N_DRAWS = 300
MOST_DRAWN = 5000
"""Rows that a draw of the bootstrap holds at most; intervals of more are narrowed by the root of the ratio."""


@dataclass(frozen=True)
class Line:
    """Time of a request over its lengths: ``intercept_s + s_per_tok * prompt + gap_s * later``.

    Parameters
    ----------
    intercept_s, s_per_tok, gap_s : float
        Fixed part, time per prompt token and per token after the first, >= 0.
    chunk_tok : int or None
        Prompts are rounded up to so many tokens.
    """

    intercept_s: float
    s_per_tok: float
    gap_s: float = 0.0
    chunk_tok: int | None = None

    def __call__(self, prompt_tok: Floats, later_tok: Floats | float = 0.0) -> Floats:
        """Return the time, in s."""
        tok = in_chunks(prompt_tok, self.chunk_tok)
        return np.asarray(self.intercept_s + self.s_per_tok * tok + self.gap_s * later_tok)

    def scaled(self, factor: float) -> Line:
        """Return the line of ``factor`` times the time."""
        return Line(self.intercept_s * factor, self.s_per_tok * factor, self.gap_s * factor, self.chunk_tok)


def in_chunks(prompt_tok: Floats, chunk_tok: int | None) -> Floats:
    """Return lengths rounded up to whole chunks."""
    return prompt_tok if chunk_tok is None else np.asarray(np.ceil(prompt_tok / chunk_tok) * chunk_tok)


def robust(columns: Floats, values: Floats) -> Floats:
    """Return coefficients >= 0 of a linear form by Huber's loss on the relative error.

    Parameters
    ----------
    columns : array of float, shape (n, k)
        The form.
    values : array of float, shape (n,)
        What it is fitted to, > 0.

    Returns
    -------
    array of float, shape (k,)
        A column whose coefficient would be negative has 0, and the others are fitted without it.

    Notes
    -----
    Source: Huber's M-estimator by iterated weights, relative to the fit, as noise in proportion to the time asks for.
    A noise of one law for all lengths scales the whole form alike; `centred` takes the scale out.
    """
    active = [i for i in range(columns.shape[1]) if np.any(columns[:, i])]
    found = np.zeros(columns.shape[1])
    while active:
        held = _iterated(columns[:, active], values)
        if held.min() >= 0 or len(active) == 1:
            found[active] = np.maximum(held, 0.0)
            break
        scale = np.abs(columns[:, active]).mean(axis=0)
        active.pop(int(np.argmin(held * scale)))
    return found


def _iterated(columns: Floats, values: Floats) -> Floats:
    weight = 1.0 / values**2
    found = _weighted(columns, values, weight)
    floor = 1e-3 * float(np.median(values))
    for _ in range(ITERATIONS):
        fitted = np.maximum(columns @ found, floor)
        miss = (values - fitted) / fitted
        spread = max(MAD_TO_STD * float(np.median(np.abs(miss - np.median(miss)))), 1e-9)
        size = np.abs(miss) / (HUBER * spread)
        after = _weighted(columns, values, 1.0 / (np.maximum(size, 1.0) * fitted**2))
        if np.allclose(after, found, rtol=1e-7, atol=0.0):
            return after
        found = after
    return found


def _weighted(columns: Floats, values: Floats, weight: Floats) -> Floats:
    root = np.sqrt(weight)
    scaled = columns * root[:, None]
    size = np.maximum(np.abs(scaled).max(axis=0), 1e-300)
    solved = np.linalg.lstsq(scaled / size, values * root, rcond=None)[0]
    return np.asarray(solved / size)


def fit_line(
    prompt_tok: Floats, time_s: Floats, later_tok: Floats | None = None, *, chunk_tok: int | None = None
) -> Line:
    """Return the line of times over lengths, with the median of measured over line at 1; steps are not looked for.

    Where all prompts are of one length the time is taken to be in proportion to it.
    """
    tok = in_chunks(prompt_tok, chunk_tok)
    has_gap = later_tok is not None and np.ptp(later_tok) > 0
    parts = [np.ones(tok.size) if np.ptp(tok) > 0 else np.zeros(tok.size), tok]
    if has_gap:
        assert later_tok is not None
        parts.append(later_tok)
    found = robust(np.column_stack(parts), time_s)
    line = Line(float(found[0]), float(found[1]), float(found[2]) if has_gap else 0.0, chunk_tok)
    fitted = line(prompt_tok, later_tok if has_gap and later_tok is not None else 0.0)
    return line.scaled(float(np.median(time_s / np.maximum(fitted, 1e-12))))


def steps_or_line(prompt_tok: Floats, time_s: Floats, later_tok: Floats | None = None) -> tuple[Line, dict[int, float]]:
    """Return the line, or a staircase where the data decide for one by a clear margin, and each step's error.

    Returns
    -------
    line : Line
        With `chunk_tok` only where the mean absolute logarithm of measured over line falls to `CLEARLY` of the plain
        line's, and by `STANDARD_ERRORS` of its difference row by row.
    errors : dict of int to float
        Error of each step that was tried over that of the line.
    """
    line = fit_line(prompt_tok, time_s, later_tok)
    if prompt_tok.size < LEAST_FOR_CHUNKS or np.unique(prompt_tok).size < LEAST_FOR_CHUNKS // 2:
        return line, {}
    later = 0.0 if later_tok is None else later_tok
    plain = _errors(time_s, line(prompt_tok, later))
    most = max(4.0 * float(np.median(plain)), 1e-9)  # one stall decides for no step
    plain = np.minimum(plain, most)
    errors: dict[int, float] = {}
    best, best_error = line, CLEARLY
    for chunk_tok in CHUNKS:
        steps = np.unique(in_chunks(prompt_tok, chunk_tok)).size
        if steps < 3 or steps > 0.8 * np.unique(prompt_tok).size:
            continue
        held = fit_line(prompt_tok, time_s, later_tok, chunk_tok=chunk_tok)
        own = np.minimum(_errors(time_s, held(prompt_tok, later)), most)
        gain = plain - own
        error = float(own.mean() / max(plain.mean(), 1e-12))
        errors[chunk_tok] = error
        standard_error = float(gain.std(ddof=1)) / gain.size**0.5
        if error < best_error and gain.mean() > STANDARD_ERRORS * standard_error:
            best, best_error = held, error
    return best, errors


def _errors(time_s: Floats, fitted: Floats) -> Floats:
    return np.asarray(np.abs(np.log(time_s / np.maximum(fitted, 1e-12))))


def fit_energy(prompt_tok: Floats, output_tok: Floats, energy_j: Floats) -> tuple[float, float]:
    """Return J per prompt token and per decoded token, both >= 0, by the robust regression of `robust`."""
    found = robust(np.column_stack([prompt_tok, output_tok]), energy_j)
    return float(found[0]), float(found[1])


def intervals(
    n: int, fit: Callable[[Ints], Floats], *, block: int = 1, n_draws: int = N_DRAWS, seed: int = 0
) -> tuple[Floats, Floats]:
    """Return the 95 % intervals of figures by a bootstrap of rows.

    Parameters
    ----------
    n : int
        Rows.
    fit : callable
        From the indices of a draw to the figures, shape (k,).
    block : int
        Neighbours that are drawn together, where rows have a memory.
    n_draws : int
        Draws.
    seed : int
        Of the draws.

    Returns
    -------
    low, high : array of float, shape (k,)
        Quantiles at 2.5 and 97.5 %.
    """
    draws = np.random.Generator(np.random.PCG64(seed))
    size = min(n, MOST_DRAWN)
    n_blocks = -(-size // block)
    drawn = []
    for _ in range(n_draws):
        starts = draws.integers(0, n, n_blocks)
        rows = ((starts[:, None] + np.arange(block)) % n).ravel()[:size]
        drawn.append(fit(rows))
    held = np.asarray(drawn, dtype=float)
    low, high = np.nanquantile(held, [0.025, 0.975], axis=0)
    if size < n:
        middle = np.nanmedian(held, axis=0)
        shrink = (size / n) ** 0.5
        low, high = middle + (low - middle) * shrink, middle + (high - middle) * shrink
    return np.asarray(low), np.asarray(high)
