"""What is worked out in arrays is what SimPy makes of it, to the bit: every column, every number, every token (INV-22)."""

from __future__ import annotations

from dataclasses import dataclass, field, make_dataclass, replace
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_every_policy import links, policies, residuals, services
from worlds import (
    DEAR_DEVICE,
    DEAR_SERVER,
    NO_LINK,
    bursts,
    constant,
    examples,
    gated,
    model,
    past,
    profile,
    requests,
    server,
)

from discosim.core.request import Loop, RequestTable
from discosim.core.rng import RandomStreams
from discosim.core.scenario import Battery, Capacity, ColdStart, Outage, Throttle
from discosim.policies import Policy, known_policies
from discosim.policies.disco import Disco
from discosim.policies.server_only import ServerOnly
from discosim.policies.view import View
from discosim.runs import kernels, replay_kernel
from discosim.runs.replicate import Entrant, Outcome, replicate
from discosim.world.batch.covered import REPEATED, is_covered, is_repeated
from discosim.world.batch.meeting import Stays, meetings
from discosim.world.hours import HourLaw
from discosim.world.law import RawSeries
from discosim.world.link import LinkModel
from discosim.world.luck import Luck
from discosim.world.quality import QualityModel
from discosim.world.world import Service, World, WorldModel

PLANNED = sorted(kind for kind, policy in known_policies().items() if "plan" in vars(policy))


def run(policy: Policy, parts: WorldModel, table: RequestTable, view: View, seed: int, kernel: str) -> Outcome:
    """Run one replication as a scenario would."""
    scenario = SimpleNamespace(kernel=kernel, reader=SimpleNamespace(pacer=True))
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


devices = st.builds(
    profile,
    name=st.sampled_from(["one", "two"]),
    residual=st.none() | residuals.map(lambda law: replace(law, first=1.0)),
    prefill_s_per_tok=st.sampled_from([0.0, 0.0001, 0.02]),
    prefill_intercept_s=st.sampled_from([0.0, 0.5]),
    chunk_tok=st.sampled_from([None, 64]),
    decode_tok_per_s=st.floats(2.0, 60.0),
    max_context_tok=st.sampled_from([None, None, 100, 350]),
)
worlds = st.builds(
    lambda fleet, service, link, meter: replace(
        model(
            fleet=fleet, service=replace(service, outages=(), hours=None), link=replace(link, outages=()), meter=meter
        ),
        edge=None,
        joint=None,
    ),
    st.lists(st.tuples(devices, st.floats(0.1, 5)), min_size=1, max_size=2, unique_by=lambda pair: pair[0].name),
    services,
    links,
    st.sampled_from([DEAR_SERVER, DEAR_DEVICE]),
)


def check_equality(kind: str, n_examples: int, n_requests: int, users: list[int]) -> None:
    n_taken = 0

    @examples(n_examples)
    @given(st.data(), worlds, st.sampled_from([0.05, 2.0, 30.0]), st.sampled_from(users), st.integers(0, 2**20))
    def check(data: st.DataObject, parts: WorldModel, gap_s: float, n_users: int, seed: int) -> None:
        nonlocal n_taken
        policy = data.draw(policies(kind))
        view = past(parts, n=101, seed=seed)
        rate = data.draw(st.sampled_from([2.0, 4.8, 30.0]))
        table = requests(n_requests, seed=seed, gap_s=gap_s, n_users=n_users, reader_tok_per_s=rate)
        if data.draw(st.booleans()):  # as traces in whole seconds
            table = replace(table, arrival_s=np.floor(table.arrival_s))
        table = replace(table, rejected=np.arange(n_requests) % 17 == 3)
        with mock.patch.object(replay_kernel, "LEAST_SHARE", 0.0), mock.patch.object(replay_kernel, "AT_ONCE", 7):
            found = run(policy, parts, table, view, seed, "auto")
        n_taken += found.kernels.get("replay", 0)
        assert sum(found.kernels.values()) == n_requests
        assert_same(found, run(policy, parts, table, view, seed, "simpy"))

    check()
    assert n_taken > 0.1 * n_examples * n_requests, "hardly anything was worked out in arrays"


@pytest.mark.parametrize("kind", PLANNED)
def test_arrays_and_simpy_agree_to_the_bit(kind: str) -> None:
    check_equality(kind, 6, 60, [20, 300, 200_000])


@pytest.mark.long
@pytest.mark.parametrize("kind", PLANNED)
def test_arrays_and_simpy_agree_to_the_bit_in_many_worlds(kind: str) -> None:
    check_equality(kind, 40, 300, [20, 300, 3000, 200_000])
