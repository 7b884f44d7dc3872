"""The kernel of replayed worlds: requests whose policy has planned them, many at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from discosim.core.request import RequestTable
from discosim.policies.base import Policy
from discosim.runs.build import Blueprint
from discosim.runs.kernels import Part, Taken
from discosim.world.api_server import ApiServer
from discosim.world.batch.answering import Answers
from discosim.world.batch.covered import is_covered
from discosim.world.batch.dispatch import Arriving, Dispatch
from discosim.world.batch.meeting import meetings
from discosim.world.batch.opening import Opening, opening
from discosim.world.batch.phones import Phones
from discosim.world.batch.service import LONGEST_TOK, Service
from discosim.world.batch.staying import goes_over, stays_of
from discosim.world.luck import Luck
from discosim.world.world import World

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
NAME = "replay"

LEAST_SHARE = 0.5
"""Where fewer requests can be taken, the world does all: it costs little more than to do the others."""

AT_ONCE = 2000
"""Requests worked on at a time: some 10 MB of tokens."""

MOST_IN_WORLD = 50_000
"""Requests that the world may do before the others: their timelines have to be held until then."""


def replay_kernel(
    policy: Policy, blueprint: Blueprint, requests: RequestTable, luck: Luck, world: World
) -> Taken | None:
    """Take the requests that meet nobody on their device, where the policy has a plan and the world is covered."""
    if not is_covered(world) or not has_plan(policy) or not len(requests):
        return None
    phones = Phones(world.fleet, requests)
    arriving = Arriving(requests.prompt_tok, phones.kind)
    plan = policy.plan(blueprint.view, arriving, lambda: luck.uniform("policy.dispatch"))
    if plan is None:
        return None
    assert isinstance(world.server, ApiServer)
    service = Service(world.server, requests, luck)
    begin = opening(plan, requests, service, phones, LONGEST_TOK)
    is_unclear = begin.is_unclear | _may_be_refused(plan, requests, begin, service, phones)
    stays = stays_of(plan, requests, begin, is_unclear, service, phones)
    meets, until_s = meetings(stays)
    is_taken = ~is_unclear
    is_taken[stays.who[meets]] = False
    n_left = int((~is_taken).sum())
    if n_left > len(requests) * (1.0 - LEAST_SHARE) or n_left > MOST_IN_WORLD:
        return None
    answers = Answers(plan, requests, begin, service, phones, blueprint.model.meter)
    latest_s = np.full(len(requests), np.inf)
    latest_s[stays.who] = until_s
    latest_s[goes_over(plan, requests, phones, "device")] = np.inf  # the service may go on for as long as it likes
    return Taken(NAME, is_taken, _parts(answers, is_taken, begin.now_s), latest_s)


def has_plan(policy: Policy) -> bool:
    """Tell whether the class of a policy has a plan of its own: one that it inherits may not be what it does."""
    return "plan" in vars(type(policy))


def _may_be_refused(plan: Dispatch, requests: RequestTable, begin: Opening, service: Service, phones: Phones) -> Bools:
    """Tell which answers of a device the service would refuse to go on with."""
    may = goes_over(plan, requests, phones, "device") & ~begin.is_server
    if not may.any():
        return may
    for attempt, asks in ((0, ~begin.asks_server), (1, begin.asks_server)):
        refused = service.refuses(attempt) if (may & asks).any() else None
        may &= ~asks if refused is None else (refused | ~asks)
    return may


def _parts(answers: Answers, is_taken: Bools, now_s: Floats) -> Iterator[Part]:
    who = np.flatnonzero(is_taken)
    for start in range(0, who.size, AT_ONCE):
        end = start + AT_ONCE
        timelines, ended_s, before_s, is_direct = answers.follow(who[start:end])
        yield Part(timelines, ended_s, before_s, is_direct, float(now_s[who[end]]) if end < who.size else np.inf)
