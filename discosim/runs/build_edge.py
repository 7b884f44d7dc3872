"""From a scenario's edge tier, answers and assumed quality to the parts of a world."""

from __future__ import annotations

from discosim.core.empirical import CorrelatedSeries, QuantileTable
from discosim.core.errors import UserError
from discosim.core.scenario import LABELS, Answers, AssumedQuality, EdgeLink, EdgeTier, LanLink, ShareOfAnswers
from discosim.traces.catalogue import load_digest
from discosim.traces.digest import DeviceDigest
from discosim.world.answers import AnswerModel
from discosim.world.edge.tier import EdgeModel
from discosim.world.link import LinkModel
from discosim.world.quality import QualityModel

USD_PER_MTOK = 1e-6


def edge_model(spec: EdgeTier) -> EdgeModel:
    """Resolve an edge tier.

    Raises
    ------
    UserError
        If the profile is unknown, or has no published energy.
    """
    digest = load_digest(spec.profile, "device")
    assert isinstance(digest, DeviceDigest)
    if digest.prefill_j_per_tok is None or digest.decode_j_per_tok is None:
        raise UserError(f"profile '{spec.profile}' has no published energy; choose another", where="edge.profile")
    own_rate = spec.decode_tok_per_s
    own_prefill = spec.prefill_s_per_tok
    return EdgeModel(
        decode_s=1.0 / (digest.decode_tok_per_s if own_rate is None else own_rate),
        slots=spec.slots,
        n_boxes=spec.n_boxes,
        sharing=spec.sharing,
        batch_slowdown=spec.batch_slowdown,
        prefill_s_per_tok=digest.prefill_s_per_tok if own_prefill is None else own_prefill,
        prefill_intercept_s=digest.prefill_intercept_s,
        memory_tok=spec.memory_tok,
        age_limit_s=spec.age_limit_s,
        link=_link(spec.link),
        prefill_j_per_tok=digest.prefill_j_per_tok,
        decode_j_per_tok=digest.decode_j_per_tok,
        prompt_usd_per_tok=spec.prices.prompt_usd_per_mtok * USD_PER_MTOK,
        output_usd_per_tok=spec.prices.output_usd_per_mtok * USD_PER_MTOK,
    )


def _link(spec: EdgeLink) -> LinkModel | None:
    if not isinstance(spec, LanLink):
        return None
    rate = None if spec.mbit_per_s is None else spec.mbit_per_s * 1e6
    rtt = None if spec.rtt_s == 0.0 else CorrelatedSeries(QuantileTable.constant(spec.rtt_s))
    return LinkModel(rtt, uplink_bit_per_s=rate)


def answer_model(spec: Answers) -> AnswerModel:
    """Resolve the inner form of answers."""
    if isinstance(spec, ShareOfAnswers):
        share = spec.suitable_share
    else:
        suitable, total = LABELS[spec.labels]
        share = suitable / total
    return AnswerModel(share, spec.part_tok, spec.part_sigma)


def quality_model(spec: AssumedQuality) -> QualityModel:
    """Resolve assumed quality."""
    picks = spec.pick_accuracy
    return QualityModel(
        cloud=spec.cloud,
        device=spec.device,
        edge=spec.edge,
        sketch_power=spec.sketch_power,
        spread=spec.spread,
        pick_accuracy={
            "random": 0.0,
            "perplexity": picks.perplexity,
            "similarity": picks.similarity,
            "both": picks.both,
        },
        unsuitable_loss=spec.unsuitable_loss,
    )
