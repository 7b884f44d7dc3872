"""The verbs by which a device takes over from a server that answers first, and by which a client paces tokens."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from discosim.core.errors import InvariantError
from discosim.world.absorbing import AbsorbingStream
from discosim.world.adopting import AdoptingStream
from discosim.world.parted_session import PartedSession
from discosim.world.rounding import REL, ROUNDING
from discosim.world.speculating import DraftingStream, VerifiedStream, rounds_tok
from discosim.world.stream import Stream

Floats = NDArray[np.float64]
Pace = Callable[[Floats, int], Floats]
"""From the arrivals of all tokens and the number of those before the hand-over to the moments they are shown."""

NOTHING = np.empty(0)
LATE_S = 1e-9


class TakingOver(PartedSession):
    """The part of a session that knows of prefills without an answer of their own, and of pacing."""

    __slots__ = ("_device_quality", "_pace")

    _shown: list[tuple[Stream, int]]

    def __init__(self) -> None:
        super().__init__()
        self._pace: Pace | None = None
        self._device_quality = 1.0

    # --- acting -----------------------------------------------------------------------------------------------

    def absorb(self, prompt_tok: int) -> AbsorbingStream:
        """Let the device prefill ``prompt_tok`` >= 1 tokens, and whatever it receives meanwhile, without answering."""
        device = self._world.device_of(self.user_id)
        stream = AbsorbingStream(device, prompt_tok)
        device.take(stream)
        self._streams.append(stream)
        return stream

    def adopt(self, after_token: int) -> AdoptingStream:
        """Let the device decode after token ``after_token`` on a KV cache that it has received in full."""
        device = self._world.device_of(self.user_id)
        stream = AdoptingStream(device, after_token + 1, self._output_tok - after_token)
        device.take(stream)
        self._streams.append(stream)
        return stream

    def speculate(self, draft_tok: int, acceptance: float) -> VerifiedStream:
        """Let the device draft ``draft_tok`` >= 1 tokens at a time and the server verify them.

        Each draft is accepted with probability ``acceptance``.
        """
        device, world = self._world.device_of(self.user_id), self._world
        drafter = DraftingStream(device, self.prompt_tok)
        device.take(drafter)
        rng = world.luck.streams.generator("policy.accepted", self.request_id)
        made_tok = rounds_tok(self._output_tok, draft_tok, acceptance, rng)
        verifier = self._ask_server(self.prompt_tok, 1, made_tok.size)
        answer = VerifiedStream(verifier, drafter, made_tok, draft_tok, world.link, self.user_id)
        self._streams += [drafter, answer]
        return answer

    def go_on(self, stream: AbsorbingStream, after_token: int, received_s: float) -> None:
        """Let the device answer after token ``after_token`` (0 for all of it), which arrived at ``received_s``."""
        stream.go_on(after_token, self._output_tok - after_token, received_s)

    def pace(self, display: Pace) -> None:
        """Let the client show the tokens when ``display`` says; without it they are shown as the scenario says."""
        self._pace = display

    def assume_device_quality(self, factor: float) -> None:
        """Note that what the device writes is assumed to be worth ``factor`` of what it would be worth otherwise."""
        self._device_quality = factor

    # --- looking ----------------------------------------------------------------------------------------------

    def received_tok(self, stream: Stream) -> int:
        """Return how many tokens of a stream have reached the client by now."""
        return int(stream.arrival_s.searchsorted(self._world.env.now * ROUNDING, side="right"))

    def received_s(self, stream: Stream, n_tok: int) -> float:
        """Return when the first ``n_tok`` >= 1 tokens of a stream had reached the client; they must have."""
        if n_tok > self.received_tok(stream):
            raise InvariantError(f"request {self.request_id}: token {n_tok} has not arrived yet")
        return float(stream.arrival_s[n_tok - 1])

    def is_whole(self, stream: Stream) -> bool:
        """Tell whether a stream's last token has arrived and ends the answer."""
        last = stream.first_token + stream.n_tok - 1
        return last == self._output_tok and self.received_tok(stream) == stream.n_tok

    # --- closing ----------------------------------------------------------------------------------------------

    def _paced(self, delivered_s: Floats) -> Floats:
        """Return when the client's own pacer shows each token; empty where the policy has none."""
        if self._pace is None or not delivered_s.size:
            return NOTHING
        before = self._shown[0][1] if self._shown else delivered_s.size
        shown_s = self._pace(delivered_s, before)
        slack_s = LATE_S + REL * float(delivered_s[-1])
        if shown_s.shape != delivered_s.shape or not (shown_s >= delivered_s - slack_s).all():
            raise InvariantError(f"request {self.request_id}: a pacer shows tokens that have not arrived")
        if (np.diff(shown_s) < -slack_s).any():
            raise InvariantError(f"request {self.request_id}: a pacer shows tokens out of order")
        return np.maximum.accumulate(np.maximum(shown_s, delivered_s))  # exactly: what is left is rounding
