"""Versions of the measured inputs of a run: what might have been measured instead, drawn by replication."""

from __future__ import annotations

from dataclasses import replace

from discosim.core.empirical import CorrelatedSeries
from discosim.core.rng import RandomStreams
from discosim.core.scenario import DigestLink, ReplayedServer, Scenario
from discosim.core.versions import rows_version, series_version, share_version
from discosim.runs.build import Blueprint
from discosim.runs.build_link import rtt_digest_of
from discosim.runs.inputs import SERVER, latency_of, replayed_services
from discosim.world.api_server import ApiServerModel, draws_of
from discosim.world.endpoint import EndpointModel
from discosim.world.law import RawSeries
from discosim.world.link import LinkModel

Law = CorrelatedSeries | RawSeries


def version(blueprint: Blueprint, replication: int) -> Blueprint:
    """Return what one replication takes for the truth: its own version of every input whose rows are known.

    Policies keep the view of what was measured, which is what people have who set them; so thresholds are as wrong for
    each version as for the service itself. Draws of versions come from streams ``inputs.*`` of the replication, and all
    policies meet the same.
    """
    streams = RandomStreams(blueprint.scenario.seed, replication)
    model = blueprint.model
    specs = replayed_services(blueprint.scenario)
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
    digest = None if spec.series is not None else latency_of(spec)

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
