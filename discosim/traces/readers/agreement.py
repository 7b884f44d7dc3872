"""Whether the figures of one table of latencies agree: the time per token against TTFT, whole time and tokens."""

from __future__ import annotations

import numpy as np

from discosim.traces.readers.base import Floats, Ints
from discosim.traces.readers.latency import tpot_of

_FEW = 3
_APART = 0.1
"""Share by which they may differ: a last chunk, or a clock that stops at the reason of the end. Source: our choice."""
_LIKE = 0.02
"""Share within which a time per token is the whole time over the tokens. Source: our choice; rounding in ms."""


def tpot_doubts(tpot_s: Floats, ttft_s: Floats, e2e_s: Floats, output_tok: Ints, column: str) -> tuple[str, ...]:
    """Return a sentence where a time per token contradicts the other figures of the same rows; none where it agrees.

    Parameters
    ----------
    tpot_s : array of float, shape (n,)
        As the column says it, in s; NaN where it was not seen.
    ttft_s, e2e_s : array of float, shape (n,)
        Time to the first and to the last token, in s.
    output_tok : array of int, shape (n,)
        Tokens of the answers.
    column : str
        The column of ``tpot_s``.

    Notes
    -----
    Source: our choice. Medians are compared, and the median of the ratios by row: single rows may be off, and a column
    that is shuffled has the medians of the right one.
    """
    told_s = tpot_of(e2e_s, ttft_s, output_tok.astype(np.float64))
    both = (tpot_s > 0) & (told_s > 0)
    if both.sum() < _FEW:
        return ()
    said_s, told_s = tpot_s[both], told_s[both]
    off = float(np.median(np.abs(np.log(said_s / told_s))))
    if off <= np.log1p(_APART):
        return ()
    whole_s = e2e_s[both] / output_tok[both]
    is_whole = float(np.median(np.abs(said_s / whole_s - 1.0))) <= _LIKE
    why = "it is the whole time over all tokens, which contains the TTFT" if is_whole else "one of them is wrong"
    said = (
        f"The median time per token is {_ms(said_s)} ms by {column} and {_ms(told_s)} ms by (whole time - TTFT) / "
        f"(tokens - 1) of the same rows: {why}. The first was read; leave {column} out for the second."
    )
    return (said,)


def _ms(times_s: Floats) -> str:
    return f"{1000.0 * float(np.median(times_s)):.3g}"
