"""In which order runs are begun: whatever goes on at once has no policies in common."""

from __future__ import annotations

from pathlib import Path

import pytest

from discosim.sweep.plan import Plan, load_plan
from discosim.sweep.run import in_turns

N_POINTS = 3


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    (tmp_path / "s.yaml").write_text(
        "name: s\nbase: quickstart\nsweep: {grid: {policies.DiSCo-S.budget: [0.2, 0.4, 0.6]}, seeds: {n: 5}}\n"
    )
    return load_plan(tmp_path / "s.yaml")


@pytest.mark.parametrize("n_at_once", [1, 2, 3, 5, 8])
def test_seeds_go_on_side_by_side_each_point_by_point(plan: Plan, n_at_once: int) -> None:
    runs = sorted(plan.runs(plan.seeds), key=lambda run: (run.seed, run.point))
    turns = [(run.seed, run.point) for run in in_turns(runs, n_at_once)]
    assert sorted(turns) == [(run.seed, run.point) for run in runs]
    for seed in plan.seeds:
        assert [point for its, point in turns if its == seed] == list(range(N_POINTS))
    assert turns[:n_at_once][: len(plan.seeds)] == [(seed, 0) for seed in sorted(plan.seeds)[:n_at_once]]


def test_two_at_once_are_of_two_seeds_until_one_seed_is_left(plan: Plan) -> None:
    runs = sorted(plan.runs(plan.seeds), key=lambda run: (run.seed, run.point))
    seeds = [run.seed for run in in_turns(runs, 2)]
    pairs = [set(seeds[first : first + 2]) for first in range(0, 4 * N_POINTS, 2)]
    assert [len(pair) for pair in pairs] == [2] * len(pairs)
    assert set(seeds[4 * N_POINTS :]) == {plan.seeds[-1]}


def test_one_at_a_time_stays_seed_by_seed(plan: Plan) -> None:
    runs = sorted(plan.runs(plan.seeds), key=lambda run: (run.seed, run.point))
    assert in_turns(runs, 1) == runs
