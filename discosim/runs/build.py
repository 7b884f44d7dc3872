"""From a scenario to the parts of a world: digests are loaded, units settled, double counting taken out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from discosim.config.own_kinds import own_classes
from discosim.core.class_state import as_found
from discosim.core.errors import UserError
from discosim.core.request import RequestTable
from discosim.core.rng import RandomStreams
from discosim.core.scenario import AssumedQuality, Device, EngineServer, JointQuality, Scenario, Server
from discosim.policies.view import ASSUMED, View
from discosim.runs.build_device import device_doubts, device_notes, figures_of
from discosim.runs.build_edge import answer_model, edge_model, quality_model
from discosim.runs.build_engine import engine_notes, require_able, require_fitting_blocks, run_pilot
from discosim.runs.build_joint import joint_model
from discosim.runs.build_link import link_doubts, link_model
from discosim.runs.build_noise import noise_notes, with_noise
from discosim.runs.build_past import draw_past
from discosim.runs.build_server import is_gated, meter_of, named, server_parts, services
from discosim.runs.engine_kernel import SIMPY
from discosim.traces.history import Past
from discosim.traces.workload import make_requests
from discosim.world.api_server import ApiServerModel
from discosim.world.device_profile import DeviceProfile
from discosim.world.engine.engine import EngineModel
from discosim.world.engine.schedulers.base import Scheduler
from discosim.world.law import RawSeries, mean_of
from discosim.world.world import WorldModel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

HISTORY_N = 100_000
"""Past requests a policy may learn from; so many that thresholds carry no sampling noise worth mentioning."""

PILOT_N = 2000
"""Requests of the past that live through the queue or the limits of a replayed service."""

HISTORY_REPLICATION = 2**31
"""The replication whose luck is the past; no run ever reaches it."""


@dataclass(frozen=True)
class Blueprint:
    """A scenario with every digest resolved.

    Parameters
    ----------
    scenario : Scenario
        Where it comes from.
    model : WorldModel
        The parts of the world.
    view : View
        What policies may know.
    notes : tuple of str
        What was done to measured data, in sentences for the reader.
    warnings : tuple of str
        What a person should doubt about the inputs, in whole sentences.
    """

    scenario: Scenario
    model: WorldModel
    view: View
    notes: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    def requests(self, replication: int) -> RequestTable:
        """Return the requests of one replication."""
        streams = RandomStreams(self.scenario.seed, replication)
        versions = streams if self.scenario.inputs.resample else None
        requests = make_requests(self.scenario.workload, self.scenario.reader, streams, Path(), versions)
        self._check_blocks(requests, self.scenario.server, self.model.server)
        for name, service in self.scenario.services.items():
            with named(name):
                self._check_blocks(requests, service, self.model.services[name].model)
        return requests

    def _check_blocks(self, requests: RequestTable, server: Server, model: object) -> None:
        if isinstance(server, EngineServer) and (server.prefix_cache_tok or server.prefix_cache == "inside"):
            assert isinstance(model, EngineModel)
            workload = self.scenario.workload
            clipped_tok = workload.max_prompt_tok if workload.over_limit == "clip" else None
            require_fitting_blocks(requests, server, clipped_tok, type(model.scheduler()))


def build(scenario: Scenario, scheduler: Callable[[], Scheduler] | None = None) -> Blueprint:
    """Resolve a scenario.

    Parameters
    ----------
    scenario : Scenario
        What is to be run.
    scheduler : callable, optional
        Makes the scheduler of each replica in place of the scenario's own.

    Raises
    ------
    UserError
        If a digest is unknown or of the wrong kind, or lacks a figure that the scenario needs; or if there is no
        engine for the scheduler.
    """
    with as_found(own_classes(scenario)):  # a pilot run, and what is tried out, are no part of a replication
        return _built(scenario, scheduler)


def _built(scenario: Scenario, scheduler: Callable[[], Scheduler] | None) -> Blueprint:
    own = () if scheduler is None else (_checked_scheduler(scenario, scheduler),)
    fleet = tuple(
        (with_noise(_profile(device, i), device, f"devices[{i}]"), device.share)
        for i, device in enumerate(scenario.devices)
    )
    parts = server_parts(scenario.server, scheduler)
    link, link_notes = link_model(scenario.link, parts.contains)
    others, service_notes, doubts = services(scenario)
    if isinstance(scenario.server, EngineServer):
        own = (*own, *engine_notes(scenario.server))
    model = WorldModel(
        fleet=fleet,
        server=parts.model,
        link=link,
        meter=meter_of(scenario.server.prices, scenario.cost.exchange_rate_usd_per_j),
        edge=None if scenario.edge is None else edge_model(scenario.edge),
        answers=answer_model(scenario.answers),
        quality=quality_model(scenario.quality) if isinstance(scenario.quality, AssumedQuality) else None,
        joint=joint_model(scenario.quality) if isinstance(scenario.quality, JointQuality) else None,
        services=others,
    )
    view, past_notes = _view(scenario, replace(model, services={}))
    notes = (
        *device_notes(scenario.devices),
        *link_notes,
        *parts.notes,
        *service_notes,
        *own,
        *noise_notes(scenario),
        *past_notes,
    )
    return Blueprint(
        scenario,
        model,
        view,
        notes,
        (*device_doubts(scenario.devices), *link_doubts(scenario.link), *parts.warnings, *doubts),
    )


def _checked_scheduler(scenario: Scenario, scheduler: Callable[[], Scheduler]) -> str:
    """Return the note on a scheduler that the scenario does not name."""
    if not isinstance(scenario.server, EngineServer):
        raise UserError("a scheduler needs `server.kind: engine`, as in the shipped scenario 'engine'")
    if not callable(scheduler):
        raise UserError(
            "expected a class, or a function that makes a fresh scheduler for each replica", where="scheduler"
        )
    if not isinstance(made := scheduler(), Scheduler):
        raise UserError(f"expected one that makes a Scheduler (got {type(made).__name__})", where="scheduler")
    require_able(type(made), scenario.server)
    return f"scheduler: {type(made).__name__}, in place of the scenario's"


def _profile(device: Device, index: int) -> DeviceProfile:
    line = DeviceProfile(
        **figures_of(device, index),
        throttle=device.throttle,
        battery=device.battery,
        waiting=device.waiting,
    )
    return with_noise(line, device, f"devices[{index}]")


def _view(scenario: Scenario, model: WorldModel) -> tuple[View, tuple[str, ...]]:
    """Draw the past, request lengths and the TTFTs that clients of the service have seen, and say where it is from."""
    streams = RandomStreams(scenario.seed, HISTORY_REPLICATION)
    past = Past.of(scenario.workload, streams, Path())
    replayed = model.server if isinstance(model.server, ApiServerModel) and not is_gated(scenario.server) else None
    drawn = draw_past(past, replayed, model.link, HISTORY_N)
    if isinstance(scenario.server, EngineServer) or is_gated(scenario.server):
        n = scenario.server.pilot_requests if isinstance(scenario.server, EngineServer) else PILOT_N
        pilot = run_pilot(n, scenario.reader, model, past, simpy_only=scenario.kernel == SIMPY)
        ttft_s, tpot_s, server_prompt_tok = pilot.ttft_s, pilot.tpot_s, pilot.prompt_tok
        kind = "engine" if isinstance(scenario.server, EngineServer) else "service"
        seen = f"TTFTs of a pilot run of {pilot.n_requests:,} of them, all at the {kind}"
    else:
        assert replayed is not None
        assert drawn.ttft_s is not None
        ttft_s = drawn.ttft_s
        tpot_s = mean_of(replayed.tpot)
        server_prompt_tok = None
        seen = f"{HISTORY_N:,} TTFTs drawn from the law of the service"
        if isinstance(replayed.ttft, RawSeries):
            seen = f"{HISTORY_N:,} TTFTs of the whole series, from another row on"
    rtt_s = 0.0 if model.link.rtt is None else model.link.rtt.table.mean()
    view = View(
        prompt_tok=drawn.prompt_tok,
        output_tok=drawn.output_tok,
        server_ttft_s=ttft_s,
        server_prompt_tok=server_prompt_tok,
        server_tpot_s=tpot_s,
        link_delay_s=rtt_s / 2,
        fleet=model.fleet,
        meter=model.meter,
        uplink_bit_per_s=model.link.uplink_bit_per_s,
        edge=None if scenario.edge is None else edge_model(scenario.edge),
        answers=model.answers,
        quality=model.quality or ASSUMED,
        joint=model.joint,
    )
    return view, (f"past: requests {past.note}; {seen}",)
