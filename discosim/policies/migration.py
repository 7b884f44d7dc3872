"""Token-level migration: leave the expensive decoder once the reader's buffer covers the change of hands.

Used by DiSCo; any policy may. This module holds the estimates and the rule, not a policy.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from discosim.policies.view import View
from discosim.world.device_profile import DeviceProfile
from discosim.world.link import BYTES_PER_TOK, Payload
from discosim.world.verbs.battery import is_battery_low

if TYPE_CHECKING:
    from discosim.world.session import Session
    from discosim.world.stream import Stream

Floats = NDArray[np.float64]
ServerEstimate = Literal["mean", "p50", "p90", "p99"]
OTHER = {"device": "server", "server": "device"}
PAD_TOK = 1 << 12
LONGEST_TOK = 1 << 18


@dataclass(frozen=True)
class Route:
    """One direction of migration on one kind of device: tables by token count, made once.

    The tables replace per-request arithmetic on whole timelines, the largest part of a migrating request's cost.
    """

    target: str
    prefill_usd_per_tok: float
    margin_usd: Floats  # after k tokens: saving on the expected rest minus prefilling k tokens and those in flight
    overhead_s: Floats  # t_m for a target that has to prefill n tokens


@dataclass(frozen=True)
class Gate:
    """What the two rules ask for after each token of an answer.

    Parameters
    ----------
    target : str
        The endpoint that would go on.
    margin_usd : array of float, shape (n,)
        Entry k: expected saving of a hand-over after token k; the cost gate is open where it is positive.
    overhead_s : array of float, shape (n,)
        Entry k: estimated time until the target's next token.
    need_tok : array of float, shape (n,)
        Entry k: buffer that covers this time; ``inf`` where the gate is closed or the target's context too short.
    """

    target: str
    margin_usd: Floats
    overhead_s: Floats
    need_tok: Floats


@lru_cache(maxsize=4, typed=True)
def _prefill_s(s_per_tok: float, intercept_s: float, chunk_tok: int | None) -> Floats:
    """Return the time to the first token of a device by its line, for prompts of 0 .. LONGEST_TOK - 1 tokens.

    It is made once for all runs that a process has of one device: it takes longer than to serve twenty requests.
    """
    line = DeviceProfile("", s_per_tok, 1.0, prefill_intercept_s=intercept_s, chunk_tok=chunk_tok)
    found = line.prefill_array_s(np.arange(LONGEST_TOK))
    found.flags.writeable = False
    return found


class Migration:
    """When to hand an answer over, and to whom.

    Parameters
    ----------
    view : View
        History and prices.
    server_estimate : str
        Which statistic of the past TTFTs estimates t_m when the server is the target.
    payload : str
        What travels up when the server is the target: ``text`` or ``token_ids`` (open in general; the paper sends IDs
        where both sides share a vocabulary).

    Notes
    -----
    Cost gate: the saving on the expected rest must exceed the target's prefill of prompt and generated tokens and,
    on the way from the server, the tokens it makes during one round trip until it hears of the cancel.
    Buffer rule: the buffer must last for the estimated time t_m until the target's next token.

    Source: DiSCo (secondary source): delta_c_decode * l_remaining > overhead; B = r_c * t_m. What belongs to the
    overhead is open; tokens in flight are our choice, because they are paid. The rest of the answer
    is estimated by the mean residual length of past outputs (our choice; open in the paper). An answer stays where it
    is when its own device is busy at that moment (our choice: t_m would be unknown, and the client can see it), or low
    on its battery.
    """

    def __init__(self, view: View, server_estimate: ServerEstimate = "mean", payload: Payload = "text") -> None:
        self._view = view
        self.payload: Payload = payload
        self._server_estimate: ServerEstimate = server_estimate
        self._routes: dict[tuple[str, str], Route | None] = {}

    def server_overhead_s(self) -> float:
        """Return the estimated time from a hand-over to the server's next token, in s; ``inf`` where unknown."""
        ranked = self._view.sorted_ttft_s
        finite = ranked[np.isfinite(ranked)]
        if finite.size == 0:  # nobody has ever been answered: do not count on the service
            return np.inf
        if self._server_estimate == "mean":
            return float(finite.mean())
        return float(np.quantile(finite, int(self._server_estimate[1:]) / 100))

    def _extra_upload_s(self, n_tok: NDArray[np.int64]) -> Floats:
        """Return how much longer ``n_tok`` tokens take upwards than the average prompt, which past TTFTs contain."""
        if self._view.uplink_bit_per_s is None:
            return np.zeros(n_tok.size)
        past_bytes = float(self._view.prompt_tok.mean()) * BYTES_PER_TOK["text"]
        extra_bytes = n_tok.astype(np.float64) * BYTES_PER_TOK[self.payload] - past_bytes
        return np.maximum(extra_bytes * 8.0 / self._view.uplink_bit_per_s, -self.server_overhead_s())

    def route(self, source: str, profile: DeviceProfile) -> Route | None:
        """Return the way out of ``source`` for users of this device, None where the other side is not cheaper."""
        key = (source, profile.name)
        if key not in self._routes:
            self._routes[key] = self._make_route(source, profile)
        return self._routes[key]

    def _make_route(self, source: str, profile: DeviceProfile) -> Route | None:
        meter = self._view.meter
        rate = meter.exchange_rate_usd_per_j
        decode = {"server": meter.output_usd_per_tok, "device": rate * profile.decode_j_per_tok}
        prefill = {"server": meter.prompt_usd_per_tok, "device": rate * profile.prefill_j_per_tok}
        target = OTHER[source]
        saving = decode[source] - decode[target]
        if saving <= 0.0:
            return None
        rest = np.pad(self._view.residual_output_tok, (0, PAD_TOK))
        count = np.arange(rest.size)
        margin_usd = saving * rest - prefill[target] * count
        if target == "device":
            overhead_s = _prefill_s(profile.prefill_s_per_tok, profile.prefill_intercept_s, profile.chunk_tok)
            # what the server makes until the cancel reaches it is billed and never shown
            round_trip_s, tpot_s = 2.0 * self._view.link_delay_s, self._view.server_tpot_s
            in_flight_tok = round_trip_s / tpot_s if tpot_s > 0.0 else np.inf  # a whole answer at once
            margin_usd -= decode[source] * np.minimum(rest, in_flight_tok)
        else:
            overhead_s = self.server_overhead_s() + self._extra_upload_s(np.arange(LONGEST_TOK))
        return Route(target, prefill[target], margin_usd, overhead_s)

    def gate(
        self, source: str, profile: DeviceProfile, *, prompt_tok: int, reader_tok_per_s: float, n_tok: int
    ) -> Gate | None:
        """Return what the rules ask for after tokens 0 .. n_tok of an answer, to look at; None where nothing is saved.

        Parameters
        ----------
        source : str
            Who speaks: ``device`` or ``server``.
        profile : DeviceProfile
            The user's device, for example ``view.fleet[0][0]``.
        prompt_tok : int
            Length of the prompt.
        reader_tok_per_s : float
            Reading speed.
        n_tok : int
            Last token to look at.
        """
        route = self.route(source, profile)
        if route is None:
            return None
        margin = _window(route.margin_usd, 0, n_tok + 1) - route.prefill_usd_per_tok * prompt_tok
        overhead_s = _window(route.overhead_s, prompt_tok, n_tok + 1)
        need_tok = _need_tok(route, profile, prompt_tok, reader_tok_per_s, 0, n_tok + 1)
        return Gate(route.target, margin, overhead_s, need_tok)

    def run(self, session: Session) -> Generator[Any, Any, None]:
        """Watch the buffer of an answer that has begun, and hand over when both rules hold."""
        source = session.speaker
        profile = session.profile
        route = self.route(source.endpoint, profile)
        if route is None:
            return
        prompt_tok = session.prompt_tok
        limit = profile.max_context_tok
        is_to_device = route.target == "device"
        if is_to_device and limit is not None and prompt_tok >= limit:
            return
        rate = session.reader_tok_per_s

        def need_tok(first: int, n: int) -> Floats:
            return _need_tok(route, profile, prompt_tok, rate, first, n)

        last_token = yield session.buffer_reaches(need_tok)
        if last_token is None or (is_to_device and (session.is_device_busy or is_battery_low(session))):
            return
        target = session.start(route.target, after_token=last_token, payload=self.payload)
        session.hand_over(target)
        heard = yield session.first_token_of(target)
        if heard is None:
            yield from self._return(session, source, last_token)

    @staticmethod
    def _return(session: Session, source: Stream, last_token: int) -> Generator[Any, Any, None]:
        """Go back to the endpoint that was left when the new one refuses; it prefills anew."""
        back = session.start(source.endpoint, after_token=last_token)
        session.hand_over(back)
        heard = yield session.first_token_of(back)
        if heard is None:
            session.fail()


def _need_tok(route: Route, profile: DeviceProfile, prompt_tok: int, rate: float, first: int, n: int) -> Floats:
    """Return the buffer needed after tokens ``first .. first + n - 1``, ``inf`` where nothing is to be gained."""
    margin = _window(route.margin_usd, first, n)
    overhead_s = _window(route.overhead_s, prompt_tok + first, n)
    need = np.where(margin > route.prefill_usd_per_tok * prompt_tok, overhead_s * rate, np.inf)
    limit = profile.max_context_tok
    if route.target == "device" and limit is not None:  # it would refuse prompt and generated tokens beyond its context
        need[max(0, limit - prompt_tok - first + 1) :] = np.inf
    return need


def _window(table: Floats, first: int, n: int) -> Floats:
    """Return ``table[first:first + n]``, continued with its last value where the table ends."""
    if first + n <= table.size:
        return table[first : first + n]
    return table[np.minimum(np.arange(first, first + n), table.size - 1)]
