"""One replication of one policy: a world, what its requests came to, and the numbers that sum it up."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from discosim.config.own_kinds import own_classes
from discosim.core.class_state import as_found
from discosim.core.own_code import anew
from discosim.core.plugins import construct
from discosim.core.request import RequestTable
from discosim.core.scenario import PolicySpec
from discosim.core.source_code import is_foreign
from discosim.core.undecided import UndecidedError
from discosim.metrics.accuracy import ACCURACY_COLUMNS, ACCURACY_NUMBERS, right_column
from discosim.metrics.battery import NO_BATTERY, battery_columns
from discosim.metrics.engine_definitions import WHITE_BOX_COLUMNS
from discosim.metrics.event_definitions import EVENT_COLUMNS, EVENT_NUMBERS
from discosim.metrics.summary import summarise
from discosim.metrics.summary_definitions import WHITE_BOX_NUMBERS
from discosim.metrics.waiting import WAITING_COLUMNS, WAITING_NUMBERS
from discosim.policies.base import Policy
from discosim.policies.view import View
from discosim.runs.batteries import batteries_of
from discosim.runs.build import Blueprint
from discosim.runs.collect import Collector, Columns
from discosim.runs.engine_kernel import EngineOnly, engine_only
from discosim.runs.kernels import SIMPY, Kernel, counts, run, taken_of
from discosim.runs.plan_check import checked
from discosim.runs.planned_kernel import EnginePlanned, engine_planned
from discosim.runs.replay_kernel import replay_kernel
from discosim.runs.series import recorder_of, series_columns
from discosim.runs.waiting import check_waiting
from discosim.world.api_server import ApiServerModel
from discosim.world.dispatched.planned_run import PlannedRun
from discosim.world.engine.series import SeriesRecorder
from discosim.world.engine.unattended_run import UnattendedRun
from discosim.world.joint import BOTH, ONLY_STRONG, ONLY_WEAK
from discosim.world.luck import Luck
from discosim.world.world import World, WorldModel

KERNELS: tuple[Kernel, ...] = (replay_kernel,)
"""Asked in this order; the first that takes anything of a replication has it."""


@dataclass(frozen=True)
class Entrant:
    """A policy under the name that it has in a run."""

    name: str
    policy: Policy
    spec: PolicySpec | None = None
    """What the scenario says of it; None for an object that was given."""


@dataclass(frozen=True)
class Outcome:
    """What one replication of one policy came to.

    Parameters
    ----------
    columns : dict of str to array
        A row per request, as in requests.parquet.
    summary : dict of str to float
        The numbers of the replication.
    tokens : dict of str to array
        Token rows of the requests that were to be kept.
    tally : mapping of str to float
        What the policy counted.
    endpoints : dict of str to array
        A row per request and endpoint, as in endpoints.parquet; empty where there is one service.
    series : dict of str to array
        A row per second of a white-box server, as in series.parquet; empty without one.
    is_cut : bool
        Whether the series ends before the run.
    kernels : mapping of str to int
        How many requests each kernel did, the world (``simpy``) among them.
    asked : frozenset of str
        Roles of the luck that were drawn when it had run.
    changed : frozenset of str
        Data of its class, and of the module around it, that a policy changed; see `core.class_state`.
    """

    columns: Columns
    summary: dict[str, float]
    tokens: Columns
    tally: Mapping[str, float]
    endpoints: Columns
    series: Columns = field(default_factory=dict)
    is_cut: bool = False
    kernels: Mapping[str, int] = field(default_factory=dict)
    asked: frozenset[str] = frozenset()
    changed: frozenset[str] = frozenset()


def replicate(entrant: Entrant, blueprint: Blueprint, requests: RequestTable, luck: Luck, keep: range) -> Outcome:
    """Run one policy over the requests of one replication.

    Parameters
    ----------
    entrant : Entrant
        The policy; a copy of it serves, so that nothing it learns reaches the next replication.
    blueprint : Blueprint
        The scenario, built.
    requests : RequestTable
        Who arrives.
    luck : Luck
        The draws of the replication, shared by all policies.
    keep : range
        Request ids whose token rows are kept.
    """
    try:
        return _alone(entrant, blueprint, requests, luck, keep, KERNELS)
    except UndecidedError:
        return _alone(entrant, blueprint, requests, luck, keep, ())


def _alone(
    entrant: Entrant,
    blueprint: Blueprint,
    requests: RequestTable,
    luck: Luck,
    keep: range,
    kernels: Sequence[Kernel],
) -> Outcome:
    """Run one policy so that nothing which its class holds comes from another replication, or reaches one."""
    found = type(entrant.policy) if entrant.spec is None else anew(type(entrant.policy))
    is_anew = found is not type(entrant.policy)
    if is_anew and entrant.spec is not None:
        entrant = replace(entrant, policy=construct(found, entrant.spec.options, f"policy {entrant.name}"))
    with as_found((type(entrant.policy), *own_classes(blueprint.scenario))) as left:
        outcome = _replicate(entrant, blueprint, requests, luck, keep, kernels)
    changed = left[0]
    if is_anew:  # and so is its module
        changed = frozenset(name for name in changed if "." in name)
    return replace(outcome, changed=changed)


def _replicate(
    entrant: Entrant,
    blueprint: Blueprint,
    requests: RequestTable,
    luck: Luck,
    keep: range,
    kernels: Sequence[Kernel],
) -> Outcome:
    recorder = recorder_of(blueprint.model.server)
    world = World(blueprint.model, requests, luck, recorder)
    has_chunks = sends_in_chunks(blueprint.model)
    collector = Collector(
        entrant.name,
        blueprint.model.meter,
        blueprint.scenario.reader.pacer,
        keep,
        blueprint.model.meters,
        has_chunks=has_chunks,
        n_requests=len(requests),
    )
    policy = prepared(entrant.policy, blueprint.view, world)
    ran = _run(entrant, policy, blueprint, requests, luck, world, recorder, collector, kernels)
    columns = collector.columns(len(requests))
    judge = world.setting.judge
    if judge is not None:
        cells = judge.cells(columns["prompt_tok"])
        columns |= right_column(columns, np.isin(cells, (BOTH, ONLY_WEAK)), np.isin(cells, (BOTH, ONLY_STRONG)))
    inside = ran.inside
    batteries = batteries_of(world.fleet, columns)
    if batteries is not None:
        columns |= battery_columns(columns, batteries)
    summary = summarise(columns, collector.gaps, inside, world.edge_figures(), batteries)
    if batteries is None:  # who has no battery hears nothing of one
        del columns["battery_percent"]
        summary = {name: number for name, number in summary.items() if name not in NO_BATTERY}
    if inside is None:  # what only a look inside can tell has no place in the files
        _leave_out(columns, summary, WHITE_BOX_COLUMNS, WHITE_BOX_NUMBERS)
    if not has_chunks:
        _leave_out(columns, summary, EVENT_COLUMNS, EVENT_NUMBERS)
    if world.fleet.counts_waiting:
        check_waiting(columns, world.fleet.waiting_total_j(), entrant.name)
    else:
        _leave_out(columns, summary, WAITING_COLUMNS, WAITING_NUMBERS)
    if judge is None:
        _leave_out(columns, summary, ACCURACY_COLUMNS, ACCURACY_NUMBERS)
    return Outcome(
        columns=columns,
        summary=summary,
        tokens=collector.tokens(),
        tally=policy.tally(columns),
        endpoints=collector.endpoints(),
        series={} if ran.recorder is None else series_columns(ran.recorder.series()),
        is_cut=ran.recorder is not None and ran.recorder.is_cut,
        kernels=ran.kernels,
        asked=luck.asked(),
    )


@dataclass(frozen=True)
class _Ran:
    """What is known of a replication whose requests are over: what was inside the server, and who has done them."""

    inside: dict[str, float] | None
    recorder: SeriesRecorder | UnattendedRun | PlannedRun | None
    kernels: Mapping[str, int]


def _run(
    entrant: Entrant,
    policy: Policy,
    blueprint: Blueprint,
    requests: RequestTable,
    luck: Luck,
    world: World,
    recorder: SeriesRecorder | None,
    collector: Collector,
    kernels: Sequence[Kernel],
) -> _Ran:
    """Let the requests be served, by the engine alone or by a kernel where that changes no bit."""
    whole: EngineOnly | EnginePlanned | None = None
    if blueprint.scenario.kernel != SIMPY:
        whole = engine_only(policy, requests, world)
        if whole is None and kernels:
            whole = engine_planned(policy, blueprint, requests, luck, world, recorder)
    if whole is not None:
        for part in whole.timelines():
            collector.take(part)
        return _Ran(whole.figures, whole.recorder, whole.counts())
    taken = taken_of(policy, blueprint, requests, luck, world, kernels)
    if taken is None:
        world.run(policy, collector)
    else:
        if is_foreign(type(policy)) and luck.streams.replication == 0:
            other = World(blueprint.model, requests, luck)
            fresh = prepared(entrant.policy, blueprint.view, other)
            taken = checked(entrant.name, fresh, taken, other, pacer=blueprint.scenario.reader.pacer)
        run(taken, policy, world, collector.take)
    inside = world.engine_figures() if taken is None or taken.figures is None else dict(taken.figures)
    return _Ran(inside, recorder, counts(taken, len(requests)))


def sends_in_chunks(model: WorldModel) -> bool:
    """Tell whether tokens of a service come together, so that events of arrival are another thing than tokens."""
    services = (model.server, *(service.model for service in model.services.values()))
    return any(isinstance(service, ApiServerModel) and service.chunks is not None for service in services)


def _leave_out(
    columns: Columns, summary: dict[str, float], column_names: tuple[str, ...], number_names: tuple[str, ...]
) -> None:
    for name in column_names:
        del columns[name]
    for name in number_names:
        del summary[name]


def prepared(policy: Policy, view: View, world: World) -> Policy:
    """Return a copy of the policy that has seen the past, and the future only if it declared that need."""
    fresh = copy.deepcopy(policy)
    fresh.prepare(replace(view, draws=world.draws) if "oracle" in policy.needs else view)
    return fresh
