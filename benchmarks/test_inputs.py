"""What intervals with inputs cost, as ratios in one process: `pytest benchmarks/test_inputs.py -s`."""

from __future__ import annotations

import time
from importlib import import_module
from typing import Any

import pytest

from discosim.config import load_scenario

simulate = import_module("discosim.runs.simulate")


def cpu_s(*overrides: str) -> tuple[float, float]:
    """Return CPU seconds of a run of the quickstart, and of its intervals with inputs alone."""
    inside = 0.0
    original = simulate.input_intervals

    def timed(*given: Any) -> Any:
        nonlocal inside
        begun = time.process_time()
        found = original(*given)
        inside += time.process_time() - begun
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulate, "input_intervals", timed)
        scenario = load_scenario("quickstart", overrides=["replications=4", *overrides])
        begun = time.process_time()
        simulate.simulate(scenario)
        return time.process_time() - begun, inside


def test_cost_of_inputs(capsys):
    """Five policies on 4,000 requests, twice each in turn: the least of both counts."""
    cpu_s()
    plain = [cpu_s() for _ in range(2)]
    drawn = [cpu_s("inputs.resample=true") for _ in range(2)]
    bare_s = min(total - inside for total, inside in plain)
    weights_s = min(inside for _, inside in plain)
    drawn_s = min(total for total, _ in drawn)
    with capsys.disabled():
        print(
            f"\nintervals from weights of rows: {weights_s / bare_s:+.1%} of a run; "
            f"versions in each replication: {drawn_s / bare_s - 1:+.1%}"
        )
    assert weights_s > 0
