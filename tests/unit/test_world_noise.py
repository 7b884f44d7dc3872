"""A device's noise: what it multiplies, what is billed, and that it belongs to the request and to nothing else."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr
from worlds import NO_LINK, constant, constant_link, examples, model, play, profile, requests, server

from discosim.core.device_law import Heat, Residual, Stalls
from discosim.core.empirical import CorrelatedSeries, QuantileTable
from discosim.core.rng import RandomStreams
from discosim.core.scenario import ColdStart, Throttle
from discosim.policies import Policy
from discosim.policies.device_only import DeviceOnly
from discosim.policies.kv_shipping import KVShipping
from discosim.policies.pd_device import PDDevice
from discosim.policies.race import Race
from discosim.policies.speculative import Speculative
from discosim.world.device import Device, DeviceStream
from discosim.world.device_profile import DeviceProfile
from discosim.world.noise import NONE, Noise, Noises
from discosim.world.pace import Warming
from discosim.world.verbs.absorbing import AbsorbingStream
from discosim.world.verbs.adopting import AdoptingStream

WIDE = QuantileTable((0.0, 0.5, 0.9, 1.0), (0.6, 1.0, 1.6, 5.0))
LAW = Residual(
    prefill=CorrelatedSeries(WIDE, 0.6),
    decode=CorrelatedSeries(QuantileTable((0.0, 1.0), (0.8, 1.3)), 0.3),
    stalls=Stalls(share=0.2, duration=QuantileTable((0.0, 1.0), (0.5, 6.0))),
)
NOISY = profile(residual=LAW)
HEAT = Heat(heating_s=3.0, cooling_s=10.0, onset=0.2, floor=0.3)


@dataclass
class Job:
    """A stream with its noise, to be started at a time, and perhaps stopped at a later one."""

    at_s: float
    prompt_tok: int
    n_tok: int
    noise: Noise = NONE
    stop_s: float = np.inf
    finish_prefill: bool = False


def serve(unit: DeviceProfile, jobs: list[Job]) -> list[DeviceStream]:
    """Let one device serve jobs, each started and stopped by a process of its own."""
    env = simpy.Environment()
    device = Device(env, unit)
    streams: dict[int, DeviceStream] = {}

    def run(k: int, job: Job) -> Generator[Any, Any, None]:
        yield env.timeout(job.at_s)
        streams[k] = device.start(job.prompt_tok, 1, job.n_tok, job.noise)
        if job.stop_s < np.inf:
            yield env.timeout(job.stop_s - job.at_s)
            streams[k].stop(finish_prefill=job.finish_prefill)

    for k, job in enumerate(jobs):
        env.process(run(k, job))
    env.run(until=1e5)
    return [streams[k] for k in range(len(jobs))]


# --- what it multiplies ---------------------------------------------------------------------------------------


def test_ratios_multiply_prefill_and_gaps_and_a_stall_is_added() -> None:
    unit = profile(prefill_intercept_s=0.5, chunk_tok=64)  # 100 tokens are two chunks: 0.5 + 1.28 s
    (stream,) = serve(unit, [Job(1.0, 100, 4, Noise(1.5, 0.5, 2.0))])
    first_s = 1.0 + 2.0 + 1.5 * 1.78
    np.testing.assert_allclose(stream.arrival_s, first_s + 0.5 / 15.0 * np.arange(4))
    assert stream.last_arrival_s() == pytest.approx(stream.arrival_s[-1])


def test_a_stall_lasts_as_long_on_a_hot_device_but_work_after_it_is_slow() -> None:
    hot = profile(throttle=Throttle(onset_s=1.0, sustained=0.5))
    (stream,) = serve(hot, [Job(0.0, 100, 1, Noise(stall_s=4.0))])
    assert stream.first_arrival_s == pytest.approx(4.0 + 1.0 / 0.5)
    warm = profile(heat=HEAT)
    (stream,) = serve(warm, [Job(0.0, 100, 1, Noise(stall_s=4.0))])
    at_stall = Warming(HEAT, 0.0).heat_after(4.0)
    assert stream.first_arrival_s == pytest.approx(4.0 + Warming(HEAT, at_stall).elapsed_s(1.0))


def test_the_first_request_after_a_start_takes_longer() -> None:
    cold = ColdStart(load_s=2.0, keep_s=10.0)
    unit = profile(residual=replace(LAW, first=3.0), cold_start=cold)
    jobs = [Job(0.0, 100, 1), Job(6.0, 100, 1), Job(30.0, 100, 1)]
    assert [s.arrival_s[0] for s in serve(unit, jobs)] == pytest.approx([5.0, 7.0, 35.0])
    assert [s.arrival_s[0] for s in serve(replace(unit, cold_start=None), jobs)] == pytest.approx([3.0, 7.0, 31.0])
    free = replace(unit, cold_start=replace(cold, load_s=0.0))
    assert [s.arrival_s[0] for s in serve(free, jobs)] == pytest.approx([3.0, 7.0, 33.0])


def test_a_first_request_that_is_broken_off_leaves_the_next_one_the_first() -> None:
    unit = profile(residual=replace(LAW, first=3.0))
    early, late = ([Job(0.0, 100, 9, stop_s=at_s), Job(10.0, 100, 1)] for at_s in (2.9, 3.1))
    assert serve(unit, early)[1].arrival_s[0] == pytest.approx(13.0)
    assert serve(unit, late)[1].arrival_s[0] == pytest.approx(11.0)
    finishing = [Job(0.0, 100, 9, stop_s=0.1, finish_prefill=True), Job(10.0, 100, 1)]
    assert serve(unit, finishing)[1].arrival_s[0] == pytest.approx(11.0)


def test_a_device_that_absorbs_is_as_noisy() -> None:
    env = simpy.Environment()
    device = Device(env, profile(residual=replace(LAW, first=2.0)))
    stream = AbsorbingStream(device, 100, Noise(1.5, 2.0, 0.25))
    device.take(stream)
    own_s = 0.25 + 1.0 * 1.5 * 2.0
    assert stream.caught_up_s(10) == pytest.approx(own_s + 10 * 0.01 * 1.5)
    assert stream.foreseen_s(10) == pytest.approx(1.0 + 10 * 0.01), "what a policy may foresee is the line"
    stream.go_on(10, 3, received_s=0.0)
    np.testing.assert_allclose(stream.arrival_s, own_s + 0.15 + 2.0 / 15.0 * np.arange(3))
    env.run(until=20.0)
    after = AbsorbingStream(device, 100)
    device.take(after)
    assert after.caught_up_s(0) == pytest.approx(env.now + 1.0), "it is warm now"


def test_a_token_absorbed_last_takes_its_own_noisy_time() -> None:
    env = simpy.Environment()
    device = Device(env, profile())
    stream = AbsorbingStream(device, 100, Noise(prefill=2.0))
    device.take(stream)
    stream.go_on(5, 1, received_s=50.0)
    assert stream.first_arrival_s == pytest.approx(50.02)


def test_a_cache_that_was_sent_meets_no_stall_but_slow_decoding() -> None:
    env = simpy.Environment()
    device = Device(env, profile())
    stream = AdoptingStream(device, 5, 3, Noise(9.0, 2.0, 7.0))
    device.take(stream)
    np.testing.assert_allclose(stream.arrival_s, 2.0 / 15.0 * np.arange(1, 4))


# --- what is billed -------------------------------------------------------------------------------------------

jobs = st.lists(
    st.builds(
        Job,
        at_s=st.floats(0, 20),
        prompt_tok=st.integers(1, 300),
        n_tok=st.integers(1, 60),
        noise=st.builds(Noise, st.floats(0.3, 4.0), st.floats(0.5, 2.0), st.just(0.0) | st.floats(0.1, 5.0)),
        stop_s=st.just(np.inf) | st.floats(0, 40),
        finish_prefill=st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


@examples(80)
@given(jobs, st.sampled_from([None, HEAT]), st.sampled_from([1.0, 2.5]))
def test_a_stop_at_any_moment_bills_what_was_done(asked: list[Job], heat: Heat | None, first: float) -> None:
    """An independent walk through the queue: begins, ends, heat, warmth and bills of all."""
    for job in asked:
        job.stop_s = max(job.stop_s, job.at_s)
    unit = profile(heat=heat, heat_at_start=0.3 if heat else 0.0, residual=replace(LAW, first=first))
    streams = serve(unit, asked)
    free_s, hot, is_warm = 0.0, unit.heat_at_start, False
    for k in sorted(range(len(asked)), key=lambda k: (streams[k].requested_s, k)):
        job, stream = asked[k], streams[k]
        begin_s = max(job.at_s, free_s)
        if abs(job.stop_s - begin_s) < 1e-6:
            return  # who comes first at the very same moment is not the question here
        if job.stop_s < begin_s and not (job.finish_prefill and job.stop_s < begin_s):
            assert stream.bill() == (0.0, 0)
            continue
        stall_s, work_s = job.noise.stall_s, unit.prefill_s(job.prompt_tok) * job.noise.prefill
        work_s *= 1.0 if is_warm else first
        gaps_s = np.arange(job.n_tok) / unit.decode_tok_per_s * job.noise.decode
        times_s = begin_s + stall_s + work_s + gaps_s
        if heat is not None:
            hot *= np.exp(-(begin_s - free_s) / heat.cooling_s)
            after = Warming(heat, Warming(heat, hot).heat_after(stall_s))
            times_s = begin_s + stall_s + np.array([after.elapsed_s(w) for w in work_s + gaps_s])
        if (np.abs(times_s - job.stop_s) < 1e-6).any():
            return
        first_s = times_s[0]
        if job.finish_prefill and job.stop_s < first_s:
            assert stream.bill() == (job.prompt_tok, 1)
            end_s = first_s
        elif job.stop_s < first_s:
            done = (job.stop_s - begin_s) / (first_s - begin_s)
            assert stream.bill() == (pytest.approx(job.prompt_tok * done), 0)
            end_s = job.stop_s
        else:
            assert stream.first_arrival_s == pytest.approx(first_s, abs=1e-8)
            assert stream.bill() == (job.prompt_tok, int(np.sum(times_s <= job.stop_s)))
            end_s = min(times_s[-1], job.stop_s)
        is_warm = is_warm or end_s >= first_s
        if heat is not None:
            hot = Warming(heat, hot).heat_after(end_s - begin_s)
        free_s = end_s


# --- whose luck it is -----------------------------------------------------------------------------------------


def draws(law: Residual, user_id: Any, attempt: int = 0, seed: int = 1) -> Any:
    return Noises(law, 0, np.asarray(user_id), RandomStreams(seed, 0)).draws(attempt)


def test_a_request_meets_its_luck_however_many_follow() -> None:
    user_id = np.arange(500) % 7
    for longer, shorter in zip(draws(LAW, user_id), draws(LAW, user_id[:300]), strict=True):
        np.testing.assert_array_equal(longer[:300], shorter)


@dataclass(kw_only=True)
class Twice(Policy):
    """Ask the device, give it up, and ask it again."""

    kind = "twice"

    def serve(self, session: Any) -> Generator[Any, Any, None]:
        """Serve one request."""
        first = session.start("device")
        yield session.first_token_of(first)
        first.stop()
        second = session.start("device")
        yield session.first_token_of(second)
        session.keep(second)
        yield session.finished()


def test_every_policy_meets_the_same_luck_and_a_second_attempt_its_own() -> None:
    table = requests(150)  # each of a user of his own: devices are idle
    parts = model(device=NOISY, service=server(ttft=constant(50.0)), link=NO_LINK)
    alone = play(DeviceOnly(), parts, table)
    prefill, decode, stall_s = draws(LAW, table.user_id)
    np.testing.assert_allclose(alone.ttft_s, stall_s + table.prompt_tok * 0.01 * prefill, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(alone.ttft_s, alone.world.draws.device_ttft_s, rtol=1e-9, atol=1e-9)
    gaps_s = np.array([np.diff(record.generated_s).mean() for record in alone.records if record.output_tok > 1])
    np.testing.assert_allclose(gaps_s, decode[table.output_tok > 1] / 15.0)
    for policy in (Race(), Twice()):
        met = play(policy, parts, table)
        first_s = [record.generated_s[0] - record.arrival_s for record in met.records]
        if isinstance(policy, Twice):
            again, _, again_s = draws(LAW, table.user_id, attempt=1)
            first_s -= again_s + table.prompt_tok * 0.01 * again
        np.testing.assert_allclose(first_s, alone.ttft_s, rtol=0, atol=1e-6)
    assert abs(np.corrcoef(again, prefill)[0, 1]) < 3.9 / np.sqrt(150)  # a false alarm in 10,000 seeds


TWICE_AS_SLOW = Residual(
    prefill=CorrelatedSeries(QuantileTable.constant(2.0)), decode=CorrelatedSeries(QuantileTable.constant(2.0))
)


def near(unit: DeviceProfile, tpot_s: float = 0.02) -> Any:
    """Return a world with this device and a quick service."""
    return model(device=unit, service=server(ttft=constant(0.2), tpot=constant(tpot_s)), link=constant_link(0.04))


def test_drafts_of_a_noisy_device_are_those_of_a_slow_one() -> None:
    table = requests(60)
    noisy = play(Speculative(), near(profile(residual=TWICE_AS_SLOW)), table)
    slow = play(Speculative(), near(profile(prefill_s_per_tok=0.02, decode_tok_per_s=7.5)), table)
    for a, b in zip(noisy.records, slow.records, strict=True):
        np.testing.assert_allclose(a.delivered_s, b.delivered_s, rtol=0, atol=1e-9)


def test_a_device_that_goes_on_decodes_at_its_own_noisy_rate() -> None:
    table = requests(60, output_tok=150)
    for policy in (PDDevice(settings="closed_loop"), KVShipping()):
        records = play(policy, near(profile(residual=TWICE_AS_SLOW), 0.1), table).records
        goers = [record for record in records if record.segments[-1].endpoint == "device"]
        assert len(goers) > 20
        for record in goers:
            np.testing.assert_allclose(np.diff(record.generated_s)[-2:], 2.0 / 15.0)


def test_drafting_gets_slow_on_a_hot_device() -> None:
    table = requests(20, output_tok=200)
    heat = Heat(heating_s=2.0, cooling_s=10.0, floor=0.2)
    hot, cold, slow = (
        play(Speculative(), near(unit), table)
        for unit in (profile(heat=heat), profile(), profile(prefill_s_per_tok=0.05, decode_tok_per_s=3.0))
    )
    for a, b, c in zip(hot.records, cold.records, slow.records, strict=True):
        assert b.delivered_s[-1] < a.delivered_s[-1] < c.delivered_s[-1]


# --- the laws -------------------------------------------------------------------------------------------------


def test_draws_have_the_quantiles_and_the_memory_of_their_law() -> None:
    n, n_users = 20_000, 40
    user_id = np.random.default_rng(1).integers(0, n_users, n)
    white = Residual(prefill=CorrelatedSeries(WIDE), stalls=LAW.stalls)
    prefill, decode, stall_s = draws(white, user_id)
    assert (decode == 1.0).all()
    for level in (0.05, 0.5, 0.9, 0.99):
        # share of a binomial sample: 3.9 standard errors, a false alarm in 10,000 seeds
        share = np.mean(prefill <= WIDE.ppf(level))
        assert abs(share - level) < 3.9 * np.sqrt(level * (1 - level) / n)
    stalled = stall_s > 0
    assert abs(stalled.mean() - 0.2) < 3.9 * np.sqrt(0.2 * 0.8 / n)
    # stalls are uniform on 0.5 to 6 s: the mean of k of them has a standard deviation of 5.5 / sqrt(12 k)
    assert abs(stall_s[stalled].mean() - 3.25) < 3.9 * 5.5 / np.sqrt(12 * stalled.sum())


def test_ratios_remember_those_of_the_same_user_and_of_nobody_else() -> None:
    n, rho = 20_000, 0.6
    user_id = np.random.default_rng(2).integers(0, 10, n)
    normal = QuantileTable(tuple(np.linspace(0, 1, 2001)), tuple(np.linspace(1.0, 2.0, 2001)))  # uniform on 1 to 2
    prefill, _, _ = draws(Residual(prefill=CorrelatedSeries(normal, rho)), user_id)
    order = np.argsort(user_id, kind="stable")
    mine, before = prefill[order][1:], prefill[order][:-1]
    same = np.diff(user_id[order]) == 0
    # the lag-1 correlation of uniforms under a Gaussian copula: 6 / pi asin(rho / 2)
    expected = 6 / np.pi * np.arcsin(rho / 2)
    # a standard error of at most 1 / sqrt(n) where an AR(1) has a positive memory (Bartlett); a false alarm in 10,000
    assert abs(np.corrcoef(mine[same], before[same])[0, 1] - expected) < 3.9 / np.sqrt(n)
    neighbours = np.diff(user_id) != 0
    assert abs(np.corrcoef(prefill[1:][neighbours], prefill[:-1][neighbours])[0, 1]) < 3.9 / np.sqrt(0.9 * n)


def test_one_user_has_the_series_of_the_law_itself() -> None:
    rng = RandomStreams(1, 0).generator("device.prefill_ratio.0.0")
    np.testing.assert_array_equal(draws(LAW, np.zeros(300, dtype=int))[0], LAW.prefill.sample(300, rng))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"prefill": CorrelatedSeries(QuantileTable((0, 1), (0.0, 1.0)))}, "ratios > 0"),
        ({"prefill": CorrelatedSeries(QuantileTable((0, 1), (1.0, 2e4)))}, "at most 10,000"),
        ({"prefill": CorrelatedSeries(WIDE, 1.0)}, "between -1 and 1"),
        ({"decode": CorrelatedSeries(QuantileTable((0, 1), (-1.0, 1.0)))}, "ratios > 0"),
        ({"first": 0.9}, "no quicker"),
        ({"first": float("nan")}, "no quicker"),
    ],
)
def test_a_residual_law_that_is_none_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(LAW, **wrong)


@pytest.mark.parametrize(("n", "n_users"), [(0, 1), (1, 1), (40, 1), (40, 39), (300, 6), (300, 900)])
def test_each_owner_has_a_series_of_his_own_whatever_way_it_is_computed(n: int, n_users: int) -> None:
    law = CorrelatedSeries(WIDE, 0.6)
    owner = np.random.default_rng(n_users).integers(0, n_users, n)
    latent: list[float] = []
    for i, shock in enumerate(np.random.default_rng(5).standard_normal(n).tolist()):
        mine = [k for k in range(i) if owner[k] == owner[i]]
        latent.append(0.6 * latent[mine[-1]] + np.sqrt(1.0 - 0.6**2) * shock if mine else shock)
    expected = WIDE.ppf(ndtr(np.array(latent)))
    np.testing.assert_array_equal(law.sample_by(owner, np.random.default_rng(5)), expected)
