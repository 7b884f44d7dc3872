"""A user's device: one request decodes at a time, first in first out.

Prefill takes ``intercept + s_per_tok * tokens``, or whole chunks of it on an NPU with fixed graphs; the last prefill
pass yields the first token, the others follow at the decode rate. What was measured beside this line is drawn for each
request (`noise`). A device that has been busy for long can get slow (`pace`); one that has been idle for long may have
to load its model anew.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
import simpy
from numpy.typing import NDArray
from simpy.events import Event, Timeout

from discosim.world.battery import BATTERY_LOW, Charge
from discosim.world.device_profile import DeviceProfile
from discosim.world.noise import NONE, Noise
from discosim.world.pace import Pace, TwoSpeeds, Warming
from discosim.world.rounding import ROUNDING
from discosim.world.stream import Stream, ramp
from discosim.world.waiting import Phone

Floats = NDArray[np.float64]


class DeviceStream(Stream):
    """A stream from a device; its timeline is promised when the device turns to it."""

    __slots__ = (
        "_begin_s",
        "_first",
        "_is_prefill_only",
        "_load_s",
        "_noise",
        "_pace",
        "_prefill_end_s",
        "_prefill_s",
        "_stall_s",
        "_stop_s",
        "device",
        "gap_s",
    )

    endpoint = "device"

    def __init__(self, device: Device, prompt_tok: int, first_token: int, n_tok: int, noise: Noise = NONE) -> None:
        super().__init__(device.env, prompt_tok, first_token, n_tok)
        self.device = device
        self.gap_s = device.gap_s * noise.decode
        self._noise = noise
        self._begin_s = math.inf
        self._load_s = self._stall_s = 0.0
        self._first = 1.0
        self._prefill_s = math.inf
        self._prefill_end_s = math.inf
        self._stop_s = math.inf
        self._pace: Pace | None = None
        self._is_prefill_only = False

    def begin(self, pace: Pace | None, load_s: float, first: float) -> float:
        """Start the work now and return when it would end.

        Parameters
        ----------
        pace : Pace or None
            How fast work goes from now on; None for full speed throughout.
        load_s : float
            Work of loading the model first, in s at full speed.
        first : float
            How much longer the work before the first token takes because it is the first after a start, >= 1.
        """
        self._set_out(pace, load_s, first)
        now_s = self._begin_s
        self._prefill_s = load_s + (self._stall_s + self._first_work_s())
        self._prefill_end_s = now_s + self._elapsed_s(self._prefill_s)
        if self._is_prefill_only:
            self._stop_s = self._prefill_end_s
            return self._prefill_end_s
        self.promise(self._prefill_end_s)
        if self._is_asked:
            self._move()
        return self.last_arrival_s()

    def _set_out(self, pace: Pace | None, load_s: float, first: float) -> None:
        """Note when and how the work begins."""
        self._begin_s = self.env.now
        self._pace = pace
        self._load_s = load_s
        self._first = first
        self._stall_s = self._stall_work_s()

    def _stall_work_s(self) -> float:
        """Return the work that a stall right after the load keeps the device from, in s at full speed."""
        stall_s, pace = self._noise.stall_s, self._pace
        if pace is None or stall_s == 0.0:
            return stall_s
        return pace.work_s(pace.elapsed_s(self._load_s) + stall_s) - self._load_s

    def is_known(self) -> bool:
        """Tell whether its timeline is known: the device has turned to it."""
        return self._prefill_end_s < math.inf and not self.failure

    def over_s(self) -> float:
        """Return when nothing more will reach the client; inf while it is queued."""
        if self._prefill_end_s < math.inf and not self.failure:
            return self.last_arrival_s()
        # one that was stopped has left the queue, and whatever it still prefills nobody sees
        return self.env.now if self.is_stopped else self._failed_s

    def _first_work_s(self) -> float:
        """Return the work before the first token, in s at full speed, load and stall left out."""
        return self.device.profile.prefill_s(self.prompt_tok) * self._noise.prefill * self._first

    def loaded_s(self) -> float:
        """Return when the model is in memory; the prefill begins then."""
        return self._begin_s + self._elapsed_s(self._load_s)

    def warm_s(self) -> float:
        """Return when the work before the first token is done, after which the runtime is warm; inf while unknown."""
        return self._prefill_end_s

    def heat_at(self, end_s: float) -> float:
        """Return the heat of the device where it turns away at ``end_s``; 0 where none is kept."""
        return 0.0 if self._pace is None else self._pace.heat_after(end_s - self._begin_s)

    def _elapsed_s(self, work_s: float) -> float:
        return work_s if self._pace is None else self._pace.elapsed_s(work_s)

    def _make_generated(self) -> Floats:
        if self._pace is None:
            times_s: Floats = ramp(self.n_tok) * self.gap_s
            times_s += self._prefill_end_s
            return times_s
        return self._pace.timeline_s(self._begin_s, self._prefill_s, self.gap_s, self.n_tok)

    def last_arrival_s(self) -> float:
        """Return when the last token is generated, without making the whole timeline."""
        work_s = (self.n_tok - 1) * self.gap_s
        if self._pace is None:
            return work_s + self._prefill_end_s
        return self._pace.elapsed_s(work_s + self._prefill_s) + self._begin_s

    def stop(self, *, finish_prefill: bool = False) -> None:
        """Stop now, or at the end of a prefill that has to be finished; a device hears of it at once."""
        if self.is_stopped:
            return
        now_s = self.env.now
        if finish_prefill and now_s < self._prefill_end_s:
            self._is_prefill_only = True
            if self._begin_s < math.inf:
                self._stop_s = self._prefill_end_s
                self.device.release(self, self._prefill_end_s)
        else:
            self._stop_s = now_s * ROUNDING
            self.device.release(self, now_s)
        self._hush()
        if self._is_asked:
            self._move()

    def bill(self) -> tuple[float, int]:
        """Return prompt tokens worked on and tokens generated up to the stop.

        Time inside a prefill is shared out evenly over its tokens; a finished prefill has yielded its first token.
        """
        if self.failure:
            return 0.0, 0
        if not self.is_stopped:
            return float(self.prompt_tok), self.n_tok
        if self._is_prefill_only:
            return float(self.prompt_tok), 1
        if self._begin_s == math.inf:
            return 0.0, 0
        if self._stop_s < self._prefill_end_s:
            return self.prompt_tok * self._prefilled_share(), 0
        return float(self.prompt_tok), int(self.generated_s.searchsorted(self._stop_s, side="right"))

    def _prefilled_share(self) -> float:
        """Return the share of the prefill's time that had passed at the stop, in [0, 1]."""
        loaded_s = self.loaded_s()
        if self._stop_s <= loaded_s:
            return 0.0
        return (self._stop_s - loaded_s) / (self._prefill_end_s - loaded_s)


class Device:
    """Serves streams one after the other.

    A small state machine on SimPy events rather than a process of its own: a process would cost two more events a
    request, and the device is on every request's path. For the same reason the end of a stream is an event only
    while another one waits for it.

    The heat of a throttled device is the busy time it has not yet cooled off; above the onset all work is slowed. Where
    the profile has a law of heat, the heat follows that: it rises while the device is busy with requests, be it that
    they load, stall or wait for tokens of somebody else, and falls while it is idle.
    """

    def __init__(self, env: simpy.Environment, profile: DeviceProfile) -> None:
        self.env = env
        self.profile = profile
        self.gap_s = 1.0 / profile.decode_tok_per_s
        self._current: DeviceStream | None = None
        self._begun_s = 0.0
        self._end_s = -math.inf
        self._waiting: deque[DeviceStream] = deque()
        self._next_turn: Event | None = None
        self._heat_s = 0.0
        self._heat = profile.heat_at_start
        self._idle_since_s = 0.0
        self._loaded_s = math.inf
        self.charge = Charge.of(profile.battery, profile.prefill_j_per_tok, profile.decode_j_per_tok)
        self.phone = None if profile.waiting is None else Phone(profile.waiting)
        self._is_warm = False

    @property
    def is_busy(self) -> bool:
        """Whether a stream is being served or queued."""
        return self.env.now < self._end_s or bool(self._waiting)

    def start(self, prompt_tok: int, first_token: int, n_tok: int, noise: Noise = NONE) -> DeviceStream:
        """Take a stream on, or queue it; it fails at once as `take` says."""
        stream = DeviceStream(self, prompt_tok, first_token, n_tok, noise)
        self.take(stream)
        return stream

    def take(self, stream: DeviceStream) -> None:
        """Begin a stream, or queue it; it fails at once where its prompt does not fit or the battery is low."""
        if not self.profile.holds(stream.prompt_tok):
            stream.promise_failure(self.env.now, "prompt longer than the device's context")
        elif self.charge is not None and not self.charge.lets_in(stream, self.env.now, is_idle=not self.is_busy):
            stream.promise_failure(self.env.now, BATTERY_LOW)
        elif self.is_busy:
            self._waiting.append(stream)
            if len(self._waiting) == 1:
                self._turn_at(self._end_s)
        else:
            self._close()
            self._begin(stream)

    def extend(self, stream: DeviceStream, end_s: float) -> None:
        """Take note of the end of the current stream, which was open until now."""
        if stream is self._current:
            self._end_s = end_s
            if self._waiting:
                self._turn_at(end_s)

    def release(self, stream: DeviceStream, at_s: float) -> None:
        """Turn away from a stopped stream, queued or current, at ``at_s`` (now or later)."""
        if stream is not self._current:
            if stream in self._waiting:
                self._waiting.remove(stream)
        elif at_s < self._end_s:
            self._end_s = at_s
            if self._waiting:
                self._turn_at(at_s)

    def _turn_at(self, at_s: float) -> None:
        if at_s == math.inf:  # whoever works now has no end yet
            return
        self._next_turn = Timeout(self.env, max(0.0, at_s - self.env.now))
        self._next_turn.callbacks.append(self._turn)

    def _turn(self, turn: Event) -> None:
        """Take the next stream on, unless the current one was told in the meantime to end earlier or has ended.

        The event itself says which turn is due: its time may differ from the promised end by a rounding error.
        """
        if turn is self._next_turn and self._waiting:
            self._close()
            self._begin(self._waiting.popleft())

    def _close(self) -> None:
        if self._current is not None:
            self._heat_s += self._end_s - self._begun_s
            self._heat = self._current.heat_at(self._end_s)
            self._is_warm = self._is_warm or self._current.warm_s() <= self._end_s
            self._idle_since_s = self._end_s
            self._current = None

    def _begin(self, stream: DeviceStream) -> None:
        self._current = stream
        self._begun_s = self.env.now
        is_loaded = self._is_loaded()
        if not is_loaded:
            self._is_warm = False
        load_s = 0.0 if is_loaded or self.profile.cold_start is None else self.profile.cold_start.load_s or 0.0
        self._end_s = stream.begin(self._pace(), load_s, 1.0 if self._is_warm else self.profile.first)
        if not is_loaded:
            self._loaded_s = stream.loaded_s()
        if self._waiting:
            self._turn_at(self._end_s)

    def _is_loaded(self) -> bool:
        """Tell whether the model is in memory for the next stream; a load that was broken off begins anew."""
        cold = self.profile.cold_start
        if cold is None:
            return True
        return self._loaded_s <= self._idle_since_s and self.env.now - self._idle_since_s <= cold.keep_s

    def _pace(self) -> Pace | None:
        """Return how fast the work of the next stream goes; None for full speed throughout."""
        profile = self.profile
        idle_s = self.env.now - self._idle_since_s
        if profile.heat is not None:
            return Warming(profile.heat, self._heat * math.exp(-idle_s / profile.heat.cooling_s))
        throttle = profile.throttle
        if throttle is None:
            return None
        # Heat beyond the onset does not pile up: the sustained speed is where the phone stays cool enough.
        self._heat_s = max(0.0, min(self._heat_s, throttle.onset_s) - throttle.cooling * idle_s)
        return TwoSpeeds(throttle.onset_s - self._heat_s, throttle.sustained)
