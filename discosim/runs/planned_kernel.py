"""Replications over a white-box server whose policy has a plan: no sessions and no streams.

The engine couples all requests, so it is all of a replication or nothing. What is taken is listed here, part by part:
whoever adds one to the world need not know of this, and it goes through SimPy.
"""

from __future__ import annotations

from collections.abc import Iterator

from discosim.core.known_fields import Known, says_only
from discosim.core.request import RequestTable
from discosim.core.source_code import is_foreign
from discosim.core.timelines import Timelines
from discosim.policies.base import Policy
from discosim.policies.migration import Migration
from discosim.runs import series
from discosim.runs.build import Blueprint
from discosim.runs.collect import BATCH
from discosim.runs.engine_kernel import KNOWN as ALONE
from discosim.runs.kernels import SIMPY
from discosim.runs.replay_kernel import has_plan
from discosim.world.batch.covered import REPEATED
from discosim.world.batch.dispatch import Arriving
from discosim.world.batch.phones import Phones
from discosim.world.device_profile import DeviceProfile
from discosim.world.dispatched.books import Books
from discosim.world.dispatched.planned import Planned
from discosim.world.dispatched.planned_run import PlannedRun
from discosim.world.engine.engine import EngineModel, EngineServer
from discosim.world.engine.series import SeriesRecorder
from discosim.world.fleet import Fleet
from discosim.world.link import Link, LinkModel
from discosim.world.luck import Luck
from discosim.world.meter import Meter
from discosim.world.world import World, WorldModel

PLANNED, COMPILED = "planned engine", "compiled planned engine"
"""Under these names `run.json` counts them: the engine itself without sessions, and the compiled one."""

AT_ONCE = 10 * BATCH
"""Requests whose tokens are held at a time, at least."""

KNOWN: Known = {
    WorldModel: frozenset({"fleet", "server", "link", "meter", "edge", "answers", "quality"}),
    Meter: ALONE[Meter],
    LinkModel: ALONE[LinkModel],
    EngineModel: ALONE[EngineModel] | {"prefill_pool"},
    DeviceProfile: REPEATED[DeviceProfile],
    RequestTable: REPEATED[RequestTable],
}
"""What is known of each part. Replicas, schedulers and memory are the world's own, whatever they are like."""


class EnginePlanned:
    """A replication in which the engine of a world works without sessions.

    Parameters
    ----------
    world : World
        The world, in which nothing has happened yet.
    server : EngineServer
        Its engine.
    planned : Planned
        What is known of the requests beforehand.
    phones : Phones
        Their devices.
    recorder : SeriesRecorder or None
        Who writes down what the engine does.

    Attributes
    ----------
    run : PlannedRun
        The run, whose figures and series are known once the timelines have been taken.
    """

    def __init__(
        self,
        world: World,
        server: EngineServer,
        planned: Planned,
        phones: Phones,
        recorder: SeriesRecorder | None,
    ) -> None:
        self.run = PlannedRun(world.env, server.engine, world.link, planned, recorder, series.MOST_S)
        self._books = Books(planned, phones, world.link, world.model.meter, world.model.quality)
        self._n_requests = len(planned.table)

    @property
    def figures(self) -> dict[str, float]:
        """What the engine did as a whole, once the timelines have been taken."""
        return self.run.figures

    @property
    def recorder(self) -> PlannedRun:
        """Who knows the series, once the timelines have been taken."""
        return self.run

    def timelines(self, rows_each: int = BATCH) -> Iterator[Timelines]:
        """Yield all requests in the order in which their records would come out of the world.

        All parts but the last have a multiple of ``rows_each`` rows.
        """
        for over in self.run.over(rows_each, AT_ONCE):
            yield self._books.timelines(over)

    def counts(self) -> dict[str, int]:
        """Return how many requests went which way."""
        return {SIMPY: 0, COMPILED if self.run.is_compiled else PLANNED: self._n_requests}


def engine_planned(
    policy: Policy,
    blueprint: Blueprint,
    requests: RequestTable,
    luck: Luck,
    world: World,
    recorder: SeriesRecorder | None,
) -> EnginePlanned | None:
    """Return the replication as one whose requests need no sessions; None where the world has to serve them."""
    model, server = world.model.server, world.server
    if not _is_covered(policy, requests, world):
        return None
    assert isinstance(model, EngineModel)
    assert isinstance(server, EngineServer)
    phones = Phones(world.fleet, requests)
    arriving = Arriving(requests.prompt_tok, phones.kind)
    plan = policy.plan(blueprint.view, arriving, lambda: luck.uniform("policy.dispatch"))
    if plan is None or plan.looks_at_device or type(plan.hand_overs) not in {type(None), Migration}:
        return None
    planned = Planned.of(plan, requests, phones, model, world.model.link)
    if plan.tries_again and planned.is_refused.any():
        return None
    return EnginePlanned(world, server, planned, phones, recorder)


def _is_covered(policy: Policy, requests: RequestTable, world: World) -> bool:
    if not has_plan(policy) or is_foreign(type(policy)):  # nobody would find out that another's plan is wrong
        return False
    if (type(world.server), type(world.link), type(world.fleet)) != (EngineServer, Link, Fleet) or not len(requests):
        return False
    model = world.model
    profiles = [profile for profile, _ in model.fleet]
    parts = [requests, model, model.server, model.meter, model.link, *profiles]
    return all(says_only(part, KNOWN) for part in parts) and all(profile.first <= 1.0 for profile in profiles)
