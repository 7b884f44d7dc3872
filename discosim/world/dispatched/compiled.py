"""Planned requests as the compiled library takes them: numbers and arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.core.timeline import offsets_of
from discosim.world.dispatched.planned import Planned
from discosim.world.dispatched.ways import Way, Ways
from discosim.world.engine.engine import EngineModel
from discosim.world.link import BYTES_PER_TOK, Link

Fields = dict[str, Any]
LOSERS = ("cancel", "finish_prefill", "run_on")
NO_LIMIT = 1 << 60
NO_FLOATS: NDArray[np.float64] = np.zeros(1)
NO_INTS: NDArray[np.int64] = np.zeros(1, dtype=np.int64)


def compiled_fields(planned: Planned, model: EngineModel, link: Link) -> Fields:
    """Return the fields of the structure `Planned` of the compiled library."""
    table, tapes = planned.table, link.tapes
    users, phone = np.unique(table.user_id, return_inverse=True)
    return {
        "n": len(table),
        "n_phones": users.size,
        "losers": LOSERS.index(planned.losers),
        "server_is_first": int(planned.server_is_first),
        "is_instant": int(link.is_instant),
        "mask": tapes.up_s.size - 1,
        "per_tick": tapes.per_tick,
        "fastest_s": model.fastest_iteration_s,
        "bit_per_s": link.model.uplink_bit_per_s or 0.0,
        "arrival_s": table.arrival_s,
        "server_after_s": planned.server_after_s,
        "device_after_s": planned.device_after_s,
        "bulk_s": planned.bulk_s,
        "work_s": planned.work_s,
        "gap_s": planned.gap_s,
        "decode_s": planned.decode_s,
        "up_s": tapes.up_s,
        "down_s": tapes.down_s,
        "is_rejected": table.rejected,
        "holds": planned.holds,
        "is_refused": planned.is_refused,
        "falls_back": planned.falls_back,
        "phone": phone,
        "phase_ticks": phone if link.is_instant else tapes.phase_ticks[table.user_id],
        **(_no_ways() if planned.ways is None else _ways(planned.ways)),
    }


def _no_ways() -> Fields:
    floats = ("ratio", "stall_s", "rest_gap_s", "line_s", "line_s_per_tok", "usd_per_tok", "margin_usd", "overhead_s")
    ints = ("kind", "chunk_tok", "holds_tok", "is_way", "margin_at", "overhead_at")
    return {
        **dict.fromkeys(("n_kinds", "has_luck"), 0),
        "bytes_per_tok": 0.0,
        **dict.fromkeys(floats, NO_FLOATS),
        **dict.fromkeys(ints, NO_INTS),
    }


def _ways(ways: Ways) -> Fields:
    profiles = ways.profiles
    out: list[Way | None] = [*ways.from_server, *ways.from_device]
    has_luck = any(profile.residual is not None for profile in profiles)
    luck = [ways.luck(0), ways.luck(1)] if has_luck else [(NO_FLOATS,) * 3]  # who asks first, and who asks again
    ratio, stall_s, rest_gap_s = (np.concatenate(columns) for columns in zip(*luck, strict=True))
    nothing = np.empty(0)
    margins, overheads = (
        [nothing if way is None else getattr(way.route, name) for way in out] for name in ("margin_usd", "overhead_s")
    )
    limits = [profile.max_context_tok for profile in profiles]
    return {
        "n_kinds": len(profiles),
        "has_luck": int(has_luck),
        "bytes_per_tok": BYTES_PER_TOK[ways.payload],
        "ratio": ratio,
        "stall_s": stall_s,
        "rest_gap_s": rest_gap_s,
        "line_s": np.array([profile.prefill_intercept_s for profile in profiles], dtype=np.float64),
        "line_s_per_tok": np.array([profile.prefill_s_per_tok for profile in profiles], dtype=np.float64),
        "usd_per_tok": np.array([0.0 if way is None else way.route.prefill_usd_per_tok for way in out]),
        "margin_usd": np.concatenate([*margins, NO_FLOATS]),
        "overhead_s": np.concatenate([*overheads, NO_FLOATS]),
        "kind": ways.kind,
        "chunk_tok": np.array([profile.chunk_tok or 0 for profile in profiles], dtype=np.int64),
        "holds_tok": np.array([NO_LIMIT if limit is None else limit for limit in limits], dtype=np.int64),
        "is_way": np.array([way is not None for way in out]),
        "margin_at": offsets_of(np.array([table.size for table in margins], dtype=np.int64)),
        "overhead_at": offsets_of(np.array([table.size for table in overheads], dtype=np.int64)),
    }
