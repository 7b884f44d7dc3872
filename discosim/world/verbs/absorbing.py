"""A device that prefills while somebody else already answers, and takes over where the other stops.

The device prefills the prompt, absorbs the tokens it receives meanwhile as more prompt, and goes on with the next token
as soon as it is told after which one: token K + 1 comes at ``max(begin + P(prompt) + K / r, A_K + 1 / r)``, where A_K
is the arrival of token K and r the rate of the device's prefill.

Source: our reconstruction of P/D-Device (arXiv 2508.09035; the abstract gives the mechanism, no equation of it is
public): H = max(s + P_d(rho L) + K / r_d, A_K + e), with e the time of one absorbed token.
"""

from __future__ import annotations

import math

import numpy as np

from discosim.core.errors import InvariantError
from discosim.world.device import Device, DeviceStream, Floats
from discosim.world.noise import NONE, Noise
from discosim.world.pace import Pace
from discosim.world.session import Session


def absorb(session: Session, prompt_tok: int) -> AbsorbingStream:
    """Let the device prefill ``prompt_tok`` >= 1 tokens, and whatever it receives meanwhile, without answering."""
    device = session.setting.fleet.device_of(session.user_id)
    stream = AbsorbingStream(device, prompt_tok, session.setting.fleet.noise_of(session.card))
    device.take(stream)
    session.take(stream)
    return stream


def go_on(session: Session, stream: AbsorbingStream, after_token: int, received_s: float) -> None:
    """Let the device answer after token ``after_token`` (0 for all of it), which arrived at ``received_s``."""
    stream.go_on(after_token, session.card.output_tok - after_token, received_s)


def assume_device_quality(session: Session, factor: float) -> None:
    """Note that what the device writes is assumed to be worth ``factor`` of what it would be worth otherwise."""
    session.writing.device_factor = factor


class AbsorbingStream(DeviceStream):
    """A device stream whose first token is not known when it begins; see the module."""

    __slots__ = ("_absorbed_s", "_is_told", "_own_tok")

    def __init__(self, device: Device, prompt_tok: int, noise: Noise = NONE) -> None:
        super().__init__(device, prompt_tok, 1, 0, noise)
        self._own_tok = prompt_tok
        self._absorbed_s = -math.inf
        self._is_told = False

    @property
    def has_begun(self) -> bool:
        """Whether the device works on it, or has worked on it."""
        return self._begin_s < math.inf

    def caught_up_s(self, n_received: int) -> float:
        """Return when prompt and ``n_received`` tokens will have been absorbed if no more come; inf while queued."""
        if not self.has_begun:
            return math.inf
        return self._begin_s + self._elapsed_s(self._work_s(n_received))

    def foreseen_s(self, n_received: int) -> float:
        """Return :meth:`caught_up_s` as a policy may foresee it: by the line, without this request's noise."""
        if not self.has_begun:
            return math.inf
        profile = self.device.profile
        work_s = self._load_s + profile.prefill_s(self._own_tok) + n_received * profile.prefill_s_per_tok
        return self._begin_s + self._elapsed_s(work_s)

    def warm_s(self) -> float:
        """Return when its own prompt is prefilled; inf while queued."""
        return self.caught_up_s(0)

    def _work_s(self, n_received: int) -> float:
        own_s = self._load_s + (self._stall_s + self._own_work_s())
        return own_s + n_received * self._each_s()

    def _own_work_s(self) -> float:
        return self.device.profile.prefill_s(self._own_tok) * self._noise.prefill * self._first

    def _each_s(self) -> float:
        """Return the work of one absorbed token."""
        return self.device.profile.prefill_s_per_tok * self._noise.prefill

    def begin(self, pace: Pace | None, load_s: float, first: float) -> float:
        """Start the prefill now; the end is open until :meth:`go_on` has been called."""
        self._set_out(pace, load_s, first)
        if self._is_told:
            return self._plan()
        self._move()
        return math.inf

    def go_on(self, after_token: int, n_tok: int, received_s: float) -> None:
        """Generate the ``n_tok`` tokens after ``after_token``, which arrived at ``received_s``."""
        if self._is_told or self.is_stopped or n_tok < 1:
            raise InvariantError(f"a device was told to go on after token {after_token} when it could not")
        self._is_told = True
        self.first_token, self.n_tok = after_token + 1, n_tok
        self.prompt_tok = self._own_tok + after_token
        self._absorbed_s = received_s + (self._each_s() if after_token else 0.0)
        if self.has_begun:
            self.device.extend(self, self._plan())

    def _plan(self) -> float:
        """Promise the first token, and return when the last one comes."""
        work_s = self._work_s(self.first_token - 1)
        elapsed_s = max(self._elapsed_s(work_s), self._absorbed_s - self._begin_s, self.env.now - self._begin_s)
        # as if waiting for tokens were work
        self._prefill_s = elapsed_s if self._pace is None else self._pace.work_s(elapsed_s)
        # not by a rounding error before the token that was absorbed last
        self._prefill_end_s = max(self._begin_s + elapsed_s, self._absorbed_s, self.env.now)
        self.promise(self._prefill_end_s)
        self._move()
        return self.last_arrival_s()

    def _make_generated(self) -> Floats:
        times_s = super()._make_generated()
        np.maximum(times_s, self._prefill_end_s, out=times_s)
        return times_s

    def bill(self) -> tuple[float, int]:
        """Return prompt tokens worked on and tokens generated up to the stop."""
        if self._is_told or self.failure or not self.has_begun:
            return super().bill()
        own_s = self._elapsed_s(self._work_s(0)) - self._elapsed_s(self._load_s)
        done = min(1.0, (self._stop_s - self.loaded_s()) / own_s) if own_s > 0.0 else 1.0
        return self._own_tok * max(0.0, done), 0

    def stop(self, *, finish_prefill: bool = False) -> None:
        """Stop now; a prefill without an end of its own cannot be finished."""
        super().stop(finish_prefill=finish_prefill and self._is_told)
