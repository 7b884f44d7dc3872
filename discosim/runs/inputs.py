"""The rows behind the inputs of a run: how many there are, and what a reader must know of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from discosim.core.rng import RandomStreams
from discosim.core.scenario import (
    DigestArrivals,
    DigestLengths,
    DigestLink,
    FileLengths,
    JointQuality,
    MeasuredResidual,
    ReplayedServer,
    ReplayedWorkload,
    Scenario,
)
from discosim.runs.build_link import rtt_digest_of
from discosim.runs.build_server import chunk_digest, server_parts
from discosim.runs.device_digest import digest_name, digest_of
from discosim.traces.catalogue import load_digest
from discosim.traces.digest import LatencyDigest
from discosim.traces.digest_file import read_own_digest
from discosim.traces.length_file import table_of
from discosim.traces.past import parts_of
from discosim.traces.quality_digest import QualityDigest
from discosim.traces.workload import replayed_trace
from discosim.world.api_server import ApiServerModel
from discosim.world.endpoint import EndpointModel
from discosim.world.law import RawSeries
from discosim.world.world import WorldModel

FEW = 1000
"""Rows below which what an input leaves open is printed, asked for or not."""
SERVER, DEVICE = "server", "device"


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


def measured_inputs(scenario: Scenario, models: Mapping[str, ApiServerModel]) -> list[MeasuredInput]:
    """Return every input of a run whose number of rows is known, given its replayed services by role."""
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
    for role, server in replayed_services(scenario).items():
        ttft = models[role].ttft
        n, unit = (len(ttft.values), "rows") if isinstance(ttft, RawSeries) else (latency_of(server).n, "probes")
        name = server.digest or Path(server.digest_file or server.series or "").name
        found.append(MeasuredInput(role, name, n, unit, True))
    found += _chunks(scenario)
    found += _devices(scenario)
    if isinstance(scenario.quality, JointQuality) and scenario.inputs.resample:
        held = load_digest(scenario.quality.digest, "quality")
        assert isinstance(held, QualityDigest)
        found.append(MeasuredInput("quality", held.name, held.n, "questions", False))
    if isinstance(scenario.link, DigestLink):
        link = rtt_digest_of(scenario.link)
        found.append(MeasuredInput("last hop", link.name, link.n, "probes", False))
    return found


def _chunks(scenario: Scenario) -> list[MeasuredInput]:
    """Return the laws of chunks: those of the user's own files, and all where inputs are drawn anew."""
    found = []
    for role, server in replayed_services(scenario).items():
        chunks = server.chunks
        if chunks is not None and (chunks.digest_file is not None or scenario.inputs.resample):
            digest = chunk_digest(chunks)
            name = chunks.digest or Path(str(chunks.digest_file)).name
            found.append(MeasuredInput(f"{role} chunks", name, digest.n, "events", False))
    return found


def _devices(scenario: Scenario) -> list[MeasuredInput]:
    """Return the residual laws of devices that rows are behind."""
    found = []
    for device in scenario.devices:
        digest = digest_of(device) if isinstance(device.residual, MeasuredResidual) else None
        if digest is not None and digest.residual is not None and digest.residual.n is not None:
            found.append(MeasuredInput(DEVICE, digest_name(device), digest.residual.n, "rows", False))
    return list(dict.fromkeys(found))


def rows_notes(scenario: Scenario, inputs: list[MeasuredInput]) -> tuple[str, ...]:
    """Return what a reader must know of rows: those of files of one's own, and which inputs were drawn anew."""
    own = {server.digest_file or server.series for server in replayed_services(scenario).values()}
    chunks = [server.chunks for server in replayed_services(scenario).values() if server.chunks is not None]
    own |= {given.digest_file for given in chunks}
    files = {Path(file).name for file in own if file is not None}
    notes = [f"rows behind {given}" for given in inputs if given.name in files or given.role in {"workload", DEVICE}]
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


def replayed_services(scenario: Scenario) -> dict[str, ReplayedServer]:
    """Return the replayed services that a scenario names, by role."""
    services = {SERVER: scenario.server, **{f"service {name}": s for name, s in sorted(scenario.services.items())}}
    return {role: server for role, server in services.items() if isinstance(server, ReplayedServer)}


def latency_of(server: ReplayedServer) -> LatencyDigest:
    """Return the digest behind a replayed service that has no rows of its own."""
    if server.digest_file is not None:
        digest = read_own_digest(server.digest_file, "latency")
    else:
        assert server.digest is not None
        digest = load_digest(server.digest, "latency")
    assert isinstance(digest, LatencyDigest)
    return digest


def replayed_models(world: WorldModel) -> dict[str, ApiServerModel]:
    """Return the replayed services of a world by role."""
    models: dict[str, EndpointModel] = {SERVER: world.server}
    models |= {f"service {name}": service.model for name, service in world.services.items()}
    return {role: model for role, model in models.items() if isinstance(model, ApiServerModel)}


def service_models(scenario: Scenario) -> dict[str, ApiServerModel]:
    """Return the replayed services of a scenario by role, without the rest of its world."""
    models = {role: server_parts(spec).model for role, spec in replayed_services(scenario).items()}
    return {role: model for role, model in models.items() if isinstance(model, ApiServerModel)}


def _n_replayed(workload: ReplayedWorkload, seed: int) -> int:
    parts = parts_of(workload, len(replayed_trace(workload, RandomStreams(seed), Path())))
    return parts.n_used - parts.n_held_out
