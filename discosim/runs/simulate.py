"""Run a scenario: every policy over every replication, on the same luck."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.core.class_state import sentence
from discosim.core.errors import UserError
from discosim.core.scenario import Scenario, is_closed_loop
from discosim.metrics.summary import SummaryTable
from discosim.metrics.summary_definitions import SUMMARY_METRICS
from discosim.policies.base import Policy
from discosim.policies.budget import promise_of
from discosim.runs.apart import ApartLuck, luck_of
from discosim.runs.basis import basis_of
from discosim.runs.batteries import refused_note
from discosim.runs.build import Blueprint, build
from discosim.runs.collect import Columns, join_columns
from discosim.runs.energy_range import energy_range_notes
from discosim.runs.entrants import Given, entrants_of, named_policies
from discosim.runs.examples import EXAMPLE_POOL, choose_examples
from discosim.runs.input_intervals import input_intervals
from discosim.runs.input_versions import InputVersions
from discosim.runs.inputs import measured_inputs, replayed_models, rows_doubts, rows_notes
from discosim.runs.meetings import Meetings
from discosim.runs.outcomes import Here, Outcomes
from discosim.runs.parallel import check_jobs, elsewhere
from discosim.runs.placed import one_value
from discosim.runs.progress import ticking
from discosim.runs.promises import broken_promise
from discosim.runs.provenance import input_notes
from discosim.runs.replicate import Entrant, replicate
from discosim.runs.result import RunResult
from discosim.runs.series import cut_note, stacked_series
from discosim.runs.size import check_requests, check_rows
from discosim.runs.steady import overload_note
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
    parts: dict[tuple[str, int], Columns] = {}
    summaries: dict[str, list[dict[str, float]]] = {entrant.name: [] for entrant in entrants}
    by_endpoint: dict[tuple[str, int], Columns] = {}
    examples: dict[str, Columns] = {}
    series: dict[tuple[str, int], Columns] = {}
    n_cut: Counter[str] = Counter()
    kernels: dict[str, Counter[str]] = {entrant.name: Counter() for entrant in entrants}
    tallies: dict[str, Counter[str]] = {entrant.name: Counter() for entrant in entrants}
    changed: dict[str, frozenset[str]] = {entrant.name: frozenset() for entrant in entrants}
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
                parts[entrant.name, replication] = outcome.columns
                by_endpoint[entrant.name, replication] = outcome.endpoints
                series[entrant.name, replication] = outcome.series
                n_cut[entrant.name] += outcome.is_cut
                kernels[entrant.name].update(outcome.kernels)
                summaries[entrant.name].append(outcome.summary)
                tallies[entrant.name].update(outcome.tally)
                changed[entrant.name] |= outcome.changed
                if replication == 0:
                    examples[entrant.name] = outcome.tokens
                if token_sink is not None:
                    token_sink(entrant.name, replication, outcome.tokens)
                if tick is not None:
                    tick()
            meetings.note(luck, asked)
    for entrant in entrants:
        replications = [parts[entrant.name, k] for k in range(scenario.replications)]
        warnings += (
            *_doubts(entrant, replications, tallies[entrant.name], blueprint),
            *(f"{entrant.name}: {said}" for said in filter(None, [sentence(changed[entrant.name])])),
            *filter(None, [refused_note(entrant.name, summaries[entrant.name])]),
            *filter(None, [cut_note(entrant.name, n_cut[entrant.name], scenario.replications)]),
        )
    energy_doubts, energy_notes = energy_range_notes(
        blueprint,
        entrants,
        {entrant.name: [parts[entrant.name, k] for k in range(scenario.replications)] for entrant in entrants},
    )
    example_columns = choose_examples(examples, {name: parts[name, 0] for name in examples})
    columns = stacked(parts)
    summary = SummaryTable.of(summaries, scenario.baseline or entrants[0].name)
    return RunResult(
        scenario=scenario,
        given=_given(scenario, entrants),
        columns=columns,
        summary=summary,
        input_intervals=input_intervals(scenario, inputs, meetings, columns, summary),
        replication_columns=_by_replication(summaries),
        example_columns=example_columns,
        endpoint_columns=stacked(by_endpoint) if scenario.services else {},
        notes=input_notes(
            scenario,
            (*blueprint.notes, *rows_notes(scenario, inputs), *energy_notes),
            workload_notes,
            (*warnings, *energy_doubts),
        ),
        series_columns=stacked_series(series),
        kernels={name: dict(found) for name, found in kernels.items()},
    )


def _kept_ids(replication: int, sink: TokenSink | None) -> range:
    """Return the requests of a replication whose token rows are kept."""
    return EVERYTHING if sink else range(EXAMPLE_POOL if replication == 0 else 0)


def _doubts(
    entrant: Entrant, replications: Sequence[Columns], tally: Mapping[str, float], blueprint: Blueprint
) -> tuple[str, ...]:
    """Return what to doubt about the numbers of one policy."""
    view = blueprint.view
    promise = promise_of(entrant.policy, view)
    found = [
        None if promise is None else broken_promise(entrant.name, promise, replications, view.server_ttft_s.size),
        None if is_closed_loop(blueprint.scenario.workload) else overload_note(entrant.name, replications),
        *(f"{entrant.name}: {remark}" for remark in entrant.policy.remarks(tally)),
    ]
    return tuple(doubt for doubt in found if doubt is not None)


def stacked(parts: Mapping[tuple[str, int], Columns]) -> Columns:
    """Join the worlds' columns, by policy name and replication, so that the order of policies changes no byte.

    The parts are emptied on the way.
    """
    keys = sorted(parts)
    sizes = [parts[key]["request_id"].size for key in keys]
    return {
        "policy": _repeated([name for name, _ in keys], sizes, object),
        "replication": _repeated([replication for _, replication in keys], sizes, np.int64),
        **join_columns([parts[key] for key in keys]),
    }


def _repeated(values: Sequence[str] | Sequence[int], sizes: Sequence[int], dtype: type) -> NDArray[Any]:
    """Return each value as often as its size says."""
    held: NDArray[Any] = np.array(values, dtype=dtype)
    return one_value(held, sizes[0]) if held.size == 1 else np.repeat(held, sizes)


def _by_replication(summaries: Mapping[str, Sequence[Mapping[str, float]]]) -> Columns:
    """Return every summary number by policy name and replication."""
    rows = [(name, i, numbers) for name in sorted(summaries) for i, numbers in enumerate(summaries[name])]
    return {
        "policy": np.array([name for name, _, _ in rows], dtype=object),
        "replication": np.array([i for _, i, _ in rows], dtype=np.int64),
        **{
            m.name: np.array([numbers[m.name] for _, _, numbers in rows], dtype=m.dtype)
            for m in SUMMARY_METRICS
            if m.name in rows[0][2]
        },
    }


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
