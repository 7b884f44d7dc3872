"""Boxes that work in rounds: a batch begins together, and the box turns to the next when its last sequence is done.

Source: the rounds of the completion-time model T_exp = sum over rounds of (longest segment)*(token time of the batch),
our reconstruction of PICE's parallel expansion (arXiv 2501.09367), whose own equations could not be read.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

import simpy
from simpy.events import Event, Timeout

from discosim.world.edge.lists import JobLists
from discosim.world.edge.model import BoxModel
from discosim.world.edge.stream import EdgeStream
from discosim.world.link import Link
from discosim.world.turn import Turn


class Box:
    """One edge box.

    Attributes
    ----------
    n_open : int
        Sequences of its round that are not done.
    free_s : float
        When its round ends, if nobody stops.
    contexts : OrderedDict
        Prompts in memory and their tokens, the longest unused first; a round need not prefill them again.
    """

    __slots__ = ("contexts", "free_s", "n_open", "round_begin_s")

    def __init__(self) -> None:
        self.n_open = 0
        self.free_s = 0.0
        self.contexts: OrderedDict[tuple[int, int], int] = OrderedDict()
        self.round_begin_s = 0.0

    def remember(self, batch: list[EdgeStream], memory_tok: int) -> None:
        """Keep the prompts of a batch, and others as long as memory allows, the least recently used out first."""
        contexts = self.contexts
        for stream in batch:
            contexts[stream.context] = stream.prompt_tok
            contexts.move_to_end(stream.context)
        room_tok = memory_tok - sum(stream.n_tok for stream in batch)
        held_tok = sum(contexts.values())
        while held_tok > room_tok:
            held_tok -= contexts.popitem(last=False)[1]


class Pool:
    """Boxes that share their job lists.

    Attributes
    ----------
    busy_s, slot_s, used_slot_s : float
        Time in which boxes worked; slots times that time; the part of it in which a slot held a sequence.
    n_rounds, queue_peak : int
        Rounds so far; most sequences that waited.
    """

    def __init__(self, env: simpy.Environment, model: BoxModel, link: Link, n_boxes: int) -> None:
        self.env = env
        self.model = model
        self.link = link
        self.lists = JobLists(model)
        self.boxes = [Box() for _ in range(n_boxes)]
        self._place: dict[EdgeStream, Box] = {}
        self._wakes = False
        self.busy_s = self.used_slot_s = 0.0
        self.n_rounds = self.n_begun = self.queue_peak = 0

    def add(self, stream: EdgeStream) -> None:
        """Take a sequence into its list; a box turns to it at the end of this moment, when all that came now are in."""
        self.lists.add(stream)
        self._wake()

    def _wake(self) -> None:
        if not self._wakes and self.lists.n and any(box.n_open == 0 for box in self.boxes):
            self._wakes = True
            Turn(self.env, self._turn, 0.0)

    def _turn(self, _: Event) -> None:
        self._wakes = False
        for box in self.boxes:
            if box.n_open == 0:
                batch = self.lists.take(self.env.now)
                if not batch:
                    break
                self._begin(box, batch)
        self.queue_peak = max(self.queue_peak, self.lists.n)

    def _begin(self, box: Box, batch: list[EdgeStream]) -> None:
        """Prefill the prompts that the box does not hold yet, one after the other, then decode all together."""
        now_s, model = self.env.now, self.model
        payers: dict[tuple[int, int], EdgeStream] = {}
        for stream in batch:
            if stream.context not in box.contexts:
                payers.setdefault(stream.context, stream)
        prefill_end_s = now_s + model.prefill_s(sum(stream.prompt_tok for stream in payers.values()))
        token_s = model.token_s(len(batch))
        box.remember(batch, model.memory_tok)
        box.n_open = len(batch)
        box.round_begin_s = now_s
        for stream in batch:
            self._place[stream] = box
            pays = payers.get(stream.context) is stream
            stream.begin(prefill_end_s, token_s, len(batch), pays_prefill=pays)
            Timeout(self.env, max(0.0, stream.end_s - now_s)).callbacks.append(partial(self._done, stream))
        box.free_s = max(stream.end_s for stream in batch)
        self.n_rounds += 1
        self.n_begun += len(batch)

    def _done(self, stream: EdgeStream, _: Event | None = None) -> None:
        if stream.is_closed:
            return
        stream.close()
        box = self._place.pop(stream)
        self.used_slot_s += self.env.now - box.round_begin_s
        box.n_open -= 1
        if box.n_open == 0:
            box.free_s = self.env.now
            self.busy_s += self.env.now - box.round_begin_s
            self._wake()

    def drop(self, stream: EdgeStream) -> None:
        """Cancel a sequence, on its way, waiting or running."""
        if stream.is_queued:
            self.lists.remove(stream)
            stream.close()
        elif stream in self._place:
            self._done(stream)
        else:
            stream.close()

    def wait_s(self) -> float:
        """Return how long a sequence that came now would wait, estimated from what runs and waits, in s.

        Source: our choice. The box that is free first, and behind it the waiting tokens at the rate of all boxes with
        full slots.
        """
        first_s = min(box.free_s if box.n_open else self.env.now for box in self.boxes)
        return max(0.0, first_s - self.env.now) + self.lists.n_tok / (self.model.tok_per_s() * len(self.boxes))
