"""When a phone would answer: its queue, heat and loaded model, foretold from what was asked of it before."""

from __future__ import annotations

import math
from dataclasses import dataclass

from discosim.world.device_profile import DeviceProfile
from discosim.world.noise import NONE, Noise
from discosim.world.pace import Pace, TwoSpeeds, Warming


@dataclass(frozen=True, slots=True)
class Phone:
    """A device between two requests; the arithmetic is that of `world.device.Device`, without events.

    Parameters
    ----------
    begun_s, end_s : float
        When it turned to its last answer, and when that is done; ``-inf`` before the first.
    heat_s, idle_since_s, loaded_s : float
        Busy time that had not cooled off when it began that answer, end of the work before it, and since when the model
        is in memory.
    heat : float or None
        Heat at the end of that answer, where the profile has a law of it; None before the first.
    is_warm : bool
        Whether a first request has been served since the model was loaded.
    """

    begun_s: float = -math.inf
    end_s: float = -math.inf
    heat_s: float = 0.0
    idle_since_s: float = 0.0
    loaded_s: float = math.inf
    heat: float | None = None
    is_warm: bool = False

    def ask(
        self, profile: DeviceProfile, at_s: float, prompt_tok: int, output_tok: int, noise: Noise = NONE
    ) -> tuple[float, Phone]:
        """Return when the first token of an answer asked for at ``at_s`` comes, and the phone after it.

        Parameters
        ----------
        profile : DeviceProfile
            What phone it is; it must hold the prompt.
        at_s : float
            Not before the moments of earlier calls.
        prompt_tok, output_tok : int
            Lengths.
        noise : Noise
            What the request meets beside the line.
        """
        begin_s = max(at_s, self.end_s)
        heat_s, idle_since_s = self.heat_s, self.idle_since_s
        if self.end_s > -math.inf:
            heat_s += self.end_s - self.begun_s
            idle_since_s = self.end_s
        idle_s = begin_s - idle_since_s
        pace: Pace | None = None
        if profile.throttle is not None:
            throttle = profile.throttle
            heat_s = max(0.0, min(heat_s, throttle.onset_s) - throttle.cooling * idle_s)
            pace = TwoSpeeds(throttle.onset_s - heat_s, throttle.sustained)
        elif profile.heat is not None:
            heat = profile.heat_at_start if self.heat is None else self.heat
            pace = Warming(profile.heat, heat * math.exp(-idle_s / profile.heat.cooling_s))

        def elapsed_s(work_s: float) -> float:
            return work_s if pace is None else pace.elapsed_s(work_s)

        load_s, loaded_s, is_warm, cold = 0.0, self.loaded_s, self.is_warm, profile.cold_start
        if cold is not None and not (loaded_s <= idle_since_s and idle_s <= cold.keep_s):
            load_s, is_warm = cold.load_s or 0.0, False
            loaded_s = begin_s + elapsed_s(load_s)
        first = 1.0 if is_warm else profile.first
        stall_s = noise.stall_s
        if pace is not None and stall_s > 0.0:
            stall_s = pace.work_s(elapsed_s(load_s) + stall_s) - load_s
        first_work_s = load_s + (stall_s + profile.prefill_s(prompt_tok) * noise.prefill * first)
        first_s = begin_s + elapsed_s(first_work_s)
        rest_s = (output_tok - 1) / profile.decode_tok_per_s * noise.decode
        end_s = begin_s + elapsed_s(first_work_s + rest_s)
        hot = None if pace is None else pace.heat_after(end_s - begin_s)
        return first_s, Phone(begin_s, end_s, heat_s, idle_since_s, loaded_s, hot, is_warm=True)
