"""Run a scenario: every policy over every replication, on the same luck."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np

from discosim.core.errors import UserError
from discosim.core.scenario import Scenario
from discosim.metrics.summary import SummaryTable
from discosim.policies.base import Policy
from discosim.runs.apart import ApartLuck, luck_of
from discosim.runs.basis import basis_of
from discosim.runs.build import Blueprint, build
from discosim.runs.collect import Columns
from discosim.runs.energy_range import energy_range_notes
from discosim.runs.entrants import Given, entrants_of, named_policies
from discosim.runs.examples import EXAMPLE_POOL
from discosim.runs.gathered import Gathered, stacked
from discosim.runs.input_intervals import input_intervals
from discosim.runs.input_versions import InputVersions
from discosim.runs.inputs import measured_inputs, replayed_models, rows_doubts, rows_notes
from discosim.runs.meetings import Meetings
from discosim.runs.outcomes import Here, Outcomes
from discosim.runs.parallel import check_jobs, elsewhere
from discosim.runs.progress import ticking
from discosim.runs.provenance import input_notes
from discosim.runs.replicate import Entrant, replicate
from discosim.runs.result import RunResult
from discosim.runs.series import stacked_series
from discosim.runs.size import check_requests, check_rows
from discosim.world.engine.schedulers.base import Scheduler

TokenSink = Callable[[str, int, Columns], None]
Tick = Callable[[], object]
EVERYTHING = range(2**62)


def simulate(
    scenario: Scenario,
    *,
    policies: Given = (),
    scheduler: Callable[[], Scheduler] | None = None,
    n_jobs: int = 1,
    tick: Tick | None = None,
    token_sink: TokenSink | None = None,
    outcomes: Outcomes | None = None,
) -> RunResult:
    """Run a scenario in this process and return its tables.

    Parameters
    ----------
    scenario : Scenario
        As :func:`discosim.load_scenario` gives it.
    policies : Policy, or mapping or sequence of Policy, optional
        Policy objects that run beside those of the scenario, for example one defined in a notebook cell; a mapping
        names them, else the name is the policy's kind or class name.
    scheduler : class or callable, optional
        Makes a scheduler for each replica of the engine called `server`, in place of the scenario's.
    n_jobs : int
        Processes of this machine that run the worlds; -1 is one for each processor. The result is the same. A policy of
        a notebook travels as its text, with what it uses of the notebook.
    tick : callable, optional
        Called after each of the ``n_policies * replications`` worlds; in a notebook a bar is shown where omitted.
    token_sink : callable, optional
        Gets policy, replication and token columns of every world; without it only example tokens are kept.
    outcomes : Outcomes, optional
        Where the worlds come from, such as those that were run before; all are run here by default.

    Returns
    -------
    RunResult
        Tables, summary and pictures.

    Raises
    ------
    UserError
        If two policies share a name, or an input of the scenario cannot be used.
    """
    if not isinstance(scenario, Scenario):
        raise UserError(f"expected what load_scenario gives (got {type(scenario).__name__})", where="simulate")
    n, entrants = check_jobs(n_jobs), entrants_of(scenario, policies)
    basis = basis_of(scenario, _given(scenario, entrants))
    if n == 1:
        with ticking(tick, len(entrants) * scenario.replications, scenario.name) as moved:
            done = _simulated(scenario, entrants, scheduler, moved, token_sink, outcomes or Here())
            return replace(done, basis=basis)
    if scheduler is not None:
        said = "a scheduler object stays in this process; name its class in the scenario, `kind: file.py:Class`"
        raise UserError(said, where="n_jobs")
    keeps = [_kept_ids(replication, token_sink) for replication in range(scenario.replications)]
    total = len(entrants) * scenario.replications
    with elsewhere(scenario, named_policies(policies), keeps, n) as found, ticking(tick, total, scenario.name) as moved:
        return replace(_simulated(scenario, entrants, None, moved, token_sink, found), basis=basis)


def _given(scenario: Scenario, entrants: Sequence[Entrant]) -> dict[str, Policy]:
    """Return the policies that were given as objects; they come after those of the scenario."""
    return {entrant.name: entrant.policy for entrant in entrants[len(scenario.policies) :]}


def _simulated(
    scenario: Scenario,
    entrants: Sequence[Entrant],
    scheduler: Callable[[], Scheduler] | None,
    tick: Tick | None,
    token_sink: TokenSink | None,
    source: Outcomes,
) -> RunResult:
    check_rows(scenario, len(entrants))
    blueprint = build(scenario, scheduler)
    inputs = measured_inputs(scenario, replayed_models(blueprint.model))
    meetings = Meetings(scenario, replayed_models(blueprint.model), inputs)
    versions = InputVersions(blueprint) if scenario.inputs.resample else None
    gathered = Gathered(tuple(entrants))
    workload_notes: dict[str, float | str] = {}
    warnings: tuple[str, ...] = ()
    with _calm_memory():
        for replication in range(scenario.replications):
            requests = blueprint.requests(replication)
            if replication == 0:
                check_requests(requests, scenario, len(entrants))
                workload_notes = requests.notes
                warnings = (*(f"workload: {doubt}" for doubt in requests.warnings), *blueprint.warnings)
                warnings += rows_doubts(scenario, inputs)
            world = versions.of(replication) if versions else blueprint
            luck, asked = luck_of(scenario.seed, replication, requests, world.model.link), frozenset[str]()
            keep = _kept_ids(replication, token_sink)
            for entrant in entrants:
                own = ApartLuck(luck) if source.is_apart else luck
                outcome = source.of(entrant, replication, partial(replicate, entrant, world, requests, own, keep))
                asked |= outcome.asked
                gathered.add(entrant.name, replication, outcome)
                if token_sink is not None:
                    token_sink(entrant.name, replication, outcome.tokens)
                if tick is not None:
                    tick()
            meetings.note(luck, asked)
    warnings += gathered.doubts(blueprint)
    energy_doubts, energy_notes = energy_range_notes(blueprint, entrants, gathered.by_policy())
    example_columns = gathered.example_columns()
    columns = gathered.columns()
    summary = SummaryTable.of(gathered.summaries, scenario.baseline or entrants[0].name)
    return RunResult(
        scenario=scenario,
        given=_given(scenario, entrants),
        columns=columns,
        summary=summary,
        input_intervals=input_intervals(scenario, inputs, meetings, columns, summary),
        replication_columns=gathered.replication_columns(),
        example_columns=example_columns,
        endpoint_columns=stacked(gathered.endpoints) if scenario.services else {},
        notes=input_notes(
            scenario,
            (*blueprint.notes, *rows_notes(scenario, inputs), *energy_notes),
            workload_notes,
            (*warnings, *energy_doubts),
        ),
        series_columns=stacked_series(gathered.series),
        kernels={name: dict(found) for name, found in gathered.kernels.items()},
    )


def _kept_ids(replication: int, sink: TokenSink | None) -> range:
    """Return the requests of a replication whose token rows are kept."""
    return EVERYTHING if sink else range(EXAMPLE_POOL if replication == 0 else 0)


@contextmanager
def _calm_memory() -> Iterator[None]:
    """Let Python and its allocator look less often for memory to give back while worlds run.

    A world makes many short-lived objects and no cycles; the default thresholds of the cyclic garbage collector cost
    about a tenth of the run. And glibc returns freed memory to the system above twice the largest array freed so far,
    only to fetch it again page by page for the next batch of metrics: one large array, freed untouched, lifts that.
    """
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 100)
    np.empty(2**21)
    try:
        yield
    finally:
        gc.set_threshold(*before)


__all__ = ["Blueprint", "simulate"]
