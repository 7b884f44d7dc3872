"""The verbs a policy serves a request with.

The verbs keep the promises of the simulator, whatever the policy does: each token is shown once and in order, every
token processed is paid for, and nothing is produced after a cancel has had time to arrive.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from simpy.events import Event, Timeout

from discosim.core.errors import InvariantError, close_match
from discosim.core.request import RequestRecord, Segment
from discosim.world.device import DeviceProfile
from discosim.world.engine.server import is_refusal
from discosim.world.link import Payload
from discosim.world.rounding import REL, raised
from discosim.world.stream import FirstToken, Stream
from discosim.world.take_over import TakingOver
from discosim.world.watch import buffer_reaches

if TYPE_CHECKING:
    from discosim.world.world import World

Floats = NDArray[np.float64]
Loser = Literal["cancel", "finish_prefill", "run_on"]
NOTHING = np.empty(0)
ENDPOINTS = ("device", "server", "edge")


class Session(TakingOver):
    """One request being served.

    Attributes
    ----------
    request_id, user_id, prompt_tok : int
        Identity and prompt length.
    reader_tok_per_s, ttft_target_s : float
        What the reader expects.
    profile : DeviceProfile
        The user's device (its published figures, not its momentary state).
    """

    __slots__ = (
        "_has_failed",
        "_kept",
        "_output_tok",
        "_shown",
        "_speaker",
        "_streams",
        "_world",
        "arrival_s",
        "profile",
        "prompt_tok",
        "reader_tok_per_s",
        "request_id",
        "ttft_target_s",
        "user_id",
    )

    def __init__(self, world: World, request_id: int) -> None:
        super().__init__()
        columns = world.columns
        self._world = world
        self.request_id = request_id
        self.user_id = columns.user_id[request_id]
        self.arrival_s = columns.arrival_s[request_id]
        self.prompt_tok = columns.prompt_tok[request_id]
        self._output_tok = columns.output_tok[request_id]
        self.reader_tok_per_s = columns.reader_tok_per_s[request_id]
        self.ttft_target_s = columns.ttft_target_s[request_id]
        self.profile: DeviceProfile = world.profile_of(self.user_id)
        self._streams: list[Stream] = []
        self._speaker: Stream | None = None
        self._shown: list[tuple[Stream, int]] = []  # streams handed over from, and their last shown token
        self._kept = 0  # streams opened before the answer was decided
        self._has_failed = False

    # --- looking ----------------------------------------------------------------------------------------------

    @property
    def now_s(self) -> float:
        """Simulation time in s."""
        return self._world.env.now

    @property
    def is_device_busy(self) -> bool:
        """Whether the user's device works on, or has queued, anything now; the client can see that."""
        return self._world.device_of(self.user_id).is_busy

    @property
    def speaker(self) -> Stream:
        """The stream whose tokens are shown now."""
        if self._speaker is None:
            raise InvariantError(f"request {self.request_id}: nothing was kept yet")
        return self._speaker

    # --- acting -----------------------------------------------------------------------------------------------

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
        prompt_tok = self.prompt_tok + after_token
        n_tok = self._output_tok - after_token
        if n_tok < 1:
            raise InvariantError(f"request {self.request_id}: nothing is left after token {after_token}")
        if at_most_tok is not None:
            n_tok = min(n_tok, at_most_tok)
        stream: Stream
        if endpoint == "device":
            stream = self._world.device_of(self.user_id).start(prompt_tok, after_token + 1, n_tok)
        elif endpoint == "server":
            attempt = self._attempts
            self._attempts = attempt + 1
            stream = self._world.server.start(
                self.request_id,
                self.user_id,
                attempt,
                prompt_tok,
                after_token + 1,
                n_tok,
                payload,
                prefill_factor,
            )
        elif endpoint == "edge":
            stream = self._edge().start(self.request_id, self.user_id, prompt_tok, after_token + 1, n_tok)
        else:
            raise InvariantError(
                f"request {self.request_id}: no endpoint '{endpoint}'; {close_match(endpoint, ENDPOINTS)}"
            )
        self._streams.append(stream)
        return stream

    def wait(self, seconds: float) -> Event:
        """Return an event that fires after ``seconds`` >= 0; never where they are inf.

        Raises
        ------
        InvariantError
            If they are NaN, or negative by more than rounding.
        """
        if 0.0 <= seconds < math.inf:
            return Timeout(self._world.env, seconds)
        self._check_wait(seconds)
        return Event(self._world.env) if seconds > 0.0 else Timeout(self._world.env, 0.0)

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
        return FirstToken(self._world.env, streams, within_s)

    def keep(self, winner: Stream, *, losers: Loser = "cancel") -> None:
        """Show ``winner``; the other streams are cancelled, finish their prefill, or run on (and are paid for)."""
        self._speaker = winner
        self._kept = len(self._streams)
        if losers == "run_on":
            return
        helpers = winner.helpers
        for stream in self._streams:
            if stream is not winner and stream not in helpers:
                stream.stop(finish_prefill=losers == "finish_prefill")

    def hand_over(self, target: Stream, *, losers: Loser = "cancel") -> None:
        """Show ``target`` from its first token on and stop the stream that spoke until now."""
        source = self.speaker
        self._shown.append((source, target.first_token - 1))
        self._speaker = target
        source.stop(finish_prefill=losers == "finish_prefill")

    def fail(self) -> None:
        """Give the request up; streams still open are cancelled."""
        self._has_failed = True
        for stream in self._streams:
            stream.stop()

    # --- waiting for moments of the timeline ------------------------------------------------------------------

    def finished(self) -> Event:
        """Return an event that fires when the last token of what is shown has reached the client, or none can come."""
        return self.speaker.ended()

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

    def growing_streams(self) -> list[Stream]:
        """Return the streams whose bill is final only when they are closed."""
        return [stream for stream in self._streams if stream.is_growing]

    # --- closing ----------------------------------------------------------------------------------------------

    def settle(self) -> RequestRecord:
        """Close the books: what was shown, what was processed, what it costs."""
        status = "finished"
        if self._has_failed:
            status = "rejected" if all(is_refusal(stream) for stream in self._streams) else "failed"
        if status == "finished" and self._speaker is None:
            raise InvariantError(f"request {self.request_id}: the policy ended without an answer and without failing")
        segments, generated_s, delivered_s = self._timeline() if status == "finished" else ((), NOTHING, NOTHING)
        return self._record(status, segments, generated_s, delivered_s)

    def reject(self) -> RequestRecord:
        """Return the record of a request that a length limit keeps out."""
        return self._record("rejected", (), NOTHING, NOTHING)

    def _timeline(self) -> tuple[tuple[Segment, ...], Floats, Floats]:
        last = self.speaker
        if not self._shown:
            if last.n_tok != self._output_tok:
                raise InvariantError(f"request {self.request_id}: {last.n_tok} of {self._output_tok} tokens shown")
            generated_s, delivered_s = last.generated_s, last.arrival_s
            if generated_s[0] < self.arrival_s or last.is_growing:
                generated_s = raised(generated_s, self.arrival_s, in_order=not last.is_growing)
                delivered_s = raised(delivered_s, self.arrival_s)
            return (Segment(last.endpoint, 1, self._output_tok),), generated_s, delivered_s
        segments: list[Segment] = []
        generated: list[Floats] = []
        delivered: list[Floats] = []
        before_s = self.arrival_s  # what a segment cannot come before
        for stream, end in [*self._shown, (last, self._output_tok)]:
            n = end - stream.first_token + 1
            if n > 0:
                if segments and segments[-1].endpoint == stream.endpoint:  # back from a target that refused
                    segments[-1] = Segment(stream.endpoint, segments[-1].first_token, end)
                else:
                    segments.append(Segment(stream.endpoint, stream.first_token, end))
                generated.append(raised(stream.generated_s[:n], self.arrival_s, in_order=not stream.is_growing))
                delivered.append(shown_s := raised(stream.arrival_s[:n], before_s))
                before_s = shown_s[-1]
        return tuple(segments), np.concatenate(generated), np.concatenate(delivered)

    def _record(
        self, status: str, segments: tuple[Segment, ...], generated_s: Floats, delivered_s: Floats
    ) -> RequestRecord:
        server_prompt = device_prefill = 0.0
        server_output = device_decode = 0
        is_device = is_server = False
        edge_prefill = edge_box_s = 0.0
        edge_decode = sketch_tok = 0
        n_dispatch = self._kept or len(self._streams)
        usage = (0, 0.0, 0.0)  # preemptions, GPU-seconds, KV-token-seconds
        for i, stream in enumerate(self._streams):
            prefilled, generated = stream.bill()
            if stream.is_growing:
                more = stream.usage()
                usage = (usage[0] + more[0], usage[1] + more[1], usage[2] + more[2])
                edge_box_s += stream.box_s()
            if stream is self._sketch:
                sketch_tok = generated
            is_dispatch = i < n_dispatch and not stream.failure
            if stream.endpoint == "device":
                device_prefill += prefilled
                device_decode += generated
                is_device |= is_dispatch
            elif stream.endpoint == "edge":
                edge_prefill += prefilled
                edge_decode += generated
            else:
                server_prompt += prefilled
                server_output += generated
                is_server |= is_dispatch
        meter, profile = self._world.meter, self.profile
        usd = meter.server_usd(server_prompt, server_output)
        energy_j = device_prefill * profile.prefill_j_per_tok + device_decode * profile.decode_j_per_tok
        edge_usd = edge_j = 0.0
        if edge_prefill or edge_decode:
            edge = self._edge().model
            edge_usd, edge_j = edge.usd(edge_prefill, edge_decode), edge.energy_j(edge_prefill, edge_decode)
        return RequestRecord(
            request_id=self.request_id,
            user_id=self.user_id,
            arrival_s=self.arrival_s,
            prompt_tok=self.prompt_tok,
            output_tok=self._output_tok,
            reader_tok_per_s=self.reader_tok_per_s,
            ttft_target_s=self.ttft_target_s,
            status=status,
            first_endpoint=segments[0].endpoint if segments else "",
            segments=segments,
            generated_s=generated_s,
            delivered_s=delivered_s,
            paced_s=self._paced(delivered_s),
            is_device_dispatched=is_device,
            is_server_dispatched=is_server,
            n_tok_wasted=server_output + device_decode + edge_decode - sketch_tok - delivered_s.size,
            server_prompt_tok=int(server_prompt),
            server_output_tok=server_output,
            device_prefill_tok=device_prefill,
            device_decode_tok=device_decode,
            server_cost_usd=usd,
            device_energy_j=energy_j,
            unified_cost_usd=meter.unified_usd(usd + edge_usd, energy_j + edge_j),
            n_preemptions=usage[0],
            gpu_s=usage[1],
            kv_tok_s=usage[2],
            sketch_tok=sketch_tok,
            sketch_s=self._seen_sketch_s(delivered_s),
            n_parts=self._n_parts if self._is_in_parts else 0,
            edge_prefill_tok=edge_prefill,
            edge_decode_tok=edge_decode,
            edge_box_s=edge_box_s,
            edge_energy_j=edge_j,
            edge_cost_usd=edge_usd,
            quality_assumed=self._quality(status, segments),
        )
