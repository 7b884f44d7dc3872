"""What few rows leave open in the numbers of finished runs, from their files: no world runs again.

The rows that a request met follow from the scenario and its seed, as the draws belong to requests; how it went stands
in requests.parquet. So runs of one setting with several seeds are seen as one run of as many replications.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.core.errors import UserError
from discosim.core.rng import RandomStreams
from discosim.core.scenario import Scenario
from discosim.metrics.influence import Columns, columns_of
from discosim.metrics.input_uncertainty import (
    Open,
    Part,
    Rows,
    luck_influences,
    luck_variance,
    open_part,
    together,
    versions_half_widths,
)
from discosim.metrics.tails import Tails, draws_of, is_tail, quantile_deviations
from discosim.metrics.targets import IS_GOOD, is_good
from discosim.runs.input_intervals import asks
from discosim.runs.inputs import MeasuredInput, measured_inputs, service_models
from discosim.runs.meetings import Meetings
from discosim.runs.tables import SMALL
from discosim.world.luck import Luck

Floats = NDArray[np.float64]
REQUESTS = "requests.parquet"
UNKNOWN = Part(math.nan)
"""Of numbers whose influences are not known."""


@dataclass(frozen=True)
class Finished:
    """Finished runs of one setting.

    Parameters
    ----------
    inputs : tuple of MeasuredInput
        Inputs of few rows.
    is_resampled : bool
        Whether each replication had versions of its inputs.
    sizes : tuple of int
        Requests of each replication, seed by seed.
    columns : mapping of str to Columns
        Policy -> columns of its requests, replications end to end.
    met : tuple of Rows
        Which rows the requests met; labels begin with the role.
    """

    inputs: tuple[MeasuredInput, ...]
    is_resampled: bool
    sizes: tuple[int, ...]
    columns: Mapping[str, Columns] = field(repr=False)
    met: tuple[Rows, ...] = field(repr=False)
    _open: dict[tuple[str, str], Open | None] = field(default_factory=dict, repr=False, compare=False)

    def rows_text(self) -> str:
        """Return the inputs of few rows with their numbers, the fewest first."""
        found = sorted(self.inputs, key=lambda given: given.n)
        return ", ".join(f"{given.role} {given.n:,} {given.unit}" for given in found)

    def met_by(self, policy: str) -> list[Rows]:
        """Return the rows that a policy met."""
        return [rows for rows in self.met if asks(self.columns[policy], rows.label)]

    def open(self, policy: str, name: str) -> Open | None:
        """Return what all inputs leave open in a number of a policy; None where that is not known."""
        if (policy, name) not in self._open:
            self._open[policy, name] = open_part(name, self.columns[policy], self.met_by(policy))
        return self._open[policy, name]


def finished(
    scenario: Scenario,
    folders: Mapping[int, Path],
    names: Collection[str],
    targets: Mapping[str, float] | None = None,
) -> Finished:
    """Read finished runs of one setting.

    Parameters
    ----------
    scenario : Scenario
        The setting; its seed does not count.
    folders : mapping of int to Path
        Seed -> folder of the run.
    names : collection of str
        Numbers of the summary that will be asked for.
    targets : mapping of str to float, optional
        Column -> the most that it may be, where the share that met them is among those numbers.
    """
    models = service_models(scenario)
    resample = scenario.inputs.resample
    seen = thin_inputs(measured_inputs(scenario, models), resample=resample)
    if not seen:
        return Finished((), resample, (), {}, ())
    tables = {seed: read_requests(folder / REQUESTS, names, targets) for seed, folder in sorted(folders.items())}
    parts: dict[str, list[Columns]] = {}
    sizes: list[int] = []
    for table in tables.values():
        for policy, one in _by_policy(table).items():
            parts.setdefault(policy, []).append(one)
        sizes += _sizes(table)
    columns = {
        policy: {name: np.concatenate([p[name] for p in held]) for name in held[0]} for policy, held in parts.items()
    }
    met = {} if resample or len(set(sizes)) > 1 else met_rows(scenario, models, seen, tables)
    return Finished(tuple(seen), resample, tuple(sizes), columns, tuple(rows for held in met.values() for rows in held))


def thin_inputs(inputs: Sequence[MeasuredInput], *, resample: bool) -> list[MeasuredInput]:
    """Return the inputs of few rows of which files tell what they leave open."""
    thin = [given for given in inputs if given.is_thin]
    return thin if resample else [given for given in thin if given.is_by_request and given.n > 1]


def met_rows(
    scenario: Scenario, models: Any, seen: Sequence[MeasuredInput], tables: Mapping[int, Columns]
) -> Mapping[str, Sequence[Rows]]:
    """Return which rows the requests of finished runs met, by role; their luck is drawn again for that.

    Parameters
    ----------
    scenario : Scenario
        The setting.
    models : mapping
        Of its services, as `service_models` gives them.
    seen : sequence of MeasuredInput
        Inputs of few rows.
    tables : mapping of int to Columns
        Seed -> requests of all policies.
    """
    meetings = Meetings(scenario, models, seen, is_asked_by_all=True)
    for seed, table in tables.items():
        for replication, n in enumerate(_sizes(table)):
            meetings.note(Luck(RandomStreams(seed, replication), n))
    return meetings.rows()


def _sizes(table: Mapping[str, NDArray[Any]]) -> list[int]:
    """Return the requests of each replication."""
    first = next(iter(_by_policy(table).values()))
    sizes: list[int] = np.bincount(first["replication"]).tolist()
    return sizes


def read_requests(
    path: Path, names: Collection[str], targets: Mapping[str, float] | None = None
) -> dict[str, NDArray[Any]]:
    """Return the requests of a run with what the influences on some numbers are made of, and whether they met targets.

    Raises
    ------
    UserError
        If there is no such table.
    """
    from pyarrow import ArrowException, parquet

    try:
        with path.open("rb") as file:
            held = parquet.ParquetFile(file)
            wanted = dict.fromkeys((*columns_of(names), *(targets or ())))
            known = set(held.schema_arrow.names)  # which is put together each time that somebody asks
            kept = ["policy", *(name for name in wanted if name in known)]
            table = held.read(columns=kept, use_threads=held.metadata.num_rows >= SMALL)
    except (OSError, ArrowException, ValueError) as error:
        raise UserError("is no table that a run writes; run it again", where=str(path)) from error
    columns = {name: table[name].to_numpy() for name in table.column_names}
    return {**columns, IS_GOOD: is_good(columns, targets).astype(float)} if targets else columns


def _by_policy(table: Mapping[str, NDArray[Any]]) -> dict[str, Columns]:
    """Return the columns of each policy; its rows lie together."""
    policy = table["policy"]
    edges = [0, *(np.flatnonzero(policy[1:] != policy[:-1]) + 1).tolist(), policy.size]
    return {
        str(policy[i]): {name: values[i:j] for name, values in table.items() if name != "policy"}
        for i, j in pairwise(edges)
    }


@dataclass(frozen=True)
class Side:
    """One side of a difference: runs of a setting, and a policy of theirs."""

    runs: Finished
    policy: str


def part_of(name: str, own: Side, base: Side | None = None, factor: float = 1.0) -> Part:
    """Return what few rows leave open in a number, or in ``own - factor * base``.

    Runs of one input share its rows. ``UNKNOWN`` where influences are not known and rows were met.
    """
    sides = [own] if base is None else [own, base]
    rows = [{r.label: r for r in side.runs.met_by(side.policy)} for side in sides]
    if not all(side.runs.met or not side.runs.inputs for side in sides):
        return UNKNOWN
    if not any(rows):
        return Part()
    found = [side.runs.open(side.policy, name) for side in sides]
    if any(part is None for part in found):
        return UNKNOWN
    signs = (1.0, -factor)
    each = [sign * part.each for sign, part in zip(signs, found, strict=False) if part is not None]
    is_far, tails = is_tail(name, [one for held in rows for one in held.values()]), Tails()
    variances, inputs = [], []
    for label in dict.fromkeys(label for held in rows for label in held):
        met = [(held[label], one) for held, one in zip(rows, each, strict=True) if label in held]
        of = [part if label in held else None for held, part in zip(rows, found, strict=True)]
        if len(met) == 2 and np.array_equal(met[0][0].code, met[1][0].code):
            met = [(met[0][0], met[0][1] + met[1][1])]
        variances.append(sum(r.variance(one) for r, one in met))
        inputs.append(met[0][0])
        if is_far and base is not None and len(met) == 1:
            variances[-1] = max(variances[-1], tails.variance(met[0][0], of[0], of[1], factor))
    return together(variances, inputs)


def deviations(name: str, side: Side, n: int) -> Floats:
    """Return how far a number deviates in ``n`` versions of the inputs; NaN where that is not known.

    To first order, and drawn by the inputs alone: numbers of all runs that met the same rows deviate together.
    """
    rows = side.runs.met_by(side.policy)
    if not rows and (side.runs.met or not side.runs.inputs):
        return np.zeros(n)
    found = side.runs.open(side.policy, name) if rows else None
    if found is None:
        return np.full(n, math.nan)
    total = np.zeros(n)
    is_far = is_tail(name, rows)
    for one in rows:
        draws = draws_of(one, n)
        total += quantile_deviations(one, found, draws) if is_far else one.deviations(found.each, draws)
    return total


def version_half_width(name: str, sample: Sequence[float], own: Side, base: Side | None, level: float) -> float:
    """Return the half-width with inputs of runs whose replications had versions of their own.

    Parameters
    ----------
    name : str
        Number of the summary.
    sample : sequence of float
        The number, or the difference, by replication, seed by seed.
    own, base : Side
        Whose it is.
    level : float
        Coverage.
    """
    each = luck_influences(name, _replications(own))
    if base is not None:
        other = luck_influences(name, _replications(base))
        if len(other) != len(each):
            each = []
        each = [
            None if a is None or b is None or a.size != b.size else a - b for a, b in zip(each, other, strict=False)
        ]
    return versions_half_widths(np.array(sample, dtype=float), luck_variance(each), level)[1]


def _replications(side: Side) -> list[Columns]:
    columns, edges = side.runs.columns[side.policy], np.cumsum((0, *side.runs.sizes)).tolist()
    return [{name: values[i:j] for name, values in columns.items()} for i, j in pairwise(edges)]
