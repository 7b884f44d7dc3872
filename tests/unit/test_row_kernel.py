"""Metrics of rows, compiled and by numpy: every bit of every column and histogram."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import examples, exhaustive, long

from discosim.core.timeline import Ragged, offsets_of
from discosim.metrics.histogram import PooledGaps
from discosim.metrics.row_kernel import row_facts
from discosim.metrics.timeline import _facts


@st.composite
def batches(draw):
    """Draw answers: of one token, of a few, longer than numpy's blocks of 128; quick, slow, in packets, all at once."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    most = draw(st.sampled_from([1, 2, 9, 40, 300, 3000]))
    sizes = rng.integers(1, most + 1, draw(st.integers(0, 30)))
    n_tok = int(sizes.sum())
    gap_s = draw(st.sampled_from([0.0, 1e-7, 0.02, 0.2, 3.0, 2e5]))
    kind = draw(st.sampled_from(["even", "skewed", "packets", "grid"]))
    steps_s = np.full(n_tok, gap_s)
    if kind == "skewed":
        steps_s = gap_s * rng.exponential(1.0, n_tok)
    elif kind == "packets":
        steps_s = gap_s * rng.integers(0, 2, n_tok) * rng.exponential(4.0, n_tok)
    elif kind == "grid":
        steps_s = 0.25 * rng.integers(0, 3, n_tok)
    arrival_s = np.cumsum(rng.exponential(draw(st.sampled_from([0.0, 1.0, 1e4])), sizes.size))
    starts = offsets_of(sizes)
    times_s = np.cumsum(steps_s) if n_tok else steps_s
    before_s = times_s[starts[:-1]] - steps_s[starts[:-1]] if n_tok else np.empty(0)
    times_s = np.repeat(arrival_s - before_s, sizes) + times_s
    for start, end in pairwise(starts.tolist()):
        times_s[start:end] = np.maximum.accumulate(times_s[start:end])
    interval_s = 1.0 / rng.choice([0.5, 4.8, 5.0, 30.0], sizes.size)
    target_s = rng.choice([0.0, 0.25, 1.0, 100.0], sizes.size)
    return Ragged(times_s, starts), arrival_s, interval_s, target_s


def check(batch, n_times: int) -> None:
    absolute, arrival_s, interval_s, target_s = batch
    ours, theirs = PooledGaps(), PooledGaps()
    for _ in range(n_times):  # the second time something is in the histograms
        got = row_facts(absolute, arrival_s, interval_s, target_s, ours)
        want = _facts(absolute, None, arrival_s, interval_s, target_s, theirs, pacer=True)
        assert got is not None
        for name in ("e2e_s", "e2e_displayed_s", "max_s", "p99_s", "shown_max_s", "shown_p99_s"):
            assert getattr(got, name).tobytes() == getattr(want, name).tobytes(), name
        for name in ("n_tok", "first_s", "last_s", "n_tok_late", "stall_s", "n_stalls", "delay_s", "delay_lagged_s"):
            assert getattr(got.reading, name).tobytes() == getattr(want.reading, name).tobytes(), name
    for name in ("delivered", "displayed"):
        for part in ("counts", "sums_s"):
            mine, other = (getattr(getattr(pool, name), part) for pool in (ours, theirs))
            assert mine.tobytes() == other.tobytes(), (name, part)


@pytest.mark.parametrize("n", [30, long(200), exhaustive(1500)])
@pytest.mark.usefixtures("kernel")
def test_one_pass_gives_the_bits_of_numpy(n):
    given(batches())(examples(n)(lambda batch: check(batch, n_times=2)))()


@pytest.mark.usefixtures("kernel")
def test_times_that_are_no_numbers_are_left_to_numpy():
    absolute = Ragged(np.array([1.0, np.nan, 2.0]), np.array([0, 3]))
    one = np.ones(1)
    assert row_facts(absolute, one, one, one, PooledGaps()) is None
