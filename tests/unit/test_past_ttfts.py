"""Waits from past TTFTs: a share of tokens, not of requests, and not a token more."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import constant, examples, model, past, play, profile, requests, server

from discosim.core.rng import RandomStreams
from discosim.policies.disco import Disco
from discosim.policies.optimal_wait import OptimalWait
from discosim.policies.past_ttfts import MIN_PAIRS, TIE_S, PastTtfts, _first_smallest, _rising


def everybody(past_ttfts: PastTtfts) -> Any:
    return np.ones(past_ttfts.prompt_tok.size, dtype=bool)


def share_used(lengths: Any, ttft_s: Any, wait: Any) -> float:
    """Return the share of the tokens for which a device that waits so would start, the coin weighed in."""
    started = wait.rich_share * (ttft_s > wait.rich_s) + (1 - wait.rich_share) * (ttft_s > wait.lean_s)
    return float((lengths * started).sum() / lengths.sum())


def test_the_wait_is_a_quantile_over_tokens() -> None:
    # one long prompt holds half of all tokens and is slow: a fifth of the requests, half of the tokens
    known = PastTtfts(np.array([10, 10, 10, 10, 40]), np.array([0.1, 0.2, 0.3, 0.4, 0.9]))
    half = known.wait(0.5, everybody(known), known.prompt_tok.astype(float))
    assert half.lean_s == pytest.approx(0.4)
    assert known.wait(0.2, everybody(known), known.prompt_tok.astype(float)).lean_s == pytest.approx(0.9)


@examples(200)
@given(
    pairs=st.lists(
        st.tuples(st.integers(1, 50), st.sampled_from([0.1, 0.5, 0.5000000001, 0.7, 2.0])), min_size=1, max_size=30
    ),
    share=st.floats(0.0, 1.0),
)
def test_the_past_would_have_used_the_share_exactly(pairs: list[tuple[int, float]], share: float) -> None:
    lengths, ttft_s = np.array([n for n, _ in pairs]), np.array([t for _, t in pairs])
    known = PastTtfts(lengths, ttft_s)
    wait = known.wait(share, everybody(known), lengths.astype(float))
    assert share_used(lengths, ttft_s, wait) == pytest.approx(share, abs=1e-9)


def test_what_is_refused_counts_as_silent_for_ever() -> None:
    lengths, ttft_s = np.full(10, 7), np.array([0.1] * 6 + [0.3] * 2 + [np.inf] * 2)
    known = PastTtfts(lengths, ttft_s)
    assert share_used(lengths, ttft_s, known.wait(0.3, everybody(known), lengths * 1.0)) == pytest.approx(0.3)
    # refused requests alone are more than a tenth: nobody else starts
    assert known.wait(0.1, everybody(known), lengths * 1.0).lean_s == np.inf


def test_a_budget_of_nothing_is_never_and_of_everything_at_once() -> None:
    known = PastTtfts(np.array([5, 5]), np.array([0.2, 0.4]))
    assert known.wait(0.0, everybody(known), np.ones(2)).after_s(0.0) == np.inf
    assert known.wait(1.0, everybody(known), np.ones(2)).after_s(0.99) == 0.0


def test_few_prompts_of_a_length_are_joined_by_their_neighbours() -> None:
    lengths = np.repeat(np.arange(1, 101), 3)
    known = PastTtfts(lengths, np.ones(300))
    assert (known.prompt_tok[known.near(59.0, 60.0)] == 60).sum() == 3
    assert known.near(59.0, 60.0).sum() == MIN_PAIRS
    assert set(known.prompt_tok[known.near(59.0, 60.0)]) == set(range(43, 77))
    assert known.near(20.0).sum() == 240
    assert set(known.prompt_tok[known.near(90.0)]) == set(range(67, 101))


@pytest.mark.parametrize("budget", [0.05, 0.3, 0.8])
@pytest.mark.parametrize("at_s", [0.5, 1 / 3, 1.7])
def test_a_constant_ttft_is_one_value_however_times_are_rounded(at_s: float, budget: float) -> None:
    # the past's TTFTs are differences of times up to 1e6 s, and so scatter around the constant by 1e-10 s
    parts = model(service=server(ttft=constant(at_s)))
    view = past(parts, prompt_tok=np.full(4000, 100), output_tok=np.ones(4000), seed=3)
    scatter = np.random.default_rng(1).normal(0, 1e-10, 4000)
    view = past(parts, prompt_tok=np.full(4000, 100), output_tok=np.ones(4000), ttft_s=view.server_ttft_s + scatter)
    played = play(
        Disco(constraint="device", budget=budget, migration=False),
        parts,
        requests(2000, prompt_tok=100, output_tok=1),
        view=view,
    )
    # coins for requests that are all alike: 4 standard errors, a false alarm in 15,000 seeds
    assert abs(played.budget_used("device") - budget) < 4 * np.sqrt(budget * (1 - budget) / 2000)


def test_a_token_at_the_very_end_of_the_wait_counts_as_heard() -> None:
    parts = model(service=server(ttft=constant(0.5)))
    view = past(parts, prompt_tok=[100, 100], output_tok=[1, 1], ttft_s=[0.5, 0.5])
    policy = Disco(constraint="device", budget=0.05)
    policy.prepare(view)
    assert policy.wait_s(100, coin=1.0) == 0.5 + TIE_S
    played = play(policy, parts, requests(50, prompt_tok=100, output_tok=1), view=view)
    coin = RandomStreams(1).generator("policy.dispatch").random(50)
    assert [r.is_device_dispatched for r in played.records] == (coin < 0.05).tolist()


# --- who cannot be kept to a wait -----------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["server", "device"])
@pytest.mark.parametrize("budget", [0.1, 0.4, 0.7])
def test_devices_of_too_short_a_context_do_not_spoil_the_budget(budget: float, side: Any) -> None:
    # a third of the users have phones that hold 150 tokens: their long prompts go to the server, never to the phone
    small, large = profile(name="small", prefill_s_per_tok=0.001, max_context_tok=150), profile(prefill_s_per_tok=0.001)
    parts = model(fleet=((small, 1.0), (large, 2.0)))
    view, table = past(parts, n=6000), requests(3000, output_tok=1)
    used = play(Disco(constraint=side, budget=budget, migration=False), parts, table, view=view).budget_used(side)
    weight = table.prompt_tok.astype(float)
    forced = weight[weight > 150].sum() / weight.sum() / 3
    wanted = max(budget, forced) if side == "server" else min(budget, 1 - forced)
    # at worst a coin for every request, in the run and in the past, which is twice as long; 4 standard errors
    tolerance = 4 * np.sqrt(1.5 * 0.25 * (weight**2).sum()) / weight.sum()
    assert abs(used - wanted) < tolerance
    best = play(OptimalWait(constraint=side, budget=budget), parts, table, view=view).budget_used(side)
    assert best < budget + tolerance


@pytest.mark.parametrize("budget", [0.0, 0.05, 0.3])
def test_refused_requests_come_before_the_budget_under_disco_and_inside_it_under_optimal_wait(budget: float) -> None:
    parts = model(service=server(failure_share=0.15), device=profile(prefill_s_per_tok=0.001))
    view, table = past(parts, n=6000), requests(3000, output_tok=1)
    weight = table.prompt_tok.astype(float)
    tolerance = 4 * np.sqrt(1.5 * 0.15 * 0.85 * (weight**2).sum()) / weight.sum()
    disco = play(Disco(constraint="device", budget=budget, migration=False), parts, table, view=view)
    assert abs(disco.budget_used("device") - max(budget, 0.15)) < tolerance + (budget == 0.3) * 0.02
    assert all(record.status == "finished" for record in disco.records), "nobody is left without an answer"
    best = play(OptimalWait(constraint="device", budget=budget), parts, table, view=view)
    assert best.budget_used("device") < budget + (tolerance if budget else 1e-12)
    n_failed = sum(record.status == "failed" for record in best.records)
    assert (n_failed > 0) == (budget < 0.15), "what the budget does not cover fails"


@pytest.mark.parametrize("seed", range(4))
def test_optimal_wait_on_a_budget_of_nothing_never_starts(seed: int) -> None:
    # the longest past TTFT was not exceeded in the past, and will be
    parts = model(device=profile(prefill_s_per_tok=0.001))
    view = past(parts, n=30, seed=seed)
    table = requests(400, seed=seed, output_tok=1)
    played = play(OptimalWait(constraint="device", budget=0.0), parts, table, seed=seed, view=view)
    assert (played.ttft_s > view.server_ttft_s.max()).any()
    assert played.budget_used("device") == 0.0


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.integers(1, 40))
def test_the_smallest_are_those_that_a_stable_sort_puts_first(values: list[int], n: int) -> None:
    held, n = np.array(values, dtype=float), min(n, len(values))
    found = _first_smallest(held, n)
    assert np.flatnonzero(found).tolist() == sorted(np.argsort(held, kind="stable")[:n].tolist())


@given(st.lists(st.floats(0.0, 3.0) | st.sampled_from([0.5, 1.0, np.inf]), max_size=60))
def test_the_order_of_a_past_is_that_of_a_stable_sort(values: list[float]) -> None:
    held = np.array(values)
    assert _rising(held).tolist() == np.argsort(held, kind="stable").tolist()
