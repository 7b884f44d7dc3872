"""The workload stage: determinism, prefix property, limits, users, readers, and replay."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from discosim.core.errors import UserError
from discosim.core.rng import RandomStreams
from discosim.core.scenario import (
    ClientArrivals,
    DigestArrivals,
    DigestLengths,
    GeneratedWorkload,
    LognormalLengths,
    PoissonArrivals,
    Reader,
    ReplayedWorkload,
)
from discosim.traces.history import Past
from discosim.traces.reader_rates import LISTENING, READING, rates_of_users
from discosim.traces.workload import make_requests

COLUMNS = (
    "arrival_s",
    "prompt_tok",
    "output_tok",
    "user_id",
    "reader_tok_per_s",
    "ttft_target_s",
    "rejected",
)
HERE = Path()
AZURE = GeneratedWorkload(
    n_requests=2000,
    n_users=50,
    arrivals=DigestArrivals(digest="azure-conv", rate_per_s=1.0),
    lengths=DigestLengths(digest="azure-conv"),
)


def make(workload, reader=None, seed=1, replication=0, base_dir=HERE):
    reader = Reader(tok_per_s="reading") if reader is None else reader
    return make_requests(workload, reader, RandomStreams(seed, replication), base_dir)


def test_more_requests_change_none_of_the_first():
    few, many = make(replace(AZURE, n_requests=300)), make(AZURE)
    for column in COLUMNS:
        np.testing.assert_array_equal(getattr(few, column), getattr(many, column)[:300])
    assert len(many) == 2000


def test_replications_and_seeds_differ():
    tables = [make(AZURE), make(AZURE, replication=1), make(AZURE, seed=2)]
    for other in tables[1:]:
        assert not np.array_equal(tables[0].arrival_s, other.arrival_s)
        assert not np.array_equal(tables[0].prompt_tok, other.prompt_tok)


def test_the_length_law_does_not_disturb_the_arrivals():
    other = make(replace(AZURE, lengths=DigestLengths(digest="sharegpt"), n_users=7))
    np.testing.assert_array_equal(make(AZURE).arrival_s, other.arrival_s)


_HASH_SCRIPT = """
import hashlib
from pathlib import Path
from discosim.core.rng import RandomStreams
from discosim.core.scenario import *
from discosim.traces.workload import make_requests
workload = GeneratedWorkload(
    n_requests=500,
    arrivals=ClientArrivals(digest="servegen-deepseek-r1"),
    lengths=DigestLengths(digest="servegen-deepseek-r1"),
)
table = make_requests(workload, Reader(tok_per_s="listening"), RandomStreams(4), Path())
columns = (table.arrival_s, table.prompt_tok, table.output_tok, table.user_id, table.reader_tok_per_s)
print(hashlib.sha256(b"".join(c.tobytes() for c in columns)).hexdigest())
"""


def test_the_same_bytes_whatever_the_hash_seed():
    def run(hash_seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        return subprocess.run(
            [sys.executable, "-c", _HASH_SCRIPT], env=environment, capture_output=True, text=True, check=True
        ).stdout

    first = run("0")
    assert len(first.strip()) == 64
    assert first == run("12345")


def test_limits_reject_or_clip_and_are_counted():
    plain = make(AZURE)
    over = plain.prompt_tok > 1500
    rejecting = make(replace(AZURE, max_prompt_tok=1500))
    np.testing.assert_array_equal(rejecting.rejected, over)
    np.testing.assert_array_equal(rejecting.prompt_tok, plain.prompt_tok)
    assert rejecting.notes["rejected_for_prompt_tok"] == over.sum() > 0
    clipping = make(replace(AZURE, max_prompt_tok=1500, over_limit="clip"))
    assert not clipping.rejected.any()
    np.testing.assert_array_equal(clipping.prompt_tok, np.minimum(plain.prompt_tok, 1500))
    assert clipping.notes["clipped_for_prompt_tok"] == over.sum()


def test_users_are_uniform_and_read_at_their_own_rate():
    table = make(replace(AZURE, n_requests=20_000, n_users=5))
    counts = np.bincount(table.user_id, minlength=5)
    # binomial SE of 20,000 draws at 1/5 is 57; 5 SE, five users: false alarm 3 in a million
    assert np.abs(counts - 4000).max() < 285
    for user in range(5):
        assert np.unique(table.reader_tok_per_s[table.user_id == user]).size == 1


@pytest.mark.parametrize(("name", "groups"), [("reading", READING), ("listening", LISTENING)])
def test_reader_tables_are_drawn_with_their_shares(name, groups):
    rates = rates_of_users(Reader(tok_per_s=name), 100_000, np.random.default_rng(1))
    total = sum(group.share for group in groups)
    for rate in {1 / group.s_per_tok for group in groups}:
        share = sum(group.share for group in groups if 1 / group.s_per_tok == rate) / total
        # binomial SE at most 0.0016; 5 SE
        assert np.mean(rates == rate) == pytest.approx(share, abs=0.008)
    assert total == pytest.approx(100, abs=0.02)


def test_who_sends_a_long_prompt_expects_the_first_token_later():
    lengths = LognormalLengths(prompt_median_tok=5000, output_median_tok=100)
    requests = make(replace(AZURE, n_requests=200, lengths=lengths), Reader(ttft_prompt_tok_per_s=5000.0))
    by_hand = [max(1.0, tok / 5000) for tok in requests.prompt_tok.tolist()]
    assert requests.ttft_target_s.tolist() == by_hand
    assert 50 < sum(target > 1.0 for target in by_hand) < 150


def test_a_fixed_reader_and_its_target():
    table = make(AZURE, Reader(tok_per_s=4.8, ttft_target_s=0.7))
    assert (table.reader_tok_per_s == 4.8).all()
    assert (table.ttft_target_s == 0.7).all()


# --- replay ---------------------------------------------------------------------------------------------------

MOONCAKE = "\n".join(
    f'{{"timestamp": {3000 * (i // 4)}, "input_length": {10 + i}, "output_length": {1 + i}, "hash_ids": []}}'
    for i in range(40)
)


@pytest.fixture
def trace(tmp_path):
    (tmp_path / "trace.jsonl").write_text(MOONCAKE + "\n")
    return tmp_path


def test_replay_takes_the_first_requests_and_scales_time(trace):
    table = make(ReplayedWorkload(file="trace.jsonl", n_requests=8, time_scale=2.0), base_dir=trace)
    np.testing.assert_allclose(table.arrival_s, [0, 0, 0, 0, 6, 6, 6, 6])
    np.testing.assert_array_equal(table.prompt_tok, np.arange(10, 18))
    assert table.notes["arrival_times_multiplied_by"] == 2.0
    assert table.notes["users"] == "drawn from 100"


def test_spread_ties_stay_in_their_tick_in_every_replication_alike(trace):
    workload = ReplayedWorkload(file="trace.jsonl", ties="spread")
    first, second = (make(workload, replication=r, base_dir=trace) for r in (0, 1))
    np.testing.assert_array_equal(first.arrival_s, second.arrival_s)
    np.testing.assert_array_equal(first.arrival_s // 3, np.arange(40) // 4)
    assert np.unique(first.arrival_s).size == 40
    assert not np.array_equal(first.arrival_s, make(workload, seed=2, base_dir=trace).arrival_s)


def test_a_trace_that_is_too_short_or_missing_is_a_user_error(trace):
    with pytest.raises(UserError, match="n_requests is 41, the trace holds 40"):
        make(ReplayedWorkload(file="trace.jsonl", n_requests=41), base_dir=trace)
    with pytest.raises(UserError, match="no such file"):
        make(ReplayedWorkload(file="none.jsonl"), base_dir=trace)


def test_history_of_a_replay_resamples_the_trace(trace):
    workload = ReplayedWorkload(file="trace.jsonl")
    prompt, output = Past.of(workload, RandomStreams(1), trace).lengths(500)
    assert set(prompt) <= set(range(10, 50))
    np.testing.assert_array_equal(prompt - 10, output - 1)


def test_unknown_digests_are_named():
    bad = replace(AZURE, lengths=DigestLengths(digest="azure-con"))
    with pytest.raises(UserError, match="did you mean 'azure-conv'"):
        make(bad)
    bad = replace(AZURE, arrivals=ClientArrivals(digest="azure-conv"))
    with pytest.raises(UserError, match="is of kind workload, a clients digest is needed"):
        make(bad)


def test_client_arrivals_with_other_lengths():
    workload = GeneratedWorkload(
        n_requests=200,
        arrivals=ClientArrivals(digest="servegen-deepseek-r1", rate_per_s=1.0),
        lengths=DigestLengths(digest="azure-conv"),
    )
    poisson = replace(workload, arrivals=PoissonArrivals(rate_per_s=1.0))
    np.testing.assert_array_equal(make(workload).prompt_tok, make(poisson).prompt_tok)
