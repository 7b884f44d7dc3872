"""Reuse of prompt prefixes: which leading blocks of a prompt a replica still has, least recently used out first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence


class PrefixCache:
    """Hashed prompt blocks of one replica.

    Parameters
    ----------
    n_blocks : int
        Capacity in hashed blocks, >= 1. It lies beside the KV memory of running requests, and a hit saves prefill
        time, not memory. Source: our choice, the simplest form that is never optimistic about memory.
    block_tok : int
        Tokens per hashed block. Source: Mooncake's traces, 512.
    """

    def __init__(self, n_blocks: int, block_tok: int) -> None:
        self._n_blocks = n_blocks
        self._block_tok = block_tok
        self._held: OrderedDict[int, None] = OrderedDict()
        self.hit_blocks = 0

    def hit_tok(self, hashes: Sequence[int]) -> int:
        """Return how many leading tokens of a prompt are held, and mark them as used now."""
        n = 0
        for key in hashes:
            if key not in self._held:
                break
            self._held.move_to_end(key)
            n += 1
        self.hit_blocks += n
        return n * self._block_tok

    def keep(self, hashes: Sequence[int]) -> None:
        """Hold the blocks of a prompt that was prefilled."""
        held = self._held
        for key in hashes:
            held[key] = None
            held.move_to_end(key)
        while len(held) > self._n_blocks:
            held.popitem(last=False)
