"""Series with memory are the same to the last bit, compiled or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from discosim.core.empirical import CorrelatedSeries, QuantileTable, Turns
from discosim.kernel import memory
from discosim.kernel.library import SWITCH

RHOS = st.floats(-0.99, 0.99)
TABLE = QuantileTable((0.0, 0.4, 1.0), (0.1, 0.7, 9.0))
ONCE = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def both(monkeypatch: pytest.MonkeyPatch, draw) -> tuple[bytes, bytes]:
    """Return what is drawn with what is compiled, and without it."""
    compiled = draw().tobytes()
    with monkeypatch.context() as without:
        without.setenv(SWITCH, "1")
        return compiled, draw().tobytes()


@ONCE
@given(st.integers(0, 2**32), RHOS, st.integers(0, 300))
def test_a_series_of_one_owner(kernel: Path, monkeypatch: pytest.MonkeyPatch, seed: int, rho: float, n: int) -> None:
    series = CorrelatedSeries(TABLE, rho)
    compiled, plain = both(monkeypatch, lambda: series.sample(n, np.random.default_rng(seed)))
    assert compiled == plain


@ONCE
@given(st.integers(0, 2**32), RHOS, st.integers(0, 300), st.integers(1, 300))
def test_series_of_many_owners(
    kernel: Path, monkeypatch: pytest.MonkeyPatch, seed: int, rho: float, n: int, n_owners: int
) -> None:
    rng = np.random.default_rng(seed)
    turns, shocks = Turns.of(rng.integers(0, n_owners, n)), rng.standard_normal(n)
    given_bits = shocks.tobytes()
    compiled, plain = both(monkeypatch, lambda: turns.remember(rho, shocks))
    assert compiled == plain
    assert shocks.tobytes() == given_bits


def test_the_compiled_pass_is_taken_where_there_is_one(kernel: Path) -> None:
    values = np.ones(3)
    assert memory.remember(0.5, 2.0, np.array([-1, 0, 0]), values)
    assert values.tolist() == [1.0, 2.5, 2.5]
    assert memory.remember_in_row(0.5, values)
    assert values.tolist() == [1.0, 3.0, 4.0]


def test_nothing_is_changed_where_nothing_compiled_is_used(no_kernel: None) -> None:
    values = np.ones(3)
    assert not memory.remember(0.5, 2.0, np.array([-1, 0, 0]), values)
    assert not memory.remember_in_row(0.5, values)
    assert values.tolist() == [1.0, 1.0, 1.0]
