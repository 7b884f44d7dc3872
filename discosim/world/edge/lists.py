"""Job lists: sequences of like length wait together, so that a batch wastes few slots.

Source: batches of even lengths are PICE's execution optimizer (arXiv 2501.09367, secondary source); one list per
expected length, and an age limit, are recollected and not verified. Filling a batch up from the nearest lists, so that
no slot stays empty while somebody waits, is our choice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from discosim.world.edge.model import BoxModel
from discosim.world.edge.stream import EdgeStream


class JobLists:
    """Waiting sequences by list key, first in first out inside a list."""

    def __init__(self, model: BoxModel) -> None:
        self.model = model
        self._lists: dict[int, deque[EdgeStream]] = {}
        self.n = 0
        self.n_tok = 0

    def add(self, stream: EdgeStream) -> None:
        """Put a sequence into its list."""
        self._lists.setdefault(stream.list_key, deque()).append(stream)
        stream.is_queued = True
        self.n += 1
        self.n_tok += stream.n_tok

    def remove(self, stream: EdgeStream) -> None:
        """Take a sequence out."""
        held = self._lists[stream.list_key]
        held.remove(stream)
        if not held:
            del self._lists[stream.list_key]
        stream.is_queued = False
        self.n -= 1
        self.n_tok -= stream.n_tok

    def take(self, now_s: float) -> list[EdgeStream]:
        """Take the next batch: as many as slots and memory allow, of list keys as near to each other as possible.

        The list to start from is the one whose oldest has waited beyond the age limit, the oldest first; else the one
        that fills most slots, the oldest first among equals, then the one of the largest key. What does not fit beside
        the others is passed over.
        """
        if not self.n:
            return []
        batch: list[EdgeStream] = []
        contexts: dict[tuple[int, int], int] = {}
        used_tok = 0
        for stream in self._nearest_first(self._seed(now_s)):
            more_tok = stream.n_tok + (0 if stream.context in contexts else stream.prompt_tok)
            if used_tok + more_tok > self.model.memory_tok:
                continue
            contexts[stream.context] = stream.prompt_tok
            used_tok += more_tok
            batch.append(stream)
            if len(batch) == self.model.slots:
                break
        for stream in batch:
            self.remove(stream)
        return batch

    def _seed(self, now_s: float) -> int:
        heads = {key: held[0].reached_s for key, held in self._lists.items()}
        late = [key for key, reached_s in heads.items() if now_s - reached_s > self.model.age_limit_s]
        if late:
            return min(late, key=lambda key: (heads[key], -key))
        slots = self.model.slots
        return min(heads, key=lambda key: (-min(len(self._lists[key]), slots), heads[key], -key))

    def _nearest_first(self, seed: int) -> Iterator[EdgeStream]:
        for key in sorted(self._lists, key=lambda key: (abs(key - seed), key)):
            yield from self._lists[key]
