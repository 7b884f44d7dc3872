"""The rows behind the inputs of a run: how many there are, which of them requests met, and versions drawn from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from discosim.core.empirical import CorrelatedSeries
from discosim.core.rng import RandomStreams
from discosim.core.scenario import (
    DigestArrivals,
    DigestLengths,
    DigestLink,
    FileLengths,
    GeneratedWorkload,
    ReplayedServer,
    ReplayedWorkload,
    Scenario,
)
from discosim.core.versions import block_length, rows_version, series_version, share_version
from discosim.metrics.input_uncertainty import PER_CELL, Rows
from discosim.runs.build import Blueprint
from discosim.runs.build_link import rtt_digest_of
from discosim.traces.catalogue import load_digest
from discosim.traces.digest import LatencyDigest
from discosim.traces.digest_file import read_own_digest
from discosim.traces.length_file import row_numbers, table_of
from discosim.traces.lengths import LENGTHS
from discosim.traces.past import block_length as trace_block_length
from discosim.traces.past import parts_of
from discosim.traces.workload import replayed_trace
from discosim.world.api_server import ApiServerModel, draws_of
from discosim.world.endpoint import EndpointModel
from discosim.world.law import RawSeries
from discosim.world.link import LinkModel
from discosim.world.luck import Luck

FEW = 1000
"""Rows below which what an input leaves open is printed, asked for or not."""
SERVER = "server"
Law = CorrelatedSeries | RawSeries
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class MeasuredInput:
    """An input whose number of rows is known.

    Parameters
    ----------
    role, name : str
        As in the notes of a run.
    n : int
        Rows behind it.
    unit : str
        What a row is.
    is_by_request : bool
        Whether each request meets one row, so that weights of rows are weights of requests.
    """

    role: str
    name: str
    n: int
    unit: str
    is_by_request: bool

    @property
    def is_thin(self) -> bool:
        """Whether so few rows leave more open than luck does in a usual run."""
        return self.n < FEW

    def __str__(self) -> str:
        return f"{self.role} {self.name}: {self.n:,} {self.unit}"


def measured_inputs(blueprint: Blueprint) -> list[MeasuredInput]:
    """Return every input of a run whose number of rows is known."""
    scenario, models = blueprint.scenario, _models(blueprint)
    found: list[MeasuredInput] = []
    workload = scenario.workload
    if isinstance(workload, ReplayedWorkload):
        n = _n_replayed(workload, scenario.seed)
        found.append(MeasuredInput("workload", Path(workload.file).name, n, "requests", True))
    else:
        if isinstance(law := workload.arrivals, DigestArrivals):
            found += _of_digest("arrivals", law.digest, "workload", "requests", is_by_request=False)
        if isinstance(lengths := workload.lengths, DigestLengths):
            found += _of_digest("lengths", lengths.digest, None, "requests", is_by_request=False)
        if isinstance(lengths, FileLengths):
            n = len(table_of(lengths, Path()))
            found.append(MeasuredInput("lengths", Path(lengths.file).name, n, "rows", True))
    for role, server in _replayed_services(scenario).items():
        ttft = models[role].ttft
        n, unit = (len(ttft.values), "rows") if isinstance(ttft, RawSeries) else (_latency(server).n, "probes")
        name = server.digest or Path(server.digest_file or server.series or "").name
        found.append(MeasuredInput(role, name, n, unit, True))
    if isinstance(scenario.link, DigestLink):
        link = rtt_digest_of(scenario.link)
        found.append(MeasuredInput("last hop", link.name, link.n, "probes", False))
    return found


def rows_notes(scenario: Scenario, inputs: list[MeasuredInput]) -> tuple[str, ...]:
    """Return what a reader must know of rows: those of files of one's own, and which inputs were drawn anew."""
    own = {server.digest_file or server.series for server in _replayed_services(scenario).values()}
    files = {Path(file).name for file in own if file is not None}
    notes = [f"rows behind {given}" for given in inputs if given.name in files or given.role == "workload"]
    if scenario.inputs.resample:
        drawn = "; ".join(map(str, inputs)) or "none of this scenario has rows that are known"
        notes.append(
            f"inputs drawn anew by each replication (inputs.resample): {drawn}; policies know what was measured"
        )
    return tuple(notes)


def rows_doubts(scenario: Scenario, inputs: list[MeasuredInput]) -> tuple[str, ...]:
    """Return what a reader must doubt of inputs with few rows that no interval of the run holds."""
    doubts = []
    for given in inputs:
        if given.n == 1:
            doubts.append(f"{given.role} {given.name}: of one row nobody knows how far others lie from it")
        elif given.is_thin and not given.is_by_request and not scenario.inputs.resample:
            doubts.append(f"{given}: too few to be left out of the intervals; inputs.resample: true holds them")
    return tuple(doubts)


def _of_digest(role: str, name: str, kind: str | None, unit: str, *, is_by_request: bool) -> list[MeasuredInput]:
    digest = load_digest(name, kind)
    n = getattr(digest, "n", None)
    return [] if n is None else [MeasuredInput(role, name, n, unit, is_by_request)]


def _replayed_services(scenario: Scenario) -> dict[str, ReplayedServer]:
    services = {SERVER: scenario.server, **{f"service {name}": s for name, s in sorted(scenario.services.items())}}
    return {role: server for role, server in services.items() if isinstance(server, ReplayedServer)}


def _latency(server: ReplayedServer) -> LatencyDigest:
    if server.digest_file is not None:
        digest = read_own_digest(server.digest_file, "latency")
    else:
        assert server.digest is not None
        digest = load_digest(server.digest, "latency")
    assert isinstance(digest, LatencyDigest)
    return digest


def _models(blueprint: Blueprint) -> dict[str, ApiServerModel]:
    models: dict[str, EndpointModel] = {SERVER: blueprint.model.server}
    models |= {f"service {name}": service.model for name, service in blueprint.model.services.items()}
    return {role: model for role, model in models.items() if isinstance(model, ApiServerModel)}


def _n_replayed(workload: ReplayedWorkload, seed: int) -> int:
    parts = parts_of(workload, len(replayed_trace(workload, RandomStreams(seed), Path())))
    return parts.n_used - parts.n_held_out


# --- which row each request met -------------------------------------------------------------------------------------


OF_WORKLOAD = ("workload", "lengths")
"""Inputs that every request meets."""


class Meetings:
    """Which rows of thin inputs the requests of a run met, noted replication by replication."""

    def __init__(self, scenario: Scenario, blueprint: Blueprint, inputs: list[MeasuredInput]) -> None:
        self._scenario = scenario
        self._models = _models(blueprint)
        self._inputs = [given for given in inputs if given.is_thin and given.is_by_request and given.n >= 2]
        self._met: dict[tuple[str, str], list[Ints]] = {}
        self._asked: set[tuple[str, str]] = set()

    def note(self, luck: Luck) -> None:
        """Remember the rows of one replication, after its worlds have run."""
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
                self._note_service(given, luck)

    def _note_service(self, given: MeasuredInput, luck: Luck) -> None:
        model = self._models[given.role]
        for what, law in (("ttft", model.ttft), ("tpot", model.tpot)):
            role = f"{draws_of(given.role.removeprefix('service '))}.{what}.0"
            if isinstance(law, RawSeries):
                self._asked.add((given.role, what))
                self._add(given.role, what, law.rows(luck.n_requests, luck.streams.generator(role)))
            else:
                if luck.drawn(role) is not None:
                    self._asked.add((given.role, what))
                # also where nobody asked in this replication: somebody may have in another, and rows go by all of them
                drawn = luck.series(role, law)
                self._add(given.role, what, np.floor(law.table.cdf(drawn) * given.n + 0.5).astype(np.int64))

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
        label = f"{given.role} {what}"
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


# --- versions -------------------------------------------------------------------------------------------------------


def version(blueprint: Blueprint, replication: int) -> Blueprint:
    """Return what one replication takes for the truth: its own version of every input whose rows are known.

    Policies keep the view of what was measured, which is what people have who set them; so thresholds are as wrong for
    each version as for the service itself. Draws of versions come from streams ``inputs.*`` of the replication, and all
    policies meet the same.
    """
    streams = RandomStreams(blueprint.scenario.seed, replication)
    model = blueprint.model
    specs = _replayed_services(blueprint.scenario)
    link = _link(blueprint.scenario, model.link, streams)
    services = {
        name: replace(
            service,
            model=_service(f"service {name}", service.model, specs.get(f"service {name}"), streams),
            link=_link(blueprint.scenario, service.link, streams),
        )
        for name, service in model.services.items()
    }
    server = _service(SERVER, model.server, specs.get(SERVER), streams)
    return replace(blueprint, model=replace(model, server=server, link=link, services=services))


def _service(role: str, model: EndpointModel, spec: ReplayedServer | None, streams: RandomStreams) -> EndpointModel:
    if spec is None or not isinstance(model, ApiServerModel):
        return model
    name = role.removeprefix("service ")
    digest = None if spec.series is not None else _latency(spec)

    def law(what: str) -> Law:
        held: Law = getattr(model, what)
        rng = streams.generator(f"inputs.{draws_of(name)}.{what}")
        if isinstance(held, RawSeries):
            return RawSeries(tuple(rows_version(held.values, rng).tolist()))
        assert digest is not None
        return series_version(held, digest.n, rng)

    share = model.failure_share
    if spec.failures == "measured" and spec.failure_share is None:
        n = len(model.ttft.values) if isinstance(model.ttft, RawSeries) else (digest.n if digest else 0)
        n_tried = round(n / (1.0 - share)) if share < 1.0 else n
        share = share_version(share, n_tried, streams.generator(f"inputs.{draws_of(name)}.failures"))
    return replace(model, ttft=law("ttft"), tpot=law("tpot"), failure_share=share)


def _link(scenario: Scenario, model: LinkModel, streams: RandomStreams) -> LinkModel:
    if not isinstance(scenario.link, DigestLink) or model.rtt is None:
        return model
    digest = rtt_digest_of(scenario.link)
    n_sent = round(digest.n / (1.0 - digest.loss_share)) if digest.loss_share < 1.0 else digest.n
    return replace(
        model,
        rtt=series_version(model.rtt, digest.n, streams.generator("inputs.link.rtt")),
        loss_share=share_version(model.loss_share, n_sent, streams.generator("inputs.link.loss")),
    )
