"""A service seen from outside: TTFT and token times replayed from measurements.

What happens inside is unknown, so load does not change it: the TTFT of a request is a draw from the measured series,
in request order, and its tokens follow at a drawn TPOT. Prompt tokens are billed once the request is accepted,
output tokens until a cancel has arrived.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import simpy
from numpy.typing import NDArray

from discosim.core.chunk_law import ChunkLaw
from discosim.core.lookup import distinct
from discosim.core.request import RequestTable
from discosim.core.rng import RandomStreams
from discosim.core.scenario import Outage
from discosim.world.chunks import ChunkTape, made
from discosim.world.endpoint import Ask, Role, Site
from discosim.world.hours import HourLaw
from discosim.world.jitter import JITTER_TAPE, jittered
from discosim.world.law import Law
from discosim.world.limits import refused_in_runs
from discosim.world.link import BYTES_PER_TOK, Link
from discosim.world.luck import Luck
from discosim.world.meter import FREE, Meter
from discosim.world.rounding import ROUNDING
from discosim.world.stream import Stream, ramp

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
FIRST = "server"
"""The service that every world has; draws of others bear their names."""


@dataclass(frozen=True)
class ApiServerModel:
    """Parameters of a replayed service.

    Parameters
    ----------
    ttft : CorrelatedSeries or RawSeries
        Time from the arrival of a request at the service to its first token, in s.
    tpot : CorrelatedSeries or RawSeries
        Time per token after the first, in s.
    ttft_s_per_prompt_tok, ttft_reference_prompt_tok : float, int
        Extra TTFT per prompt token above the length at which the series was measured.
    jitter_p99_over_p50 : float
        Ratio of the 99th percentile to the median of log-normal gaps inside one answer, >= 1.
        Source: shape our choice; ratios of 1.1 to 6 by load are published for vLLM (ML.ENERGY, facts only).
    failure_share : float
        Share of requests refused, in [0, 1].
    failure_run : float or None
        Mean number of refused requests in a row, in request order; None where each is refused by itself.
    failure_after_s : float
        Time at the service before a refusal, >= 0.
    outages : tuple of Outage
        Windows in which every arriving request is refused.
    prompt_usd_per_tok, output_usd_per_tok : float
        Prices, >= 0.
    hours : HourLaw or None
        How times follow the hour of the day; None for one law at all hours.
    chunks : ChunkLaw or None
        How tokens come together; None lets each leave when it is made. In place of jitter, which it contains.
    """

    ttft: Law
    tpot: Law
    ttft_s_per_prompt_tok: float = 0.0
    ttft_reference_prompt_tok: int = 0
    jitter_p99_over_p50: float = 1.0
    failure_share: float = 0.0
    failure_run: float | None = None
    failure_after_s: float = 0.5
    outages: tuple[Outage, ...] = ()
    prompt_usd_per_tok: float = 0.0
    output_usd_per_tok: float = 0.0
    hours: HourLaw | None = None
    chunks: ChunkLaw | None = None

    def extra_ttft_s(self, prompt_tok: Ints) -> Floats:
        """Return the part of the TTFT that grows with the prompt, in s."""
        above = np.maximum(0, prompt_tok - self.ttft_reference_prompt_tok)
        return self.ttft_s_per_prompt_tok * above

    def open(self, name: str, site: Site) -> ApiServer:
        """Return the service in a world."""
        return ApiServer(site.env, self, site.link, site.luck, name=name, meter=site.meter)


class ServerStream(Stream):
    """A stream from the service; its timeline is known when it is asked for, and computed when somebody looks."""

    __slots__ = (
        "_accepted_s",
        "_attempt",
        "_leaves_s",
        "_request_id",
        "_server",
        "_start_s",
        "_stop_s",
        "_tpot_s",
        "_user_id",
        "endpoint",
    )

    endpoint: str

    def __init__(
        self,
        server: ApiServer,
        prompt_tok: int,
        first_token: int,
        n_tok: int,
        request_id: int,
        user_id: int,
        accepted_s: float,
        start_s: float,
        tpot_s: float,
        attempt: int = 0,
    ) -> None:
        super().__init__(server.env, prompt_tok, first_token, n_tok)
        self.endpoint = server.name
        self._server = server
        self._request_id = request_id
        self._user_id = user_id
        self._accepted_s = accepted_s
        self._start_s = start_s
        self._tpot_s = tpot_s
        self._stop_s = math.inf
        self._attempt = attempt
        self._leaves_s: Floats | None = None

    def _make_generated(self) -> Floats:
        chunks = self._server.chunks
        if chunks is not None:
            leaves = chunks.leaves(self.n_tok, self._server.chunk_start(self._request_id, self._attempt))
            made_s = made(leaves) * self._tpot_s
            made_s += self._start_s
            leaves *= self._tpot_s
            leaves += self._start_s
            self._leaves_s = leaves
            return made_s
        times_s = self._server.gaps(self._request_id, self.n_tok) * self._tpot_s
        times_s += self._start_s
        return times_s

    def _make_arrivals(self, generated_s: Floats) -> Floats:
        leaves_s = generated_s if self._leaves_s is None else self._leaves_s
        return self._server.link.deliver(leaves_s, self._user_id)

    def over_s(self) -> float:
        """Return when the last token reaches the client, or the news that the service has refused."""
        return self._failed_s if self.failure else float(self.arrival_s[-1])

    def announce(self) -> None:
        """Promise the first arrival, computing the whole timeline only where packets hold several tokens."""
        if self._server.link.model.tokens_per_packet > 1:
            self.promise(float(self.arrival_s[0]))
        else:
            self.promise(self._start_s + self._server.link.down_s(self._start_s, self._user_id))

    def stop(self, *, finish_prefill: bool = False) -> None:  # noqa: ARG002 - a bought prefill is paid either way
        """Send a cancel; the service obeys when it has travelled up."""
        if self.is_stopped:
            return
        self._hush()
        now = self.env.now
        self._stop_s = max((now + self._server.link.up_s(now, self._user_id)) * ROUNDING, self._accepted_s)

    def bill(self) -> tuple[float, int]:
        """Return billed prompt tokens (all, unless refused) and tokens generated until the cancel arrives."""
        if self.failure:
            return 0.0, 0
        if not self.is_stopped:
            return float(self.prompt_tok), self.n_tok
        if self._stop_s < self._start_s:
            return float(self.prompt_tok), 0
        return float(self.prompt_tok), int(self.generated_s.searchsorted(self._stop_s, side="right"))


_Draws = tuple[Sequence[float], Sequence[float], list[bool] | None]
"""Of all requests at an attempt: TTFT, time per token, and who is refused; None where nobody is."""


class ApiServer:
    """Starts replayed streams; draw ``i`` of every attempt belongs to request ``i``."""

    role: Role = "server"
    max_candidates = 1
    stream_class: ClassVar[type[ServerStream]] = ServerStream

    def __init__(
        self,
        env: simpy.Environment,
        model: ApiServerModel,
        link: Link,
        luck: Luck,
        *,
        name: str = "server",
        meter: Meter = FREE,
    ) -> None:
        self.name = name
        self._draws = draws_of(name)
        self.env = env
        self.model = model
        self.link = link
        self._luck = luck
        self._meter = meter
        self._attempts: list[_Draws] = []
        self._tape = luck.shared(f"{self._draws}.jitter", self._jitter_tape)
        self.chunks = luck.shared(f"{self._draws}.chunks", self._chunk_tape)

    def _chunk_tape(self, streams: RandomStreams) -> ChunkTape | None:
        law = self.model.chunks
        return None if law is None else ChunkTape(law, streams.generator(f"{self._draws}.chunks"))

    def chunk_start(self, request_id: int, attempt: int) -> float:
        """Return the draw of an answer that says where it begins on the tape of chunks; each attempt has its own."""
        return self._luck.uniform_list(f"{self._draws}.chunks.start.{attempt}")[request_id]

    def chunk_draws(self, attempt: int) -> Floats:
        """Return `chunk_start` of all requests."""
        return self._luck.uniform(f"{self._draws}.chunks.start.{attempt}")

    @property
    def jitter(self) -> Floats | None:
        """The tape of token times in units of the TPOT; None where tokens come at an even pace."""
        return self._tape

    def jitter_draws(self) -> Floats:
        """Return where on the tape the answer of each request begins, as a share of its length."""
        return self._luck.uniform(f"{self._draws}.jitter.start")

    def times_of_attempt(self, attempt: int) -> tuple[Floats, Floats]:
        """Return TTFT and time per token of all requests at an attempt, prompt and hour left out."""
        ttft_s = self._luck.series(f"{self._draws}.ttft.{attempt}", self.model.ttft)
        return ttft_s, self._luck.series(f"{self._draws}.tpot.{attempt}", self.model.tpot)

    def _jitter_tape(self, streams: RandomStreams) -> Floats | None:
        """Return token times in units of the TPOT; every answer reads them from its own starting point."""
        ratio = self.model.jitter_p99_over_p50
        return None if ratio == 1.0 else jittered(streams, f"{self._draws}.jitter", ratio)

    def _attempt(self, attempt: int) -> _Draws:
        while len(self._attempts) <= attempt:
            k = len(self._attempts)
            refused = self.refused(k)
            fails = None if refused is None else refused.tolist()
            self._attempts.append(
                (
                    self._luck.series_list(f"{self._draws}.ttft.{k}", self.model.ttft),
                    self._luck.series_list(f"{self._draws}.tpot.{k}", self.model.tpot),
                    fails,
                )
            )
        return self._attempts[attempt]

    def refused(self, attempt: int) -> Bools | None:
        """Return which requests the service refuses at an attempt; in runs, it refuses all attempts or none."""
        share, mean_run, role = self.model.failure_share, self.model.failure_run, f"{self._draws}.failure"
        if share <= 0:
            return None
        if mean_run is None:
            refused: Bools = self._luck.uniform(f"{role}.{attempt}") < share
            return refused
        n = self._luck.n_requests
        return self._luck.shared(
            f"{role}.runs", lambda streams: refused_in_runs(n, share, mean_run, streams.generator(f"{role}.runs"))
        )

    def start(self, ask: Ask) -> ServerStream:
        """Send a request up; every attempt of an answer has draws of its own.

        A ``prefill_factor`` stretches the part of the TTFT that grows with the prompt: of the rest nobody knows what
        is prefill.
        """
        model, link, now = self.model, self.link, self.env.now
        card, prompt_tok = ask.card, ask.prompt_tok
        request_id, user_id = card.request_id, card.user_id
        attempts = self._attempts
        ttft_s, tpot_s, fails = attempts[ask.attempt] if ask.attempt < len(attempts) else self._attempt(ask.attempt)
        accepted_s = now + link.up_s(now, user_id) + link.bulk_s(prompt_tok * BYTES_PER_TOK[ask.payload])
        above = prompt_tok - model.ttft_reference_prompt_tok
        extra_s = ask.prefill_factor * model.ttft_s_per_prompt_tok * above if above > 0 else 0.0
        ttft, tpot = ttft_s[request_id], tpot_s[request_id]
        if model.hours is not None:
            of_ttft, of_tpot = model.hours.at(accepted_s)
            ttft, tpot = ttft * of_ttft, tpot * of_tpot
        start_s = accepted_s + ttft + extra_s
        stream = self.stream_class(
            self, prompt_tok, ask.first_token, ask.n_tok, request_id, user_id, accepted_s, start_s, tpot, ask.attempt
        )
        if (model.outages and self._refuses(accepted_s)) or (fails is not None and fails[request_id]):
            self.refuse(stream, accepted_s, user_id)
        else:
            self.admit(stream)
        return stream

    def refuse(self, stream: ServerStream, at_s: float, user_id: int) -> None:
        """Refuse a request that reaches the service at ``at_s``."""
        refused_s = at_s + self.model.failure_after_s
        stream.promise_failure(refused_s + self.link.down_s(refused_s, user_id), "the service refused the request")

    def admit(self, stream: ServerStream) -> None:
        """Take a request on."""
        stream.announce()

    def _refuses(self, at_s: float) -> bool:
        return any(outage.start_s <= at_s < outage.end_s for outage in self.model.outages)

    def gaps(self, request_id: int, n_tok: int) -> Floats:
        """Return the times of the tokens of one answer after its first, in units of its TPOT."""
        tape = self._tape
        if tape is None:
            return ramp(n_tok)
        first = int(self._luck.uniform_list(f"{self._draws}.jitter.start")[request_id] * JITTER_TAPE)
        if n_tok > JITTER_TAPE:  # longer than the tape: read it cyclically
            at = first + np.arange(n_tok)
            times = tape[at % JITTER_TAPE] + at // JITTER_TAPE * tape[JITTER_TAPE]
        else:
            times = tape[first : first + n_tok]
        since_first: Floats = times - tape[first]
        return since_first

    def costs(self, user_id: int, prompt_tok: float, output_tok: float) -> tuple[float, float]:  # noqa: ARG002 - one price for all
        """Return the price of work, in USD; its energy is in the price."""
        return self._meter.server_usd(prompt_tok, output_tok), 0.0

    def load(self, user_id: int) -> None:
        """Return nothing: nobody can look inside."""

    def figures(self, span_s: float) -> None:
        """Return nothing: nobody can look inside."""

    def foreseen_ttft_s(self, table: RequestTable) -> Floats | None:
        """Return the TTFT of every request, were it sent on arrival; ``inf`` where the service would refuse it."""
        return self.true_ttft_s(table.arrival_s, table.user_id, table.prompt_tok, table.output_tok)

    def true_ttft_s(self, sent_s: Floats, user_id: Ints, prompt_tok: Ints, output_tok: Ints) -> Floats:
        """Return the client's TTFT of every request's first attempt, were it sent at ``sent_s``; inf where refused.

        For the past, clairvoyant policies and tests only.
        """
        model, link = self.model, self.link
        lengths_tok, which = distinct(prompt_tok)
        upload_s = np.array([link.bulk_s(n * BYTES_PER_TOK["text"]) for n in lengths_tok.tolist()])[which]
        accepted_s = sent_s + link.up_array_s(sent_s, user_id) + upload_s
        ttft_s, packet_s = self._luck.series(f"{self._draws}.ttft.0", model.ttft), self._packet_s(output_tok)
        if model.hours is not None:
            of_ttft, of_tpot = model.hours.at_all(accepted_s)
            ttft_s, packet_s = ttft_s * of_ttft, packet_s * of_tpot
        start_s: Floats = accepted_s + ttft_s + model.extra_ttft_s(prompt_tok)
        leaves_s = start_s + packet_s
        total: Floats = leaves_s + link.down_array_s(leaves_s, user_id) - sent_s
        if (refused := self.refused(0)) is not None:
            total[refused] = np.inf
        for outage in model.outages:
            total[(accepted_s >= outage.start_s) & (accepted_s < outage.end_s)] = np.inf
        return total

    def _packet_s(self, output_tok: Ints) -> Floats:
        """Return how long each answer's first token waits for those that share its packet."""
        last = np.minimum(self.link.model.tokens_per_packet, output_tok) - 1
        if not last.any():
            return np.zeros(last.size)
        steps = last.astype(float)
        if self.chunks is not None:
            steps = self.chunks.leave(last, output_tok, self._luck.uniform(f"{self._draws}.chunks.start.0"))
        elif self._tape is not None:
            first = (self._luck.uniform(f"{self._draws}.jitter.start") * JITTER_TAPE).astype(np.int64)
            steps = self._tape[first + last] - self._tape[first]
        waits_s: Floats = steps * self._luck.series(f"{self._draws}.tpot.0", self.model.tpot)
        return waits_s


def draws_of(name: str) -> str:
    """Return how the names of a service's draws begin: a service more moves no draw of the first."""
    return name if name == FIRST else f"{FIRST}.{name}"
