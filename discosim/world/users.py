"""Users of a closed loop: who asks again when an answer has ended, one by one or in waves."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import simpy
from simpy.events import Event, Timeout

from discosim.core.request import Loop, RequestTable
from discosim.world.cards import Card, cards_of

Answered = Callable[[], None]
Send = Callable[[Card, bool, Answered], None]


class Users:
    """Sends the requests of a closed loop; request i is of user i modulo their number.

    So request k of a user is the same one, with the same lengths, time to think and luck, whatever the policy and
    whenever it comes.

    Parameters
    ----------
    env : simpy.Environment
        The clock.
    table : RequestTable
        The requests; when they arrive is found out here.
    loop : Loop
        How many users there are, and how long they think.
    send : callable
        Takes a request, whether a limit rejects it, and what to call when its answer has ended at the client.
    """

    def __init__(self, env: simpy.Environment, table: RequestTable, loop: Loop, send: Send) -> None:
        self._env = env
        self._cards = list(cards_of(table))
        self._rejected: list[bool] = table.rejected.tolist()
        self._think_s: list[float] = loop.think_s.tolist()
        self._n_users = loop.n_users
        self._in_waves = loop.in_waves
        self._send = send
        self._n_out = 0  # requests of the wave whose answers have not ended

    def begin(self) -> None:
        """Let all users think before their first requests."""
        self._wave(0)

    def _wave(self, first: int) -> None:
        ids = range(first, min(first + self._n_users, len(self._cards)))
        self._n_out = len(ids)
        for i in ids:
            self._think(i, self._think_s[first if self._in_waves else i])

    def _think(self, request_id: int, think_s: float) -> None:
        Timeout(self._env, think_s).callbacks.append(partial(self._ask, request_id))

    def _ask(self, request_id: int, _: Event) -> None:
        card = self._cards[request_id]
        card.arrival_s = self._env.now
        self._send(card, self._rejected[request_id], partial(self._answered, request_id))

    def _answered(self, request_id: int) -> None:
        if not self._in_waves:
            following = request_id + self._n_users
            if following < len(self._cards):
                self._think(following, self._think_s[following])
            return
        self._n_out -= 1
        if self._n_out == 0:
            self._wave(request_id - request_id % self._n_users + self._n_users)
