"""When a phone would answer: its queue, heat and loaded model, foretold from what was asked of it before."""

from __future__ import annotations

import math
from dataclasses import dataclass

from discosim.world.device import DeviceProfile


@dataclass(frozen=True, slots=True)
class Phone:
    """A device between two requests; the arithmetic is that of `world.device.Device`, without events.

    Parameters
    ----------
    begun_s, end_s : float
        When it turned to its last answer, and when that is done; ``-inf`` before the first.
    heat_s, idle_since_s, loaded_s : float
        Heat when it began that answer, end of the work before it, and since when the model is in memory.
    """

    begun_s: float = -math.inf
    end_s: float = -math.inf
    heat_s: float = 0.0
    idle_since_s: float = 0.0
    loaded_s: float = math.inf

    def ask(self, profile: DeviceProfile, at_s: float, prompt_tok: int, output_tok: int) -> tuple[float, Phone]:
        """Return when the first token of an answer asked for at ``at_s`` comes, and the phone after it.

        Parameters
        ----------
        profile : DeviceProfile
            What phone it is; it must hold the prompt.
        at_s : float
            Not before the moments of earlier calls.
        prompt_tok, output_tok : int
            Lengths.
        """
        begin_s = max(at_s, self.end_s)
        heat_s, idle_since_s = self.heat_s, self.idle_since_s
        if self.end_s > -math.inf:
            heat_s += self.end_s - self.begun_s
            idle_since_s = self.end_s
        idle_s = begin_s - idle_since_s
        room_s, throttle = math.inf, profile.throttle
        if throttle is not None:
            heat_s = max(0.0, min(heat_s, throttle.onset_s) - throttle.cooling * idle_s)
            room_s = throttle.onset_s - heat_s

        def elapsed_s(work_s: float) -> float:
            if throttle is None or work_s <= room_s:
                return work_s
            return room_s + (work_s - room_s) / throttle.sustained

        load_s, loaded_s, cold = 0.0, self.loaded_s, profile.cold_start
        if cold is not None and not (loaded_s <= idle_since_s and idle_s <= cold.keep_s):
            load_s = cold.load_s
            loaded_s = begin_s + elapsed_s(load_s)
        first_work_s = load_s + profile.prefill_s(prompt_tok)
        first_s = begin_s + elapsed_s(first_work_s)
        end_s = begin_s + elapsed_s(first_work_s + (output_tok - 1) / profile.decode_tok_per_s)
        return first_s, Phone(begin_s, end_s, heat_s, idle_since_s, loaded_s)
