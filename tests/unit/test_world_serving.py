"""A policy at work: it starts at once, goes on through events that have happened, and may yield nothing else."""

from __future__ import annotations

import pytest
import simpy

from discosim.core.errors import InvariantError
from discosim.world.serving import Serving


def test_it_runs_like_a_process_of_simpy_and_starts_in_the_event_that_made_it():
    def twice(env, said):
        said.append(("begins", env.now))
        said.append(("first", (yield env.timeout(1.0, "a")), env.now))
        said.append(("second", (yield env.timeout(2.0, "b")), env.now))

    by_simpy, by_us = [], []
    env = simpy.Environment()
    env.process(twice(env, by_simpy))
    env.run()
    env = simpy.Environment()
    Serving(twice(env, by_us))
    assert by_us == [("begins", 0.0)]
    env.run()
    assert by_us == by_simpy


def test_a_long_row_of_events_that_have_happened_is_no_recursion():
    env = simpy.Environment()
    happened = env.event().succeed("x")
    env.run()
    got = []

    def many():
        for _ in range(10_000):
            got.append((yield happened))

    Serving(many())
    assert got == ["x"] * 10_000


def test_what_is_no_event_is_named():
    def wrong():
        yield 1.0

    with pytest.raises(InvariantError, match=r"must yield events of its session \(got 1.0\)"):
        Serving(wrong())


def test_an_event_that_fails_ends_the_run():
    env = simpy.Environment()

    def waits(event):
        yield event

    event = env.event()
    Serving(waits(event))
    event.fail(RuntimeError("lost"))
    with pytest.raises(RuntimeError, match="lost"):
        env.run()
