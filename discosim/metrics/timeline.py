"""Latency columns of requests.parquet, computed from timelines that lie flat."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.core.timeline import Ragged
from discosim.core.timelines import Timelines
from discosim.metrics.cost import cost_columns
from discosim.metrics.histogram import GapHistogram, PooledGaps
from discosim.metrics.qoe import qoe_andes, qoe_andes_code
from discosim.metrics.reading import Floats, Ints, Reading, read, row_gaps
from discosim.metrics.request_definitions import REQUEST_METRICS
from discosim.metrics.row_kernel import RowFacts, row_facts

Columns = dict[str, NDArray[Any]]

BATCH_ROWS = 200
"""Requests whose gaps are added to the histograms together: the order of sums decides last bits of percentiles."""


def request_columns(timelines: Timelines, *, pacer: bool, gaps: PooledGaps | None = None) -> Columns:
    """Compute every column of requests.parquet but ``policy`` and ``replication``.

    Parameters
    ----------
    timelines : Timelines
        Requests of one policy and one replication, any number, finished or not.
    pacer : bool
        Whether the client shows tokens at the reader's rate (else on arrival); decides the ``displayed``
        columns.
    gaps : PooledGaps, optional
        Histograms to which the token gaps of these requests are added.

    Returns
    -------
    dict of str to array, shape (len(timelines),)
        Columns in the order of ``REQUEST_METRICS``. Requests that did not finish have NaN durations and
        zero counts; their QoE is 0 where they failed (nothing useful came) and NaN where they were
        rejected (never served).
    """
    n, pool = len(timelines), PooledGaps() if gaps is None else gaps
    at_once = _compiled(timelines, pool) if pacer else None
    if at_once is None and n > BATCH_ROWS:
        starts = range(0, n, BATCH_ROWS)
        parts = [timelines.part(start, min(start + BATCH_ROWS, n)) for start in starts]
        found = [request_columns(part, pacer=pacer, gaps=pool) for part in parts]
        return {name: np.concatenate([part[name] for part in found]) for name in found[0]}
    known = cost_columns(timelines)
    columns: Columns = {}
    for m in REQUEST_METRICS:
        if m.name in known:
            columns[m.name] = known[m.name]
        elif m.name not in {"policy", "replication"}:
            columns[m.name] = np.full(n, np.nan) if m.dtype == "float64" else np.zeros(n, dtype=np.int64)
    for name in ("qoe_andes", "qoe_andes_code"):
        columns[name][columns["status"] == "failed"] = 0.0
    for rows, facts in _by_pacer(timelines, pacer, pool) if at_once is None else [at_once]:
        timed = latency_columns(timelines, rows, facts)
        if rows.size == n:
            columns |= timed
        else:
            for name, values in timed.items():
                columns[name][rows] = values
    return columns | visible_columns(timelines, columns["ttft_s"], columns["qoe_andes"])


def _compiled(timelines: Timelines, gaps: PooledGaps) -> tuple[Ints, RowFacts] | None:
    """Return who was shown anything, and facts of these answers by the compiled library; None where numpy has to."""
    rows = np.flatnonzero(timelines.delivered_s.sizes() > 0)
    if not rows.size or timelines.paced_s.values.size:
        return None
    ends = np.searchsorted(rows, [*range(BATCH_ROWS, len(timelines), BATCH_ROWS), len(timelines)])
    facts = row_facts(timelines.delivered_s.take(rows), *_readers(timelines, rows), gaps, ends)
    return None if facts is None else (rows, facts)


def _by_pacer(timelines: Timelines, pacer: bool, gaps: PooledGaps) -> Iterator[tuple[Ints, RowFacts]]:
    """Yield answers that the client shows, then those that a policy's own pacer has shown; readers read what it did."""
    is_shown, is_paced = timelines.delivered_s.sizes() > 0, timelines.paced_s.sizes() > 0
    for has_own_pacer in (False, True):
        rows = np.flatnonzero(is_shown & (is_paced == has_own_pacer))
        if rows.size:
            delivered, readers = timelines.delivered_s.take(rows), _readers(timelines, rows)
            facts = row_facts(delivered, *readers, gaps) if pacer and not has_own_pacer else None
            own = timelines.paced_s.take(rows) if has_own_pacer else None
            yield rows, facts or _facts(delivered, own, *readers, gaps, pacer=pacer)


def _readers(timelines: Timelines, rows: Ints) -> tuple[Floats, Floats, Floats]:
    """Return when each request came, the reading time of a token, and the TTFT its reader expects."""
    arrival_s, rate, target_s = (timelines[name][rows] for name in ("arrival_s", "reader_tok_per_s", "ttft_target_s"))
    return arrival_s, 1.0 / rate, target_s


def visible_columns(timelines: Timelines, ttft_s: Floats, qoe: Floats) -> Columns:
    """Return TTFT and QoE of what readers see: where a sketch is shown they read it first, else they are the answer's.

    The tokens of a sketch count like those of the answer, as far as they are shown.
    """
    columns = {"ttft_visible_s": ttft_s.copy(), "qoe_visible": qoe.copy()}
    rows = np.flatnonzero((timelines.delivered_s.sizes() > 0) & (timelines.sketch_s.sizes() > 0))
    if not rows.size:
        return columns
    arrival, rate, target = (timelines[name] for name in ("arrival_s", "reader_tok_per_s", "ttft_target_s"))
    answers = []
    for i in rows.tolist():
        own_s = timelines.paced_s.row(i)
        shown_s = own_s if own_s.size else timelines.delivered_s.row(i)
        seen_s = np.maximum.accumulate(np.concatenate((timelines.sketch_s.row(i), shown_s)))
        answers.append(seen_s - arrival[i])
    reading = read(Ragged.of(answers), 1.0 / rate[rows], target[rows])
    columns["ttft_visible_s"][rows] = reading.first_s
    columns["qoe_visible"][rows] = qoe_andes(reading)
    return columns


def latency_columns(timelines: Timelines, rows: Ints, facts: RowFacts) -> Columns:
    """Compute the latency and QoE columns of answers of at least one token, whose gaps and readers are known."""
    arrival, made = timelines["arrival_s"][rows], timelines.generated_s
    first, last = made.offsets[:-1][rows], made.offsets[1:][rows] - 1
    reading, e2e = facts.reading, facts.e2e_s
    n_tok = reading.n_tok
    ttft = timelines.delivered_s.values[timelines.delivered_s.offsets[:-1][rows]] - arrival
    return {
        "ttft_s": ttft,
        "ttft_generated_s": made.values[first] - arrival,
        "e2e_s": e2e,
        "e2e_generated_s": made.values[last] - arrival,
        "e2e_displayed_s": facts.e2e_displayed_s,
        "tpot_s": np.divide(e2e - ttft, n_tok - 1, out=np.full(rows.size, np.nan), where=n_tok > 1),
        "norm_latency_s": e2e / n_tok,
        "tbt_max_s": facts.max_s,
        "tbt_p99_s": facts.p99_s,
        "tbt_displayed_max_s": facts.shown_max_s,
        "tbt_displayed_p99_s": facts.shown_p99_s,
        "stall_s": reading.stall_s,
        "n_stalls": reading.n_stalls,
        "n_tok_late": reading.n_tok_late,
        "qoe_andes": qoe_andes(reading),
        "qoe_andes_code": qoe_andes_code(reading),
    }


def _facts(
    absolute: Ragged,
    own_s: Ragged | None,
    arrival: Floats,
    interval_s: Floats,
    target: Floats,
    gaps: PooledGaps,
    *,
    pacer: bool,
) -> RowFacts:
    """Return what columns are made of, and add gaps to the histograms; ``own_s`` is what a policy's pacer showed."""
    n_rows = arrival.size
    delivered = _since(arrival, absolute)
    displayed = delivered if own_s is None else _since(arrival, own_s)
    reading = read(displayed, interval_s, target)
    e2e = e2e_displayed = delivered.values[delivered.offsets[1:] - 1]
    delivered_gaps = row_gaps(delivered)
    gaps.delivered.add(delivered_gaps, n_padding=n_rows)
    max_s, p99_s = _sorted_extremes(delivered_gaps, delivered.offsets)
    if own_s is not None:
        e2e_displayed = displayed.values[displayed.offsets[1:] - 1]
        shown_gaps = row_gaps(displayed)
        gaps.displayed.add(shown_gaps, n_padding=n_rows)
        shown_max_s, shown_p99_s = _sorted_extremes(shown_gaps, displayed.offsets)
    elif pacer:
        e2e_displayed = reading.last_s
        shown_max_s, shown_p99_s = _paced_extremes(reading, gaps.displayed)
    else:
        shown_max_s, shown_p99_s = max_s, p99_s
        gaps.displayed.add(delivered_gaps, n_padding=n_rows)
    return RowFacts(reading, e2e, e2e_displayed, max_s, p99_s, shown_max_s, shown_p99_s)


def _since(arrival_s: Floats, absolute: Ragged) -> Ragged:
    """Let the clock of each row begin with its request."""
    since = np.repeat(arrival_s, absolute.sizes())
    return Ragged(np.subtract(absolute.values, since, out=since), absolute.offsets)


def _paced_extremes(reading: Reading, pool: GapHistogram) -> tuple[Floats, Floats]:
    """Return longest and p99 displayed gap of paced answers, NaN where n < 2; adds the gaps to ``pool``."""
    on_schedule = reading.n_tok_late == 0
    pool.add_repeated(reading.interval_s[on_schedule], reading.n_tok[on_schedule] - 1)
    max_s = np.where(reading.n_tok > 1, reading.interval_s, np.nan)
    p99_s = max_s.copy()
    if reading.kept_waiting.size:
        waiting_gaps = row_gaps(reading.consumed)
        pool.add(waiting_gaps, n_padding=reading.kept_waiting.size)
        max_s[reading.kept_waiting], p99_s[reading.kept_waiting] = _sorted_extremes(
            waiting_gaps, reading.consumed.offsets
        )
    return max_s, p99_s


def _sorted_extremes(gaps_s: Floats, offsets: Ints) -> tuple[Floats, Floats]:
    """Sort the rows of ``gaps_s`` in place; return the longest and the p99 gap of each, NaN where n < 2."""
    bounds = offsets.tolist()
    for start, end in pairwise(bounds):
        gaps_s[start + 1 : end].sort()
    n_gaps = np.diff(offsets) - 1
    rank = 0.99 * np.maximum(n_gaps - 1, 0)
    low = rank.astype(np.int64)
    last = offsets[1:] - 1
    at = offsets[:-1] + 1 + low
    below, above = gaps_s[np.minimum(at, last)], gaps_s[np.minimum(at + 1, last)]
    p99 = below + (above - below) * (rank - low)
    some = n_gaps > 0
    return np.where(some, gaps_s[last], np.nan), np.where(some, p99, np.nan)
