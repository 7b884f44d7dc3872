"""Which rows of its inputs each request of a run met."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from discosim.core.empirical import CorrelatedSeries
from discosim.core.rng import RandomStreams
from discosim.core.scenario import FileLengths, GeneratedWorkload, Scenario
from discosim.core.versions import block_length
from discosim.metrics.input_uncertainty import PER_CELL, Rows
from discosim.runs.inputs import MeasuredInput
from discosim.traces.length_file import row_numbers
from discosim.traces.lengths import LENGTHS
from discosim.traces.past import block_length as trace_block_length
from discosim.world.api_server import ApiServerModel, draws_of
from discosim.world.law import RawSeries
from discosim.world.luck import Luck

Law = CorrelatedSeries | RawSeries
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
OF_WORKLOAD = ("workload", "lengths")
"""Inputs that every request meets."""


FEW_REQUESTS = 20_000
"""Requests up to which the rows that they met are kept for other runs of the seed: then they take 160 kB."""


def _rows_of(law: CorrelatedSeries, n: int, drawn: Floats) -> Ints:
    return np.floor(law.table.cdf(drawn) * n + 0.5).astype(np.int64)


@lru_cache(maxsize=128)
def _rows_once(law: CorrelatedSeries, n: int, streams: RandomStreams, role: str, n_requests: int) -> Ints:
    """Return the rows that draws of a role met, found once for all runs of a seed that have this service."""
    rows = _rows_of(law, n, Luck(streams, n_requests).series(role, law))
    rows.flags.writeable = False
    return rows


class Meetings:
    """Which rows of thin inputs the requests of a run met, noted replication by replication.

    ``is_asked_by_all`` takes every service for asked, where the luck is drawn again and nobody has asked it.
    """

    def __init__(
        self,
        scenario: Scenario,
        models: Mapping[str, ApiServerModel],
        inputs: Sequence[MeasuredInput],
        *,
        is_asked_by_all: bool = False,
    ) -> None:
        self._scenario = scenario
        self._models = models
        self._inputs = [given for given in inputs if given.is_thin and given.is_by_request and given.n >= 2]
        self._met: dict[tuple[str, str], list[Ints]] = {}
        self._asked: set[tuple[str, str]] = set()
        self._is_asked_by_all = is_asked_by_all

    def note(self, luck: Luck, asked: Collection[str] = ()) -> None:
        """Remember the rows of one replication, after its worlds have run and asked for these roles."""
        for given in self._inputs:
            if given.role == "workload":
                self._add(given.role, "rows", np.arange(luck.n_requests))
            elif given.role == "lengths":
                assert isinstance(self._scenario.workload, GeneratedWorkload)
                law = self._scenario.workload.lengths
                assert isinstance(law, FileLengths)
                rng = luck.streams.generator(LENGTHS)
                self._add(given.role, "rows", row_numbers(law, given.n, luck.n_requests, rng))
            else:
                self._note_service(given, luck, asked)

    def _note_service(self, given: MeasuredInput, luck: Luck, asked: Collection[str]) -> None:
        model = self._models[given.role]
        for what, law in (("ttft", model.ttft), ("tpot", model.tpot)):
            role = f"{draws_of(given.role.removeprefix('service '))}.{what}.0"
            if isinstance(law, RawSeries):
                self._asked.add((given.role, what))
                self._add(given.role, what, law.rows(luck.n_requests, luck.streams.generator(role)))
            else:
                if self._is_asked_by_all or role in asked:
                    self._asked.add((given.role, what))
                # also where nobody asked in this replication: somebody may have in another, and rows go by all of them
                if luck.n_requests <= FEW_REQUESTS:
                    rows = _rows_once(law, given.n, luck.streams, role, luck.n_requests)
                else:
                    rows = _rows_of(law, given.n, luck.series(role, law))
                self._add(given.role, what, rows)

    def _add(self, role: str, what: str, rows: Ints) -> None:
        self._met.setdefault((role, what), []).append(rows)

    def rows(self) -> dict[str, list[Rows]]:
        """Return by role the rows that the requests of all replications met; roles that nobody asked are left out."""
        found: dict[str, list[Rows]] = {}
        for given in self._inputs:
            for (role, what), met in self._met.items():
                if role == given.role and (role in OF_WORKLOAD or (role, what) in self._asked):
                    found.setdefault(role, []).append(self._rows(given, what, np.stack(met)))
        return found

    def _rows(self, given: MeasuredInput, what: str, code: Ints) -> Rows:
        label = f"{given.role} {what} of {given.name}"
        if given.role == "workload":
            return Rows(label, given.n, code, given.n, trace_block_length(given.n))
        if given.role == "lengths":
            return Rows(label, given.n, code, given.n)
        law: Law = getattr(self._models[given.role], what)
        if isinstance(law, RawSeries):
            n = len(law.values)
            return Rows(label, n, code, n, block_length(law.values))
        n_cells = min(given.n + 1, max(2, code.size // PER_CELL))
        return Rows(label, given.n, code * n_cells // (given.n + 1), n_cells, latent_rho=law.latent_rho)
