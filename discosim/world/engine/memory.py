"""KV memory in blocks, with the growth of a decode batch known in advance.

A decoding job needs a new block every ``block_tok`` iterations. All jobs of a batch advance together, so the batch is
described by how many of its jobs stand at each offset inside a block: what ``k`` iterations will take is a sum over
offsets, whatever the number of jobs.
"""

from __future__ import annotations

from discosim.world.engine.job import Job


class KvMemory:
    """Blocks of one replica.

    Parameters
    ----------
    total_blocks : int
        Blocks on the GPU, >= 1.
    block_tok : int
        Tokens per block, >= 1.
    watermark_blocks : int
        Blocks that admission leaves free, >= 0.

    Attributes
    ----------
    free_blocks, peak_blocks : int
        Free now; most ever in use.
    """

    __slots__ = ("_at", "block_tok", "free_blocks", "n_growing", "peak_blocks", "total_blocks", "watermark_blocks")

    def __init__(self, total_blocks: int, block_tok: int, watermark_blocks: int) -> None:
        self.total_blocks = total_blocks
        self.block_tok = block_tok
        self.watermark_blocks = watermark_blocks
        self.free_blocks = total_blocks
        self.peak_blocks = 0
        self.n_growing = 0
        self._at = [0] * (2 * block_tok)  # jobs by the step (modulo block_tok) that takes a block; stored twice

    def blocks_of(self, tok: int) -> int:
        """Return the blocks that ``tok`` tokens take."""
        return -(-tok // self.block_tok)

    def take(self, n_blocks: int) -> None:
        """Take blocks."""
        self.free_blocks -= n_blocks
        used = self.total_blocks - self.free_blocks
        self.peak_blocks = max(used, self.peak_blocks)

    def need(self, job: Job, tok: int | None = None) -> int:
        """Return the free blocks that a job takes on admission, with all its tokens or the first ``tok`` to compute."""
        return self.blocks_of(job.context_tok if tok is None else min(job.context_tok, tok))

    def hold(self, job: Job, tok: int | None = None) -> int:
        """Take the blocks of a job that is admitted, see `need`; return how many of its tokens are computed already."""
        self.take(self.blocks_of(job.context_tok if tok is None else min(job.context_tok, tok)))
        return 0

    def publish(self, job: Job) -> None:
        """Hear that a prompt has been computed; nothing is shared here."""

    def drop(self, job: Job, n_blocks: int, computed_tok: int) -> None:  # noqa: ARG002 - nothing is found again here
        """Give the blocks of a job back, of which it will look for those of the first ``computed_tok`` tokens."""
        self.free_blocks += n_blocks

    def join(self, lead_tok: int, sign: int = 1) -> None:
        """Let a job grow with the decode batch (or no longer, with sign -1).

        Parameters
        ----------
        lead_tok : int
            Its KV tokens in the iteration after ``step`` decode iterations are ``lead_tok + step``.
        """
        at = (1 - lead_tok) % self.block_tok
        self._at[at] += sign
        self._at[at + self.block_tok] += sign
        self.n_growing += sign

    def next_growth(self, step: int) -> int:
        """Return the blocks that iteration ``step`` takes."""
        return self._at[step % self.block_tok]

    def grow(self, step: int, k: int) -> None:
        """Take the blocks of iterations ``step .. step + k - 1``."""
        taken = self._at[step % self.block_tok] if k == 1 else self.growth(step, k)
        if taken:
            self.free_blocks -= taken
            used = self.total_blocks - self.free_blocks
            if used > self.peak_blocks:  # noqa: PLR1730 - max() costs a call on every request's path
                self.peak_blocks = used

    def growth(self, step: int, k: int) -> int:
        """Return the blocks that iterations ``step .. step + k - 1`` take together."""
        full, rest = divmod(k, self.block_tok)
        start = step % self.block_tok
        return full * self.n_growing + (sum(self._at[start : start + rest]) if rest else 0)

    def room(self, step: int, k: int) -> int:
        """Return how many of the next ``k`` iterations fit into the free blocks."""
        n, free = self.n_growing, self.free_blocks
        if n == 0 or free >= n * ((k - 1) // self.block_tok + 1):
            return k
        full = free // n
        fit, left = full * self.block_tok, free - full * n
        start = step % self.block_tok
        for taken in self._at[start : start + self.block_tok]:
            left -= taken
            if left < 0:
                break
            fit += 1
        return min(k, fit)
