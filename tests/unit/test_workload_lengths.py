"""Length laws: marginals, dependence, limits and history."""

from __future__ import annotations

import numpy as np
import pytest

from discosim.core.errors import UserError
from discosim.core.rng import RandomStreams
from discosim.core.scenario import (
    ConstantLengths,
    DigestLengths,
    GeneratedWorkload,
    LognormalLengths,
    PoissonArrivals,
)
from discosim.traces.catalogue import load_digest
from discosim.traces.digest import ClientDigest, WorkloadDigest
from discosim.traces.history import Past
from discosim.traces.lengths import draw_lengths

LAWS = [
    ConstantLengths(prompt_tok=5, output_tok=7),
    LognormalLengths(prompt_median_tok=100, output_median_tok=2),
    DigestLengths(digest="azure-code"),
    DigestLengths(digest="sharegpt"),
    DigestLengths(digest="servegen-deepseek-r1"),
]


def rng():
    return np.random.default_rng(17)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.kind + getattr(law, "digest", ""))
def test_lengths_are_whole_positive_and_keep_their_prefix(law):
    few, many = draw_lengths(law, 300, rng()), draw_lengths(law, 5000, rng())
    for short, long in zip(few, many, strict=True):
        assert long.dtype == np.int64
        assert long.min() >= 1
        np.testing.assert_array_equal(short, long[:300])


def test_lognormal_median_and_spread():
    prompt, output = draw_lengths(
        LognormalLengths(prompt_median_tok=500, prompt_sigma=0.8, output_median_tok=200, output_sigma=0.0),
        40_000,
        rng(),
    )
    # SE of a mean of 40,000 logs is 0.8/200 = 0.004; 5 SE: false alarm 6 in 10 million
    assert np.log(prompt).mean() == pytest.approx(np.log(500), abs=0.02)
    assert np.log(prompt).std() == pytest.approx(0.8, abs=0.02)
    assert (output == 200).all()


@pytest.mark.parametrize("name", ["azure-conv", "sharegpt", "mooncake-conversation"])
def test_joint_lengths_keep_marginals_and_rank_correlation(name):
    digest = load_digest(name, "workload")
    assert isinstance(digest, WorkloadDigest)
    prompt, output = draw_lengths(DigestLengths(digest=name), 200_000, rng())
    # ranks: SE of an empirical share is at most 0.0011; 5 SE
    for values, table in ((prompt, digest.prompt), (output, digest.output)):
        for level in (0.1, 0.5, 0.9):
            knot = round(float(table.ppf(level)))
            assert np.mean(values < knot) <= level + 0.006
            assert np.mean(values <= knot) >= level - 0.006
    from scipy.stats import spearmanr

    # SE near 1/sqrt(n) = 0.0022, bins of 1/24 cost less than 0.005
    assert spearmanr(prompt, output).statistic == pytest.approx(digest.moments["prompt_output_spearman"], abs=0.016)


def test_client_lengths_follow_the_sender():
    digest = load_digest("servegen-deepseek-r1", "clients")
    assert isinstance(digest, ClientDigest)
    law = DigestLengths(digest="servegen-deepseek-r1")
    sender = np.zeros(20_000, dtype=np.int64)
    prompt, _ = draw_lengths(law, 20_000, rng(), sender=sender)
    group = digest.length_groups[digest.clients[0].group]
    assert np.median(prompt) == pytest.approx(float(group.prompt.ppf(0.5)), rel=0.05)
    mixed, _ = draw_lengths(law, 20_000, rng())
    assert np.median(mixed) > 1.2 * np.median(prompt)


def test_a_latency_digest_has_no_lengths():
    with pytest.raises(UserError, match="holds no lengths"):
        draw_lengths(DigestLengths(digest="phone-4g"), 5, rng())


def workload(**limits) -> GeneratedWorkload:
    return GeneratedWorkload(
        arrivals=PoissonArrivals(rate_per_s=1.0), lengths=DigestLengths(digest="azure-conv"), **limits
    )


def test_history_keeps_the_limits():
    dropped = Past.of(workload(max_prompt_tok=1000), RandomStreams(1)).lengths(4000)
    assert dropped[0].size == dropped[1].size == 4000
    assert dropped[0].max() <= 1000
    assert np.mean(dropped[0] == 1000) < 0.01
    clipped = Past.of(workload(max_prompt_tok=1000, over_limit="clip"), RandomStreams(1)).lengths(4000)
    assert np.mean(clipped[0] == 1000) > 0.4


def test_history_that_nothing_fits_is_a_user_error():
    with pytest.raises(UserError, match="reject nearly every request"):
        Past.of(workload(max_prompt_tok=1), RandomStreams(1)).lengths(100)
