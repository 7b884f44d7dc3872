"""Speculative decoding over the last hop: the device drafts, the server verifies, and only tokens cross.

A round: the device drafts g tokens, they travel up, the server checks them in one iteration, and the accepted ones
come back with one token of the server's own. Round j ends at

    R_j = R_(j-1) + g t_draft + up + v_j + down,   R_0 = max(first token of the server, drafter ready)

where v_j is the time of the server's iteration. Each draft is accepted with probability ``acceptance`` until one is
not, so a round yields ``(1 - acceptance^(g+1)) / (1 - acceptance)`` tokens on average.

Source: rounds and yield as in speculative decoding (Leviathan et al., arXiv 2211.17192, recollected). The server's
iterations are taken from an answer of as many tokens as there are rounds, which it makes without waiting for drafts:
its GPU time is right, its slots are held too shortly (our simplification, in favour of speculation).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from discosim.world.absorbing import AbsorbingStream
from discosim.world.engine.watch import Moment
from discosim.world.stream import Floats, Stream

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from simpy.events import Event

    from discosim.world.device import Device
    from discosim.world.link import Link


def rounds_tok(n_tok: int, draft_tok: int, acceptance: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the tokens of each round until ``n_tok`` >= 1 are made; the first round is the server's prefill."""
    if n_tok == 1:
        return np.ones(1, dtype=np.int64)
    # 1 + number of drafts accepted before the first refusal
    if acceptance >= 1.0:
        yields = np.full(n_tok, draft_tok + 1)
    elif acceptance <= 0.0:
        yields = np.ones(n_tok, dtype=np.int64)
    else:
        yields = np.minimum(rng.geometric(1.0 - acceptance, n_tok), draft_tok + 1)
    total = 1 + np.cumsum(yields)
    n_rounds = int(np.searchsorted(total, n_tok)) + 1
    made = np.concatenate(([1], yields[:n_rounds]))
    made[-1] -= int(made.sum()) - n_tok
    return made.astype(np.int64)


class DraftingStream(AbsorbingStream):
    """A device that prefills and then drafts until it is stopped."""

    __slots__ = ("drafted_tok",)

    def __init__(self, device: Device, prompt_tok: int) -> None:
        super().__init__(device, prompt_tok)
        self.drafted_tok = 0

    def bill(self) -> tuple[float, int]:
        """Return prompt tokens worked on and tokens drafted."""
        return super().bill()[0], self.drafted_tok


class VerifiedStream(Stream):
    """An answer whose tokens come round by round.

    Parameters
    ----------
    verifier : Stream
        The server's stream, one token per round.
    drafter : DraftingStream
        The device at work, or waiting for its turn.
    made_tok : array of int, shape (rounds,)
        Tokens that each round yields.
    draft_tok : int
        Drafts of a round, >= 1.
    link : Link
        The last hop.
    user_id : int
        Whose.
    """

    __slots__ = ("_draft_tok", "_drafter", "_link", "_made_tok", "_user_id", "_verifier")

    endpoint = "server"
    is_growing = True

    def __init__(
        self,
        verifier: Stream,
        drafter: DraftingStream,
        made_tok: NDArray[np.int64],
        draft_tok: int,
        link: Link,
        user_id: int,
    ) -> None:
        super().__init__(verifier.env, verifier.prompt_tok, verifier.first_token, int(made_tok.sum()))
        self._verifier = verifier
        self._drafter = drafter
        self._made_tok = made_tok
        self._draft_tok = draft_tok
        self._link = link
        self._user_id = user_id
        self.failure = verifier.failure
        self.is_closed = verifier.is_closed
        if not self.is_closed:
            verifier.closed().callbacks.append(self._close)
        verifier.listen(self)

    # --- what the verifier tells ------------------------------------------------------------------------------

    def hear(self, stream: Stream) -> None:
        """Note that the server's first token is there."""
        self.first_arrival_s = stream.first_arrival_s
        self._speak_now()

    def lose(self) -> None:
        """Note that the server has refused; nothing is left to draft for."""
        self._drafter.stop()
        self._fail_now()

    def _close(self, _: Event) -> None:
        self.is_closed = True

    # --- the promise ------------------------------------------------------------------------------------------

    def _rounds_s(self) -> Floats:
        """Return when each round's tokens reach the client; all of the server's iterations must be known."""
        made_s = self._verifier.generated_s
        draft_s = self._draft_tok * self._drafter.device.gap_s
        ends = np.empty(made_s.size)
        ends[0] = now_s = float(self._verifier.arrival_s[0])
        now_s = max(now_s, self._drafter.caught_up_s(0))
        for j in range(1, made_s.size):
            sent_s = now_s + draft_s
            at_server_s = sent_s + self._link.up_s(sent_s, self._user_id)
            checked_s = at_server_s + float(made_s[j] - made_s[j - 1])
            now_s = max(now_s, checked_s + self._link.down_s(checked_s, self._user_id))
            ends[j] = now_s
        return ends

    def _make_generated(self) -> Floats:
        return self.arrival_s

    def _make_arrivals(self, generated_s: Floats) -> Floats:  # noqa: ARG002 - see `arrival_s`
        return self.arrival_s

    @property
    def arrival_s(self) -> Floats:
        """When each token reaches the client."""
        if self._arrival_s is None:
            self._arrival_s = np.repeat(self._rounds_s(), self._made_tok)
        return self._arrival_s

    @property
    def generated_s(self) -> Floats:
        """When each token counts as generated: when its round is over."""
        return self.arrival_s

    def ended(self) -> Event:
        """Return an event that fires when the last round is over, and lets the device go then."""
        moment = Moment(self.env)
        moment.callbacks.append(self._let_go)
        self._verifier.ended().callbacks.append(lambda _: self._finish(moment))
        return moment

    def _finish(self, moment: Moment) -> None:
        moment.fire_at(float(self.arrival_s[-1]))

    def closed(self) -> Event:
        """Return an event that fires when the server makes no more."""
        return self._verifier.closed()

    def _let_go(self, _: Event) -> None:
        self._drafter.drafted_tok = self._draft_tok * (self._made_tok.size - 1)
        self._drafter.stop()

    # --- ending early, and the bill ---------------------------------------------------------------------------

    def stop(self, *, finish_prefill: bool = False) -> None:
        """Stop both sides."""
        if not self.is_stopped:
            self.is_stopped = True
            self._verifier.stop(finish_prefill=finish_prefill)
            self._drafter.stop()

    def bill(self) -> tuple[float, int]:
        """Return prompt tokens processed and tokens verified; drafts are the device's."""
        prompt_tok, n_rounds = self._verifier.bill()
        return prompt_tok, int(self._made_tok[:n_rounds].sum())

    def usage(self) -> tuple[int, float, float]:
        """Return preemptions, GPU-seconds and KV-token-seconds of the server."""
        return self._verifier.usage()
