"""From the columns of a load test to a latency series: what TPOT is, what is counted, what is left out."""

from __future__ import annotations

import numpy as np

from discosim.traces.readers.base import Bools, Floats, Ints, LatencySeries, Words


def tpot_of(e2e_s: Floats, ttft_s: Floats, output_tok: Floats) -> Floats:
    """Return the time per output token after the first; NaN where there is no second token.

    Parameters
    ----------
    e2e_s, ttft_s : array of float, shape (n,)
        Time to the last and to the first token, in s.
    output_tok : array of float, shape (n,)
        Tokens of the answers.

    Notes
    -----
    Source: definition of TPOT, (e2e - ttft) / (n - 1), as in vLLM's and AIPerf's benchmarks.
    """
    later = output_tok - 1.0
    tpot_s = np.full(later.shape, np.nan)
    np.divide(e2e_s - ttft_s, later, out=tpot_s, where=later > 0)
    return tpot_s


def series_of_attempts(
    group: str,
    format_name: str,
    *,
    ttft_s: Floats,
    tpot_s: Floats,
    is_failed: Bools,
    code: Words,
    prompt_tok: Ints,
    output_tok: Ints,
    dropped: dict[str, int] | None = None,
) -> LatencySeries:
    """Return the series of one load test from columns over all its attempts, in the order they were made.

    Parameters
    ----------
    group : str
        Label of the service.
    format_name : str
        Name of the reader, for the notes.
    ttft_s, tpot_s : array of float, shape (n,)
        In s; NaN where it was not seen. A success without both is left out and counted.
    is_failed : array of bool, shape (n,)
        True where the attempt failed; its times are ignored.
    code : array of str, shape (n,)
        Word for each failure, to count by; ignored for successes.
    prompt_tok, output_tok : array of int, shape (n,)
        Lengths.
    dropped : dict of str to int, optional
        Notes on attempts that the reader left out before.
    """
    measured = ~is_failed & np.isfinite(ttft_s) & np.isfinite(tpot_s)
    words, counts = np.unique(code[is_failed].astype(np.str_), return_counts=True)
    return LatencySeries(
        group=group,
        ttft_s=ttft_s[measured],
        tpot_s=tpot_s[measured],
        attempt=np.flatnonzero(measured),
        is_failed=is_failed,
        prompt_tok=prompt_tok[measured],
        output_tok=output_tok[measured],
        notes={
            "format": format_name,
            "attempts": int(is_failed.size),
            "failed": int(is_failed.sum()),
            "dropped_no_tpot": int((~is_failed & ~measured).sum()),
            **(dropped or {}),
            **{f"failed_{word}": int(n) for word, n in zip(words, counts, strict=True)},
        },
    )
