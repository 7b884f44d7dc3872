"""Sketches and edge where their answer is known in closed form."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t as student_t
from worlds import DEAR_SERVER, NO_LINK, edge_box, past, play, profile, requests, server

from discosim.policies import Policy
from discosim.policies.fixed_rho import FixedRho
from discosim.policies.server_only import ServerOnly
from discosim.policies.sketching import cut_into_rounds, expansion_s
from discosim.world.answers import AnswerModel, split
from discosim.world.edge.tier import EdgeModel
from discosim.world.engine.costs.constant import ConstantCost
from discosim.world.engine.engine import EngineModel
from discosim.world.engine.floor import ReplicaModel
from discosim.world.engine.schedulers.fcfs import Fcfs
from discosim.world.world import WorldModel

N_RUNS = 8
SCREEN = 0.0005  # two-sided false-alarm rate of each interval below
ANSWER_TOK, BATCH, DECODE_S = 240, 8, 0.05


def world(edge: EdgeModel, suitable_share: float) -> WorldModel:
    """Return a cloud whose cost is its decoded tokens: eight at a time, prefills next to free."""
    replica = ReplicaModel(ConstantCost(1e-9, DECODE_S), kv_blocks=10_000, max_batch=BATCH)
    cloud = EngineModel(replica, 1, Fcfs, fastest_iteration_s=1e-9)
    answers = AnswerModel(suitable_share, part_tok=60.0, part_sigma=0.0)
    return WorldModel(((profile(), 1.0),), cloud, NO_LINK, DEAR_SERVER, edge=edge, answers=answers)


def rate_rps(policy: Policy, parts: WorldModel, seed: int, n: int = 400) -> float:
    """Return finished requests per second between the 20th and 80th percentile of completions, far above capacity."""
    table = requests(n, seed=seed, gap_s=1e-3, prompt_tok=10, output_tok=ANSWER_TOK)
    view = past(replace(parts, server=server()), n=50)
    played = play(policy, parts, table, seed=seed, view=view)
    ends_s = np.sort([record.delivered_s[-1] for record in played.records])
    low, high = int(0.2 * n), int(0.8 * n)
    return float((high - low) / (ends_s[high] - ends_s[low]))


def half_width(values: np.ndarray) -> float:
    return float(student_t.ppf(1 - SCREEN / 2, values.size - 1)) * float(values.std(ddof=1)) / math.sqrt(values.size)


def gains(policy: Policy, parts: WorldModel) -> np.ndarray:
    return np.array([rate_rps(policy, parts, seed) / rate_rps(ServerOnly(), parts, seed) for seed in range(N_RUNS)])


@pytest.mark.parametrize(
    ("phi", "rho"),
    [
        (0.27, 0.1),
        pytest.param(0.46, 0.3, marks=pytest.mark.long),
        pytest.param(0.8, 0.5, marks=pytest.mark.long),
        pytest.param(1.0, 0.25, marks=pytest.mark.long),
    ],
)
def test_below_the_edges_limit_the_gain_is_that_of_the_cloud_tokens_saved(phi: float, rho: float) -> None:
    found = gains(FixedRho(rho=rho, length_error=0.0), world(edge_box(n_boxes=40, memory_tok=10**6), phi))
    # the first token of an answer comes with its prefill, so what a slot is held for is one token less
    decoded = (round(rho * ANSWER_TOK) - 1) / (ANSWER_TOK - 1)
    expected = 1.0 / (1.0 - phi * (1.0 - decoded))
    assert found.mean() == pytest.approx(expected, abs=max(half_width(found), 0.005 * expected))
    assert half_width(found) < 0.15 * expected


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("supply", [0.4, 0.8, 1.25, 2.0])
def test_the_edge_saturates_where_its_token_rate_meets_the_demand(supply: float, width: int) -> None:
    # demand at the cloud's limit: requests per second * answer length * candidates; all requests are sketched
    rho = 0.25
    slot_s = (round(rho * ANSWER_TOK) - 1) * DECODE_S
    cloud_rps = BATCH / slot_s
    demand_tok_per_s = cloud_rps * ANSWER_TOK * width
    edge = edge_box(slots=4, n_boxes=4, batch_slowdown=0.0, prefill_s_per_tok=0.0, memory_tok=10**6)
    edge = replace(edge, decode_s=edge.slots * edge.n_boxes / (supply * demand_tok_per_s))
    assert edge.tok_per_s() * edge.n_boxes == pytest.approx(supply * demand_tok_per_s)
    policy = FixedRho(rho=rho, width=width, length_error=0.0)
    found = rate_rps(policy, world(edge, 1.0), seed=1)
    assert found == pytest.approx(cloud_rps * min(1.0, supply), rel=0.03)


# --- rounds --------------------------------------------------------------------------------------------------------


def partitions(items: tuple[int, ...], slots: int):
    """Yield every way to put the items into rounds of at most ``slots``."""
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for size in range(min(slots - 1, len(rest)) + 1):
        for others in itertools.combinations(range(len(rest)), size):
            left = tuple(rest[i] for i in range(len(rest)) if i not in others)
            for more in partitions(left, slots):
                yield [[first, *(rest[i] for i in others)], *more]


@pytest.mark.parametrize("slots", [1, 2, 3, 4])
def test_longest_first_has_the_least_sum_of_maxima_of_all_rounds(slots: int) -> None:
    rng = np.random.default_rng(slots)
    for _ in range(30):
        lengths = tuple(rng.integers(1, 50, rng.integers(1, 8)).tolist())
        found = sum(max(held) for held in cut_into_rounds(lengths, slots))
        assert found == min(sum(max(held) for held in rounds) for rounds in partitions(lengths, slots))


def best_and_even(n_tok: int, n_parts: int, slots: int) -> tuple[float, float]:
    """Return the least time over every way to cut an answer, and that of the even cut."""
    edge = EdgeModel(decode_s=1.0, slots=slots)
    cuts = (c for c in itertools.product(range(1, n_tok), repeat=n_parts) if sum(c) == n_tok)
    even = expansion_s(split(n_tok, np.ones(n_parts)).tolist(), edge)
    return min(expansion_s(cut, edge) for cut in cuts), even


@pytest.mark.parametrize(("n_tok", "n_parts", "slots"), [(13, 4, 4), (15, 5, 5), (14, 4, 2), (12, 3, 3), (9, 6, 3)])
def test_even_lengths_take_the_least_time_where_they_fill_the_rounds(n_tok: int, n_parts: int, slots: int) -> None:
    best, even = best_and_even(n_tok, n_parts, slots)
    assert even == best


def test_where_the_last_round_is_not_full_short_parts_in_it_beat_even_lengths() -> None:
    # the exception to the rule above: 5 + 5 tokens side by side, then 2, against 4, 4, then 4
    best, even = best_and_even(12, 3, 2)
    assert (best, even) == (7.0, 8.0)
