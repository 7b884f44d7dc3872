"""From the columns of a load test to a latency series: what TPOT is, what was seen, what is counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.readers.base import Bools, Floats, Ints, LatencySeries, Words
from discosim.traces.readers.repeats import repeat_doubts

MANY_UNSEEN = 0.1
EMPTY_CHUNK = 0.1
LONGEST_WORD = 40
LONGEST_S = 1e9
"""A single time above is refused: some thirty years, whatever its unit."""


def tpot_of(e2e_s: Floats, ttft_s: Floats, output_tok: Floats) -> Floats:
    """Return the time per output token after the first; NaN where there is no second token or a time was not seen.

    Parameters
    ----------
    e2e_s, ttft_s : array of float, shape (n,)
        Time to the last and to the first token, in s; 0 is not seen.
    output_tok : array of float, shape (n,)
        Tokens of the answers.

    Notes
    -----
    Source: definition of TPOT, (e2e - ttft) / (n - 1), as in vLLM's and AIPerf's benchmarks.
    """
    later = output_tok - 1.0
    tpot_s = np.full(later.shape, np.nan)
    np.divide(e2e_s - ttft_s, later, out=tpot_s, where=(later > 0) & (ttft_s > 0))
    return tpot_s


def tokens_by_gaps(output_tok: int, gaps: Sequence[float]) -> int:
    """Return how many tokens an answer had at least, by the gaps between its chunks.

    Parameters
    ----------
    output_tok : int
        Tokens as the load generator counted them.
    gaps : sequence of float
        Times between chunks, in any unit.

    Notes
    -----
    Source: our choice. A load generator that gets no count from the server counts the finished text again, and comes
    to fewer tokens than were streamed; no chunk with text holds less than one. The first chunk may hold the role
    alone and the last the reason of the end (the chat protocol): a first or last gap below a tenth of the mean is
    taken for one of these, since a server sends them together with their neighbour.
    """
    if len(gaps) < output_tok:
        return output_tok
    small = EMPTY_CHUNK * sum(gaps) / len(gaps)
    chunks = len(gaps) + 1 - (gaps[0] < small) - (len(gaps) > 1 and gaps[-1] < small)
    return max(output_tok, chunks)


def series_of_attempts(
    group: str,
    format_name: str,
    where: str,
    *,
    ttft_s: Floats,
    tpot_s: Floats,
    is_failed: Bools,
    code: Words,
    prompt_tok: Ints | None,
    output_tok: Ints | None,
    hour: Ints | None = None,
    n_recounted: int = 0,
    totals: tuple[int, int] | None = None,
    unit_s: float | None = 1.0,
    run_s: float | None = None,
    stated_ttft_s: float | None = None,
    start_s: Floats | None = None,
    concurrency: int | None = None,
    begin_unix_s: float | None = None,
    unit_doubt: str = "",
    counts: Mapping[str, int | float | str] | None = None,
    prefix: str = "failed_",
    warnings: Iterable[str] = (),
) -> LatencySeries:
    """Return the series of one load test from columns over all its attempts, in the order they were made.

    Parameters
    ----------
    group : str
        Label of the service.
    format_name : str
        Name of the reader, for the notes.
    where : str
        File and place, for errors.
    ttft_s, tpot_s : array of float, shape (n,)
        In s; NaN or 0 where it was not seen. A success with neither is left out and counted.
    is_failed : array of bool, shape (n,)
        True where the attempt failed; its times are ignored.
    code : array of str, shape (n,)
        Word for each failure, to count by; ignored for successes.
    prompt_tok, output_tok, hour : array of int, shape (n,), optional
        Lengths, and hours of the day.
    n_recounted : int
        Answers whose tokens were counted by their gaps (`tokens_by_gaps`).
    totals, unit_s, run_s, stated_ttft_s, start_s, concurrency, begin_unix_s, unit_doubt
        As in `LatencySeries`.
    counts : mapping, optional
        More notes, for instance on attempts that the reader left out before.
    prefix : str
        What the notes on failures begin with, by code.
    warnings : iterable of str
        What the reader found to doubt before.

    Raises
    ------
    UserError
        If a time is above `LONGEST_S`.

    Notes
    -----
    Source: our choice. Load generators write 0 where they saw nothing, so a time of exactly 0 is not a measurement.
    """
    ok = ~is_failed
    ttft_s, tpot_s = (np.where(ok & (times > 0), times, np.nan) for times in (ttft_s, tpot_s))
    for name, times in (("TTFT", ttft_s), ("time per token", tpot_s)):
        if (far := times > LONGEST_S).any():
            i = int(np.argmax(far))
            raise UserError(
                f"attempt {i + 1} has a {name} of {times[i]:g} s; at most {LONGEST_S:g} s are read", where=where
            )
    rows = np.isfinite(ttft_s) | np.isfinite(tpot_s)
    n_ok, n_ttft, n_tpot = (int(mask.sum()) for mask in (ok, np.isfinite(ttft_s), np.isfinite(tpot_s)))
    lengths = [None if tok is None else tok[rows] for tok in (prompt_tok, output_tok)]
    twice = repeat_doubts(ttft_s[rows], tpot_s[rows], *lengths, clock=None if start_s is None else start_s[rows])
    uncounted = tuple(_uncounted(ok, tpot_s, prompt_tok, output_tok))
    has_all = output_tok is None or not bool(np.any(ok & (output_tok == 0)))
    words, n_by_word = np.unique(code[is_failed].astype(np.str_), return_counts=True)
    return LatencySeries(
        group=group,
        ttft_s=ttft_s[rows],
        tpot_s=tpot_s[rows],
        attempt=np.flatnonzero(rows),
        is_failed=is_failed,
        prompt_tok=None if prompt_tok is None else prompt_tok[rows],
        output_tok=None if output_tok is None else output_tok[rows],
        hour=None if hour is None else hour[rows],
        totals=totals,
        unit_s=unit_s,
        run_s=run_s,
        stated_ttft_s=stated_ttft_s,
        start_s=start_s,
        concurrency=concurrency,
        begin_unix_s=begin_unix_s,
        unit_doubt=unit_doubt,
        notes={
            "format": format_name,
            "attempts": int(is_failed.size),
            "failed": int(is_failed.sum()),
            "unseen_ttft": n_ok - n_ttft,
            "unseen_tpot": n_ok - n_tpot,
            **({"recounted_tok": n_recounted} if n_recounted else {}),
            **(counts or {}),
            **{f"{prefix}{word}": int(n) for word, n in zip(words, n_by_word, strict=True)},
        },
        warnings=(
            *warnings,
            *twice,
            *_doubts(n_ok, n_ttft, n_tpot, n_recounted, is_one=is_one_token(ok, output_tok), has_all=has_all),
            *uncounted,
        ),
    )


def _uncounted(ok: Bools, tpot_s: Floats, prompt_tok: Ints | None, output_tok: Ints | None) -> Iterable[str]:
    """Yield how many successes have no count of their tokens: 0, or an empty cell."""
    for name, tok in (("prompt", prompt_tok), ("answer", output_tok)):
        is_absent = np.zeros(ok.size, dtype=np.bool_) if tok is None else ok & (tok == 0)
        n, n_ok = int(is_absent.sum()), int(ok.sum())
        if not 0 < n < n_ok:
            continue
        n_lost = int(np.sum(is_absent & np.isnan(tpot_s))) if name == "answer" else 0
        so = f": {n_lost:,} of them have no time per token for that reason" if n_lost else ""
        yield f"The tokens of the {name} of {n:,} of {n_ok:,} successes were not counted (0 or absent){so}."


def is_one_token(ok: Bools, output_tok: Ints | None) -> bool:
    """Tell whether the successes have one token each at most, and some have it: then no time per token is missing."""
    held = np.empty(0, dtype=np.int64) if output_tok is None else output_tok[ok]
    return bool(held.size and held.max() == 1)


def _doubts(n_ok: int, n_ttft: int, n_tpot: int, n_recounted: int, *, is_one: bool, has_all: bool) -> Iterable[str]:
    if not n_ok:
        yield "No attempt succeeded."
        return
    if n_ttft < n_ok:
        yield (
            f"The TTFT of {n_ok - n_ttft:,} of {n_ok:,} successes was not seen (0 or absent); figures are over the "
            f"other {n_ttft:,}."
        )
    if is_one:
        yield f"The output length of all {n_ok:,} successes is 1 token: there is no time per token."
    elif not n_tpot:
        yield f"No time per token was seen of {n_ok:,} successes."
    elif n_ok - n_tpot >= MANY_UNSEEN * n_ok:
        why = "one token, or all in one piece" if has_all else "one token, all in one piece, or not counted"
        yield (
            f"The time per token of {n_ok - n_tpot:,} of {n_ok:,} successes was not seen ({why}); "
            f"figures are over the other {n_tpot:,}."
        )
    if n_recounted:
        yield (
            f"{n_recounted:,} of {n_ok:,} answers have more gaps than the file's count of their tokens allows (a text "
            "counted again is often shorter); their tokens were counted by the gaps."
        )


def word_of(text: object) -> str:
    """Return a failure's text as a short word to count by."""
    return " ".join(str(text).split())[:LONGEST_WORD] or "error"
