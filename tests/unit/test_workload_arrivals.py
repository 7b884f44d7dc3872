"""Arrival laws: means and spreads as theory has them, phases, scaling, and the prefix property."""

from __future__ import annotations

import math

import numpy as np
import pytest

from discosim.core.errors import UserError
from discosim.core.rng import RandomStreams
from discosim.core.scenario import (
    BurstArrivals,
    ClientArrivals,
    DigestArrivals,
    GammaArrivals,
    PoissonArrivals,
)
from discosim.traces import arrivals
from discosim.traces.arrivals import Clock, draw_arrivals, weibull_shape
from discosim.traces.catalogue import load_digest
from discosim.traces.digest import ClientDigest, WorkloadDigest

LAWS = [
    PoissonArrivals(rate_per_s=2.0),
    GammaArrivals(rate_per_s=2.0, burstiness=0.3),
    BurstArrivals(rate_per_s=2.0, cycle_s=100.0),
    DigestArrivals(digest="azure-conv"),
    DigestArrivals(digest="azure-code", rate_per_s=0.5, rate_profile=True),
    ClientArrivals(digest="servegen-deepseek-r1", rate_per_s=3.0, start_hour=6.5),
]
# 30 replications, |t| < 4.6: false alarm 8 in 100,000 per comparison (t with 29 degrees of freedom)
REPLICATIONS, T_LIMIT = 30, 4.6


def gaps_of(law, n: int, replication: int):
    return np.diff(draw_arrivals(law, n, RandomStreams(11, replication)).arrival_s, prepend=0.0)


def assert_mean(samples, theory: float):
    samples = np.asarray(samples)
    error = samples.std(ddof=1) / math.sqrt(samples.size)
    assert abs(samples.mean() - theory) < T_LIMIT * error, (samples.mean(), theory, error)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.kind + getattr(law, "digest", ""))
def test_first_arrivals_do_not_depend_on_how_many_are_drawn(law):
    few, many = (draw_arrivals(law, n, RandomStreams(3)) for n in (200, 3000))
    np.testing.assert_array_equal(few.arrival_s, many.arrival_s[:200])
    assert many.arrival_s.size == 3000
    assert (np.diff(many.arrival_s) >= 0).all()
    assert many.arrival_s[0] >= 0
    if few.client is not None:
        np.testing.assert_array_equal(few.client, many.client[:200])


@pytest.mark.parametrize("burstiness", [0.25, 1.0, 4.0])
def test_gamma_gaps_have_the_mean_and_cv_of_the_law(burstiness):
    law = GammaArrivals(rate_per_s=4.0, burstiness=burstiness)
    gaps = [gaps_of(law, 2000, r) for r in range(REPLICATIONS)]
    assert_mean([g.mean() for g in gaps], 0.25)
    # E[g^2] = mean^2 (1 + CV^2), CV = 1/sqrt(burstiness)
    assert_mean([np.mean(g**2) for g in gaps], 0.25**2 * (1 + 1 / burstiness))


def test_poisson_gaps_are_exponential():
    gaps = [gaps_of(PoissonArrivals(rate_per_s=0.5), 2000, r) for r in range(REPLICATIONS)]
    assert_mean([g.mean() for g in gaps], 2.0)
    assert_mean([np.mean(g > 2.0) for g in gaps], math.exp(-1))


def test_burst_phases_carry_their_shares():
    law = BurstArrivals(rate_per_s=5.0, intensity=2.0, width=0.35, cycle_s=40.0)
    calm_rate = 5.0 * (1 - 0.7) / 0.65
    bursts, calms = [], []
    for replication in range(REPLICATIONS):
        arrival_s = draw_arrivals(law, 6000, RandomStreams(2, replication)).arrival_s
        whole = arrival_s[arrival_s < 25 * 40.0]
        in_burst = whole % 40.0 < 0.35 * 40.0
        bursts.append(in_burst.sum() / (25 * 14.0))
        calms.append((~in_burst).sum() / (25 * 26.0))
    assert_mean(bursts, 10.0)
    assert_mean(calms, calm_rate)


def test_a_burst_that_takes_all_load_is_refused():
    with pytest.raises(UserError, match=r"intensity \* width must stay below 1"):
        draw_arrivals(BurstArrivals(rate_per_s=1.0, intensity=2.0, width=0.5), 10, RandomStreams(1))


def test_digest_gaps_keep_the_measured_rate_and_cv():
    digest = load_digest("azure-conv", "workload")
    assert isinstance(digest, WorkloadDigest)
    gaps = [gaps_of(DigestArrivals(digest="azure-conv"), 4000, r) for r in range(REPLICATIONS)]
    mean = digest.moments["gap_mean"]
    # the table keeps the mean within 0.1 %, a tenth of the standard error of 30 x 4000 gaps
    assert_mean([g.mean() for g in gaps], mean)
    assert_mean([np.mean(g**2) for g in gaps], mean**2 * (1 + digest.moments["gap_cv"] ** 2))


def test_rate_scaling_multiplies_every_gap_and_says_so():
    measured = draw_arrivals(DigestArrivals(digest="azure-code"), 500, RandomStreams(1))
    scaled = draw_arrivals(DigestArrivals(digest="azure-code", rate_per_s=0.1), 500, RandomStreams(1))
    factor = scaled.notes["gaps_multiplied_by"]
    assert isinstance(factor, float)
    assert factor == pytest.approx(25.66, rel=1e-3)
    np.testing.assert_allclose(scaled.arrival_s, measured.arrival_s * factor)
    assert not measured.notes


def test_rate_profile_is_replayed():
    digest = load_digest("azure-conv", "workload")
    assert isinstance(digest, WorkloadDigest)
    assert digest.rate_profile is not None
    bins = len(digest.rate_profile.relative)
    law = DigestArrivals(digest="azure-conv", rate_profile=True)
    shares = []
    for replication in range(REPLICATIONS):
        arrival_s = draw_arrivals(law, 18_000, RandomStreams(5, replication)).arrival_s
        counts, _ = np.histogram(arrival_s, np.arange(9) * digest.rate_profile.bin_s)
        shares.append(counts / counts.sum())
    wanted = np.array(digest.rate_profile.relative[:8])
    # the last bins are left out: 18,000 requests end before them; ratio estimates, SE below 1 % of each share
    np.testing.assert_allclose(np.mean(shares, axis=0), wanted / wanted.sum(), rtol=0.02)
    assert bins == 12


def test_a_digest_without_times_is_refused():
    with pytest.raises(UserError, match="has no arrival times"):
        draw_arrivals(DigestArrivals(digest="sharegpt"), 10, RandomStreams(1))


def test_clock_inverts_its_integral():
    clock = Clock([10.0, 20.0, 10.0], [1.0, 0.0, 3.0])
    reached = np.array([0.5, 9.9, 25.0, 40.5, 95.0])
    np.testing.assert_allclose(clock.integral(clock.time_s(reached)), reached)
    np.testing.assert_allclose(clock.time_s([5.0, 13.0, 45.0]), [5.0, 31.0, 45.0])


@pytest.mark.parametrize("cv", [0.3, 1.0, 2.5, 9.0])
def test_weibull_shape_gives_the_cv(cv):
    shape = weibull_shape(cv)
    mean = math.gamma(1 + 1 / shape)
    assert math.sqrt(math.gamma(1 + 2 / shape) / mean**2 - 1) == pytest.approx(cv, rel=1e-9)


def test_clients_have_their_rates_from_the_first_second():
    digest = load_digest("servegen-deepseek-r1", "clients")
    assert isinstance(digest, ClientDigest)
    hourly = np.array([client.hourly_rate_per_s for client in digest.clients])
    factor = 1.0 / hourly.mean(axis=1).sum()
    law = ClientArrivals(digest="servegen-deepseek-r1", rate_per_s=1.0, start_hour=2.0)
    first, largest = [], []
    for replication in range(REPLICATIONS):
        arrived = draw_arrivals(law, 14_000, RandomStreams(9, replication))
        assert arrived.client is not None
        assert arrived.arrival_s[-1] > 3600
        within = arrived.arrival_s < 3600
        first.append(within.sum())
        largest.append((arrived.client[within] == 0).sum())
    # processes start in equilibrium, so the expected count is exact although the gaps are bursty
    assert_mean(first, hourly[:, 2].sum() * factor * 3600)
    assert_mean(largest, hourly[0, 2] * factor * 3600)


@pytest.mark.parametrize("family", ["gamma", "weibull"])
def test_first_gap_has_the_mean_of_the_equilibrium(family):
    from discosim.traces.digest import Client

    client = Client(share=1.0, hourly_rate_per_s=(1.0,) * 24, family=family, cv=1.5, group=0)
    rng = np.random.default_rng(8)
    residual = np.array([arrivals._first_gap(client, rng) for _ in range(10_000)])
    # E = (1 + CV^2)/2 for unit gaps; 5 SE: false alarm 6 in 10 million
    assert residual.mean() == pytest.approx((1 + 1.5**2) / 2, abs=5 * residual.std() / 100)
    gaps = arrivals._unit_gaps(client, 200_000, rng)
    assert gaps.mean() == pytest.approx(1.0, abs=5 * 1.5 / math.sqrt(200_000))
    assert gaps.std() == pytest.approx(1.5, rel=0.05)


def drawn_in_whole_blocks(law: ClientArrivals, n: int, streams: RandomStreams):
    """Return arrivals as a plain loop draws them: all clients up to a horizon of at least a minute, block by block."""
    digest = load_digest(law.digest, "clients")
    assert isinstance(digest, ClientDigest)
    hourly = np.array([client.hourly_rate_per_s for client in digest.clients])
    factor = law.rate_per_s / float(hourly.mean(axis=1).sum())
    horizon_s, start_s = 1.2 * n / law.rate_per_s + 60.0, law.start_hour * 3600.0
    while True:
        times = []
        for index, (client, rates) in enumerate(zip(digest.clients, hourly, strict=True)):
            if not rates.any():
                times.append(np.empty(0))
                continue
            clock, rng = Clock(np.full(24, 3600.0), rates * factor), streams.generator(arrivals.GAPS, index)
            begin = float(clock.integral(start_s))
            wanted = float(clock.integral(start_s + horizon_s)) - begin
            reached = arrivals._first_gap(client, rng)
            parts = [np.array([reached])]
            while reached <= wanted:
                parts.append(reached + np.cumsum(arrivals._unit_gaps(client, 64 + int(wanted - reached), rng)))
                reached = float(parts[-1][-1])
            expected = np.concatenate(parts)
            times.append(clock.time_s(begin + expected[expected <= wanted]) - start_s)
        if sum(t.size for t in times) >= n:
            break
        horizon_s *= 2.0
    merged = np.concatenate(times)
    order = np.argsort(merged, kind="stable")[:n]
    return merged[order], np.repeat(np.arange(len(times)), [t.size for t in times])[order]


@pytest.mark.parametrize(
    ("rate_per_s", "n", "hour"), [(0.05, 40, 3.0), (2.0, 500, 0.0), (300.0, 3, 9.5), (900.0, 9000, 23.9)]
)
def test_clients_are_drawn_bit_by_bit_as_in_whole_blocks(rate_per_s, n, hour):
    law = ClientArrivals(digest="servegen-deepseek-r1", rate_per_s=rate_per_s, start_hour=hour)
    drawn = draw_arrivals(law, n, RandomStreams(5))
    arrival_s, client = drawn_in_whole_blocks(law, n, RandomStreams(5))
    np.testing.assert_array_equal(drawn.arrival_s, arrival_s)
    np.testing.assert_array_equal(drawn.client, client)


@pytest.mark.parametrize("n", [3, 20_000])
def test_clients_cost_what_they_yield(n, monkeypatch):
    drawn = []
    whole = arrivals._unit_gaps

    def counted(client, size, rng):
        drawn.append(size)
        return whole(client, size, rng)

    monkeypatch.setattr(arrivals, "_unit_gaps", counted)
    law = ClientArrivals(digest="servegen-deepseek-r1", rate_per_s=1e6)
    assert draw_arrivals(law, n, RandomStreams(1)).arrival_s.size == n
    n_clients = len(load_digest("servegen-deepseek-r1", "clients").clients)
    # each try draws at least 64 gaps a client, and tries grow fourfold: 60 s of this load would be 60 million gaps
    assert sum(drawn) < 64 * n_clients * 12 + 12 * n
