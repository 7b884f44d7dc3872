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

import math

import numpy as np
from numpy.typing import NDArray
from simpy.events import Event, Timeout

from discosim.world.device import Device
from discosim.world.link import Link
from discosim.world.moment import Act, when
from discosim.world.noise import NONE, Noise
from discosim.world.pace import Warming
from discosim.world.rounding import ROUNDING
from discosim.world.session import Session
from discosim.world.spent import Spent
from discosim.world.stream import NOTHING, Floats, Known, Stream
from discosim.world.verbs.absorbing import AbsorbingStream


def speculate(session: Session, draft_tok: int, acceptance: float) -> VerifiedStream:
    """Let the device draft ``draft_tok`` >= 1 tokens at a time and the server verify them.

    Each draft is accepted with probability ``acceptance``.
    """
    setting, user_id, prompt_tok = session.setting, session.user_id, session.prompt_tok
    device = setting.fleet.device_of(user_id)
    drafter = DraftingStream(device, prompt_tok, setting.fleet.noise_of(session.card))
    device.take(drafter)
    rng = setting.luck.streams.generator("policy.accepted", session.request_id)
    made_tok = rounds_tok(session.card.output_tok, draft_tok, acceptance, rng)
    verifier = session.ask("server", prompt_tok, 1, made_tok.size)
    answer = VerifiedStream(verifier, drafter, made_tok, draft_tok, setting.link, user_id)
    session.take(drafter)
    session.take(answer)
    return answer


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

    __slots__ = ("answer",)

    def __init__(self, device: Device, prompt_tok: int, noise: Noise = NONE) -> None:
        super().__init__(device, prompt_tok, noise)
        self.answer: VerifiedStream | None = None  # what it drafts for

    def drafted_s(self, from_s: float, n_tok: int) -> float:
        """Return when ``n_tok`` drafts are made that are begun at ``from_s``; a throttle does not slow them."""
        if not isinstance(self._pace, Warming):
            return from_s + n_tok * self.gap_s
        done_s = self._pace.work_s(from_s - self._begin_s)
        return self._begin_s + self._pace.elapsed_s(done_s + n_tok * self.gap_s)

    def n_drafted(self, begins_s: Floats, end_s: float) -> Floats:
        """Return how many drafts are made by ``end_s``, for each of several begins, parts of a draft included."""
        if not isinstance(self._pace, Warming):
            return (end_s - begins_s) / self.gap_s
        work_s = [self._pace.work_s(at_s - self._begin_s) for at_s in (end_s, *begins_s.tolist())]
        return (work_s[0] - np.array(work_s[1:])) / self.gap_s

    def bill(self) -> tuple[float, int]:
        """Return prompt tokens worked on and tokens drafted."""
        return super().bill()[0], 0 if self.answer is None else self.answer.drafted_tok()


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

    __slots__ = (
        "_draft_tok",
        "_drafter",
        "_link",
        "_made_tok",
        "_over_s",
        "_stop_s",
        "_user_id",
        "_verifier",
        "endpoint",
        "helpers",
        "is_refusal",
    )

    endpoint: str
    is_refusal: bool
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
        self.endpoint = verifier.endpoint
        self.is_refusal = verifier.is_refusal
        self._verifier = verifier
        self._drafter = drafter
        self._made_tok = made_tok
        self._draft_tok = draft_tok
        self._link = link
        self._user_id = user_id
        self._over_s = self._stop_s = math.inf
        drafter.answer = self
        self.helpers = (drafter,)
        self.failure = verifier.failure or drafter.failure
        self.is_closed = verifier.is_closed
        if not self.is_closed:
            when(verifier.closed(), self._close_too)
        if drafter.failure and not verifier.failure:
            verifier.stop()
            self.promise_failure(self.env.now, drafter.failure)
        else:
            verifier.listen(self)

    # --- what the two sides tell ------------------------------------------------------------------------------

    def hear(self, stream: Stream) -> None:
        """Note that the server's first token is there."""
        self.first_arrival_s = stream.first_arrival_s
        when(self._verifier.ended(), self._settle_end)
        self._speak_now()

    def lose(self) -> None:
        """Note that the server has refused; nothing is left to draft for."""
        if not self.is_stopped:
            self._drafter.stop()
            self._fail_now()

    def _close_too(self, _: Event) -> None:
        self._close()

    def _settle_end(self, _: Event) -> None:
        """Find out when the last round is over: the server has made its last token, and the drafter must have begun."""
        if not (self._is_alone() or self._drafter.has_begun or self._drafter.is_stopped):
            self._drafter.when_moved(self._settle_end)
            return
        arrival_s = self.arrival_s
        self._over_s = float(arrival_s[-1]) if arrival_s.size else self.env.now
        wait_s = self._over_s - self.env.now
        if wait_s > 0.0:
            Timeout(self.env, wait_s).callbacks.append(self._let_go)
        else:
            self._let_go()
        self._move()

    def _let_go(self, _: Event | None = None) -> None:
        self._drafter.stop()

    # --- the promise ------------------------------------------------------------------------------------------

    def _is_alone(self) -> bool:
        """Tell whether the server's first token is the whole answer: nothing has to be drafted."""
        return self._made_tok.size == 1

    def is_known(self) -> bool:
        """Tell whether all rounds are known: the server is done, and the drafter has begun."""
        if self.failure or not self._verifier.is_known():
            return False
        return self._is_alone() or self._drafter.has_begun or self._drafter.is_stopped

    def _rounds_s(self) -> Floats:
        """Return when the tokens of each round reach the client, as far as that is certain now."""
        known = self._verifier.known()
        made_s = known.made_s
        if not known.arrival_s.size:
            return NOTHING
        ready_s = self._drafter.caught_up_s(0)
        n = made_s.size if ready_s < math.inf else 1
        ends = np.empty(n)
        ends[0] = now_s = float(known.arrival_s[0])
        now_s = max(now_s, ready_s)
        for j in range(1, n):
            sent_s = self._drafter.drafted_s(now_s, self._draft_tok)
            at_server_s = sent_s + self._link.up_s(sent_s, self._user_id)
            checked_s = at_server_s + float(made_s[j] - made_s[j - 1])
            now_s = max(now_s, checked_s + self._link.down_s(checked_s, self._user_id))
            ends[j] = now_s
        return ends

    def _rounds_shown_s(self) -> Floats:
        ends = self._rounds_s()
        return np.repeat(ends, self._made_tok[: ends.size])

    def _make_generated(self) -> Floats:
        return self._rounds_shown_s()

    @property
    def arrival_s(self) -> Floats:
        """When each token reaches the client, as far as that is certain now."""
        return self.generated_s

    @property
    def generated_s(self) -> Floats:
        """When each token counts as generated: when its round is over."""
        return super().generated_s if self.is_known() else self._rounds_shown_s()

    def known(self) -> Known:
        """Return the tokens that are certain now; the next ones need another iteration of the server."""
        shown_s = self.arrival_s
        is_drafting = self._drafter.has_begun
        return Known(shown_s, shown_s, self._verifier.known().next_s if is_drafting else math.inf)

    def when_moved(self, act: Act) -> None:
        """Call ``act`` once when the server has moved, or the drafter has begun."""
        verifier, drafter = self._verifier, self._drafter
        is_server_at_work = verifier.is_known() or verifier.known().next_s < math.inf
        if is_server_at_work and not (drafter.has_begun or drafter.is_stopped):
            drafter.when_moved(act)
        elif verifier.is_known():
            super().when_moved(act)
        else:
            verifier.when_moved(act)

    def over_s(self) -> float:
        """Return when the last round is over, or nothing more can come; inf while nobody knows."""
        return self._failed_s if self.failure or self.has_failed else self._over_s

    # --- ending early, and the bill ---------------------------------------------------------------------------

    def stop(self, *, finish_prefill: bool = False) -> None:
        """Stop both sides."""
        if self.is_stopped:
            return
        self._stop_s = self.env.now * ROUNDING
        self._hush()
        self._verifier.stop(finish_prefill=finish_prefill)
        self._drafter.stop()
        if not (self.has_spoken or self.failure):
            when(self._verifier.ended(), self._settle_end)

    def drafted_tok(self) -> int:
        """Return how many tokens the device drafts, up to the stop: all of a round's before it sends them."""
        n_more = self._made_tok.size - 1
        if self.failure or self.has_failed:
            return 0
        if not self.is_stopped:
            return self._draft_tok * n_more
        ends = self._rounds_s()[:n_more]
        if not ends.size:
            return 0
        begins = np.maximum(ends, self._drafter.caught_up_s(0))
        drafted = self._drafter.n_drafted(begins, self._stop_s)
        return int(np.clip(np.floor(drafted), 0, self._draft_tok).sum())

    def bill(self) -> tuple[float, int]:
        """Return prompt tokens processed and tokens verified; drafts are the device's."""
        prompt_tok, n_rounds = self._verifier.bill()
        return prompt_tok, int(self._made_tok[:n_rounds].sum())

    def spent(self) -> Spent:
        """Return what the server took, with the tokens that it verified."""
        spent = self._verifier.spent()
        spent.output_tok = self.bill()[1]
        return spent
