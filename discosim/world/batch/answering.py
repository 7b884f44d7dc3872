"""What becomes of many requests that have begun: hand-overs, stops, bills, and the timelines of it all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.core.request import RequestTable
from discosim.core.timelines import Timelines
from discosim.world.batch.dispatch import Dispatch
from discosim.world.batch.flat import Rows, counted
from discosim.world.batch.handing import Speaking, hand_overs
from discosim.world.batch.laying import Piece, laid_out
from discosim.world.batch.opening import Opening, event_s
from discosim.world.batch.phones import Begun, Phones
from discosim.world.batch.service import Asked, Service
from discosim.world.meter import Meter

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Scalars = dict[str, NDArray[Any]]
FINISHED = np.array(["finished"], dtype=object)
SPEAKERS = np.array(["device", "server"], dtype=object)


@dataclass
class Bills:
    """Work done for some requests, by role; all arrays of shape (m,)."""

    server_prompt_tok: Floats
    server_output_tok: Ints
    device_prompt_tok: Floats
    device_output_tok: Ints

    @classmethod
    def empty(cls, m: int) -> Bills:
        """Return the bills of requests for which nothing was done."""
        return cls(np.zeros(m), np.zeros(m, dtype=np.int64), np.zeros(m), np.zeros(m, dtype=np.int64))


class Answers:
    """Follows requests of a replication from their first token to the end.

    Parameters
    ----------
    plan : Dispatch
        Who asks whom.
    table : RequestTable
        Who arrives.
    begin : Opening
        How they have begun.
    service : Service
        The replayed service.
    phones : Phones
        The devices.
    meter : Meter
        Prices.
    """

    def __init__(
        self, plan: Dispatch, table: RequestTable, begin: Opening, service: Service, phones: Phones, meter: Meter
    ) -> None:
        self._plan = plan
        self._table = table
        self._begin = begin
        self._service = service
        self._phones = phones
        self._meter = meter
        self._at_asked = np.cumsum(begin.asks_server) - 1
        self._at_begun = np.cumsum(begin.asks_device) - 1

    def follow(self, who: Ints) -> tuple[Timelines, Floats, Floats, Bools]:
        """Return what happens to some requests, when each is over, the event before that one, and if that is the first.

        Rows are ordered by these two moments, then by request.
        """
        begin, table = self._begin, self._table
        is_server = begin.is_server[who]
        who = np.concatenate((who[is_server], who[~is_server]))
        n_server = int(is_server.sum())
        asked = begin.asked.take(self._at_asked[who[:n_server]])
        begun = begin.begun.take(self._at_begun[who[n_server:]])
        made_s, arrival_s, rows = self._service.tokens(asked)
        device_s, device_rows = begun.tokens()
        rows = Rows(np.concatenate((rows.sizes, device_rows.sizes)))
        made_s, arrival_s = np.concatenate((made_s, device_s)), np.concatenate((arrival_s, device_s))
        is_server = np.arange(who.size) < n_server
        spoke_s = begin.speaks_s[who]
        bills = Bills.empty(who.size)
        free_s = self._lost(who, is_server, spoke_s, bills)
        after_tok, at_s = np.zeros(who.size, dtype=np.int64), spoke_s
        if self._plan.hand_overs is not None:
            said = Speaking(
                is_server,
                self._phones.kind[who],
                table.prompt_tok[who],
                table.reader_tok_per_s[who],
                spoke_s,
                free_s,
                rows,
                arrival_s,
            )
            after_tok, at_s = hand_overs(self._plan.hand_overs, self._phones.profiles, said)
        goes = after_tok > 0
        over_s = np.concatenate((arrival_s[rows.last[:n_server]], begun.last_s()))
        pieces = [Piece(np.where(goes, after_tok, rows.sizes), rows.first, made_s, arrival_s)]
        self._billed_speakers(who, asked, begun, n_server, goes, at_s, made_s, rows, bills)
        last_s = at_s.copy()
        if goes.any():
            to_server = np.flatnonzero(goes & ~is_server)
            to_device = np.flatnonzero(goes & is_server)
            pieces += [
                self._at_server(who, to_server, after_tok, at_s, over_s, last_s, bills),
                self._at_device(who, to_device, after_tok, at_s, over_s, last_s, bills),
            ]
        ended_s = event_s(last_s, over_s)
        order = np.lexsort((who, last_s, ended_s))
        scalars = self._scalars(who, is_server, bills)
        timelines = laid_out(order, scalars, pieces, is_server, goes)
        is_direct = np.full(who.size, self._plan.hand_overs is None)
        for after_s in (self._plan.server_after_s, self._plan.device_after_s):
            is_direct &= (after_s[who] == 0.0) | (after_s[who] == np.inf)
        return timelines, ended_s[order], last_s[order], is_direct[order]

    def _lost(self, who: Ints, is_server: Bools, spoke_s: Floats, bills: Bills) -> Floats:
        """Bill who lost a race; return when each device is free of such work."""
        begin, table, losers = self._begin, self._table, self._plan.losers
        free_s = np.full(who.size, -np.inf)
        at = np.flatnonzero(is_server & begin.asks_device[who])
        if at.size:
            ids = who[at]
            begun = begin.begun.take(self._at_begun[ids])
            if losers == "run_on":
                free_s[at] = begun.last_s()
                bills.device_prompt_tok[at], bills.device_output_tok[at] = table.prompt_tok[ids], begun.n_tok
            else:
                bills.device_prompt_tok[at], bills.device_output_tok[at], free_s[at] = begun.worked(
                    spoke_s[at], table.prompt_tok[ids], finish_prefill=losers == "finish_prefill"
                )
        at = np.flatnonzero(~is_server & begin.asks_server[who])
        if at.size:
            ids = who[at]
            asked = begin.asked.take(self._at_asked[ids])
            bills.server_prompt_tok[at], bills.server_output_tok[at] = table.prompt_tok[ids], asked.n_tok
            if losers != "run_on":
                stop_s = self._service.stopped_s(asked, spoke_s[at])
                bills.server_output_tok[at] = 0
                goes_on = np.flatnonzero(stop_s >= asked.start_s)
                if goes_on.size:
                    made_s, _, rows = self._service.tokens(asked.take(goes_on))
                    is_made = made_s <= np.repeat(stop_s[goes_on], rows.sizes)
                    bills.server_output_tok[at[goes_on]] = counted(is_made, rows)
        return free_s

    def _billed_speakers(
        self,
        who: Ints,
        asked: Asked,
        begun: Begun,
        n_server: int,
        goes: Bools,
        at_s: Floats,
        made_s: Floats,
        rows: Rows,
        bills: Bills,
    ) -> None:
        """Bill who spoke first: the whole answer, or what was made until the hand-over had been heard of."""
        prompt_tok = self._table.prompt_tok[who]
        bills.server_prompt_tok[:n_server], bills.server_output_tok[:n_server] = prompt_tok[:n_server], asked.n_tok
        bills.device_prompt_tok[n_server:], bills.device_output_tok[n_server:] = prompt_tok[n_server:], begun.n_tok
        left = np.flatnonzero(goes[:n_server])
        if left.size:
            stop_s = np.full(n_server, np.inf)
            stop_s[left] = self._service.stopped_s(asked.take(left), at_s[left])
            of_server = Rows(rows.sizes[:n_server])
            n_made = counted(made_s[: of_server.offsets[-1]] <= np.repeat(stop_s, of_server.sizes), of_server)
            bills.server_output_tok[left] = np.where(stop_s < asked.start_s, 0, n_made)[left]
        left = np.flatnonzero(goes[n_server:])
        if left.size:
            at = n_server + left
            bills.device_prompt_tok[at], bills.device_output_tok[at], _ = begun.take(left).worked(
                at_s[at], prompt_tok[at], finish_prefill=False
            )

    def _at_server(
        self, who: Ints, at: Ints, after_tok: Ints, at_s: Floats, over_s: Floats, last_s: Floats, bills: Bills
    ) -> Piece:
        """Let the service go on with some answers."""
        if not at.size:
            return Piece.none(who.size)
        assert self._plan.hand_overs is not None
        ids, done_tok = who[at], after_tok[at]
        prompt_tok, n_tok = self._table.prompt_tok[ids] + done_tok, self._table.output_tok[ids] - done_tok
        attempt = self._begin.asks_server[ids].astype(np.int64)
        asked = self._service.ask(ids, attempt, at_s[at], prompt_tok, n_tok, self._plan.hand_overs.payload)
        last_s[at] = event_s(at_s[at], self._service.first_arrival_s(asked))
        made_s, arrival_s, rows = self._service.tokens(asked)
        over_s[at] = arrival_s[rows.last]
        bills.server_prompt_tok[at] += prompt_tok
        bills.server_output_tok[at] += n_tok
        return Piece.of(who.size, at, rows, made_s, arrival_s)

    def _at_device(
        self, who: Ints, at: Ints, after_tok: Ints, at_s: Floats, over_s: Floats, last_s: Floats, bills: Bills
    ) -> Piece:
        """Let devices go on with some answers."""
        if not at.size:
            return Piece.none(who.size)
        ids, done_tok = who[at], after_tok[at]
        prompt_tok, n_tok = self._table.prompt_tok[ids] + done_tok, self._table.output_tok[ids] - done_tok
        attempt = self._begin.tries_device[ids].astype(np.int64)
        begun = self._phones.begin(ids, attempt, at_s[at], prompt_tok, n_tok)
        last_s[at] = event_s(at_s[at], begun.prefill_end_s)
        over_s[at] = begun.last_s()
        bills.device_prompt_tok[at] += prompt_tok
        bills.device_output_tok[at] += n_tok
        made_s, rows = begun.tokens()
        return Piece.of(who.size, at, rows, made_s, made_s)

    def _scalars(self, who: Ints, is_server: Bools, bills: Bills) -> Scalars:
        """Return the numbers of each request that no token decides, as `world.closing` puts them together."""
        table, begin, n = self._table, self._begin, who.size
        meter = self._meter
        server_usd = bills.server_prompt_tok * meter.prompt_usd_per_tok
        server_usd += bills.server_output_tok * meter.output_usd_per_tok
        device_j = self._phones.energy_j(who, bills.device_prompt_tok, bills.device_output_tok)
        output_tok = table.output_tok[who]
        return {
            "request_id": who,
            "user_id": table.user_id[who],
            "arrival_s": table.arrival_s[who],
            "prompt_tok": table.prompt_tok[who],
            "output_tok": output_tok,
            "reader_tok_per_s": table.reader_tok_per_s[who],
            "ttft_target_s": table.ttft_target_s[who],
            "status": FINISHED[np.zeros(n, dtype=np.int64)],
            "first_endpoint": SPEAKERS[is_server.astype(np.int64)],
            "is_device_dispatched": begin.asks_device[who],
            "is_server_dispatched": begin.asks_server[who],
            "n_tok_wasted": bills.server_output_tok + bills.device_output_tok - output_tok,
            "server_prompt_tok": bills.server_prompt_tok.astype(np.int64),
            "server_output_tok": bills.server_output_tok,
            "device_prefill_tok": bills.device_prompt_tok,
            "device_decode_tok": bills.device_output_tok,
            "server_cost_usd": server_usd,
            "device_energy_j": device_j,
            "unified_cost_usd": server_usd + meter.exchange_rate_usd_per_j * device_j,
        }
