"""What is known of all requests before any arrives: whom each asks, after which wait, and how long its device takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discosim.core.request import RequestTable
from discosim.world.batch.dispatch import Dispatch
from discosim.world.batch.phones import Phones
from discosim.world.dispatched.ways import Ways
from discosim.world.engine.engine import EngineModel
from discosim.world.link import BYTES_PER_TOK, LinkModel
from discosim.world.session import Loser

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Planned:
    """Requests of a replication; all arrays of shape (n,).

    Parameters
    ----------
    table : RequestTable
        Who arrives.
    server_after_s, device_after_s : array of float
        When each endpoint is asked, in s after the arrival, if nobody has spoken by then; ``inf`` for never.
    holds : array of bool
        Whether the context of the device holds the prompt; one that does not refuses at once.
    is_refused : array of bool
        What the server can never serve, and says so.
    falls_back : array of bool
        Whether the other endpoint is asked at once where the first refuses; else the request fails.
    bulk_s : array of float
        How long the prompt takes on the uplink beside its delay.
    work_s, gap_s : array of float
        How long the device works on the first token, and on each of the others.
    losers : str
        Fate of who loses a race: ``cancel``, ``finish_prefill`` or ``run_on``.
    server_is_first : bool
        Which of two endpoints that are asked on arrival is asked first.
    ways : Ways or None
        Ways on which answers are handed over; None for none.
    """

    table: RequestTable
    server_after_s: Floats
    device_after_s: Floats
    holds: Bools
    is_refused: Bools
    falls_back: Bools
    bulk_s: Floats
    work_s: Floats
    gap_s: Floats
    losers: Loser
    server_is_first: bool
    ways: Ways | None

    @property
    def decode_s(self) -> Floats:
        """How long the device works on all tokens but the first."""
        decode_s: Floats = (self.table.output_tok - 1) * self.gap_s
        return decode_s

    @classmethod
    def of(cls, plan: Dispatch, table: RequestTable, phones: Phones, model: EngineModel, link: LinkModel) -> Planned:
        """Put together what is known."""
        n, prompt_tok, output_tok = len(table), table.prompt_tok, table.output_tok
        holds = phones.holds(prompt_tok)
        server_after_s = plan.server_after_s
        if plan.sees_refusal:
            server_after_s = np.where((plan.device_after_s == 0.0) & ~holds & plan.falls_back, 0.0, server_after_s)
        everybody = np.arange(n)
        begun = phones.begin(everybody, np.zeros(n, dtype=np.int64), np.zeros(n), prompt_tok, output_tok)
        rate = link.uplink_bit_per_s
        bulk_s = np.zeros(n)
        if rate is not None:
            bulk_s += 8.0 * (prompt_tok * BYTES_PER_TOK["text"]) / rate
        return cls(
            table=table,
            server_after_s=server_after_s,
            device_after_s=plan.device_after_s,
            holds=holds,
            is_refused=_refused(prompt_tok, output_tok, model),
            falls_back=np.broadcast_to(np.asarray(plan.falls_back, dtype=np.bool_), (n,)),
            bulk_s=bulk_s,
            work_s=begun.prefill_end_s,
            gap_s=begun.gap_s,
            losers=plan.losers,
            server_is_first=plan.server_is_first,
            ways=None if plan.hand_overs is None else Ways.of(plan.hand_overs, phones),
        )


def _refused(prompt_tok: Ints, output_tok: Ints, model: EngineModel) -> Bools:
    """Tell which requests the server can never serve."""
    is_refused = np.zeros(prompt_tok.size, dtype=np.bool_)
    for i in np.flatnonzero(prompt_tok + output_tok > model.safe_tok).tolist():
        is_refused[i] = bool(model.why_refused(int(prompt_tok[i]), int(output_tok[i])))
    return is_refused
