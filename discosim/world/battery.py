"""A device's battery: what its streams take from it, and whether it lets another one in.

A stream's whole work counts from the moment the device takes it on, and what a stop spares is given back at once. So no
charge is promised twice, and what is left can fall below the reserve by the work of one stream (and of streams that
were let in with an open end, such as a takeover that has not been told where to begin).

Source: our choice. The reserve is looked at when a stream is asked for, not while it runs: an answer that has begun is
finished. Screen and radio are paid for when a request is closed (`waiting`). The rest of the device takes a constant
power. Nobody charges the battery, which holds for a day at most.
"""

from __future__ import annotations

from typing import Protocol

from discosim.core.scenario import Battery

J_PER_WH = 3600.0
BATTERY_LOW = "battery below its reserve"


class Work(Protocol):
    """The part of a stream that a battery needs."""

    def bill(self) -> tuple[float, int]:
        """Return prompt tokens processed and tokens generated, given every stop so far."""
        ...


class Charge:
    """The charge of one battery.

    Parameters
    ----------
    battery : Battery
        Capacity, start, reserve and what the rest of the device takes.
    prefill_j_per_tok, decode_j_per_tok : float
        Energy of a prompt token and of a decoded token, in J.

    Attributes
    ----------
    n_refused : int
        Streams that were not let in.
    """

    def __init__(self, battery: Battery, prefill_j_per_tok: float, decode_j_per_tok: float) -> None:
        self.capacity_j = battery.capacity_wh * J_PER_WH
        self._start_j = self.capacity_j * battery.start_percent / 100.0
        self._reserve_j = self.capacity_j * battery.reserve_percent / 100.0
        self._drain_w = battery.drain_w
        self._j_per_tok = (prefill_j_per_tok, decode_j_per_tok)
        self._done_j = 0.0
        self._open: list[Work] = []
        self.n_refused = 0

    @classmethod
    def of(cls, battery: Battery | None, prefill_j_per_tok: float, decode_j_per_tok: float) -> Charge | None:
        """Return the charge of a battery; None where there is none."""
        return None if battery is None else cls(battery, prefill_j_per_tok, decode_j_per_tok)

    def is_low(self, now_s: float) -> bool:
        """Tell whether the charge is below the reserve, so that nothing is taken on."""
        return self.left_j(now_s) < self._reserve_j

    def left_j(self, now_s: float) -> float:
        """Return the charge in J, less the work that was let in; below 0 where that and the drain take more."""
        return self._start_j - self.work_j() - self._drain_w * now_s

    def left_percent(self, now_s: float) -> float:
        """Return the charge that the device would show, in [0, 100]."""
        return max(0.0, 100.0 * self.left_j(now_s) / self.capacity_j)

    def work_j(self) -> float:
        """Return what all streams let in have taken, or will if nobody stops them, and what was paid beside, in J."""
        return self._done_j + sum(map(self._joules, self._open))

    def lets_in(self, stream: Work, now_s: float, *, is_idle: bool) -> bool:
        """Let a stream in, or refuse it; ``is_idle`` says that nothing is at work or waits, so that all bills stand."""
        if is_idle and self._open:
            self._done_j = self.work_j()
            self._open.clear()
        if self.is_low(now_s):
            self.n_refused += 1
            return False
        self._open.append(stream)
        return True

    def pay(self, joules: float) -> None:
        """Take off what screen and radio took for a request that is closed."""
        self._done_j += joules

    def _joules(self, stream: Work) -> float:
        prompt_tok, output_tok = stream.bill()
        return prompt_tok * self._j_per_tok[0] + output_tok * self._j_per_tok[1]
