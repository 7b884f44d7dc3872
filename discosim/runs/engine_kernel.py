"""Replications in which every request goes to a white-box server and nowhere else, without a process for each.

What is taken is listed here, part by part: whoever adds one to the world need not know of this, and it goes through
SimPy.
"""

from __future__ import annotations

from collections.abc import Iterator

from discosim.core.known_fields import Known, says_only
from discosim.core.request import RequestTable
from discosim.core.timelines import Timelines
from discosim.policies.base import Policy
from discosim.policies.server_only import ServerOnly
from discosim.policies.services import SERVER
from discosim.runs import series
from discosim.runs.collect import BATCH
from discosim.world.batch.covered import OF_REQUESTS
from discosim.world.device_profile import DeviceProfile
from discosim.world.engine.engine import EngineModel, EngineServer
from discosim.world.engine.unattended_run import UnattendedRun
from discosim.world.engine_batch import Sent, send, timelines
from discosim.world.link import Link, LinkModel
from discosim.world.meter import Meter
from discosim.world.world import World, WorldModel

SIMPY, ENGINE, COMPILED = "simpy", "engine", "compiled engine"
"""Names in run.json: all that is SimPy's, the engine itself without sessions, and the compiled one."""


KNOWN: Known = {
    ServerOnly: frozenset({"n_retries", "retry_after_s", "service", "retry_service"}),
    WorldModel: frozenset({"fleet", "server", "link", "meter", "edge", "answers", "quality", "joint"}),
    Meter: frozenset({"prompt_usd_per_tok", "output_usd_per_tok", "exchange_rate_usd_per_j"}),
    LinkModel: frozenset({"rtt", "tick_s", "up_share", "loss_share", "retransmit_s", "uplink_bit_per_s"}),
    EngineModel: frozenset(
        {"replica", "n_replicas", "scheduler", "router", "max_context_tok", "lockstep", "fastest_iteration_s"}
    ),
    RequestTable: OF_REQUESTS,
    DeviceProfile: frozenset(
        {
            "name",
            "prefill_s_per_tok",
            "decode_tok_per_s",
            "prefill_intercept_s",
            "chunk_tok",
            "prefill_j_per_tok",
            "decode_j_per_tok",
            "max_context_tok",
            "throttle",
            "cold_start",
            "residual",
            "heat",
            "heat_at_start",
        }
    ),
}
"""What is known of each part: a world that says more than that goes through SimPy. Nobody asks the devices."""


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

    @property
    def figures(self) -> dict[str, float]:
        """What the engine did as a whole, once the timelines have been taken."""
        return self.run.figures

    @property
    def recorder(self) -> UnattendedRun:
        """Who knows the series, once the timelines have been taken."""
        return self.run

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
    model, server = world.model, world.model.server
    if not isinstance(policy, ServerOnly) or policy.service != SERVER or not isinstance(server, EngineModel):
        return None
    parts = [policy, requests, model, server, model.meter, model.link, *(profile for profile, _ in model.fleet)]
    if not all(says_only(part, KNOWN) for part in parts):
        return None
    if type(world.server) is not EngineServer or type(world.link) is not Link:
        return None
    sent = send(requests, server, world.link)
    if policy.n_retries and sent.is_refused.any():
        return None
    return EngineOnly(world, server, sent)
