"""Latency columns of requests.parquet, computed from ragged batches of token timelines."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.core.request import RequestRecord
from discosim.core.timeline import Ragged
from discosim.metrics.cost import cost_columns
from discosim.metrics.histogram import GapHistogram, PooledGaps
from discosim.metrics.qoe import qoe_andes, qoe_andes_code
from discosim.metrics.reading import Floats, Ints, Reading, read, row_gaps
from discosim.metrics.request_definitions import REQUEST_METRICS

Columns = dict[str, NDArray[Any]]

BATCH_ROWS = 1000
"""Requests worked on at a time: enough to hide the cost of a numpy call, few enough to bound memory."""


def request_columns(records: Sequence[RequestRecord], *, pacer: bool, gaps: PooledGaps | None = None) -> Columns:
    """Compute every column of requests.parquet but ``policy`` and ``replication``.

    Parameters
    ----------
    records : sequence of RequestRecord
        Requests of one policy and one replication, any number, finished or not.
    pacer : bool
        Whether the client shows tokens at the reader's rate (else on arrival); decides the ``displayed``
        columns.
    gaps : PooledGaps, optional
        Histograms to which the token gaps of these requests are added.

    Returns
    -------
    dict of str to array, shape (len(records),)
        Columns in the order of ``REQUEST_METRICS``. Requests that did not finish have NaN durations and
        zero counts; their QoE is 0 where they failed (nothing useful came) and NaN where they were
        rejected (never served).
    """
    n = len(records)
    pool = PooledGaps() if gaps is None else gaps
    wanted = [m for m in REQUEST_METRICS if m.name not in {"policy", "replication"}]
    columns: Columns = {
        m.name: np.full(n, np.nan) if m.dtype == "float64" else np.zeros(n, dtype=np.int64) for m in wanted
    }
    columns |= cost_columns(records)
    for name in ("qoe_andes", "qoe_andes_code", "qoe_visible"):
        columns[name][columns["status"] == "failed"] = 0.0

    shown = np.flatnonzero(np.fromiter((r.delivered_s.size > 0 for r in records), dtype=np.bool_, count=n))
    is_paced = np.fromiter((records[i].paced_s.size > 0 for i in shown.tolist()), dtype=np.bool_, count=shown.size)
    for chosen, has_own_pacer in ((shown[~is_paced], False), (shown[is_paced], True)):
        for start in range(0, chosen.size, BATCH_ROWS):
            rows = chosen[start : start + BATCH_ROWS]
            held = [records[i] for i in rows.tolist()]
            for name, values in _timeline_columns(held, pacer, pool, has_own_pacer=has_own_pacer).items():
                columns[name][rows] = values
    sketched = [i for i in shown.tolist() if records[i].sketch_s.size]
    if sketched:
        _add_sketches(columns, records, sketched)
    return columns


def _add_sketches(columns: Columns, records: Sequence[RequestRecord], rows: list[int]) -> None:
    """Let readers read a shown sketch first; its tokens count like those of the answer, as far as they are shown."""
    held = [records[i] for i in rows]
    shown = [r.paced_s if r.paced_s.size else r.delivered_s for r in held]
    visible = Ragged.of(
        [
            np.maximum.accumulate(np.concatenate((r.sketch_s, shown_s))) - r.arrival_s
            for r, shown_s in zip(held, shown, strict=True)
        ]
    )
    rate = np.array([r.reader_tok_per_s for r in held])
    reading = read(visible, 1.0 / rate, np.array([r.ttft_target_s for r in held]))
    columns["ttft_visible_s"][rows] = reading.first_s
    columns["qoe_visible"][rows] = qoe_andes(reading)


def _timeline_columns(
    records: Sequence[RequestRecord], pacer: bool, gaps: PooledGaps, *, has_own_pacer: bool = False
) -> Columns:
    """Compute the latency and QoE columns of answers of at least one token.

    Where a policy's own pacer showed the tokens, readers read what it showed.
    """
    n_rows = len(records)
    arrival, rate, target = (
        np.fromiter(map(attrgetter(name), records), dtype=np.float64, count=n_rows)
        for name in ("arrival_s", "reader_tok_per_s", "ttft_target_s")
    )
    absolute = Ragged.of([r.delivered_s for r in records])
    n_tok = absolute.sizes()
    delivered = Ragged(absolute.values - np.repeat(arrival, n_tok), absolute.offsets)
    displayed = delivered
    if has_own_pacer:
        paced_s = np.concatenate([r.paced_s for r in records])
        displayed = Ragged(paced_s - np.repeat(arrival, n_tok), absolute.offsets)
    reading = read(displayed, 1.0 / rate, target)

    ttft, e2e = delivered.values[delivered.offsets[:-1]], delivered.values[delivered.offsets[1:] - 1]
    delivered_gaps = row_gaps(delivered)
    gaps.delivered.add(delivered_gaps, n_padding=n_rows)
    max_s, p99_s = _sorted_extremes(delivered_gaps, delivered.offsets)
    e2e_displayed = e2e
    if has_own_pacer:
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
    return {
        "ttft_s": ttft,
        "ttft_generated_s": np.fromiter((r.generated_s[0] for r in records), np.float64, n_rows) - arrival,
        "e2e_s": e2e,
        "e2e_generated_s": np.fromiter((r.generated_s[-1] for r in records), np.float64, n_rows) - arrival,
        "e2e_displayed_s": e2e_displayed,
        "tpot_s": np.divide(e2e - ttft, n_tok - 1, out=np.full(n_rows, np.nan), where=n_tok > 1),
        "norm_latency_s": e2e / n_tok,
        "tbt_max_s": max_s,
        "tbt_p99_s": p99_s,
        "tbt_displayed_max_s": shown_max_s,
        "tbt_displayed_p99_s": shown_p99_s,
        "stall_s": reading.stall_s,
        "n_stalls": reading.n_stalls,
        "n_tok_late": reading.n_tok_late,
        "qoe_andes": (qoe := qoe_andes(reading)),
        "qoe_andes_code": qoe_andes_code(reading),
        "ttft_visible_s": ttft,
        "qoe_visible": qoe,
    }


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
