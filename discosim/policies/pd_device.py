"""P/D-Device: the cloud speaks first, the device prefills meanwhile and takes over once it has caught up.

Paper: P/D-Device (arXiv 2508.09035), of which the abstract and one second-hand review could be read.
Known (abstract): first token from the cloud, further cloud tokens through a speed controller until the device has
caught up, the device's prefill hidden behind them, a prompt refined with data of the cloud's prefill, settings chosen
by an algorithm.
Not known: every equation, the controller's law, the refinement rule, the settings algorithm. Those are our
reconstruction, as options. Needs: nothing; a server of any kind, a device.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from discosim.core.spec import spec
from discosim.policies.base import Policy
from discosim.policies.catch_up import NEVER, Choice, PastAnswers, cheapest, occupied_s, shadow_price, smallest_k
from discosim.policies.going_on import alone_at, finish_at
from discosim.policies.pacers.base import Outlook
from discosim.policies.pacers.laws import PACERS
from discosim.policies.pricing import Asked, Windows
from discosim.policies.refinement import RefinedQuality
from discosim.world.verbs.absorbing import AbsorbingStream, absorb, assume_device_quality, go_on
from discosim.world.verbs.battery import can_take, is_battery_low

if TYPE_CHECKING:
    from discosim.policies.view import View
    from discosim.world.device_profile import DeviceProfile
    from discosim.world.session import Session
    from discosim.world.stream import Stream

Settings = Literal["closed_form", "fixed", "closed_loop", "priced"]
# All of these are our choice.
SHARES = (1.0, 0.75, 0.5, 0.35, 0.25)  # kept shares that a price chooses from
STRETCHES = (1.0, 1.5, 2.0)  # how far load may stretch the display interval
SAMPLE = 500  # requests that a price is computed from
WINDOW = 51  # first tokens whose median is the estimate of the next; odd
FIXED_TOK = 32  # K where it is fixed and not given


@dataclass(frozen=True)
class Plan:
    """What is decided when a request arrives: tokens from the cloud (None: until told to stop) and the kept share."""

    cloud_tok: int | None
    kept_share: float
    interval_s: float


@dataclass(kw_only=True)
class PDDevice(Policy):
    """The cloud answers K tokens, shown smoothly; the device absorbs them as prompt and answers from token K + 1."""

    kind: ClassVar[str] = "pd_device"
    paper: ClassVar[str] = (
        "P/D-Device (arXiv 2508.09035): mechanism from the abstract, parts and decision variables second-hand."
    )
    departures: ClassVar[str] = (
        "All laws are reconstructed; all defaults but `attention_cost` are our choice. So is this: a busy device is "
        "not waited for (`busy_device`); a device that has prefilled before the cloud's first token answers alone; one "
        "that waits for a refined prompt begins with the whole one when the cloud has been silent for as long as that "
        "takes."
    )

    settings: Settings = spec(
        "closed_form",
        doc="Who chooses K: the closed form for K_min, a fixed number, the device's STOP on catching up (closed_loop), "
        "or a price on the cloud's slots (priced; chooses the kept share too).",
    )
    cloud_tok: int | None = spec(
        None, doc=f"K under `settings: fixed`, null for {FIXED_TOK}; 1 is 'first token only'.", unit="tokens", ge=1
    )
    slack_tok: int = spec(1, doc="Tokens added to a computed K.", unit="tokens", ge=0)
    tpot_limit_s: float = spec(0.05, doc="Longest interval between tokens the reader should see.", unit="s", gt=0)
    keep_device_pace: bool = spec(
        True, doc="Stretch the limit to the device's own time per token where that is longer."
    )
    pacer: Literal["constant", "continuity", "feedback", "none"] = spec("constant", doc="Law of the speed controller.")
    device_start: Literal["arrival", "refined"] = spec(
        "arrival",
        doc="When the device begins a prompt that is kept whole; a shortened one can only begin when it has arrived.",
    )
    kept_share: float = spec(
        1.0, doc="Share of the prompt that a refinement keeps (rho); `settings: priced` chooses its own.", gt=0, le=1
    )
    refine_delay_s: float = spec(0.0, doc="From the first token to the refined prompt.", unit="s", ge=0)
    attention_cost: float = spec(
        0.21,
        doc="Extra prefill work of the cloud for a refined prompt, as attention has to be exposed (21 % at 501 tokens "
        "in an unpublished manuscript). At a replayed server it stretches `ttft_s_per_prompt_tok` only.",
        ge=0,
    )
    busy_device: Literal["cloud_alone", "queue"] = spec(
        "cloud_alone",
        doc="What happens while the device works on something else: the cloud answers alone, or until the device has "
        "had its turn and caught up.",
    )
    silence_s: float = spec(
        1.0,
        doc="A cloud that has been silent for so long, and whose tokens are all absorbed, has dropped out: the device "
        "goes on from the last token received.",
        unit="s",
        gt=0,
    )
    look_s: float = spec(
        1.0, doc="Longest time until a client looks again if its device has caught up.", since="0.2", unit="s", gt=0
    )
    slowdown: float = spec(1.0, doc="Factor on the device's prefill time for a cautious K (a quantile of it).", ge=1)
    slot_limit_s: float | None = spec(
        None,
        doc="Slot seconds of the cloud per request (slots over arrival rate) that `settings: priced` keeps to; null "
        "for no limit.",
        gt=0,
    )
    reprice_every_s: float | None = spec(
        None,
        doc="Under `settings: priced`, seconds between new prices, each from the requests of the window before; "
        "null for one price, from history.",
        unit="s",
        gt=0,
    )
    cloud_slots: float | None = spec(
        None,
        doc="Slots that `reprice_every_s` shares out: the slot seconds per request are these over the last window's "
        "arrival rate. Until the first window has ended `slot_limit_s` holds.",
        gt=0,
    )
    quality_knee_short: float = spec(
        0.75, doc="Kept share below which quality falls, short prompts (assumed).", gt=0, le=1
    )
    quality_knee_long: float = spec(0.35, doc="The same for prompts of 4,000 tokens and more (assumed).", gt=0, le=1)
    quality_floor: float = spec(0.25, doc="Relative quality without any prompt (assumed).", ge=0, le=1)

    _ttft_s: float = field(init=False, repr=False, default=0.0)
    _seen_s: deque[float] = field(init=False, repr=False, default_factory=lambda: deque(maxlen=WINDOW))
    _cloud_gap_s: float = field(init=False, repr=False, default=0.0)
    _up_s: float = field(init=False, repr=False, default=0.0)
    _price: float = field(init=False, repr=False, default=0.0)
    _stretch: float = field(init=False, repr=False, default=1.0)
    _shed_above_s: float = field(init=False, repr=False, default=math.inf)
    _windows: Windows | None = field(init=False, repr=False, default=None)
    _past: PastAnswers = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse options that would have no effect under these settings.

        Raises
        ------
        ValueError
            If an option belongs to other settings, or to another option that is missing.
        """
        owners = {"cloud_tok": "fixed", "slot_limit_s": "priced", "reprice_every_s": "priced", "cloud_slots": "priced"}
        for option, settings in owners.items():
            if getattr(self, option) is not None and self.settings != settings:
                raise ValueError(f"{option} has no effect unless settings is {settings} (settings is {self.settings})")
        if self.settings == "priced" and self.kept_share != 1.0:
            raise ValueError("kept_share has no effect where settings is priced: the price chooses it")
        if (self.reprice_every_s is None) != (self.cloud_slots is None):
            raise ValueError(
                "reprice_every_s and cloud_slots go together: how often slots are shared out, and how many"
            )

    def prepare(self, view: View) -> None:
        """Estimate the cloud's first token and speed from history; price the cloud's slots.

        The estimate of the first token is the median of what the last clients saw (our choice), history to begin with:
        how busy a cloud is depends on how much of the work devices take.
        """
        finite = view.server_ttft_s[np.isfinite(view.server_ttft_s)]
        self._ttft_s = float(np.median(finite)) if finite.size else math.inf
        self._seen_s.append(self._ttft_s)
        self._cloud_gap_s = view.server_tpot_s
        self._up_s = view.link_delay_s
        self._past = PastAnswers(view.output_tok)
        if self.settings != "priced":
            return
        total = sum(share for _, share in view.fleet)
        kinds = [profile for profile, share in view.fleet for _ in range(max(1, round(20 * share / total)))]
        past = [(kinds[i % len(kinds)], tok) for i, tok in enumerate(view.prompt_tok[:SAMPLE].tolist())]
        self._set_price(past, self.slot_limit_s or math.inf)
        if self.reprice_every_s is not None:
            self._windows = Windows(self.reprice_every_s)

    # --- settings ---------------------------------------------------------------------------------------------

    def _interval_s(self, profile: DeviceProfile) -> float:
        """Return the display interval that K is computed for; under the continuity pace it is the device's own."""
        own_s = 1.0 / profile.decode_tok_per_s
        if self.pacer == "continuity":
            return max(own_s, self._cloud_gap_s)
        return max(self._stretch * self.tpot_limit_s, self._cloud_gap_s, own_s if self.keep_device_pace else 0.0)

    def _k(self, profile: DeviceProfile, prompt_tok: int, kept_share: float) -> int:
        """Return K for a kept share; a refined prompt starts after the first token, a full one at once."""
        kept_tok = math.ceil(kept_share * prompt_tok)
        lead_s = self._ttft_s if self._starts_at_once(kept_share) else -self.refine_delay_s
        return smallest_k(profile, kept_tok, lead_s, self._interval_s(profile), self.slowdown) + self.slack_tok

    def _starts_at_once(self, kept_share: float) -> bool:
        return self.device_start == "arrival" and kept_share == 1.0

    def _choices(self, profile: DeviceProfile, prompt_tok: int) -> list[Choice]:
        quality = RefinedQuality(self.quality_knee_short, self.quality_knee_long, floor=self.quality_floor)
        prefill_s = max(0.0, self._ttft_s - 2.0 * self._up_s)
        made = []
        for share in SHARES:
            k = self._k(profile, prompt_tok, share)
            extra_s = self.attention_cost * prefill_s if share < 1.0 else 0.0
            slot_s = occupied_s(prefill_s + extra_s, self._past.mean_tok(k), self._cloud_gap_s)
            made.append(Choice(share, k, slot_s, quality.quality(share, prompt_tok)))
        return made

    def _set_price(self, asked: Sequence[Asked], limit_s: float) -> None:
        """Climb the ladder: a price on slots (lower kept shares), then longer intervals, then device-only."""

        def options() -> list[list[Choice]]:
            return [self._choices(profile, tok) for profile, tok in asked]

        self._shed_above_s = math.inf
        for stretch in STRETCHES:
            self._stretch = stretch
            self._price = shadow_price(options, limit_s)
            if self._price < math.inf:
                return
        self._price = 1e9
        slots = np.sort([cheapest(choices, self._price).slot_s for choices in options()])
        within = np.cumsum(slots) / slots.size <= limit_s
        self._shed_above_s = float(slots[int(within.sum()) - 1]) if within.any() else 0.0

    def _reprice(self, session: Session) -> None:
        """Set the price again where a window has ended; a window in which nobody asked makes slots free."""
        if self._windows is None or self.reprice_every_s is None or self.cloud_slots is None:
            return
        asked = self._windows.enter(session.now_s)
        if asked:
            every = -(-len(asked) // SAMPLE)
            self._set_price(asked[::every], self.cloud_slots * self.reprice_every_s / len(asked))
        elif asked is not None:
            self._price, self._stretch, self._shed_above_s = 0.0, 1.0, math.inf
        self._windows.note(session.profile, session.prompt_tok)

    def _plan(self, session: Session) -> Plan | None:
        """Return the plan of a request; None to leave it to the device."""
        profile, prompt_tok = session.profile, session.prompt_tok
        interval_s = self._interval_s(profile)
        if self.settings == "fixed":
            return Plan(self.cloud_tok or FIXED_TOK, self.kept_share, interval_s)
        if self.settings == "closed_loop":
            return Plan(None, self.kept_share, interval_s)
        if self.settings == "closed_form":
            return Plan(self._k(profile, prompt_tok, self.kept_share), self.kept_share, interval_s)
        best = cheapest(self._choices(profile, prompt_tok), self._price)
        return None if best.slot_s > self._shed_above_s else Plan(best.cloud_tok, best.kept_share, interval_s)

    # --- serving ----------------------------------------------------------------------------------------------

    def serve(self, session: Session) -> Generator[Any, Any, None]:
        """Serve one request."""
        self._ttft_s = median(self._seen_s)
        self._reprice(session)
        plan = self._plan(session)
        if plan is None:
            yield from alone_at(session, "device", "server")
            return
        is_busy = session.is_device_busy
        if self._is_for_cloud_alone(session, plan, is_busy):
            yield from alone_at(session, "server", "device")
            return
        if is_busy:  # nobody knows when its turn comes
            plan = replace(plan, cloud_tok=None)
        device = absorb(session, session.prompt_tok) if self._starts_at_once(plan.kept_share) else None
        extra = self.attention_cost if plan.kept_share < 1.0 else 0.0
        cloud = session.start("server", at_most_tok=plan.cloud_tok, prefill_factor=1.0 + extra)
        while (yield session.first_token_of(cloud, within_s=self._patience_s(session, device))) is None:
            is_ready = device is not None
            device = device or absorb(session, session.prompt_tok)
            if device.failure and not cloud.has_failed:  # its battery has run low meanwhile
                device = None
                continue
            has_room = session.profile.holds(session.prompt_tok + (plan.cloud_tok or 0))
            if cloud.has_failed or is_ready or not has_room:
                yield from self._without_cloud(session, device)
                return
        session.keep(cloud, losers="run_on")
        first_s = session.now_s
        self._seen_s.append(first_s - session.arrival_s)
        if device is None:
            device = yield from self._refined(session, plan, cloud)
            if device is None:
                return
        self._pace(session, plan, device, first_s)
        received = yield from self._listen(session, plan, cloud, device)
        if session.is_whole(cloud):
            device.stop()
            return
        go_on(session, device, received, session.received_s(cloud, received))
        session.hand_over(device)
        yield session.first_token_of(device)
        yield session.finished()

    def _is_for_cloud_alone(self, session: Session, plan: Plan, is_busy: bool) -> bool:
        """Tell whether the device cannot help: it never catches up, is too small, or is busy and not waited for."""
        known_tok = plan.cloud_tok or 0
        is_too_long = not can_take(session, math.ceil(plan.kept_share * session.prompt_tok) + known_tok)
        never = known_tok >= NEVER and not is_busy
        return never or is_too_long or (is_busy and self.busy_device == "cloud_alone")

    @staticmethod
    def _patience_s(session: Session, device: AbsorbingStream | None) -> float | None:
        """Return how long to wait for the cloud's first token before the device answers, or begins; None for ever.

        A device at work answers when it is ready. One that waits for a refined prompt begins with the whole one after
        the time this takes: so it is never more than twice as late as if it had begun at once (our choice).
        """
        if device is not None:
            ready_s = device.caught_up_s(0)
            return None if ready_s == math.inf else max(0.0, ready_s - session.now_s)
        if session.is_device_busy or not can_take(session, session.prompt_tok):
            return None
        return session.profile.prefill_s(session.prompt_tok)

    @staticmethod
    def _without_cloud(session: Session, device: AbsorbingStream) -> Generator[Any, Any, None]:
        """Let the device answer alone: the cloud refuses, is late, or would send more than the device can hold."""
        if device.failure:
            session.fail()
            return
        go_on(session, device, 0, session.now_s)
        yield session.first_token_of(device)
        session.keep(device)
        yield session.finished()

    def _refined(self, session: Session, plan: Plan, cloud: Stream) -> Generator[Any, Any, AbsorbingStream | None]:
        """Wait for the refined prompt and let the device begin; None where the cloud has given, or gives, all.

        A cloud that is not limited goes on alone where the device has found other work meanwhile, and any where its
        battery has run low.
        """
        if self.refine_delay_s > 0.0:
            yield session.wait(self.refine_delay_s)
        if session.is_whole(cloud):
            return None
        if plan.cloud_tok is None and session.is_device_busy and self.busy_device == "cloud_alone":
            yield session.finished()
            return None
        if is_battery_low(session):
            yield from finish_at(session, cloud)
            return None
        quality = RefinedQuality(self.quality_knee_short, self.quality_knee_long, floor=self.quality_floor)
        assume_device_quality(session, quality.quality(plan.kept_share, session.prompt_tok))
        return absorb(session, math.ceil(plan.kept_share * session.prompt_tok))

    def _listen(self, session: Session, plan: Plan, cloud: Stream, device: AbsorbingStream) -> Generator[Any, Any, int]:
        """Wait for the cloud's tokens; return how many arrived.

        Enough are all that were asked for, what a device has absorbed where their number is open, and what has come
        from a cloud that fell silent. Where the device cannot hold what it received, the cloud goes on alone.
        """
        over = session.finished()
        while True:
            received = session.received_tok(cloud)
            if not session.profile.holds(device.prompt_tok + received):
                device.stop()
                yield over
                return session.received_tok(cloud)
            due_s = device.caught_up_s(received)
            if plan.cloud_tok is not None:
                due_s = max(due_s, session.received_s(cloud, received) + self.silence_s)
            left_s = due_s - session.now_s
            if received == cloud.n_tok or left_s <= 1e-9:
                return received
            yield session.wait(min(left_s, self.look_s)) | over

    def _pace(self, session: Session, plan: Plan, device: AbsorbingStream, first_s: float) -> None:
        profile = session.profile
        expected = plan.cloud_tok
        if expected is None and not device.has_begun:
            expected = NEVER
        elif expected is None:
            lead_s = first_s - (device.foreseen_s(0) - profile.prefill_s(device.prompt_tok))
            expected = smallest_k(profile, device.prompt_tok, lead_s, plan.interval_s, self.slowdown)
        outlook = Outlook(
            hand_over_s=device.foreseen_s(min(expected, NEVER)),
            cloud_tok=expected,
            cloud_gap_s=self._cloud_gap_s,
            device_gap_s=1.0 / profile.decode_tok_per_s,
            limit_s=plan.interval_s,
        )
        pacer = PACERS[self.pacer]()
        session.pace(lambda arrival_s, n_cloud: pacer.display_s(arrival_s, n_cloud, outlook))
