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
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from discosim.core.spec import spec
from discosim.policies.base import Policy
from discosim.policies.catch_up import NEVER, Choice, cheapest, occupied_s, shadow_price, smallest_k
from discosim.policies.pacers.base import Outlook, Pacer
from discosim.policies.pacers.constant import ConstantPacer
from discosim.policies.pacers.continuity import ContinuityPacer
from discosim.policies.pacers.feedback import FeedbackPacer
from discosim.policies.pacers.none import NoPacer
from discosim.policies.refinement import RefinedQuality

if TYPE_CHECKING:
    from discosim.policies.view import View
    from discosim.world.absorbing import AbsorbingStream
    from discosim.world.device import DeviceProfile
    from discosim.world.session import Session
    from discosim.world.stream import Stream

Settings = Literal["closed_form", "fixed", "closed_loop", "priced"]
PACERS: dict[str, type[Pacer]] = {
    "constant": ConstantPacer,
    "continuity": ContinuityPacer,
    "feedback": FeedbackPacer,
    "none": NoPacer,
}
SHARES = (1.0, 0.75, 0.5, 0.35, 0.25)
STRETCHES = (1.0, 1.5, 2.0)  # how far load may stretch the display interval; our choice
SAMPLE = 500


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
        "All laws are reconstructed. A busy device is not waited for: the cloud answers alone. The cloud's own extra "
        "work for a refinement shows as `refine_delay_s` only; its GPU time is not charged."
    )

    settings: Settings = spec(
        "closed_form",
        doc="Who chooses K: the closed form for K_min, a fixed number, the device's STOP on catching up (closed_loop), "
        "or a price on the cloud's slots (priced; chooses the kept share too).",
    )
    cloud_tok: int = spec(32, doc="K where it is fixed; 1 is 'first token only'.", unit="tokens", ge=1)
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
    kept_share: float = spec(1.0, doc="Share of the prompt that a refinement keeps (rho).", gt=0, le=1)
    refine_delay_s: float = spec(
        0.0, doc="From the first token to the refined prompt, what exposing attention costs included.", unit="s", ge=0
    )
    slowdown: float = spec(1.0, doc="Factor on the device's prefill time for a cautious K (a quantile of it).", ge=1)
    slot_limit_s: float | None = spec(
        None,
        doc="Slot seconds of the cloud per request (slots over arrival rate) that `settings: priced` keeps to.",
        gt=0,
    )
    quality_knee_short: float = spec(0.75, doc="Kept share below which quality falls, short prompts.", gt=0, le=1)
    quality_knee_long: float = spec(0.35, doc="The same for prompts of 4,000 tokens and more.", gt=0, le=1)
    quality_floor: float = spec(0.25, doc="Relative quality without any prompt.", ge=0, le=1)

    _ttft_s: float = field(init=False, repr=False, default=0.0)
    _cloud_gap_s: float = field(init=False, repr=False, default=0.0)
    _up_s: float = field(init=False, repr=False, default=0.0)
    _price: float = field(init=False, repr=False, default=0.0)
    _stretch: float = field(init=False, repr=False, default=1.0)
    _shed_above_s: float = field(init=False, repr=False, default=math.inf)
    _past_outputs: Any = field(init=False, repr=False, default=None)

    def prepare(self, view: View) -> None:
        """Estimate the cloud's first token (its median, our choice) and speed from history; price the cloud's slots."""
        finite = view.server_ttft_s[np.isfinite(view.server_ttft_s)]
        self._ttft_s = float(np.median(finite)) if finite.size else math.inf
        self._cloud_gap_s = view.server_tpot_s
        self._up_s = view.link_delay_s
        self._past_outputs = np.sort(view.output_tok)
        if self.settings == "priced":
            self._set_price(view)

    # --- settings ---------------------------------------------------------------------------------------------

    def _interval_s(self, profile: DeviceProfile) -> float:
        floor_s = 1.0 / profile.decode_tok_per_s if self.keep_device_pace else 0.0
        return max(self._stretch * self.tpot_limit_s, self._cloud_gap_s, floor_s)

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
            mean_tok = float(np.minimum(self._past_outputs, k).mean())
            made.append(
                Choice(share, k, occupied_s(prefill_s, mean_tok, self._cloud_gap_s), quality.quality(share, prompt_tok))
            )
        return made

    def _set_price(self, view: View) -> None:
        """Climb the ladder: a price on slots (lower kept shares), then longer intervals, then device-only."""
        limit_s = self.slot_limit_s or math.inf
        total = sum(share for _, share in view.fleet)
        prompts = view.prompt_tok[:SAMPLE].tolist()

        def options() -> list[list[Choice]]:
            kinds = [profile for profile, share in view.fleet for _ in range(max(1, round(20 * share / total)))]
            return [self._choices(kinds[i % len(kinds)], tok) for i, tok in enumerate(prompts)]

        for stretch in STRETCHES:
            self._stretch = stretch
            self._price = shadow_price(options, limit_s)
            if self._price < math.inf:
                return
        self._price = 1e9
        slots = np.sort([cheapest(choices, self._price).slot_s for choices in options()])
        within = np.cumsum(slots) / slots.size <= limit_s
        self._shed_above_s = float(slots[int(within.sum()) - 1]) if within.any() else 0.0

    def _plan(self, session: Session) -> Plan | None:
        """Return the plan of a request; None to leave it to the device."""
        profile, prompt_tok = session.profile, session.prompt_tok
        interval_s = self._interval_s(profile)
        if self.settings == "fixed":
            return Plan(self.cloud_tok, self.kept_share, interval_s)
        if self.settings == "closed_loop":
            return Plan(None, self.kept_share, interval_s)
        if self.settings == "closed_form":
            return Plan(self._k(profile, prompt_tok, self.kept_share), self.kept_share, interval_s)
        best = cheapest(self._choices(profile, prompt_tok), self._price)
        return None if best.slot_s > self._shed_above_s else Plan(best.cloud_tok, best.kept_share, interval_s)

    # --- serving ----------------------------------------------------------------------------------------------

    def serve(self, session: Session) -> Generator[Any, Any, None]:
        """Serve one request."""
        plan = self._plan(session)
        if plan is None:
            yield from self._alone(session, "device")
            return
        limit = session.profile.max_context_tok
        longest = plan.kept_share * session.prompt_tok + (0 if plan.cloud_tok is None else plan.cloud_tok)
        never = plan.cloud_tok is not None and plan.cloud_tok >= NEVER
        if session.is_device_busy or never or (limit is not None and longest > limit):
            yield from self._alone(session, "server")
            return
        device = session.absorb(session.prompt_tok) if self._starts_at_once(plan.kept_share) else None
        cloud = session.start("server", at_most_tok=plan.cloud_tok)
        if (yield session.first_token_of(cloud)) is None:
            yield from self._without_cloud(session, device)
            return
        session.keep(cloud, losers="run_on")
        first_s = session.now_s
        if device is None:
            device = yield from self._refined(session, plan, cloud)
            if device is None:
                return
        self._pace(session, plan, device, first_s)
        if plan.cloud_tok is None:
            received = yield from self._until_caught_up(session, cloud, device)
        else:
            yield session.finished()
            received = cloud.n_tok
        if session.is_whole(cloud):
            device.stop()
            return
        session.go_on(device, received, session.received_s(cloud, received))
        session.hand_over(device)
        yield session.first_token_of(device)
        yield session.finished()

    def _alone(self, session: Session, endpoint: str) -> Generator[Any, Any, None]:
        stream = session.start(endpoint)
        if (yield session.first_token_of(stream)) is None:
            other = session.start("server" if endpoint == "device" else "device")
            if (yield session.first_token_of(other)) is None:
                session.fail()
                return
            stream = other
        session.keep(stream)
        yield session.finished()

    def _without_cloud(self, session: Session, device: AbsorbingStream | None) -> Generator[Any, Any, None]:
        """Let the device answer alone when the cloud refuses."""
        if device is None:
            device = session.absorb(session.prompt_tok)
        if device.failure:
            session.fail()
            return
        session.go_on(device, 0, session.now_s)
        yield session.first_token_of(device)
        session.keep(device)
        yield session.finished()

    def _refined(self, session: Session, plan: Plan, cloud: Stream) -> Generator[Any, Any, AbsorbingStream | None]:
        """Wait for the refined prompt and let the device begin; None where the cloud has given, or gives, all.

        A cloud that is not limited goes on alone where the device has found other work meanwhile.
        """
        if self.refine_delay_s > 0.0:
            yield session.wait(self.refine_delay_s)
        if session.is_whole(cloud):
            return None
        if plan.cloud_tok is None and session.is_device_busy:
            yield session.finished()
            return None
        quality = RefinedQuality(self.quality_knee_short, self.quality_knee_long, floor=self.quality_floor)
        session.assume_quality(quality.quality(plan.kept_share, session.prompt_tok))
        return session.absorb(math.ceil(plan.kept_share * session.prompt_tok))

    def _until_caught_up(self, session: Session, cloud: Stream, device: AbsorbingStream) -> Generator[Any, Any, int]:
        """Wait until the device has absorbed all that has arrived, or the answer is over; return how many arrived."""
        over = session.finished()
        while True:
            received = session.received_tok(cloud)
            left_s = device.caught_up_s(received) - session.now_s
            if session.is_whole(cloud) or left_s <= 1e-9:
                return received
            yield session.wait(left_s) | over

    def _pace(self, session: Session, plan: Plan, device: AbsorbingStream, first_s: float) -> None:
        profile = session.profile
        expected = plan.cloud_tok
        if expected is None:
            lead_s = first_s - (device.caught_up_s(0) - profile.prefill_s(device.prompt_tok))
            expected = smallest_k(profile, device.prompt_tok, lead_s, plan.interval_s, self.slowdown)
        outlook = Outlook(
            hand_over_s=device.caught_up_s(min(expected, NEVER)),
            cloud_tok=expected,
            cloud_gap_s=self._cloud_gap_s,
            device_gap_s=1.0 / profile.decode_tok_per_s,
            limit_s=plan.interval_s,
        )
        pacer = PACERS[self.pacer]()
        session.pace(lambda arrival_s, n_cloud: pacer.display_s(arrival_s, n_cloud, outlook))
