"""Planned requests from the first arrival to the last record, in the order in which their records come out."""

from __future__ import annotations

from collections.abc import Iterator

from simpy.core import EmptySchedule
from simpy.events import Event, Timeout

from discosim.world.dispatched.desk import Desk
from discosim.world.dispatched.pending import Pending


def follow(desk: Desk, size: int, n_at_once: int) -> Iterator[list[Pending]]:
    """Yield requests as their records come out, ``n_at_once`` or some more; all but the last a multiple of ``size``."""
    over, step = list[Pending](), desk.env.step
    _Arriving(desk, over).go_on()
    while True:
        try:
            while len(over) < n_at_once:
                step()
        except EmptySchedule:
            break
        n_whole = len(over) - len(over) % size
        yield over[:n_whole]
        del over[:n_whole]
    if over:
        yield over


class _Arriving:
    """Lets requests arrive as the world does, from one to the next."""

    def __init__(self, desk: Desk, over: list[Pending]) -> None:
        table = desk.table
        self._desk = desk
        self._over = over
        self._arrival_s: list[float] = table.arrival_s.tolist()
        self._rejected: list[bool] = table.rejected.tolist()
        self._next = 0

    def go_on(self, _: Event | None = None) -> None:
        """Take whoever arrives now, and wait for the next."""
        desk, env, arrival_s = self._desk, self._desk.env, self._arrival_s
        for i in range(self._next, len(arrival_s)):
            if arrival_s[i] > env.now:
                self._next = i
                Timeout(env, arrival_s[i] - env.now).callbacks.append(self.go_on)
                return
            pending = Pending(desk, i, self._over)
            if self._rejected[i]:
                self._over.append(pending)
            else:
                pending.arrive()
