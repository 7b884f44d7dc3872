"""The last hop: how long messages travel between client and server, and in which order tokens arrive.

A link's state is a function of time, not of who sends: at the same moment the same user meets the same delay under
every policy. The measured round-trip series is drawn once per replication as a cyclic tape, one value per probe
spacing of the measurement; every user reads it from an own starting point.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from discosim.core.empirical import CorrelatedSeries
from discosim.core.rng import RandomStreams
from discosim.core.scenario import Outage

Floats = NDArray[np.float64]
TAPE_TICKS = 1 << 16

Payload = Literal["text", "token_ids"]
BYTES_PER_TOK: dict[Payload, float] = {"text": 4.0, "token_ids": 2.2}
"""Size of a token on the uplink: about four characters of text (our assumption), and 35 to 54 % less as token IDs
(DiSCo, secondary source; the middle of the range)."""


@dataclass(frozen=True)
class LinkModel:
    """Parameters of a last hop.

    Parameters
    ----------
    rtt : CorrelatedSeries or None
        Round-trip time in s and its memory from tick to tick; None for no last hop at all.
    tick_s : float
        Spacing of the measured series, > 0.
    up_share : float
        Share of a round trip spent from client to server, in [0, 1]. Source: our choice (symmetric by default).
    loss_share : float
        Share of ticks in which packets are lost once, in [0, 1).
    retransmit_s : float
        Extra delay of a lost packet, >= 0. Source: our choice, TCP's usual minimum retransmission timeout.
    tokens_per_packet : int
        Tokens the server sends together, >= 1; a packet leaves when its last token exists.
    uplink_bit_per_s : float or None
        Bandwidth for prompts and hand-over payloads; None for infinite.
    outages : tuple of Outage
        Windows in which nothing passes for anybody; what is sent meanwhile leaves when they end. Source: our choice.
    """

    rtt: CorrelatedSeries | None = None
    tick_s: float = 1.0
    up_share: float = 0.5
    loss_share: float = 0.0
    retransmit_s: float = 0.2
    tokens_per_packet: int = 1
    uplink_bit_per_s: float | None = None
    outages: tuple[Outage, ...] = ()

    def mean_delay_s(self) -> float:
        """Return the mean one-way delay, averaged over both directions."""
        if self.rtt is None:
            return 0.0
        return self.rtt.table.mean() / 2 + self.loss_share * self.retransmit_s


@dataclass(frozen=True)
class Tapes:
    """A last hop as compiled code reads it: at ``t`` a user meets ``up_s[(int(t * per_tick) + phase) & (size - 1)]``.

    Parameters
    ----------
    up_s, down_s : array of float, shape (size,)
        Delays tick by tick, outages left out; ``size`` is a power of 2.
    per_tick : float
        Ticks per second.
    phase_ticks : array of int, shape (users,)
        Where each user begins; empty where there is no last hop.
    """

    up_s: Floats
    down_s: Floats
    per_tick: float
    phase_ticks: NDArray[np.int64]


class Link:
    """One replication's last hop for all users.

    Delays are read by time: ``up_s`` and ``down_s`` for one message, ``deliver`` for a whole token timeline.
    """

    def __init__(self, model: LinkModel, n_users: int, streams: RandomStreams) -> None:
        self.model = model
        self.is_instant = model.rtt is None
        self._mask = TAPE_TICKS - 1
        self._per_tick = 1.0 / model.tick_s
        self._up = self._down = np.zeros(1)
        self._phases = np.zeros(0, dtype=np.int64)
        self._outages = sorted((outage.start_s, outage.end_s) for outage in model.outages)
        if model.rtt is None:
            return
        rtt_s = model.rtt.sample(TAPE_TICKS, streams.generator("link.rtt"))
        lost_s = np.zeros(TAPE_TICKS)
        if model.loss_share > 0:
            lost_s[streams.generator("link.loss").random(TAPE_TICKS) < model.loss_share] = model.retransmit_s
        self._up = rtt_s * model.up_share + lost_s
        self._down = rtt_s * (1.0 - model.up_share) + lost_s
        self._phases = streams.generator("link.phase").integers(0, TAPE_TICKS, n_users)

    # one message at a time is read faster from lists, which a run in arrays never asks for

    @cached_property
    def _up_list(self) -> list[float]:
        return self._up.tolist()

    @cached_property
    def _down_list(self) -> list[float]:
        return self._down.tolist()

    @cached_property
    def _phase_ticks(self) -> list[int]:
        return self._phases.tolist()

    @property
    def longest_s(self) -> tuple[float, float]:
        """The longest delays of a message up and of a packet down, outages left out, in s."""
        return float(self._up.max()), float(self._down.max())

    @property
    def tapes(self) -> Tapes:
        """What the delays are read from."""
        return Tapes(self._up, self._down, self._per_tick, self._phases)

    @property
    def down_spread_s(self) -> float:
        """How much longer one packet may take down than another, outages left out, in s."""
        return float(self._down.max() - self._down.min())

    def up_s(self, t_s: float, user_id: int) -> float:
        """Return the delay of a message that leaves the client at ``t_s``."""
        if self.is_instant:
            return 0.0
        waits_s = self._waits_s(t_s) if self._outages else 0.0
        at_s = t_s + waits_s
        return waits_s + self._up_list[(int(at_s * self._per_tick) + self._phase_ticks[user_id]) & self._mask]

    def down_s(self, t_s: float, user_id: int) -> float:
        """Return the delay of a packet that leaves the server at ``t_s``."""
        if self.is_instant:
            return 0.0
        waits_s = self._waits_s(t_s) if self._outages else 0.0
        at_s = t_s + waits_s
        return waits_s + self._down_list[(int(at_s * self._per_tick) + self._phase_ticks[user_id]) & self._mask]

    def _waits_s(self, t_s: float) -> float:
        """Return how long a message that is sent at ``t_s`` waits for the end of an outage."""
        at_s = t_s
        for start_s, end_s in self._outages:
            if start_s <= at_s < end_s:
                at_s = end_s
        return at_s - t_s

    def _leaving(self, sent_s: Floats) -> Floats:
        """Return when messages leave that were sent at ``sent_s``."""
        for start_s, end_s in self._outages:
            sent_s = np.where((sent_s >= start_s) & (sent_s < end_s), end_s, sent_s)
        return sent_s

    def bulk_s(self, n_bytes: float) -> float:
        """Return the transmission time of a payload on the uplink, in s."""
        rate = self.model.uplink_bit_per_s
        return 0.0 if rate is None else 8.0 * n_bytes / rate

    def up_array_s(self, t_s: Floats, user_id: NDArray[np.int64]) -> Floats:
        """Return :meth:`up_s` of many messages."""
        return self._read(self._up, t_s, user_id)

    def down_array_s(self, t_s: Floats, user_id: NDArray[np.int64]) -> Floats:
        """Return :meth:`down_s` of many packets."""
        return self._read(self._down, t_s, user_id)

    def _read(self, tape: Floats, t_s: Floats, user_id: NDArray[np.int64]) -> Floats:
        if self.is_instant:
            return np.zeros_like(t_s)
        leaving_s = self._leaving(t_s)
        delays: Floats = tape[((leaving_s * self._per_tick).astype(np.int64) + self._phases[user_id]) & self._mask]
        return delays + (leaving_s - t_s) if self._outages else delays

    def deliver(self, sent_s: Floats, user_id: int) -> Floats:
        """Return when tokens generated at ``sent_s`` (non-decreasing) reach the client, in order.

        A packet holds ``tokens_per_packet`` tokens and leaves with its last one; a late packet holds the ones
        behind it (one connection per stream, first in first out).
        """
        group = self.model.tokens_per_packet
        if group > 1:
            last = np.minimum(np.arange(sent_s.size) // group * group + group - 1, sent_s.size - 1)
            sent_s = sent_s[last]
        if self.is_instant:
            return sent_s
        sent_s = self._leaving(sent_s)
        ticks = (sent_s * self._per_tick).astype(np.int64)
        ticks += self._phase_ticks[user_id]
        ticks &= self._mask
        arrival = sent_s + self._down[ticks]
        in_order: Floats = np.maximum.accumulate(arrival, out=arrival)
        return in_order
