"""Hedged requests: when the second is sent, what the bucket lets through, and what counts as a first-token time."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import constant, examples, law, model, past, play, profile, requests, server

from discosim.config import load_scenario
from discosim.core.errors import UserError
from discosim.policies.hedge import Bucket, Hedge, Window
from discosim.policies.race import Race

PHONE_S_PER_TOK = 0.01
SERVER_S_PER_TOK = 0.1
BY_LENGTH = server(ttft=constant(0.0), tpot=constant(0.05), ttft_s_per_prompt_tok=SERVER_S_PER_TOK)
"""A service whose first token takes 0.1 s for each token of the prompt: a test writes TTFTs as lengths."""


def played(policy: Hedge, prompt_tok: list[int], past_s: list[float], **parts: Any) -> Any:
    """Serve prompts one after the other; the phone prefills them ten times as fast as the service."""
    world = model(service=BY_LENGTH, device=profile(prefill_s_per_tok=PHONE_S_PER_TOK), **parts)
    table = requests(len(prompt_tok), gap_s=1.0, prompt_tok=prompt_tok, output_tok=2)
    table = replace(table, arrival_s=1000.0 * np.arange(len(prompt_tok)))
    view = past(world, ttft_s=past_s, ttft_prompt_tok=[1] * len(past_s))
    return play(policy, world, table, view=view)


def used(done: Any) -> list[bool]:
    return [bool(record.is_device_dispatched) for record in done.records]


def test_five_requests_worked_by_hand() -> None:
    """The 80 % quantile of the last five times, half a token a request, a bucket of one.

    | prompt | service | known times (sorted)  | wait | bucket | second     | first token |
    | 20     | 2.0     | 1, 2, 3, 4, 5         | 4    | 1      | heard      | 2.0         |
    | 120    | 12.0    | 2, 2, 3, 4, 5         | 4    | 1      | 4 + 1.2    | 5.2         |
    | 90     | 9.0     | 2, 3, 4, 5, 5.2       | 5    | 0.5    | too little | 9.0         |
    | 60     | 6.0     | 2, 4, 5, 5.2, 9       | 5.2  | 1      | 5.2 + 0.6  | 5.8         |
    | 55     | 5.5     | 2, 5, 5.2, 5.8, 9     | 5.8  | 0.5    | heard      | 5.5         |
    """
    policy = Hedge(quantile=0.8, window=5, tokens_per_request=0.5, bucket_size=1)
    done = played(policy, [20, 120, 90, 60, 55], [9.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    assert done.ttft_s == pytest.approx([2.0, 5.2, 9.0, 5.8, 5.5])
    assert used(done) == [False, True, False, True, False]
    assert done.policy.wait_s == pytest.approx(5.8)  # of 5.2, 5.5, 5.8, 9: the second is forgotten


@pytest.mark.parametrize(("n", "per_request", "size", "n_second"), [(101, 0.1, 1, 11), (40, 0.25, 3, 12), (9, 0, 2, 2)])
def test_the_bucket_lets_exactly_so_many_through(n: int, per_request: float, size: float, n_second: int) -> None:
    """Every request wants a second at once: what the full bucket holds, then one for each whole token that comes in.

    By hand: the first request adds nothing, as the bucket is full. So ``floor(size + (n - 1) per_request)``: 1 + 10,
    3 + 9.75 and 2.
    """
    policy = Hedge(quantile=0, tokens_per_request=per_request, bucket_size=size)
    done = played(policy, [50] * n, [1.0])
    assert sum(used(done)) == n_second


@examples(25)
@given(
    per_request=st.sampled_from([0.0, 0.1, 1 / 3, 0.7, 1.0]),
    size=st.sampled_from([1.0, 2.5, 10.0]),
    wants=st.lists(st.booleans(), max_size=200),
)
def test_the_bucket_against_plain_counting(per_request: float, size: float, wants: list[bool]) -> None:
    bucket, level, n_taken = Bucket(per_request, size), Decimal(str(size)), 0
    for n, is_wanted in enumerate(wants, start=1):
        bucket.earn()
        level = min(Decimal(str(size)), level + Decimal(str(per_request)))
        if is_wanted:
            is_taken = bucket.take()
            assert is_taken == (level >= 1)
            level -= is_taken
            n_taken += is_taken
        assert n_taken <= size + per_request * n + 1e-9


@examples(20)
@given(
    policy=st.builds(
        Hedge,
        quantile=st.sampled_from([0.0, 0.5, 0.9]),
        tokens_per_request=st.sampled_from([0.0, 0.1, 0.5]),
        bucket_size=st.sampled_from([1.0, 4.0]),
    ),
    failure_share=st.sampled_from([0.0, 0.3]),
    gap_s=st.sampled_from([0.1, 5.0]),
    seed=st.integers(0, 1000),
)
def test_second_requests_stay_within_the_bucket_in_every_world(
    policy: Hedge, failure_share: float, gap_s: float, seed: int
) -> None:
    """What was let through is at most the size and what came in; who replaces a refusal needs no token."""
    parts = model(service=server(ttft=law(), failure_share=failure_share))
    records = play(policy, parts, requests(60, gap_s=gap_s, seed=seed), seed=seed).records
    n_second = sum(record.is_device_dispatched and record.server_prompt_tok > 0 for record in records)
    assert n_second <= math.floor(policy.bucket_size + policy.tokens_per_request * 60 + 1e-9)


@examples(20)
@given(
    size=st.integers(1, 9),
    times=st.lists(st.sampled_from([0.1, 0.2, 0.5, 1.0, 3.0]), max_size=30),
    level=st.sampled_from([0.0, 0.1, 0.5, 0.75, 0.9]),
)
def test_the_window_against_sorting(size: int, times: list[float], level: float) -> None:
    window = Window(size, times[:5])
    for known in range(min(5, len(times)), len(times) + 1):
        kept = sorted(times[max(0, known - size) : known])
        enough = [x for x in kept if sum(other <= x for other in kept) >= level * len(kept) - 1e-9]
        expected = 0.0 if level == 0 else math.inf if len(kept) < 1 / (1 - level) - 1e-9 else enough[0]
        assert window.quantile_s(level) == expected
        if known < len(times):
            window.add(times[known])


def test_without_a_past_nobody_is_asked_twice_until_the_quantile_is_known() -> None:
    """Four times make a 75 % quantile: 1, 2, 3 and 9 s give 3 s; then 2, 3, 9 and 3.9 s are among five."""
    policy = Hedge(quantile=0.75, initial="none", tokens_per_request=1)
    done = played(policy, [10, 20, 30, 90, 90, 38], [0.01])
    assert used(done) == [False, False, False, False, True, False]
    assert done.ttft_s == pytest.approx([1.0, 2.0, 3.0, 9.0, 3.9, 3.8])


def test_a_refusal_is_replaced_at_once_and_needs_no_token() -> None:
    refuses = server(ttft=constant(5.0), failure_share=1.0, failure_after_s=0.2)
    done = play(
        Hedge(tokens_per_request=0, bucket_size=1), model(service=refuses), requests(20, gap_s=60, prompt_tok=100)
    )
    assert used(done) == [True] * 20
    assert done.ttft_s == pytest.approx(0.2 + 1.0)


def test_a_device_that_cannot_hold_the_prompt_takes_no_token() -> None:
    policy = Hedge(quantile=0.5, tokens_per_request=0, bucket_size=1)
    world = model(service=BY_LENGTH, device=profile(max_context_tok=120))
    table = replace(requests(3, prompt_tok=[200, 150, 80], output_tok=2), arrival_s=np.array([0.0, 1e3, 2e3]))
    done = play(policy, world, table, view=past(world, ttft_s=[1.0] * 10, ttft_prompt_tok=[1] * 10))
    assert used(done) == [False, False, True]


def test_the_same_server_again_draws_anew() -> None:
    """Of two draws of which one in ten is slow, both are slow in one of a hundred."""
    slow = server(ttft=law(replace(law().table, levels=(0.0, 0.9, 0.9 + 1e-9, 1.0), values=(0.1, 0.2, 9.0, 9.0))))
    table = requests(400, gap_s=100.0)
    policy = Hedge(second="server", quantile=0.5, tokens_per_request=1.0)
    done = play(policy, model(service=slow), table)
    share = float((done.ttft_s > 1.0).mean())
    assert share <= 0.03, "binomial with n 400 and p 0.01: above 12 with a probability of 1e-4"
    assert not any(used(done))
    assert done.columns["server_prompt_tok"].sum() > 1.3 * done.columns["prompt_tok"].sum()


def test_without_wait_and_bound_it_is_a_race() -> None:
    parts, table = model(), requests(60)
    hedge = play(Hedge(quantile=0, tokens_per_request=1, bucket_size=1e9), parts, table)
    race = play(Race(), parts, table)
    assert np.array_equal(hedge.ttft_s, race.ttft_s)


@pytest.mark.parametrize(
    "options", [{"service": "device"}, {"second": "edge"}, {"quantile": 1.0}, {"bucket_size": 0.5}]
)
def test_what_means_nothing_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(options))):
        load_scenario("quickstart", overrides=[f"policies=[{json.dumps({'kind': 'hedge', **options})}]"])
