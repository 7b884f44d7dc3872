"""From a scenario's services to their models: the one called ``server``, and those beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from discosim.core.empirical import CorrelatedSeries
from discosim.core.errors import UserError
from discosim.core.scenario import Chunks, EngineServer, Prices, ReplayedServer, Scenario, Server
from discosim.runs.build_engine import engine_model
from discosim.runs.build_link import link_model
from discosim.traces.catalogue import load_digest
from discosim.traces.chunk_digest import ChunkDigest
from discosim.traces.digest import LatencyDigest
from discosim.traces.digest_file import read_own_digest
from discosim.traces.readers import read_latency
from discosim.world.api_server import ApiServerModel, RawSeries
from discosim.world.engine.engine import EngineModel
from discosim.world.engine.schedulers.base import Scheduler
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
    """

    model: ApiServerModel | EngineModel
    contains: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


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
    return ServerParts(*_replayed(spec))


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


def _replayed(spec: ReplayedServer) -> tuple[ApiServerModel, tuple[str, ...], tuple[str, ...]]:
    """Return the service, what its TTFT already contains, and what to doubt about its file."""
    warnings: tuple[str, ...] = ()
    ttft: CorrelatedSeries | RawSeries
    tpot: CorrelatedSeries | RawSeries
    if spec.digest is not None or spec.digest_file is not None:
        digest = _latency_digest(spec)
        ttft, tpot = digest.ttft, digest.tpot
        failure_share, contains = digest.failure_share, digest.card.contains
        if spec.digest_file is not None:  # the cards of shipped digests are in the docs
            warnings = tuple(f"server: {doubt}" for doubt in digest.card.quirks)
    else:
        assert spec.series is not None
        series = read_latency(spec.series, spec.series_format, spec.series_group, spec.series_unit)
        for name, times in (("TTFT", series.seen_ttft_s), ("time per token", series.seen_tpot_s)):
            if not times.size:
                raise UserError(f"holds no request with a {name}", where=spec.series)
        # each is replayed in its own order, as the starting rows of the two are drawn apart
        ttft, tpot = RawSeries(tuple(series.seen_ttft_s)), RawSeries(tuple(series.seen_tpot_s))
        failure_share, contains = series.failure_share, ("inference", "queueing", "wide_area")
        warnings = tuple(f"server: {doubt}" for doubt in series.warnings)
    chunks = None if spec.chunks is None else _chunk_digest(spec.chunks)
    if spec.chunks is not None and chunks is not None and spec.chunks.digest_file is not None:
        warnings += tuple(f"server: {doubt}" for doubt in chunks.card.quirks)
    if spec.failures == "off":
        failure_share = 0.0
    elif spec.failure_share is not None:
        failure_share = spec.failure_share
    model = ApiServerModel(
        ttft=ttft,
        tpot=tpot,
        ttft_s_per_prompt_tok=spec.ttft_s_per_prompt_tok,
        ttft_reference_prompt_tok=spec.ttft_reference_prompt_tok,
        jitter_p99_over_p50=spec.tbt_jitter_p99_over_p50,
        failure_share=failure_share,
        failure_after_s=spec.failure_after_s,
        outages=spec.outages,
        prompt_usd_per_tok=spec.prices.prompt_usd_per_mtok * USD_PER_MTOK,
        output_usd_per_tok=spec.prices.output_usd_per_mtok * USD_PER_MTOK,
        chunks=None if chunks is None else chunks.law,
    )
    return model, contains, warnings


def _latency_digest(spec: ReplayedServer) -> LatencyDigest:
    if spec.digest_file is not None:
        held = read_own_digest(spec.digest_file, "latency")
        assert isinstance(held, LatencyDigest)
        return held
    assert spec.digest is not None
    digest = load_digest(spec.digest, "latency")
    assert isinstance(digest, LatencyDigest)
    return digest


def _chunk_digest(spec: Chunks) -> ChunkDigest:
    if spec.digest_file is not None:
        held = read_own_digest(spec.digest_file, "chunks")
    else:
        assert spec.digest is not None
        held = load_digest(spec.digest, "chunks")
    assert isinstance(held, ChunkDigest)
    return held
