"""A replayed service for many requests at once, as `api_server` has it for one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discosim.core.request import RequestTable
from discosim.world.api_server import ApiServer
from discosim.world.batch.flat import Rows, kept_in_order, ramps
from discosim.world.jitter import JITTER_TAPE
from discosim.world.link import BYTES_PER_TOK, Payload
from discosim.world.luck import Luck
from discosim.world.rounding import ROUNDING

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LONGEST_TOK = JITTER_TAPE
"""Answers up to this are read from the tapes in one piece."""


@dataclass(frozen=True)
class Asked:
    """Requests that ask the service, each once.

    Parameters
    ----------
    who : array of int, shape (m,)
        Their ids.
    attempt : array of int, shape (m,)
        How often each has asked it before: 0 or 1.
    n_tok : array of int, shape (m,)
        Tokens asked for, >= 1.
    accepted_s, start_s, tpot_s : array of float, shape (m,)
        When they reach the service, when it makes the first token, and its time per token.
    """

    who: Ints
    attempt: Ints
    n_tok: Ints
    accepted_s: Floats
    start_s: Floats
    tpot_s: Floats

    def take(self, rows: Ints | Bools) -> Asked:
        """Return some of them."""
        return Asked(
            self.who[rows],
            self.attempt[rows],
            self.n_tok[rows],
            self.accepted_s[rows],
            self.start_s[rows],
            self.tpot_s[rows],
        )


class Service:
    """Answers of a replayed service.

    Parameters
    ----------
    server : ApiServer
        The service, opened in a world.
    table : RequestTable
        Who arrives.
    luck : Luck
        The draws of the replication.
    """

    def __init__(self, server: ApiServer, table: RequestTable, luck: Luck) -> None:
        self._server = server
        self._link = server.link
        self._table = table
        self._luck = luck

    def refuses(self, attempt: int) -> Bools | None:
        """Return which requests it refuses at an attempt; None where it refuses nobody."""
        return self._server.refused(attempt)

    def ask(
        self, who: Ints, attempt: Ints, sent_s: Floats, prompt_tok: Ints, n_tok: Ints, payload: Payload = "text"
    ) -> Asked:
        """Send requests up, as `ApiServer.start` does."""
        model, link = self._server.model, self._link
        up_s = link.up_array_s(sent_s, self._table.user_id[who])
        accepted_s = sent_s + up_s
        rate = link.model.uplink_bit_per_s
        if rate is not None:
            accepted_s += 8.0 * (prompt_tok * BYTES_PER_TOK[payload]) / rate
        ttft_s, tpot_s = self._draws(who, attempt)
        start_s = accepted_s + ttft_s
        start_s += model.ttft_s_per_prompt_tok * np.maximum(prompt_tok - model.ttft_reference_prompt_tok, 0)
        return Asked(who, attempt, n_tok, accepted_s, start_s, tpot_s)

    def _draws(self, who: Ints, attempt: Ints) -> tuple[Floats, Floats]:
        ttft_s, tpot_s = np.empty((2, who.size))
        for k in range(2):
            mine = attempt == k
            if mine.any():
                ttfts_s, tpots_s = self._server.times_of_attempt(k)
                ttft_s[mine], tpot_s[mine] = ttfts_s[who[mine]], tpots_s[who[mine]]
        return ttft_s, tpot_s

    def first_arrival_s(self, asked: Asked) -> Floats:
        """Return when the client sees the first token, which waits for those that share its packet."""
        leaves_s = asked.start_s
        group = self._link.model.tokens_per_packet
        if group > 1:
            leaves_s = self._last_of_packet_s(asked, np.minimum(group, asked.n_tok) - 1)
        arrival_s: Floats = leaves_s + self._link.down_array_s(leaves_s, self._table.user_id[asked.who])
        return arrival_s

    def _last_of_packet_s(self, asked: Asked, k: Ints) -> Floats:
        """Return when token ``k`` (from 0) of each answer leaves."""
        chunks, jitter = self._server.chunks, self._server.jitter
        steps = k.astype(float)
        if chunks is not None:
            steps = chunks.leave(k, asked.n_tok, self._chunk_draws(asked))
        elif jitter is not None:
            first = self._jitter_starts(asked.who)
            steps = jitter[first + k] - jitter[first]
        leaves_s: Floats = steps * asked.tpot_s
        leaves_s += asked.start_s
        return leaves_s

    def last_arrival_bound_s(self, asked: Asked) -> Floats:
        """Return a time after which no token of the answers arrives."""
        link, n = self._link, asked.n_tok
        if self._server.chunks is not None or self._server.jitter is None:
            steps = (n - 1).astype(float)
        else:
            first = self._jitter_starts(asked.who)
            steps = self._server.jitter[first + n - 1] - self._server.jitter[first]
        # a microsecond for rounding: times are some 1e6 s at most
        bound_s: Floats = asked.start_s + steps * asked.tpot_s + link.longest_s[1] + 1e-6
        return bound_s

    def refusal_bound_s(self, prompt_tok: Ints) -> Floats:
        """Return a time within which who asks with such a prompt has learnt of a refusal."""
        link = self._link
        rate = link.model.uplink_bit_per_s
        bound_s: Floats = np.full(prompt_tok.size, sum(link.longest_s) + self._server.model.failure_after_s + 1e-6)
        if rate is not None:
            bound_s += 8.0 * (prompt_tok * BYTES_PER_TOK["text"]) / rate
        return bound_s

    def tokens(self, asked: Asked) -> tuple[Floats, Floats, Rows]:
        """Return when each token is made, and when it arrives, end to end."""
        rows = Rows(asked.n_tok)
        if self._server.chunks is not None:
            leaves = self._server.chunks.leaves_of(asked.n_tok, self._chunk_draws(asked))
            tpot_s, start_s = np.repeat(asked.tpot_s, rows.sizes), np.repeat(asked.start_s, rows.sizes)
            made_s = np.minimum(leaves, rows.index)
            made_s *= tpot_s
            made_s += start_s
            leaves *= tpot_s
            leaves += start_s
            return made_s, self._delivered(leaves, asked.who, rows), rows
        jitter = self._server.jitter
        if jitter is None:
            made_s = ramps(rows, asked.tpot_s, asked.start_s)
        else:
            first = self._jitter_starts(asked.who)
            made_s = jitter[np.repeat(first, rows.sizes) + rows.index]
            made_s -= np.repeat(jitter[first], rows.sizes)
            made_s *= np.repeat(asked.tpot_s, rows.sizes)
            made_s += np.repeat(asked.start_s, rows.sizes)
        return made_s, self._delivered(made_s, asked.who, rows), rows

    def _delivered(self, sent_s: Floats, who: Ints, rows: Rows) -> Floats:
        """Return when tokens arrive, packet by packet and in order, as `Link.deliver` has it."""
        link = self._link
        group = link.model.tokens_per_packet
        if group > 1:
            last = np.minimum(rows.index // group * group + group - 1, np.repeat(rows.sizes - 1, rows.sizes))
            sent_s = sent_s[last + np.repeat(rows.first, rows.sizes)]
        if link.is_instant:
            return sent_s
        arrival_s = sent_s + link.down_array_s(sent_s, np.repeat(self._table.user_id[who], rows.sizes))
        return kept_in_order(arrival_s, rows)

    def stopped_s(self, asked: Asked, told_s: Floats) -> Floats:
        """Return until when it works for who told it to stop at ``told_s``."""
        up_s = self._link.up_array_s(told_s, self._table.user_id[asked.who])
        stop_s: Floats = np.maximum((told_s + up_s) * ROUNDING, asked.accepted_s)
        return stop_s

    def _jitter_starts(self, who: Ints) -> Ints:
        starts: Ints = (self._server.jitter_draws()[who] * JITTER_TAPE).astype(np.int64)
        return starts

    def _chunk_draws(self, asked: Asked) -> Floats:
        draws = np.empty(asked.who.size)
        for k in range(2):
            mine = asked.attempt == k
            if mine.any():
                draws[mine] = self._server.chunk_draws(k)[asked.who[mine]]
        return draws
