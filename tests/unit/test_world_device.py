"""The device: one stream at a time, chunks, context, throttling against small steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st
from worlds import constant, examples, model, play, profile, requests, server

from discosim.core.scenario import ColdStart, Throttle
from discosim.policies.device_only import DeviceOnly
from discosim.policies.race import Race
from discosim.world.device import Device, DeviceStream
from discosim.world.device_profile import DeviceProfile


@dataclass
class Job:
    """A stream to start at a time, and perhaps to stop at a later one."""

    at_s: float
    prompt_tok: int
    n_tok: int
    stop_s: float | None = None
    finish_prefill: bool = False


def serve(unit: DeviceProfile, jobs: Sequence[Job]) -> tuple[list[DeviceStream], Device]:
    """Let one device serve jobs, each started and stopped by a process of its own."""
    env = simpy.Environment()
    device = Device(env, unit)
    streams: list[DeviceStream | None] = [None] * len(jobs)

    def run(k: int, job: Job) -> object:
        yield env.timeout(job.at_s)
        stream = streams[k] = device.start(job.prompt_tok, 1, job.n_tok)
        if job.stop_s is not None:
            yield env.timeout(job.stop_s - job.at_s)
            stream.stop(finish_prefill=job.finish_prefill)

    for k, job in enumerate(jobs):
        env.process(run(k, job))
    env.run(until=1e6)  # the end of the last work is no event of its own
    return [stream for stream in streams if stream is not None], device


def test_prefill_rounds_up_to_whole_chunks() -> None:
    unit = profile(prefill_s_per_tok=0.01, prefill_intercept_s=0.5, chunk_tok=128)
    for prompt_tok, chunks in ((1, 1), (127, 1), (128, 1), (129, 2), (256, 2), (257, 3)):
        expected_s = 0.5 + chunks * 1.28
        assert unit.prefill_s(prompt_tok) == pytest.approx(expected_s)
        assert unit.prefill_array_s(np.array([prompt_tok]))[0] == pytest.approx(expected_s)
        (stream,), _ = serve(unit, [Job(0.0, prompt_tok, 3)])
        np.testing.assert_allclose(stream.arrival_s, expected_s + np.arange(3) / 15.0)


def test_what_the_context_cannot_hold_fails_at_once_and_costs_nothing() -> None:
    (fits, not_fitting), _ = serve(profile(max_context_tok=50), [Job(0.0, 50, 2), Job(0.0, 51, 2)])
    assert not fits.failure
    assert fits.bill() == (50.0, 2)
    assert not_fitting.has_failed
    assert not_fitting.bill() == (0.0, 0)


def test_streams_wait_for_each_other_first_in_first_out() -> None:
    streams, _ = serve(profile(), [Job(0.0, 100, 16), Job(0.1, 50, 1), Job(0.2, 10, 1)])
    assert [s.arrival_s[0] for s in streams] == pytest.approx([1.0, 2.5, 2.6])


def test_a_cancelled_stream_makes_room_and_pays_for_what_it_did() -> None:
    jobs = [Job(0.0, 100, 16, stop_s=0.25), Job(0.1, 50, 1), Job(0.1, 10, 1, stop_s=0.15), Job(0.2, 10, 1)]
    streams, _ = serve(profile(), jobs)
    assert streams[0].bill() == (pytest.approx(25.0), 0)
    assert streams[2].bill() == (0.0, 0)
    assert [streams[1].arrival_s[0], streams[3].arrival_s[0]] == pytest.approx([0.75, 0.85])


def test_a_loser_that_finishes_its_prefill_keeps_the_device_until_then() -> None:
    jobs = [Job(0.0, 100, 16, stop_s=0.25, finish_prefill=True), Job(0.1, 50, 1), Job(0.2, 10, 5, 0.3, True)]
    streams, _ = serve(profile(), jobs)
    assert [s.bill() for s in streams] == [(100.0, 1), (50.0, 1), (10.0, 1)]
    assert streams[1].arrival_s[0] == pytest.approx(1.5)


def test_a_stop_during_decode_bills_the_tokens_made_so_far() -> None:
    (stream,), _ = serve(profile(decode_tok_per_s=10.0), [Job(0.0, 100, 50, stop_s=1.25)])
    assert stream.bill() == (100.0, 3)  # at 1.0, 1.1 and 1.2 s


job_lists = st.lists(
    st.builds(
        Job,
        at_s=st.floats(0, 20),
        prompt_tok=st.integers(1, 300),
        n_tok=st.integers(1, 60),
    ),
    min_size=1,
    max_size=12,
)
stops = st.lists(st.tuples(st.none() | st.floats(0, 15), st.booleans()), min_size=12, max_size=12)


@examples(150)
@given(job_lists, stops)
def test_every_stream_is_served_in_turn_or_stopped_whatever_happens(
    jobs: list[Job], endings: list[tuple[float | None, bool]]
) -> None:
    # also a guard against rounding: the end of one stream is an event computed at another time than its promise
    for job, (after_s, finish_prefill) in zip(jobs, endings, strict=False):
        job.stop_s = None if after_s is None else job.at_s + after_s
        job.finish_prefill = finish_prefill
    unit = profile()
    streams, device = serve(unit, jobs)
    assert len(streams) == len(jobs)
    assert not device.is_busy
    free_s = 0.0
    for k in sorted(range(len(jobs)), key=lambda k: (streams[k].requested_s, k)):
        job, stream = jobs[k], streams[k]
        begin_s = max(job.at_s, free_s)
        stop_s = np.inf if job.stop_s is None else job.stop_s
        first_s = begin_s + unit.prefill_s(job.prompt_tok)
        times = first_s + np.arange(job.n_tok) / unit.decode_tok_per_s
        end_s = times[-1]
        near_tie = any(abs(stop_s - t) < 1e-6 for t in (begin_s, *times))
        if near_tie:
            return  # who comes first at the very same moment is not the question here
        if job.finish_prefill and stop_s < first_s:
            assert stream.bill() == (job.prompt_tok, 1)
            free_s = first_s
        elif stop_s < begin_s:
            assert stream.bill() == (0.0, 0)
        elif stop_s < first_s:
            assert stream.bill()[0] == pytest.approx(job.prompt_tok * (stop_s - begin_s) / (first_s - begin_s))
            free_s = stop_s
        else:
            assert stream.first_arrival_s == pytest.approx(first_s, abs=1e-9)
            assert stream.bill() == (job.prompt_tok, int(np.sum(times <= stop_s)))
            free_s = min(end_s, stop_s)


def test_rounding_of_event_times_loses_no_turn() -> None:
    # The end of a stream is promised at one moment and scheduled at a later one: now + (end - now) differs from end
    # by a rounding error in about one case of a hundred.
    rng = np.random.default_rng(1)
    for _ in range(1000):
        first, second = rng.exponential(1.0, 2).cumsum().tolist()
        unit = profile(decode_tok_per_s=rng.uniform(3, 30))
        streams, _ = serve(unit, [Job(first, 100, 90), Job(second, 10, 1)])
        assert streams[1].has_spoken
        assert streams[1].first_arrival_s == pytest.approx(max(streams[0].last_arrival_s(), second) + 0.1, abs=1e-9)


# --- throttling ----------------------------------------------------------------------------------------------------


def in_small_steps(unit: DeviceProfile, jobs: list[tuple[float, int, int]], step_s: float) -> list[list[float]]:
    """Integrate heat and work step by step; return the token times of each job."""
    throttle = unit.throttle
    assert throttle is not None
    heat_s = now_s = 0.0
    times = []
    for at_s, prompt_tok, n_tok in jobs:
        cooled = False
        while now_s < at_s:
            if not cooled:  # heat beyond the onset does not pile up
                heat_s, cooled = min(heat_s, throttle.onset_s), True
            heat_s = max(0.0, heat_s - throttle.cooling * step_s)
            now_s += step_s
        heat_s = min(heat_s, throttle.onset_s)
        done_s, tokens = 0.0, []
        targets = [unit.prefill_s(prompt_tok) + j / unit.decode_tok_per_s for j in range(n_tok)]
        while len(tokens) < n_tok:
            done_s += step_s * (1.0 if heat_s < throttle.onset_s else throttle.sustained)
            heat_s += step_s
            now_s += step_s
            while len(tokens) < n_tok and targets[len(tokens)] <= done_s:
                tokens.append(now_s)
        times.append(tokens)
    return times


@pytest.mark.parametrize("cooling", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("sustained", [0.4, 1.0])
def test_throttling_equals_an_integration_in_small_steps(sustained: float, cooling: float) -> None:
    unit = profile(throttle=Throttle(onset_s=3.0, sustained=sustained, cooling=cooling))
    jobs = [(0.0, 100, 20), (1.0, 50, 30), (8.0, 200, 40), (30.0, 20, 5), (31.0, 300, 60)]
    step_s = 2e-4
    expected = in_small_steps(unit, jobs, step_s)
    streams, _ = serve(unit, [Job(*job) for job in jobs])
    for stream, times in zip(streams, expected, strict=True):
        # each change of speed and each token falls up to one step away from its grid point
        np.testing.assert_allclose(stream.arrival_s, times, rtol=0, atol=20 * step_s)
        assert stream.last_arrival_s() == pytest.approx(stream.arrival_s[-1], abs=1e-9)


def test_a_sustained_speed_of_one_is_no_throttle() -> None:
    table = requests(200, n_users=4, gap_s=2.0)
    hot = profile(throttle=Throttle(onset_s=1.0, sustained=1.0))
    runs = [play(DeviceOnly(), model(device=d), table) for d in (profile(), hot)]
    np.testing.assert_allclose(runs[0].ttft_s, runs[1].ttft_s, rtol=0, atol=1e-9)


def test_throttling_only_ever_delays() -> None:
    table = requests(200, n_users=4, gap_s=2.0)
    hot = profile(throttle=Throttle(onset_s=1.0, sustained=0.5, cooling=0.5))
    cold_run, hot_run = (play(DeviceOnly(), model(device=d), table) for d in (profile(), hot))
    assert (hot_run.ttft_s >= cold_run.ttft_s - 1e-9).all()
    assert hot_run.ttft_s.mean() > 1.5 * cold_run.ttft_s.mean()


def test_a_race_on_a_shared_device_leaves_no_loser_behind() -> None:
    # queue, cancel, queue again: every request finishes although most device streams are cancelled while waiting
    parts = model(service=server(ttft=constant(0.3)), device=profile())
    played = play(Race(), parts, requests(500, n_users=2, gap_s=0.4))
    assert {record.status for record in played.records} == {"finished"}
    assert played.ttft_s.max() <= 0.3 + 1e-9


# --- loading the model ---------------------------------------------------------------------------------------------


def test_the_model_is_loaded_first_and_dropped_when_idle_for_long() -> None:
    unit = profile(cold_start=ColdStart(load_s=2.0, keep_s=10.0))  # 1 s of prefill for 100 tokens
    jobs = [Job(0.0, 100, 1), Job(1.0, 100, 1), Job(14.0, 100, 1), Job(25.5, 100, 1)]
    streams, _ = serve(unit, jobs)
    # cold; queued behind it, warm; 10 s after the last work, still warm; 10.5 s after, cold again
    assert [s.arrival_s[0] for s in streams] == pytest.approx([3.0, 4.0, 15.0, 28.5])
    assert [s.bill() for s in streams] == [(100.0, 1)] * 4


def test_a_load_that_is_broken_off_bills_nothing_and_begins_anew() -> None:
    unit = profile(cold_start=ColdStart(load_s=2.0, keep_s=10.0))
    streams, _ = serve(unit, [Job(0.0, 100, 1, stop_s=1.5), Job(1.6, 100, 1, stop_s=4.1), Job(5.0, 100, 1)])
    assert streams[0].bill() == (0.0, 0)
    assert streams[1].bill() == (pytest.approx(50.0), 0)  # half a second of prefill after 2 s of loading
    assert streams[2].arrival_s[0] == pytest.approx(6.0)  # by then it is in memory
    (stream,), _ = serve(replace(unit, prefill_s_per_tok=0.0), [Job(0.0, 100, 1, stop_s=1.5)])
    assert stream.bill() == (0.0, 0)


def test_loading_heats_like_any_work() -> None:
    unit = profile(throttle=Throttle(onset_s=2.5, sustained=0.5), cold_start=ColdStart(load_s=2.0))
    (stream,), _ = serve(unit, [Job(0.0, 100, 1)])
    assert stream.arrival_s[0] == pytest.approx(2.0 + 0.5 + 0.5 / 0.5)


@examples(60)
@given(job_lists, st.floats(0.0, 5.0), st.floats(0.0, 30.0))
def test_loading_is_a_longer_first_prefill(jobs: list[Job], load_s: float, keep_s: float) -> None:
    """An independent walk through the queue: who begins after how long an idle time, and pays the load."""
    unit = profile(cold_start=ColdStart(load_s=load_s, keep_s=keep_s))
    streams, _ = serve(unit, jobs)
    free_s = -np.inf
    for k in sorted(range(len(jobs)), key=lambda k: (streams[k].requested_s, k)):
        job = jobs[k]
        begin_s = max(job.at_s, free_s)
        if abs(begin_s - free_s - keep_s) < 1e-6:
            return  # dropped or not at the very same moment
        first_s = begin_s + unit.prefill_s(job.prompt_tok) + (load_s if begin_s - free_s > keep_s else 0.0)
        assert streams[k].first_arrival_s == pytest.approx(first_s, abs=1e-9)
        free_s = first_s + (job.n_tok - 1) / unit.decode_tok_per_s
