"""Versions of the measured inputs of a run: what might have been measured instead, drawn by replication."""

from __future__ import annotations

from dataclasses import replace

from numpy.random import Generator

from discosim.core.chunk_law import ChunkLaw
from discosim.core.empirical import CorrelatedSeries
from discosim.core.joint_quality import JointTable
from discosim.core.rng import RandomStreams
from discosim.core.scenario import DigestLink
from discosim.core.versions import Warp, rows_version, series_version, share_version
from discosim.runs.build import Blueprint
from discosim.runs.build_link import rtt_digest_of
from discosim.runs.build_server import chunk_digest
from discosim.runs.inputs import SERVER, latency_of, replayed_services
from discosim.traces.chunk_digest import ChunkDigest
from discosim.world.api_server import ApiServerModel, draws_of
from discosim.world.device_profile import DeviceProfile
from discosim.world.endpoint import EndpointModel
from discosim.world.joint import JointModel
from discosim.world.law import RawSeries
from discosim.world.link import LinkModel

Law = CorrelatedSeries | RawSeries


class InputVersions:
    """Versions of a run's measured inputs; files are read once.

    Policies keep the view of what was measured, which is what people have who set them; so thresholds are as wrong for
    each version as for the service itself. Draws of versions come from streams ``inputs.*`` of the replication, and all
    policies meet the same.

    Parameters
    ----------
    blueprint : Blueprint
        The run as it was measured.
    """

    def __init__(self, blueprint: Blueprint) -> None:
        self._blueprint = blueprint
        self._specs = replayed_services(blueprint.scenario)
        self._latency = {role: latency_of(spec) for role, spec in self._specs.items() if spec.series is None}
        self._chunks = {role: chunk_digest(s.chunks) for role, s in self._specs.items() if s.chunks is not None}
        link = blueprint.scenario.link
        self._rtt = rtt_digest_of(link) if isinstance(link, DigestLink) else None

    def of(self, replication: int) -> Blueprint:
        """Return what one replication takes for the truth: its own version of every input whose rows are known."""
        streams = RandomStreams(self._blueprint.scenario.seed, replication)
        model = self._blueprint.model
        services = {
            name: replace(
                service,
                model=self._service(f"service {name}", service.model, streams),
                link=self._link(service.link, streams),
            )
            for name, service in model.services.items()
        }
        laws = [profile.residual for profile, _ in model.fleet]  # devices of one law share its version
        changed = replace(
            model,
            server=self._service(SERVER, model.server, streams),
            link=self._link(model.link, streams),
            services=services,
            joint=None if model.joint is None else _joint(model.joint, streams),
            fleet=tuple((_device(held, laws.index(held.residual), streams), share) for held, share in model.fleet),
        )
        return replace(self._blueprint, model=changed)

    def _service(self, role: str, model: EndpointModel, streams: RandomStreams) -> EndpointModel:
        if role not in self._specs or not isinstance(model, ApiServerModel):
            return model
        name, digest = draws_of(role.removeprefix("service ")), self._latency.get(role)

        def law(what: str) -> Law:
            held: Law = getattr(model, what)
            rng = streams.generator(f"inputs.{name}.{what}")
            if isinstance(held, RawSeries):
                return RawSeries(tuple(rows_version(held.values, rng).tolist()))
            assert digest is not None
            return series_version(held, digest.n, rng)

        share, spec = model.failure_share, self._specs[role]
        if spec.failures == "measured" and spec.failure_share is None:
            n = len(model.ttft.values) if isinstance(model.ttft, RawSeries) else (digest.n if digest else 0)
            n_tried = round(n / (1.0 - share)) if share < 1.0 else n
            share = share_version(share, n_tried, streams.generator(f"inputs.{name}.failures"))
        chunks = model.chunks
        if chunks is not None:
            chunks = _chunks(chunks, self._chunks[role], streams.generator(f"inputs.{name}.chunks"))
        return replace(model, ttft=law("ttft"), tpot=law("tpot"), failure_share=share, chunks=chunks)

    def _link(self, model: LinkModel, streams: RandomStreams) -> LinkModel:
        digest = self._rtt
        if digest is None or model.rtt is None:
            return model
        n_sent = round(digest.n / (1.0 - digest.loss_share)) if digest.loss_share < 1.0 else digest.n
        return replace(
            model,
            rtt=series_version(model.rtt, digest.n, streams.generator("inputs.link.rtt")),
            loss_share=share_version(model.loss_share, n_sent, streams.generator("inputs.link.loss")),
        )


def _chunks(law: ChunkLaw, digest: ChunkDigest, rng: Generator) -> ChunkLaw:
    """Return a version of how tokens come together; how sizes and gaps hang together stays as it is."""
    first = None if law.first is None else Warp.of(digest.n_streams, rng).table(law.first)
    return replace(
        law, size=series_version(law.size, digest.n, rng), gap=series_version(law.gap, digest.n, rng), first=first
    )


def _device(profile: DeviceProfile, index: int, streams: RandomStreams) -> DeviceProfile:
    """Return a device with a version of its residual law, where rows are behind it; its line stays as it is."""
    law = profile.residual
    if law is None or law.n is None:
        return profile
    rng, stalls = streams.generator(f"inputs.device.{index}"), law.stalls
    changed = replace(
        law,
        prefill=series_version(law.prefill, law.n, rng),
        decode=None if law.decode is None else series_version(law.decode, law.n, rng),
    )
    if stalls is not None:
        n_stalls = max(1, round(stalls.share * law.n))
        duration = Warp.of(n_stalls, rng).table(stalls.duration)
        changed = replace(
            changed, stalls=replace(stalls, share=share_version(stalls.share, law.n, rng), duration=duration)
        )
    return replace(profile, residual=changed)


def _joint(model: JointModel, streams: RandomStreams) -> JointModel:
    """Return a version of who is right where: as many questions in each band of lengths, drawn with replacement."""
    rng = streams.generator("inputs.quality")

    def table(held: JointTable) -> JointTable:
        both, strong, weak, neither = rng.multinomial(held.n, [count / held.n for count in held.counts]).tolist()
        return JointTable(both=both, only_strong=strong, only_weak=weak, neither=neither)

    return JointModel(tuple(replace(band, table=table(band.table)) for band in model.bands))
