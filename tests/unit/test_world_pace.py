"""Heat: the closed forms of work and time against an integration in small steps, and the heat between requests."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_world_device import Job, serve
from worlds import examples, model, play, profile, requests

from discosim.core.device_law import Heat
from discosim.core.scenario import ColdStart, Throttle
from discosim.policies.device_only import DeviceOnly
from discosim.world.device_profile import DeviceProfile
from discosim.world.heat_series import REACH, powers, reach, series
from discosim.world.pace import Warming

HEATS = [
    Heat(heating_s=5.0, cooling_s=20.0, floor=0.4),
    Heat(heating_s=3.0, cooling_s=4.0, onset=0.5, floor=0.1),
    Heat(heating_s=2.0, cooling_s=9.0, onset=0.9, floor=1.0),
]
heats = st.builds(
    Heat,
    heating_s=st.floats(0.1, 1e4),
    cooling_s=st.floats(0.1, 1e4),
    onset=st.just(0.0) | st.floats(0.0, 0.99),
    floor=st.just(1.0) | st.floats(1e-3, 1.0),
)


def in_small_steps(unit: DeviceProfile, jobs: list[tuple[float, int, int]], step_s: float) -> list[list[float]]:
    """Integrate heat and work step by step (Euler's rule); return the token times of each job."""
    law = unit.heat
    assert law is not None
    heat, now_s = unit.heat_at_start, 0.0
    times = []
    for at_s, prompt_tok, n_tok in jobs:
        while now_s < at_s:
            heat -= step_s * heat / law.cooling_s
            now_s += step_s
        done_s, tokens = 0.0, []
        targets = [unit.prefill_s(prompt_tok) + j / unit.decode_tok_per_s for j in range(n_tok)]
        while len(tokens) < n_tok:
            over = max(0.0, heat - law.onset) / (1.0 - law.onset)
            done_s += step_s * (1.0 - (1.0 - law.floor) * over)
            heat += step_s * (1.0 - heat) / law.heating_s
            now_s += step_s
            while len(tokens) < n_tok and targets[len(tokens)] <= done_s:
                tokens.append(now_s)
        times.append(tokens)
    return times


@pytest.mark.parametrize("start", [0.0, 0.7])
@pytest.mark.parametrize("heat", HEATS, ids=["plain", "onset", "no effect"])
def test_heat_equals_an_integration_in_small_steps(heat: Heat, start: float) -> None:
    unit = profile(heat=heat, heat_at_start=start)
    jobs = [(2.0, 100, 20), (3.0, 50, 30), (15.0, 200, 40), (60.0, 20, 5), (61.0, 300, 60)]
    step_s = 1e-3
    expected = in_small_steps(unit, jobs, step_s)
    streams, _ = serve(unit, [Job(*job) for job in jobs])
    for stream, times in zip(streams, expected, strict=True):
        # a token falls up to a step off its grid point; Euler's error in heat is a step over the time constant
        # (5e-4), and at a speed of 0.1 seconds are ten times what they are worth
        np.testing.assert_allclose(stream.arrival_s, times, rtol=1e-3, atol=20 * step_s)
        assert stream.last_arrival_s() == pytest.approx(stream.arrival_s[-1], abs=1e-9)
    unheated, _ = serve(replace(unit, heat=None), [Job(*job) for job in jobs])
    slowed = [hot.arrival_s[-1] - cool.arrival_s[-1] for hot, cool in zip(streams, unheated, strict=True)]
    assert (max(slowed) > 1.0) == (heat.floor < 1.0)


@examples(100)
@given(heats, st.floats(0.0, 1.0), st.lists(st.floats(0.0, 1e5), min_size=1, max_size=6))
def test_work_and_time_are_inverse_and_rising(heat: Heat, begin: float, times_s: list[float]) -> None:
    pace = Warming(heat, begin)
    elapsed_s = np.sort(np.array([0.0, *times_s]))
    work_s = np.array([pace.work_s(t) for t in elapsed_s.tolist()])
    found_s = [pace.elapsed_s(w) for w in work_s.tolist()]
    np.testing.assert_allclose(found_s, elapsed_s, rtol=1e-11, atol=1e-12)
    gained, passed = np.diff(work_s), np.diff(elapsed_s)
    assert (gained <= passed * (1 + 1e-9) + 1e-9).all(), "never faster than cold"
    assert (gained >= heat.floor * passed * (1 - 1e-9) - 1e-9).all(), "never slower than at heat 1"


@examples(60)
@given(
    heats,
    st.floats(0.0, 1.0) | st.sampled_from([0.0, 1.0 - 1e-9, 1.0]),
    st.just(0.0) | st.floats(-3, 4).map(lambda power: 10.0**power),
    st.floats(-6, 3).map(lambda power: 10.0**power),
    st.sampled_from([1, 2, 3, 7, 200, 379, 380, 381, 900]),
    st.sampled_from([0.0, 3.7e4]),
)
def test_a_timeline_is_what_its_tokens_are_one_by_one(
    heat: Heat, begin: float, work_s: float, gap_s: float, n_tok: int, begin_s: float
) -> None:
    pace = Warming(heat, begin)
    found_s = pace.timeline_s(begin_s, work_s, gap_s, n_tok)
    one_by_one_s = [begin_s + pace.elapsed_s(i * gap_s + work_s) for i in range(n_tok)]
    # to parts of the longest stretch, which is below a heating time and what came before
    np.testing.assert_allclose(found_s, one_by_one_s, rtol=1e-13, atol=1e-13 * heat.heating_s)
    assert (found_s[0], found_s[-1]) == (one_by_one_s[0], one_by_one_s[-1]), "to the last bit: a stream ends once"
    assert (np.diff(found_s) >= 0).all()


@pytest.mark.parametrize("bend", [0.0, 1e-20, 1e-9, 0.1, 0.5, 0.9, 0.999, 1.0 - 1e-9])
def test_the_series_inverts_work_as_far_as_it_is_used(bend: float) -> None:
    n_tok = 50
    gap = REACH * reach(bend) / n_tok
    found = powers(-n_tok, n_tok + 1).dot(series(bend, gap, 1.0))
    work = found - bend * (found + np.expm1(-found))  # the definition: t = x - r (x - 1 + exp(-x))
    np.testing.assert_allclose(work, gap * np.arange(-n_tok, n_tok + 1), rtol=0, atol=2e-15 * reach(bend))


@pytest.mark.parametrize("heat", HEATS[:2])
def test_many_tokens_close_together_keep_their_order(heat: Heat) -> None:
    pace = Warming(heat, 0.0)
    knee_s = heat.heating_s * math.log(1 / (1 - heat.onset))
    first_s = max(0.0, knee_s - 1e-6)
    found_s = pace.timeline_s(0.0, first_s, 1e-9, 4000)
    assert (np.diff(found_s) > 0).all()
    # at the knee the speed is 1, so that just behind it time is work
    np.testing.assert_allclose(found_s, first_s + 1e-9 * np.arange(4000), rtol=0, atol=1e-11)


def test_tokens_closer_than_rounding_never_swap() -> None:
    found_s = Warming(HEATS[0], 0.3).timeline_s(1e6, 5.0, 1e-12, 1000)
    assert (np.diff(found_s) >= 0).all()


def test_heat_that_never_ends_leaves_the_floor() -> None:
    heat = Heat(heating_s=10.0, cooling_s=1.0, onset=0.3, floor=0.25)
    pace = Warming(heat, 0.0)
    assert (pace.work_s(10_100.0) - pace.work_s(10_000.0)) == pytest.approx(25.0)
    assert pace.heat_after(10_000.0) == pytest.approx(1.0)
    assert Warming(heat, 1.0).elapsed_s(25.0) == pytest.approx(100.0), "hot at the begin: the floor at once"


def test_heat_is_carried_from_request_to_request_and_cools_in_between() -> None:
    heat = Heat(heating_s=8.0, cooling_s=30.0, floor=0.5)
    unit = profile(heat=heat, heat_at_start=0.4)
    jobs = [Job(6.0, 100, 31), Job(6.5, 100, 16), Job(50.0, 300, 1)]
    streams, _ = serve(unit, jobs)
    hot, free_s = 0.4, 0.0
    for job, stream in zip(jobs, streams, strict=True):
        begin_s = max(job.at_s, free_s)
        hot *= math.exp(-(begin_s - free_s) / heat.cooling_s)
        first_s = begin_s + Warming(heat, hot).elapsed_s(unit.prefill_s(job.prompt_tok))
        assert stream.first_arrival_s == pytest.approx(first_s, abs=1e-9)
        free_s = stream.arrival_s[-1]
        hot = 1.0 - (1.0 - hot) * math.exp(-(free_s - begin_s) / heat.heating_s)


def test_a_stopped_answer_has_heated_until_its_stop() -> None:
    heat = Heat(heating_s=8.0, cooling_s=30.0, floor=0.5)
    (_, after), _ = serve(profile(heat=heat), [Job(0.0, 100, 100, stop_s=4.0), Job(4.0, 100, 1)])
    hot = 1.0 - math.exp(-4.0 / 8.0)
    assert after.first_arrival_s == pytest.approx(4.0 + Warming(heat, hot).elapsed_s(1.0), abs=1e-9)


def test_loading_heats_too() -> None:
    heat = Heat(heating_s=2.0, cooling_s=30.0, floor=0.5)
    (stream,), _ = serve(profile(heat=heat, cold_start=ColdStart(load_s=3.0)), [Job(0.0, 100, 5)])
    assert stream.first_arrival_s == pytest.approx(Warming(heat, 0.0).elapsed_s(4.0))


@examples(20)
@given(heats, st.integers(0, 10**6))
def test_heat_only_ever_delays(heat: Heat, seed: int) -> None:
    table = requests(40, n_users=3, gap_s=4.0, seed=seed)
    cold, hot = (play(DeviceOnly(), model(device=d), table) for d in (profile(), profile(heat=heat)))
    assert (hot.ttft_s >= cold.ttft_s - 1e-9).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"heating_s": 0.0},
        {"cooling_s": -1.0},
        {"heating_s": math.nan},
        {"cooling_s": math.inf},
        {"onset": 1.0},
        {"onset": -0.1},
        {"floor": 0.0},
        {"floor": 1.1},
    ],
)
def test_a_law_of_heat_that_is_none_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="heat needs"):
        Heat(**{"heating_s": 1.0, "cooling_s": 1.0, "floor": 0.5, **wrong})


def test_two_models_of_heat_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="give one"):
        profile(throttle=Throttle(onset_s=1.0, sustained=0.5), heat=HEATS[0])
