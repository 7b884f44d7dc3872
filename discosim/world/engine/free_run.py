"""Free blocks of KV memory that came back together."""

from __future__ import annotations


class FreeRun:
    """What is left of them: the first ``n``; ``key`` where any prompt that begins so finds them."""

    __slots__ = ("key", "n")

    def __init__(self, n: int, key: int | None = None) -> None:
        self.n = n
        self.key = key
