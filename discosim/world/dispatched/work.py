"""What a user's device does for a planned request, as `DeviceStream` has it on a device that is plain."""

from __future__ import annotations

import math
from typing import Protocol

import simpy
from simpy.events import Event, Timeout

from discosim.world.dispatched.phone import Phone


class HearsDevice(Protocol):
    """Who is to hear of it."""

    def on_device(self, work: Work) -> None:
        """Hear that its first token is there."""
        ...


class Work:
    """One stream from a device.

    Parameters
    ----------
    env : simpy.Environment
        The clock of the world.
    owner : HearsDevice
        Who is to hear of its first token.
    work_s, gap_s, decode_s : float
        Time until the first token, between two tokens, and for all tokens but the first.

    Attributes
    ----------
    begin_s, prefill_end_s : float
        When the device has turned to it, and when that yields the first token; inf where it has not.
    is_prefill_only : bool
        Whether the prefill has to be finished for nothing.
    """

    __slots__ = ("_env", "_owner", "_work_s", "begin_s", "decode_s", "gap_s", "is_prefill_only", "prefill_end_s")

    def __init__(
        self, env: simpy.Environment, owner: HearsDevice, work_s: float, gap_s: float, decode_s: float
    ) -> None:
        self._env = env
        self._owner = owner
        self._work_s = work_s
        self.gap_s = gap_s
        self.decode_s = decode_s
        self.begin_s = self.prefill_end_s = math.inf
        self.is_prefill_only = False

    def begin(self) -> float:
        """Begin now, and return when it would end."""
        self.begin_s = now_s = self._env.now
        self.prefill_end_s = end_s = now_s + self._work_s
        if self.is_prefill_only:
            return end_s
        Timeout(self._env, max(0.0, end_s - now_s)).callbacks.append(self._speak)
        return self.decode_s + end_s

    def over_s(self) -> float:
        """Return when its last token is made, once it has begun."""
        return self.decode_s + self.prefill_end_s

    def stop(self, phone: Phone, *, finish_prefill: bool = False) -> None:
        """Stop now, or at the end of a prefill that has to be finished."""
        free_s = now_s = self._env.now
        if finish_prefill and now_s < self.prefill_end_s:
            self.is_prefill_only = True
            if self.begin_s == math.inf:  # its turn comes all the same
                return
            free_s = self.prefill_end_s
        phone.release(self, free_s)

    def _speak(self, _: Event) -> None:
        self._owner.on_device(self)
