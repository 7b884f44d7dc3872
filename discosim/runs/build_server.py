"""From a scenario's services to their models: the one called ``server``, and those beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields

from discosim.core.errors import UserError
from discosim.core.scenario import Chunks, EngineServer, Prices, ReplayedServer, Scenario, Server
from discosim.runs.build_engine import engine_model
from discosim.runs.build_link import link_model
from discosim.runs.build_rows import service_laws
from discosim.traces.catalogue import load_digest
from discosim.traces.chunk_digest import ChunkDigest
from discosim.traces.digest_file import read_own_digest
from discosim.world.api_server import ApiServerModel
from discosim.world.engine.engine import EngineModel
from discosim.world.engine.schedulers.base import Scheduler
from discosim.world.gate import Gate, GatedServerModel
from discosim.world.hours import HOUR_S
from discosim.world.meter import Meter
from discosim.world.world import Service

USD_PER_MTOK = 1e-6


@dataclass(frozen=True)
class ServerParts:
    """A service, and what is known of it.

    Parameters
    ----------
    model : ApiServerModel or EngineModel
        The service.
    contains : tuple of str
        What its TTFT contains already.
    warnings : tuple of str
        What to doubt about its file.
    notes : tuple of str
        What was done with its rows, and how it feels its load.
    """

    model: ApiServerModel | EngineModel
    contains: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def server_parts(spec: Server, scheduler: Callable[[], Scheduler] | None = None) -> ServerParts:
    """Resolve a service; ``scheduler`` makes another one than that of the scenario, afresh per replica.

    Raises
    ------
    UserError
        If a digest is unknown, a file is of no use, or the parts of an engine do not go together; of keys as if the
        service were the one called ``server``.
    """
    if isinstance(spec, EngineServer):
        return ServerParts(engine_model(spec, scheduler))
    return _replayed(spec)


def services(scenario: Scenario) -> tuple[dict[str, Service], tuple[str, ...], tuple[str, ...]]:
    """Return the services beside ``server``, sorted by name; notes on them; and what to doubt about their files."""
    found: dict[str, Service] = {}
    notes: list[str] = []
    warnings: list[str] = []
    for name, spec in sorted(scenario.services.items()):
        with named(name):
            parts = server_parts(spec)
        link, taken_out = link_model(scenario.link, parts.contains)
        meter = meter_of(spec.prices, scenario.cost.exchange_rate_usd_per_j)
        found[name] = Service(parts.model, meter, link)
        notes += [f"service {name}: {note}" for note in taken_out]
        notes += [f"service {name}: {note.removeprefix('server: ')}" for note in parts.notes]
        warnings += [f"service {name}: {doubt.removeprefix('server: ')}" for doubt in parts.warnings]
    return found, tuple(notes), tuple(warnings)


def meter_of(prices: Prices, exchange_rate_usd_per_j: float) -> Meter:
    """Return the prices of a service by the token."""
    return Meter(
        prompt_usd_per_tok=prices.prompt_usd_per_mtok * USD_PER_MTOK,
        output_usd_per_tok=prices.output_usd_per_mtok * USD_PER_MTOK,
        exchange_rate_usd_per_j=exchange_rate_usd_per_j,
    )


@contextmanager
def named(name: str) -> Iterator[None]:
    """Let an error about a key of ``server`` name the same key of a service beside it."""
    try:
        yield
    except UserError as error:
        head, dot, key = error.where.partition(".")
        if head != "server":
            raise
        message = error.message.replace("(server.", f"(services.{name}.")
        raise UserError(message, where=f"services.{name}{dot}{key}") from None


def _replayed(spec: ReplayedServer) -> ServerParts:
    laws = service_laws(spec)
    chunks = None if spec.chunks is None else chunk_digest(spec.chunks)
    doubts = laws.warnings
    if spec.chunks is not None and chunks is not None and spec.chunks.digest_file is not None:
        doubts = (*doubts, *chunks.card.quirks)
    model = ApiServerModel(
        ttft=laws.ttft,
        tpot=laws.tpot,
        ttft_s_per_prompt_tok=laws.s_per_prompt_tok,
        ttft_reference_prompt_tok=laws.reference_prompt_tok,
        jitter_p99_over_p50=spec.tbt_jitter_p99_over_p50,
        failure_share=laws.failure_share,
        failure_run=laws.failure_run,
        failure_after_s=spec.failure_after_s,
        outages=spec.outages,
        prompt_usd_per_tok=spec.prices.prompt_usd_per_mtok * USD_PER_MTOK,
        output_usd_per_tok=spec.prices.output_usd_per_mtok * USD_PER_MTOK,
        hours=laws.hours,
        chunks=None if chunks is None else chunks.law,
    )
    if is_gated(spec):
        gate = Gate(spec.capacity, spec.rate_limit, spec.quota, (spec.start_hour or 0.0) * HOUR_S)
        model = GatedServerModel(**{held.name: getattr(model, held.name) for held in fields(model)}, gate=gate)
    notes = (*laws.notes, load_note(spec))
    return ServerParts(
        model, laws.contains, tuple(f"server: {doubt}" for doubt in doubts), tuple(f"server: {n}" for n in notes)
    )


def is_gated(spec: Server) -> bool:
    """Tell whether a replayed service refuses, delays or queues by who else asks."""
    return isinstance(spec, ReplayedServer) and any(
        held is not None for held in (spec.capacity, spec.rate_limit, spec.quota)
    )


def load_note(spec: ReplayedServer) -> str:
    """Return how a replayed service feels its load."""
    capacity = spec.capacity
    if capacity is None:
        return "load does not change its times, as what is inside is unknown; server.capacity lets it queue"
    held = (
        f"{capacity.concurrent:,} requests at once"
        if capacity.concurrent
        else f"{capacity.tok_per_s:g} tokens a second"
    )
    return f"beyond {held} requests wait, first in, first out; its rows are taken for times without such a wait"


def chunk_digest(spec: Chunks) -> ChunkDigest:
    """Return the digest behind the chunks of a replayed service."""
    if spec.digest_file is not None:
        held = read_own_digest(spec.digest_file, "chunks")
    else:
        assert spec.digest is not None
        held = load_digest(spec.digest, "chunks")
    assert isinstance(held, ChunkDigest)
    return held
