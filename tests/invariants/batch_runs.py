"""One replication as a scenario would run it, in arrays or by SimPy, and whether two are the same in every bit."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from worlds import model

from discosim.core.request import RequestTable
from discosim.core.rng import RandomStreams
from discosim.policies import Policy
from discosim.policies.view import View
from discosim.runs.replicate import Entrant, Outcome, replicate
from discosim.world.luck import Luck
from discosim.world.world import WorldModel


def run(policy: Policy, parts: WorldModel, table: RequestTable, view: View, seed: int, kernel: str) -> Outcome:
    """Run one replication as a scenario would."""
    scenario = SimpleNamespace(kernel=kernel, reader=SimpleNamespace(pacer=True), server=None, services={})
    blueprint: Any = SimpleNamespace(scenario=scenario, model=parts, view=view)
    return replicate(Entrant("it", policy), blueprint, table, Luck(RandomStreams(seed), len(table)), range(3, 20))


def assert_same(one: Outcome, other: Outcome) -> None:
    """Assert that two outcomes are the same in every bit."""
    for held, wanted in ((one.columns, other.columns), (one.tokens, other.tokens), (one.endpoints, other.endpoints)):
        assert list(held) == list(wanted)
        for name, column in wanted.items():
            assert held[name].dtype == column.dtype, name
            same = held[name] == column if column.dtype == object else bits(held[name]) == bits(column)
            assert same.all(), f"{name} of requests {np.flatnonzero(~same)[:5]}"
    numbers = [np.array(list(outcome.summary.values())) for outcome in (one, other)]
    assert list(one.summary) == list(other.summary)
    assert (bits(numbers[0]) == bits(numbers[1])).all(), "a number of the summary"
    assert dict(one.tally) == dict(other.tally)


def bits(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return values.view(np.int64) if values.dtype == np.float64 else values


PLAIN = replace(model(), edge=None, joint=None)
