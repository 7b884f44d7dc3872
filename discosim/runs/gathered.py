"""What the replications of all policies of a run have come to, until it is put together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.core.class_state import sentence
from discosim.core.scenario import is_closed_loop
from discosim.metrics.summary_definitions import SUMMARY_METRICS
from discosim.policies.budget import promise_of
from discosim.runs.batteries import refused_note
from discosim.runs.build import Blueprint
from discosim.runs.collect import Columns, join_columns
from discosim.runs.examples import choose_examples
from discosim.runs.placed import one_value
from discosim.runs.promises import broken_promise
from discosim.runs.replicate import Entrant, Outcome
from discosim.runs.series import cut_note
from discosim.runs.steady import overload_note

Parts = dict[tuple[str, int], Columns]
"""Columns by policy and replication."""


@dataclass(eq=False)
class Gathered:
    """Outcomes, put where the whole of the run looks for them.

    Parameters
    ----------
    entrants : tuple of Entrant
        The policies.

    Attributes
    ----------
    parts, endpoints, series : dict of (policy, replication) to columns
        Rows of requests, of endpoints, and of seconds of a white-box server.
    summaries : dict of str to list
        Policy -> its numbers, by replication.
    kernels : dict of str to Counter
        Policy -> how many requests went which way.
    """

    entrants: tuple[Entrant, ...]
    parts: Parts = field(default_factory=dict)
    endpoints: Parts = field(default_factory=dict)
    series: Parts = field(default_factory=dict)
    summaries: dict[str, list[dict[str, float]]] = field(init=False)
    kernels: dict[str, Counter[str]] = field(init=False)
    _examples: dict[str, Columns] = field(default_factory=dict)
    _n_cut: Counter[str] = field(default_factory=Counter)
    _tallies: dict[str, Counter[str]] = field(init=False)
    _changed: dict[str, frozenset[str]] = field(init=False)

    def __post_init__(self) -> None:
        names = [entrant.name for entrant in self.entrants]
        self.summaries = {name: [] for name in names}
        self.kernels = {name: Counter() for name in names}
        self._tallies = {name: Counter() for name in names}
        self._changed = dict.fromkeys(names, frozenset())

    def add(self, name: str, replication: int, outcome: Outcome) -> None:
        """Take the outcome of a policy's next replication."""
        at = name, replication
        self.parts[at], self.endpoints[at], self.series[at] = outcome.columns, outcome.endpoints, outcome.series
        self.summaries[name].append(outcome.summary)
        self.kernels[name].update(outcome.kernels)
        self._n_cut[name] += outcome.is_cut
        self._tallies[name].update(outcome.tally)
        self._changed[name] |= outcome.changed
        if replication == 0:
            self._examples[name] = outcome.tokens

    def by_policy(self) -> dict[str, list[Columns]]:
        """Return the rows of requests of each policy, by replication."""
        return {name: [self.parts[name, k] for k in range(len(done))] for name, done in self.summaries.items()}

    def doubts(self, blueprint: Blueprint) -> tuple[str, ...]:
        """Return what to doubt about the numbers of each policy."""
        found: list[str | None] = []
        for entrant in self.entrants:
            name, done = entrant.name, self.summaries[entrant.name]
            replications = [self.parts[name, k] for k in range(len(done))]
            changed = sentence(self._changed[name])
            found += [
                *_doubts(entrant, replications, self._tallies[name], blueprint),
                f"{name}: {changed}" if changed else None,
                refused_note(name, done),
                cut_note(name, self._n_cut[name], len(done)),
            ]
        return tuple(filter(None, found))

    def example_columns(self) -> Columns:
        """Return the token rows that are kept as examples."""
        return choose_examples(self._examples, {name: self.parts[name, 0] for name in self._examples})

    def columns(self) -> Columns:
        """Return the rows of requests of all; they are not here any more then."""
        return stacked(self.parts)

    def replication_columns(self) -> Columns:
        """Return every summary number by policy name and replication."""
        rows = [(name, i, numbers) for name in sorted(self.summaries) for i, numbers in enumerate(self.summaries[name])]
        return {
            "policy": np.array([name for name, _, _ in rows], dtype=object),
            "replication": np.array([i for _, i, _ in rows], dtype=np.int64),
            **{
                m.name: np.array([numbers[m.name] for _, _, numbers in rows], dtype=m.dtype)
                for m in SUMMARY_METRICS
                if m.name in rows[0][2]
            },
        }


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
