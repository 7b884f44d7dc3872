"""A digest in words: its card and its main figures."""

from __future__ import annotations

import numpy as np

from discosim.core.empirical import CorrelatedSeries, QuantileTable
from discosim.traces.catalogue import digest_sha256, load_digest
from discosim.traces.chunk_digest import ChunkDigest
from discosim.traces.devices import statuses
from discosim.traces.digest import (
    ClientDigest,
    DeviceDigest,
    LatencyDigest,
    RttDigest,
    WorkloadDigest,
)
from discosim.traces.engine_digest import EngineDigest, tokens_s
from discosim.traces.kinds import Digest, kind_of
from discosim.traces.quality_digest import QualityDigest
from discosim.traces.rows_text import sentences

Rows = list[tuple[str, str]]

COLUMNS = {
    "workload": (
        "requests",
        "rate 1/s",
        "CV of gaps",
        "prompt tok p50 / p99",
        "output tok p50 / p99",
        "licence",
        "status",
    ),
    "clients": (
        "clients",
        "rate 1/s",
        "prompt tok mean",
        "output tok mean",
        "licence",
        "status",
    ),
    "latency": (
        "n",
        "TTFT s p50 / p99",
        "TPOT ms p50 / p99",
        "lag-1 of TTFT",
        "failed %",
        "licence",
        "status",
    ),
    "rtt": (
        "n",
        "ms p1 / p50 / p99",
        "lag-1",
        "spacing s",
        "server s",
        "lost %",
        "contains",
        "licence",
        "status",
    ),
    "device": (
        "prefill tok/s",
        "fixed s",
        "chunk tok",
        "decode tok/s",
        "J/tok prefill / decode",
        "context tok",
        "licence",
        "status",
    ),
    "engine": (
        "GPUs",
        "prefill ms",
        "decode ms",
        "decode ms at 64",
        "KV kB/tok",
        "KV tok",
        "context tok",
        "licence",
        "status",
    ),
    "chunks": (
        "streams",
        "events",
        "tok per event mean / p50 / p99",
        "gap over mean time per token p50 / p99",
        "gaps inside events %",
        "longest gap s",
        "licence",
        "status",
    ),
    "quality": (
        "questions",
        "weak / strong right %",
        "both / only strong / only weak / neither %",
        "only strong % by quarter of length",
        "licence",
        "status",
    ),
}


def describe(held: str | Digest) -> str:
    """Return card and main figures of a digest as text: of a shipped one by its name, or of the digest given.

    Raises
    ------
    UserError
        For an unknown name.
    """
    digest = load_digest(held) if isinstance(held, str) else held
    card = digest.card
    lines: Rows = [
        ("name", digest.name),
        ("kind", kind_of(digest)),
        ("title", card.title),
        *zip(COLUMNS[kind_of(digest)][:-2], cells(digest), strict=False),
        *_provenance_rows(digest),
        *_shown_rows(digest),
        ("contains", "" if "contains" in COLUMNS[kind_of(digest)] else ", ".join(card.contains)),
        ("status", ", ".join(f"{field}: {status}" for field, status in card.status.items())),
        ("licence", card.licence),
        ("cite", card.citation),
        ("origin", card.origin),
        ("commit", card.commit),
        ("raw file", card.raw_file),
        ("raw sha256", card.raw_sha256),
        ("method", card.method),
        *(("quirk", quirk) for quirk in card.quirks),
        ("file sha256", digest_sha256(held) if isinstance(held, str) else ""),
    ]
    shown = [(label, text) for label, text in lines if text]
    width = max(len(label) for label, _ in shown)
    return "\n".join(f"{label:<{width}}  {text}" for label, text in shown)


def status_of(digest: Digest) -> str:
    """Return the distinct statuses of a digest's figures."""
    if isinstance(digest, DeviceDigest):
        return " + ".join(statuses(digest.provenance.values()))
    return " + ".join(dict.fromkeys(digest.card.status.values()))


def cells(digest: Digest) -> tuple[str, ...]:
    """Return the main figures of a digest, in the order of its kind's columns without licence and status."""
    match digest:
        case WorkloadDigest():
            rate = "–" if digest.rate_per_s is None else _short(digest.rate_per_s)
            cv = "–" if digest.gap is None else _short(digest.moments["gap_cv"])
            return f"{digest.n:,}", rate, cv, _spread(digest.prompt), _spread(digest.output)
        case ClientDigest():
            figures = ("rate_mean_per_s", "prompt_mean", "output_mean")
            return str(len(digest.clients)), *(_short(digest.moments[figure]) for figure in figures)
        case LatencyDigest():
            return (
                str(digest.n),
                _spread(digest.ttft),
                _spread(digest.tpot, scale=1000),
                f"{digest.moments['ttft_lag1']:.2f}",
                _short(100 * digest.failure_share),
            )
        case RttDigest():
            return (
                f"{digest.n:,}",
                _spread(digest.rtt, scale=1000, at=(0.01, 0.5, 0.99)),
                f"{digest.moments['rtt_lag1']:.2f}",
                "–" if digest.spacing_s is None else _short(digest.spacing_s),
                _short(digest.server_time_s),
                _short(100 * digest.loss_share),
                ", ".join(digest.card.contains),
            )
        case DeviceDigest():
            return (
                _short(1 / digest.prefill_s_per_tok) if digest.prefill_s_per_tok else "∞",
                _short(digest.prefill_intercept_s),
                _count(digest.chunk_tok),
                _short(digest.decode_tok_per_s),
                f"{_energy(digest.prefill_j_per_tok)} / {_energy(digest.decode_j_per_tok)}",
                _count(digest.max_context_tok),
            )
        case EngineDigest() | ChunkDigest() | QualityDigest():
            return _later_cells(digest)


def _later_cells(digest: EngineDigest | ChunkDigest | QualityDigest) -> tuple[str, ...]:
    match digest:
        case EngineDigest():
            return _engine_cells(digest)
        case ChunkDigest():
            return _chunk_cells(digest)
        case QualityDigest():
            return _quality_cells(digest)


def _engine_cells(digest: EngineDigest) -> tuple[str, ...]:
    return (
        str(digest.n_gpus),
        *(_short(1000 * time_s) for time_s in times_of(digest)),
        _short(digest.kv_bytes_per_tok / 1000),
        _count(digest.kv_tok),
        _count(digest.max_context_tok),
    )


def _chunk_cells(digest: ChunkDigest) -> tuple[str, ...]:
    return (
        f"{digest.n_streams:,}",
        f"{digest.n:,}",
        f"{_short(digest.moments['event_tok_mean'])} / {_spread(digest.law.size)}",
        _spread(digest.law.gap),
        _short(100 * digest.moments["under_threshold_share"]),
        _short(digest.moments["gap_longest_s"]),
    )


def _quality_cells(digest: QualityDigest) -> tuple[str, ...]:
    right = (digest.moments["weak_right"], digest.moments["strong_right"])
    shares = [count / digest.n for count in digest.table.counts]
    by_length = [band.table.only_strong_share for band in digest.bands]
    return f"{digest.n:,}", *(" / ".join(f"{100 * x:.1f}" for x in row) for row in (right, shares, by_length))


def times_of(digest: EngineDigest) -> tuple[float, float, float]:
    """Return seconds for a prompt of 1,000 tokens, and for decoding 1 and 64 requests with 1,000 tokens each."""
    if digest.lines is not None:
        a, b, c = digest.lines.prefill
        decode = [
            base + 1000 * n * slope + n * each for n in (1, 64) for base, slope, each in [digest.lines.decode_small]
        ]
        return a + 1000 * b + 1e6 * c, decode[0], decode[1]
    if digest.physics is not None:
        held = digest.physics
        prefill_s = tokens_s(held, 1000.0) + 1e6 * held.square_s
        one, many = (tokens_s(held, n) + n * (held.request_s + 1000 * held.kv_s_per_tok) for n in (1, 64))
        return prefill_s, one, many
    grid = digest.grid
    assert grid is not None
    prefill_s = float(np.interp(1000.0, grid.prefill_tok, grid.prefill_times_s))
    one, many = (
        float(np.interp(n, grid.decode_batch, grid.decode_times_s)) + 1000 * n * grid.s_per_context_tok for n in (1, 64)
    )
    return prefill_s, one, many


def _provenance_rows(digest: Digest) -> Rows:
    if not isinstance(digest, DeviceDigest):
        return []
    rows = [
        *_law_rows(digest),
        *((field, f"{held.status}; {held.source}") for field, held in digest.provenance.items()),
        *(("not told", f"{figure}: {why}") for figure, why in (digest.not_identified or {}).items()),
    ]
    if (held := digest.energy_range) is not None:
        decode, ratio = (" to ".join(map(_short, pair)) for pair in (held.decode_j_per_tok, held.decode_over_prefill))
        rows.append(("energy range", f"{decode} J per decoded token, {ratio} times a prompt token"))
    return rows


def _shown_rows(digest: Digest) -> Rows:
    if not isinstance(digest, LatencyDigest):
        return []
    return list(sentences(digest.slope, digest.hours, digest.runs, digest.failure_share))


def _law_rows(digest: DeviceDigest) -> Rows:
    """Return noise and heat of a device in words."""
    rows: Rows = [] if digest.n is None else [("rows", f"{digest.n:,}")]
    if digest.residual is not None:
        for part, law in (("prefill", digest.residual.prefill), ("decode", digest.residual.decode)):
            if law is not None:
                at = _spread(law, at=(0.01, 0.5, 0.99))
                rows.append((f"{part} over line", f"{at} (p1 / p50 / p99), latent correlation {law.latent_rho:.2f}"))
        if digest.residual.stalls is not None:
            stalls = digest.residual.stalls
            rows.append(("stalls", f"{stalls.share:.2%} of requests, {_spread(stalls.duration, at=(0.0, 0.5, 1.0))} s"))
        if digest.residual.first > 1.0:
            rows.append(("first request", f"{digest.residual.first:.2f} times as long"))
    if digest.heat is not None:
        heat = digest.heat
        slows = f"to {heat.floor:.2f} of full speed from heat {heat.onset:.2f} on"
        rows.append(("heat", f"{slows}; heats in {heat.heating_s:.3g} s, cools in {heat.cooling_s:.3g} s"))
    if digest.cold_start_load_s is not None:
        rows.append(("cold start", f"{digest.cold_start_load_s:.3g} s to load"))
    return rows


def _spread(held: QuantileTable | CorrelatedSeries, *, scale: float = 1.0, at: tuple[float, ...] = (0.5, 0.99)) -> str:
    table = held.table if isinstance(held, CorrelatedSeries) else held
    return " / ".join(_short(float(value) * scale) for value in table.ppf(at))


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _energy(value: float | None) -> str:
    return "–" if value is None else _short(value)
