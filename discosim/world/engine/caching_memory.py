"""KV memory whose free blocks keep what they hold until somebody takes them.

Blocks are taken from the front of one queue and come back at its end, the last block of a request first: so the least
recently used goes first, and what is left of a request's blocks is always their beginning. That makes it closed: free
blocks that came back together are one run with a length, and a leap takes as many from the front as its iterations do
together, whoever they are for.

Source: vLLM V1, ``v1/core/block_pool.py`` and ``kv_cache_manager.py`` (public repository).
"""

from __future__ import annotations

from collections import OrderedDict

from discosim.core.errors import InvariantError
from discosim.world.engine.free_run import FreeRun
from discosim.world.engine.job import Job
from discosim.world.engine.memory import KvMemory


class _Shared:
    """A hashed part of a prompt: who uses its blocks, or the run that they are while nobody does."""

    __slots__ = ("n_users", "run")

    def __init__(self) -> None:
        self.n_users = 1
        self.run: FreeRun | None = None


class CachingMemory(KvMemory):
    """Blocks of one replica; see `KvMemory`.

    Parameters
    ----------
    total_blocks, block_tok, watermark_blocks : int
        As of `KvMemory`.
    hash_tok : int
        Tokens that one hash id of a prompt stands for; a multiple of ``block_tok``.

    Notes
    -----
    Prompts share the whole hashed parts that they begin with, once the first of them has been prefilled. What else a
    preempted request had computed is found again by that request alone; what a finished one answered, by nobody. At
    least one token of a request is always computed. Source: vLLM, but for its finer grain: it hashes every block, and
    shares a chunk as soon as it is computed.
    """

    __slots__ = ("_free", "_hash_blocks", "_hash_tok", "_shared")

    def __init__(self, total_blocks: int, block_tok: int, watermark_blocks: int, hash_tok: int) -> None:
        super().__init__(total_blocks, block_tok, watermark_blocks)
        self._free: OrderedDict[FreeRun, None] = OrderedDict([(FreeRun(total_blocks), None)])
        self._shared: dict[int, _Shared] = {}
        self._hash_tok = hash_tok
        self._hash_blocks = hash_tok // block_tok

    def take(self, n_blocks: int) -> None:
        """Take blocks from the front of the queue; what they held is gone."""
        if n_blocks > self.free_blocks:
            raise InvariantError(f"{n_blocks} KV blocks are taken where {self.free_blocks} are free")
        super().take(n_blocks)
        while n_blocks:
            run = next(iter(self._free))
            taken = min(n_blocks, run.n)
            run.n -= taken
            n_blocks -= taken
            if run.n == 0:
                del self._free[run]
                if run.key is not None:
                    del self._shared[run.key]

    def grow(self, step: int, k: int) -> None:
        """Take the blocks of iterations ``step .. step + k - 1``."""
        self.take(self.growth(step, k))

    def need(self, job: Job, tok: int | None = None) -> int:
        """Return the free blocks that a job takes on admission: all but those it shares with others at work."""
        n, part, own = self._found(job)
        n_used = sum(self._shared[key].run is None for key in job.hashes[:n])
        return self._blocks(job, n * self._hash_blocks + part + own, tok) - n_used * self._hash_blocks

    def hold(self, job: Job, tok: int | None = None) -> int:
        """Take the blocks of a job that is admitted; return how many of its tokens need not be computed."""
        n, part, own = self._found(job)
        for key in job.hashes[:n]:
            held = self._shared[key]
            held.n_users += 1
            if held.run is not None:
                self._pick(held.run)
                held.run = None
        if part:
            run = self._shared.pop(job.hashes[n]).run
            assert run is not None
            self._pick(run)
        if own:
            assert job.kept is not None
            self._pick(job.kept)
        job.kept, job.n_shared = None, n
        found = n * self._hash_blocks + part + own
        self.take(self._blocks(job, found, tok) - found)
        return found * self.block_tok

    def _blocks(self, job: Job, found: int, tok: int | None) -> int:
        """Return the blocks of a job that has found some, and computes all else or the next ``tok`` tokens."""
        context_tok = job.context_tok
        return self.blocks_of(context_tok if tok is None else min(context_tok, found * self.block_tok + tok))

    def publish(self, job: Job) -> None:
        """Let others find the hashed parts of a prompt that has been computed."""
        chain = job.hashes[: job.prompt_tok // self._hash_tok]
        while job.n_shared < len(chain) and chain[job.n_shared] not in self._shared:
            self._shared[chain[job.n_shared]] = _Shared()
            job.n_shared += 1

    def drop(self, job: Job, n_blocks: int, computed_tok: int) -> None:
        """Give the blocks of a job back, of which it will look for those of the first ``computed_tok`` tokens."""
        n_shared = job.n_shared
        own = n_blocks - n_shared * self._hash_blocks
        kept = max(0, computed_tok // self.block_tok - n_shared * self._hash_blocks)
        self._append(FreeRun(own - kept))
        job.kept, job.n_kept_after = FreeRun(kept), n_shared
        self._append(job.kept)
        for key in reversed(job.hashes[:n_shared]):
            held = self._shared[key]
            held.n_users -= 1
            if held.n_users == 0:
                held.run = FreeRun(self._hash_blocks, key)
                self._append(held.run)
        job.n_shared = 0

    def _append(self, run: FreeRun) -> None:
        if run.n:
            self._free[run] = None
            self.free_blocks += run.n

    def _pick(self, run: FreeRun) -> None:
        """Take a whole run out of the queue, with what it holds."""
        del self._free[run]
        self.free_blocks -= run.n

    def _found(self, job: Job) -> tuple[int, int, int]:
        """Return how many hashed parts a job finds, and blocks of a part that is half gone, and of its own."""
        most_tok = min(job.prompt_tok, job.context_tok - 1)
        n = 0
        for key in job.hashes[: most_tok // self._hash_tok]:
            held = self._shared.get(key)
            if held is None:
                break
            if held.run is not None and held.run.n < self._hash_blocks:
                return n, held.run.n, 0
            n += 1
        # parts that others use come first: what a job takes must not shrink while the batch stays as it is
        return n, 0, job.kept.n if job.kept is not None and n == job.n_kept_after else 0
