"""A worker makes the scenarios of a sweep of sections that it has: equal ones, to the type of each number."""

from __future__ import annotations

import json

from discosim import load_scenario
from discosim.config import as_plain
from discosim.sweep.worker import _checked


def read(*overrides: str):
    plain = as_plain(load_scenario("quickstart", overrides=["workload.n_requests=20", *overrides]))
    return plain, _checked(json.dumps(plain))


def test_points_share_the_sections_that_are_alike_and_are_what_was_asked() -> None:
    one, first = read("policies.DiSCo-S.budget=0.2")
    other, second = read("policies.DiSCo-S.budget=0.4")
    assert (as_plain(first), as_plain(second)) == (one, other)
    assert second.server is first.server
    assert second.workload is first.workload
    assert second.policies != first.policies
