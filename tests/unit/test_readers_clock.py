"""The tick of a clock, by the finest digit that its stamps use; expected values by hand."""

from __future__ import annotations

import numpy as np
import pytest

from discosim.traces.readers.clock import finest_tick

S, MS = 1, 1000


@pytest.mark.parametrize(
    ("stamps", "per_s", "tick"),
    [
        ([], MS, 0.0),
        ([0, 1500, 3000], MS, 100.0),  # tenths of a second
        ([0, 27, 3000], MS, 1.0),
        ([0, 1000, 5000], MS, 1000.0),
        ([0, 60_000, 180_000], MS, 60_000.0),  # a clock of minutes
        ([0, 60_000], MS, 1000.0),  # two stamps prove no minutes
        ([0.0, 0.25, 1.5], S, 0.01),
        ([0.0, 1.0, 7.0], S, 1.0),
        ([0.0, 1 / 3], S, 0.0),  # digits without end
    ],
)
def test_the_tick_is_the_step_of_the_finest_digit(stamps: list[float], per_s: int, tick: float) -> None:
    array = np.array(stamps) if stamps else np.empty(0)
    assert finest_tick(array, per_s) == pytest.approx(tick)


@pytest.mark.parametrize("largest", [2.0**53, 1e19, 1e308])
def test_stamps_beyond_the_digits_of_a_float_have_no_tick(largest: float) -> None:
    assert finest_tick(np.array([0.0, 1.0, largest]), MS) == 0.0
