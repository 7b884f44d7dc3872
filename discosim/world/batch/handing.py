"""After which token answers are handed over, for many at once: the buffer rule of `world.watch` on whole timelines."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from discosim.world.batch.dispatch import HandOvers, Route
from discosim.world.batch.flat import Rows, first_where
from discosim.world.batch.opening import event_s
from discosim.world.device_profile import DeviceProfile
from discosim.world.watch import TOLERANCE_TOK

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Speaking:
    """Answers that have begun, in rows.

    Parameters
    ----------
    is_server : array of bool, shape (m,)
        Who speaks.
    kind : array of int, shape (m,)
        Each user's device.
    prompt_tok : array of int, shape (m,)
        Prompt lengths.
    rate_tok_per_s : array of float, shape (m,)
        Reading speed.
    spoke_s : array of float, shape (m,)
        When the first token came.
    device_free_s : array of float, shape (m,)
        From when on the device is not busy with this request any more; where the device speaks it plays no part.
    rows : Rows
        Where the tokens of each lie.
    arrival_s : array of float, shape (tokens,)
        When each token reaches the client.
    """

    is_server: Bools
    kind: Ints
    prompt_tok: Ints
    rate_tok_per_s: Floats
    spoke_s: Floats
    device_free_s: Floats
    rows: Rows
    arrival_s: Floats


def hand_overs(rule: HandOvers, profiles: list[DeviceProfile], said: Speaking) -> tuple[Ints, Floats]:
    """Return after how many tokens each answer is handed over, 0 for never, and when the policy has waited for that."""
    after_tok = np.zeros(said.kind.size, dtype=np.int64)
    at_s = said.spoke_s.copy()
    for source, is_source in (("server", said.is_server), ("device", ~said.is_server)):
        for k, profile in enumerate(profiles):
            route = rule.route(source, profile)
            if route is None:
                continue
            mine = is_source & (said.kind == k)
            limit = profile.max_context_tok if route.target == "device" else None
            if limit is not None:
                mine &= said.prompt_tok < limit
            chosen = np.flatnonzero(mine)
            if chosen.size:
                after_tok[chosen], at_s[chosen] = _along(route, limit, said, chosen)
    return after_tok, at_s


def _along(route: Route, limit: int | None, said: Speaking, chosen: Ints) -> tuple[Ints, Floats]:
    """Return the same of answers that take one route: `Session.buffer_reaches`, then what `Migration.run` asks."""
    arrival_s, rows = _of(said, chosen)
    prompt_tok, rate, spoke_s = said.prompt_tok[chosen], said.rate_tok_per_s[chosen], said.spoke_s[chosen]
    at = first_where(_is_enough(route, limit, arrival_s, rows, prompt_tok, rate), rows)
    is_found = at + 1 < rows.sizes
    when_s = arrival_s[rows.first + np.where(is_found, at, rows.sizes - 1)]
    due_s = event_s(spoke_s, when_s)
    if route.target == "device":
        is_found &= due_s >= said.device_free_s[chosen]
    return np.where(is_found, at + 1, 0), due_s


def _of(said: Speaking, chosen: Ints) -> tuple[Floats, Rows]:
    """Return the tokens of some rows, end to end; rows that follow each other are not copied."""
    rows = Rows(said.rows.sizes[chosen])
    if chosen[-1] - chosen[0] + 1 == chosen.size:
        return said.arrival_s[said.rows.offsets[chosen[0]] : said.rows.offsets[chosen[-1] + 1]], rows
    return said.arrival_s[rows.index + np.repeat(said.rows.first[chosen], rows.sizes)], rows


def _is_enough(route: Route, limit: int | None, arrival_s: Floats, rows: Rows, prompt_tok: Ints, rate: Floats) -> Bools:
    """Tell after which tokens the reader's buffer covers the change of hands, and the change pays."""
    index = rows.index
    level = arrival_s * np.repeat(rate, rows.sizes)
    level -= index
    ahead = level.copy()
    accumulate = np.maximum.accumulate
    for start, end in pairwise(rows.offsets.tolist()):
        row = level[start:end]
        accumulate(row, out=row)
    level -= ahead
    level += 1.0 + TOLERANCE_TOK
    margin, overhead_s = route.margin_usd, route.overhead_s
    is_so = margin[np.minimum(index + 1, margin.size - 1)] > np.repeat(
        route.prefill_usd_per_tok * prompt_tok, rows.sizes
    )
    need = overhead_s[np.minimum(index + np.repeat(prompt_tok + 1, rows.sizes), overhead_s.size - 1)]
    need *= np.repeat(rate, rows.sizes)
    is_so &= level >= need
    if limit is not None:
        is_so &= index < np.repeat(limit - prompt_tok, rows.sizes)
    return is_so
