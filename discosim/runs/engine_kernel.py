"""Replications in which every request goes to a white-box server and nowhere else, without a process for each.

What is taken is listed here, part by part: whoever adds one to the world need not know of this, and it goes through
SimPy.
"""

from __future__ import annotations

from collections.abc import Iterator

from discosim.core.request import RequestTable
from discosim.core.timelines import Timelines
from discosim.policies.base import Policy
from discosim.policies.server_only import ServerOnly
from discosim.policies.services import SERVER
from discosim.runs import series
from discosim.runs.collect import BATCH
from discosim.world.engine.engine import EngineModel
from discosim.world.engine.unattended_run import UnattendedRun
from discosim.world.engine_batch import Sent, send, timelines
from discosim.world.world import World, WorldModel

SIMPY, ENGINE, COMPILED = "simpy", "engine", "compiled engine"
"""Names in run.json: all that is SimPy's, the engine itself without sessions, and the compiled one."""


class EngineOnly:
    """A replication of which the engine does all.

    Attributes
    ----------
    run : UnattendedRun
        The engine, whose figures and series are known once the timelines have been taken.
    """

    def __init__(self, world: World, model: EngineModel, sent: Sent) -> None:
        self.run = UnattendedRun(model, sent.arrivals, series.MOST_S)
        self._world = world
        self._sent = sent

    def timelines(self, rows_each: int = BATCH) -> Iterator[Timelines]:
        """Yield all requests in the order in which their records would come out of the world.

        All parts but the last have a multiple of ``rows_each`` rows.
        """
        world = self._world
        quality, last_s = world.model.quality, 0.0
        for part in timelines(self._sent, self.run.served(), world.link, world.model.meter, rows_each, quality):
            last_s = max(last_s, float(part["arrival_s"].max()), float(part.delivered_s.values.max(initial=0.0)))
            yield part
        if last_s > 0.0:  # an edge tier reckons with time, of which it has used nothing
            world.env.run(until=last_s)

    def counts(self) -> dict[str, int]:
        """Return how many requests went which way."""
        return {SIMPY: 0, COMPILED if self.run.is_compiled else ENGINE: len(self._sent.table)}


def engine_only(policy: Policy, requests: RequestTable, world: World) -> EngineOnly | None:
    """Return the replication as one that the engine does alone; None where the world has to."""
    model = world.model.server
    if type(policy) is not ServerOnly or policy.service != SERVER or requests.loop is not None:
        return None
    if not isinstance(model, EngineModel) or model.prefill_pool is not None or not _is_plain(world.model):
        return None
    sent = send(requests, model, world.link)
    if policy.n_retries and sent.is_refused.any():
        return None
    return EngineOnly(world, model, sent)


def _is_plain(model: WorldModel) -> bool:
    """Tell whether nothing is in the world that would notice the requests, or that they would."""
    link = model.link
    return (
        type(model) is WorldModel
        and not model.services
        and link.tokens_per_packet == 1
        and not link.outages
        and all(profile.waiting is None and profile.battery is None for profile, _ in model.fleet)
    )
