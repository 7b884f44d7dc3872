"""The verbs a policy serves a request with.

The verbs keep the promises of the simulator, whatever the policy does: each token is shown once and in order, every
token processed is paid for, and nothing is produced after a cancel has had time to arrive.

What every policy uses is a method here. A verb of one paper is a function beside the stream that it makes (`verbs`),
built on `ask`, `take` and `writing`; so another package can bring an endpoint, a verb and a policy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, cast

from simpy.events import Event, Timeout

from discosim.core.errors import InvariantError, close_match
from discosim.core.request import RequestRecord
from discosim.world.cards import Card
from discosim.world.closing import record
from discosim.world.device_profile import DeviceProfile
from discosim.world.endpoint import Ask, Endpoint, unknown
from discosim.world.ledger import itemised
from discosim.world.link import Payload
from discosim.world.load import EdgeLoad, ServerLoad
from discosim.world.parts import PartsStream
from discosim.world.quality import Pick, Written
from discosim.world.rounding import REL, ROUNDING
from discosim.world.setting import Setting
from discosim.world.shown import NEVER_SHOWN, Timeline, timeline
from discosim.world.stream import FirstToken, Floats, Stream
from discosim.world.watch import buffer_reaches
from discosim.world.writing import Pace, Writing

Loser = Literal["cancel", "finish_prefill", "run_on"]


class Session:
    """One request being served.

    Attributes
    ----------
    request_id, user_id, prompt_tok : int
        Identity and prompt length.
    arrival_s : float
        When it arrived.
    reader_tok_per_s, ttft_target_s : float
        What the reader expects.
    profile : DeviceProfile
        The user's device (its published figures, not its momentary state).
    card, setting, streams, writing : Card, Setting, list of Stream, Writing
        The request with the true length of its answer, the parts of the world, all streams so far, and what verbs note
        about the answer. They are for verbs: a policy that reads them sees what no client could.
    """

    __slots__ = (
        "_before",
        "_has_failed",
        "_kept",
        "_n_asked",
        "_speaker",
        "_writing",
        "arrival_s",
        "card",
        "profile",
        "prompt_tok",
        "reader_tok_per_s",
        "request_id",
        "setting",
        "streams",
        "ttft_target_s",
        "user_id",
    )

    def __init__(self, setting: Setting, card: Card) -> None:
        self.setting = setting
        self.card = card
        self.request_id = card.request_id
        self.user_id = card.user_id
        self.arrival_s = card.arrival_s
        self.prompt_tok = card.prompt_tok
        self.reader_tok_per_s = card.reader_tok_per_s
        self.ttft_target_s = card.ttft_target_s
        self.profile: DeviceProfile = setting.fleet.profile_of(card.user_id)
        self.streams: list[Stream] = []
        self._n_asked: dict[str, int] = {}  # how often each endpoint was asked
        self._speaker: Stream | None = None
        self._writing: Writing | None = None  # most answers never need one
        self._before: list[tuple[Stream, int]] = []  # streams handed over from, and their last shown token
        self._kept = 0  # streams opened before the answer was decided
        self._has_failed = False

    # --- looking ----------------------------------------------------------------------------------------------

    @property
    def now_s(self) -> float:
        """Simulation time in s."""
        return self.setting.env.now

    @property
    def is_device_busy(self) -> bool:
        """Whether the user's device works on, or has queued, anything now; the client can see that."""
        return self.setting.fleet.device_of(self.user_id).is_busy

    @property
    def server_load(self) -> ServerLoad | None:
        """How busy a white-box server is now; None where the server is a black box."""
        return cast("ServerLoad | None", self.load_of("server"))

    @property
    def edge_load(self) -> EdgeLoad:
        """How busy the user's edge boxes are now."""
        return cast("EdgeLoad", self.load_of("edge"))

    def load_of(self, endpoint: str) -> Any:
        """Return how busy an endpoint is now, as `server_load` or `edge_load`; None where nobody can look inside."""
        return self._endpoint(endpoint).load(self.user_id)

    @property
    def speaker(self) -> Stream:
        """The stream whose tokens are shown now."""
        if self._speaker is None:
            raise InvariantError(f"request {self.request_id}: nothing was kept yet")
        return self._speaker

    def coin(self, role: str = "dispatch") -> float:
        """Return this request's own uniform draw on [0, 1) for ``role``; the same under every policy."""
        return self.setting.luck.uniform_list(f"policy.{role}")[self.request_id]

    def seems_suitable(self, error: float = 0.0) -> bool:
        """Tell whether the answer seems to fall into parts; wrong in a share ``error`` of the cases."""
        return self.setting.answers.seems_suitable(self.request_id, error)

    def predicted_tok(self, error: float = 0.0) -> float:
        """Return a guess of the answer's length; the standard deviation of its log is ``error``."""
        return self.setting.answers.predicted_tok(self.request_id, self.card.output_tok, error)

    def received_tok(self, stream: Stream) -> int:
        """Return how many tokens of a stream have reached the client by now."""
        return int(stream.arrival_s.searchsorted(self.now_s * ROUNDING, side="right"))

    def received_s(self, stream: Stream, n_tok: int) -> float:
        """Return when the first ``n_tok`` >= 1 tokens of a stream had reached the client; they must have."""
        if n_tok > self.received_tok(stream):
            raise InvariantError(f"request {self.request_id}: token {n_tok} has not arrived yet")
        return float(stream.arrival_s[n_tok - 1])

    def is_whole(self, stream: Stream) -> bool:
        """Tell whether a stream's last token has arrived and ends the answer."""
        last = stream.first_token + stream.n_tok - 1
        return last == self.card.output_tok and self.received_tok(stream) == stream.n_tok

    # --- asking endpoints -------------------------------------------------------------------------------------

    def start(
        self,
        endpoint: str,
        *,
        after_token: int = 0,
        at_most_tok: int | None = None,
        payload: Payload = "text",
        prefill_factor: float = 1.0,
    ) -> Stream:
        """Ask an endpoint for the answer, for its rest after token ``after_token``, or for a limited number of tokens.

        The endpoint prefills the prompt and the tokens generated so far; no cache travels between endpoints. What
        goes up to the server is text, or token IDs where both sides share a vocabulary. A ``prefill_factor`` >= 1 makes
        the server's prefill that much longer, for work beside it.
        """
        n_tok = self.card.output_tok - after_token
        if n_tok < 1:
            raise InvariantError(f"request {self.request_id}: nothing is left after token {after_token}")
        if at_most_tok is not None:
            n_tok = min(n_tok, at_most_tok)
        held = self.setting.endpoints.get(endpoint) or self._endpoint(endpoint)
        asked = self._n_asked
        asked[endpoint] = attempt = asked.get(endpoint, -1) + 1
        prompt_tok = self.prompt_tok + after_token
        stream = held.start(Ask(self.card, prompt_tok, after_token + 1, n_tok, attempt, payload, prefill_factor))
        self.streams.append(stream)
        return stream

    def sketch(self, n_tok: float, *, shown: bool = False) -> Stream:
        """Ask the server for a sketch of about ``n_tok`` tokens: at least one, and none longer than the answer.

        Its tokens are no part of the answer; where ``shown``, the reader sees them before it.
        """
        writing = self.writing
        if writing.sketch is not None:
            raise InvariantError(f"request {self.request_id}: a second sketch")
        size = min(max(1, round(n_tok)), self.card.output_tok)
        writing.sketch = stream = self.take(self.ask("server", self.prompt_tok, 1, size))
        writing.is_sketch_shown = shown
        return stream

    def expand(
        self,
        endpoint: str,
        n_parts: int,
        *,
        width: int = 1,
        pick: Pick = "random",
        error: float = 0.0,
        list_key: Callable[[float], int] | None = None,
    ) -> Stream:
        """Ask an endpoint (edge or server) for the answer in parts, written side by side from the sketch.

        Parameters
        ----------
        endpoint : str
            ``edge`` or ``server``.
        n_parts : int
            Parts, >= 1; an answer of fewer tokens gets fewer.
        width : int
            Candidates of each part, >= 1; the server writes one.
        pick : str
            How one of them is picked; what it is worth is the quality model's business.
        error : float
            Standard deviation of the log error of the guessed lengths.
        list_key : callable, optional
            Gives the job list of a part by its guessed length; one list for all where left out.
        """
        able = tuple(name for name, held in self.setting.endpoints.items() if held.max_candidates)
        if endpoint not in able and endpoint in self.setting.endpoints:
            raise InvariantError(
                f"request {self.request_id}: '{endpoint}' writes no answers in parts; {close_match(endpoint, able)}"
            )
        n_candidates = min(width, self._endpoint(endpoint).max_candidates)
        answers, writing, output_tok = self.setting.answers, self.writing, self.card.output_tok
        lengths, guesses = answers.parts_tok(self.request_id, output_tok, n_parts, error)
        context_tok = self.prompt_tok + writing.sketch_tok
        parts: list[list[Stream]] = []
        first = 1
        for length, guess in zip(lengths.tolist(), guesses, strict=True):
            key = 0 if list_key is None else list_key(guess)
            parts.append(
                [self.ask(endpoint, context_tok, first, length, sibling=c, list_key=key) for c in range(n_candidates)]
            )
            first += length
        luck = self.coin("pick")
        answer = PartsStream(parts, [int(luck * len(candidates)) for candidates in parts])
        writing.n_parts = len(parts)
        rho, is_suitable = writing.sketch_tok / output_tok, answers.is_suitable(self.request_id)
        writing.written = Written(rho, width, pick, is_suitable=is_suitable)
        return self.take(answer)

    def ask(
        self,
        endpoint: str,
        prompt_tok: int,
        first_token: int,
        n_tok: int,
        payload: Payload = "text",
        prefill_factor: float = 1.0,
        *,
        sibling: int = 0,
        list_key: int = 0,
    ) -> Stream:
        """Ask an endpoint for tokens, for a verb that makes its own stream of them; see `Ask` for the hints.

        What is asked for is paid for only once the verb has handed it, or what it has made of it, to `take`.
        """
        asked = self._n_asked
        asked[endpoint] = attempt = asked.get(endpoint, -1) + 1
        return self._endpoint(endpoint).start(
            Ask(self.card, prompt_tok, first_token, n_tok, attempt, payload, prefill_factor, sibling, list_key)
        )

    def take(self, stream: Stream) -> Stream:
        """Remember a stream that a verb has made, stop it when the request fails, and pay for it; return it."""
        self.streams.append(stream)
        return stream

    def _endpoint(self, name: str) -> Endpoint:
        endpoint = self.setting.endpoints.get(name)
        if endpoint is None:
            raise unknown(name, self.setting.endpoints, self.request_id)
        return endpoint

    # --- deciding what is shown -------------------------------------------------------------------------------

    def keep(self, winner: Stream, *, losers: Loser = "cancel") -> None:
        """Show ``winner``; the other streams are cancelled, finish their prefill, or run on (and are paid for)."""
        self._speaker = winner
        self._kept = len(self.streams)
        if losers == "run_on":
            return
        helpers = winner.helpers
        for stream in self.streams:
            if stream is not winner and stream not in helpers:
                stream.stop(finish_prefill=losers == "finish_prefill")

    def hand_over(self, target: Stream, *, losers: Loser = "cancel") -> None:
        """Show ``target`` from its first token on and stop the stream that spoke until now."""
        source = self.speaker
        self._before.append((source, target.first_token - 1))
        self._speaker = target
        source.stop(finish_prefill=losers == "finish_prefill")

    def pace(self, display: Pace) -> None:
        """Let the client show the tokens when ``display`` says; without it they are shown as the scenario says."""
        self.writing.display = display

    def fail(self) -> None:
        """Give the request up; streams still open are cancelled."""
        self._has_failed = True
        for stream in self.streams:
            stream.stop()

    # --- waiting ----------------------------------------------------------------------------------------------

    def wait(self, seconds: float) -> Event:
        """Return an event that fires after ``seconds`` >= 0; never where they are inf.

        Raises
        ------
        InvariantError
            If they are NaN, or negative by more than rounding.
        """
        if 0.0 <= seconds < math.inf:
            return Timeout(self.setting.env, seconds)
        self._check_wait(seconds)
        return Event(self.setting.env) if seconds > 0.0 else Timeout(self.setting.env, 0.0)

    def _check_wait(self, seconds: float) -> None:
        if not seconds >= -REL * self.now_s:
            raise InvariantError(f"request {self.request_id}: a policy waits for {seconds} s; must be >= 0")

    def first_token_of(self, *streams: Stream, within_s: float | None = None) -> FirstToken:
        """Return an event whose value is the first stream to reach the client with a token.

        Its value is None when none of them will speak any more (failed, or stopped), or when ``within_s`` >= 0 seconds
        pass first.
        """
        if within_s is not None and not within_s >= 0.0:
            self._check_wait(within_s)
            within_s = 0.0
        return FirstToken(self.setting.env, streams, within_s)

    def finished(self) -> Event:
        """Return an event that fires when the last token of what is shown has reached the client, or none can come."""
        return self.speaker.ended()

    def over(self) -> Event:
        """Return an event that fires when the answer has ended at the client, or now where there is none."""
        if self._has_failed or self._speaker is None:
            return Timeout(self.setting.env, 0.0)
        return self._speaker.ended()

    def buffer_reaches(self, need_tok: Callable[[int, int], Floats]) -> Event:
        """Return an event that fires with token k when the reader's buffer first suffices after k tokens.

        Parameters
        ----------
        need_tok : callable
            ``need_tok(first, n)`` gives the buffer level needed after tokens ``first .. first + n - 1``, in tokens of
            reading time; ``inf`` where the policy would not act.

        Notes
        -----
        The level after the arrival of token k is ``r (D_k - A_k) + 1``: the reading time left on screen and in the
        buffer. A next token that needs ``t`` seconds is on time exactly if the level is at least ``r t``.
        The value is None (at the end of the stream) if the level is never reached while tokens are missing. Asked late,
        the event fires at once, with the token after which the level was reached first.

        Source: DiSCo's B = r_c * t_m (secondary source); the level formula is derived from the pacing rule.
        """
        return buffer_reaches(self.speaker, self.reader_tok_per_s, need_tok)

    # --- for verbs --------------------------------------------------------------------------------------------

    @property
    def writing(self) -> Writing:
        """What verbs note about how the answer is written."""
        self._writing = self._writing or Writing()
        return self._writing

    # --- closing ----------------------------------------------------------------------------------------------

    def settle(self) -> RequestRecord:
        """Close the books: what was shown, what was processed, what it costs."""
        if self._has_failed:
            is_rejected = all(stream.is_refusal for stream in self.streams)
            return self._record("rejected" if is_rejected else "failed", NEVER_SHOWN)
        if self._speaker is None:
            raise InvariantError(f"request {self.request_id}: the policy ended without an answer and without failing")
        return self._record("finished", timeline(self.card, self._before, self._speaker, self.setting.roles))

    def reject(self) -> RequestRecord:
        """Return the record of a request that a length limit keeps out."""
        return self._record("rejected", NEVER_SHOWN)

    def _record(self, status: str, shown: Timeline) -> RequestRecord:
        before, streams, setting, card = self._before, self.streams, self.setting, self.card
        n_dispatch = self._kept or len(streams)
        paid, work = itemised(streams, setting.endpoints, card, n_dispatch, by_name=bool(setting.roles))
        n_before = before[0][1] if before else card.output_tok
        in_parts = self._speaker is not None and self._speaker.is_in_parts
        return record(card, status, shown, paid, self._writing, setting, n_before, streams, work, is_in_parts=in_parts)
