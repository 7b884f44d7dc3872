"""What `timeline` computes of paced answers, by the compiled library where there is one: the same bits in one pass."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache

import numpy as np

from discosim.core.timeline import Ragged
from discosim.kernel.library import load
from discosim.kernel.row_metrics import row_metrics
from discosim.metrics import histogram
from discosim.metrics.histogram import PooledGaps
from discosim.metrics.reading import PLAIN_S, TOLERANCE_S, Floats, Ints, Reading

NOBODY = Ragged(np.empty(0), np.zeros(1, dtype=np.int64))


@dataclass(frozen=True)
class RowFacts:
    """Facts of answers, one entry each: the end, and the longest and the p99 gap, as delivered and as displayed.

    A reading that the compiled library made does not hold who was kept waiting and when he consumed which token.
    """

    reading: Reading
    e2e_s: Floats
    e2e_displayed_s: Floats
    max_s: Floats
    p99_s: Floats
    shown_max_s: Floats
    shown_p99_s: Floats


def row_facts(
    absolute: Ragged,
    arrival_s: Floats,
    interval_s: Floats,
    target_s: Floats,
    gaps: PooledGaps,
    ends: Ints | None = None,
) -> RowFacts | None:
    """Return facts of answers that the client paces, and add their gaps to the histograms; None where numpy has to.

    Parameters
    ----------
    absolute : Ragged
        Arrivals of tokens at the client, rows of at least one token.
    arrival_s, interval_s, target_s : array of float, shape (rows,)
        When each request came, the reading time of a token and the TTFT its reader expects.
    gaps : PooledGaps
        Changed only where facts are returned.
    ends : array of int, optional
        Where each batch of rows ends: gaps of one are added up, then added to the histograms. One batch by default.
    """
    library = load()
    if library is None or not np.isfinite(absolute.values.sum()) or not _adds_up_alike(library):
        return None
    of_all = np.array([arrival_s.size], dtype=np.int64)
    return _facts(library, absolute, arrival_s, interval_s, target_s, gaps, of_all if ends is None else ends)


def _facts(
    library: ctypes.CDLL,
    absolute: Ragged,
    arrival_s: Floats,
    interval_s: Floats,
    target_s: Floats,
    gaps: PooledGaps,
    ends: Ints,
) -> RowFacts | None:
    found = row_metrics(
        library,
        {
            "times_s": absolute.values,
            "offsets": absolute.offsets,
            "arrival_s": arrival_s,
            "interval_s": interval_s,
            "target_s": target_s,
            "ends": ends,
        },
        {
            "counts": gaps.delivered.counts,
            "sums_s": gaps.delivered.sums_s,
            "shown_counts": gaps.displayed.counts,
            "shown_sums_s": gaps.displayed.sums_s,
        },
        {
            "shift": histogram.SHIFT,
            "first_bin": histogram.FIRST,
            "tolerance_s": TOLERANCE_S,
            "plain_s": PLAIN_S,
        },
    )
    if found is None:
        return None
    reading = Reading(
        n_tok=absolute.sizes(),
        interval_s=interval_s,
        ttft_target_s=target_s,
        first_s=found["first_s"],
        last_s=found["last_s"],
        n_tok_late=found["n_late"],
        stall_s=found["stall_s"],
        n_stalls=found["n_stalls"],
        delay_s=found["delay_s"],
        delay_lagged_s=found["delay_lagged_s"],
        kept_waiting=np.empty(0, dtype=np.int64),
        consumed=NOBODY,
    )
    return RowFacts(
        reading,
        found["end_s"],
        found["last_s"],
        found["max_s"],
        found["p99_s"],
        found["shown_max_s"],
        found["shown_p99_s"],
    )


@cache
def _adds_up_alike(library: ctypes.CDLL) -> bool:
    """Tell whether this numpy adds up as the library does, by a long row that waits; its order is its own affair."""
    n = 1100
    steps_s = 0.05 + 0.3 * ((np.arange(n) * 7919) % 104729) / 104729
    delivered = Ragged(np.cumsum(steps_s), np.array([0, n], dtype=np.int64))
    one, zero = np.full(1, 0.15), np.zeros(1)
    facts = _facts(library, delivered, zero, one, zero, PooledGaps(), np.ones(1, dtype=np.int64))
    behind_s = np.maximum.accumulate(delivered.values - 0.15 * np.arange(n))
    shown_s = np.maximum(behind_s + 0.15 * np.arange(n), delivered.values)
    area_s = np.add.reduceat(np.maximum(shown_s - 0.15 * np.arange(n), 0.0), [0])
    is_signed = bool(np.signbit(np.add.reduceat(np.full(4, -0.0), [0]))[0])
    return is_signed and facts is not None and facts.reading.delay_s.tobytes() == area_s.tobytes()
