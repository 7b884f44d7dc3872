"""KV memory of the plain engine: as a number, or as blocks that are objects and keep what they hold."""

from __future__ import annotations

import math


class PlainMemory:
    def __init__(self, total, block_tok, watermark):
        self.total_blocks = self.free_blocks = total
        self.block_tok = block_tok
        self.watermark_blocks = watermark
        self.peak_blocks = 0

    def blocks_of(self, tok):
        return math.ceil(tok / self.block_tok)

    def take(self, job, n):
        self.free_blocks -= n
        job.blocks += n
        self.note_peak()

    def note_peak(self):
        assert self.free_blocks >= 0, "more memory used than there is"
        self.peak_blocks = max(self.peak_blocks, self.total_blocks - self.free_blocks)

    def need(self, job, tok):
        return self.blocks_of(min(job.context_tok, tok))

    def hold(self, job, tok):
        self.take(job, self.need(job, tok))
        return 0

    def publish(self, job):
        pass

    def drop(self, job, computed_tok):
        self.free_blocks += job.blocks
        job.blocks = 0


class Block:
    """One block of memory: what it holds, and how many use it."""

    def __init__(self):
        self.content, self.n_users = None, 0


class PlainPool(PlainMemory):
    """Every block is an object; free ones stand in a list and keep what they hold until they are taken."""

    def __init__(self, total, block_tok, watermark, hash_tok):
        self.free = [Block() for _ in range(total)]
        self.cached = {}
        self.hash_tok, self.n_per_hash = hash_tok, hash_tok // block_tok
        self.total_blocks, self.block_tok, self.watermark_blocks = total, block_tok, watermark
        self.peak_blocks = 0

    @property
    def free_blocks(self):
        return len(self.free)

    def fill(self, block, content):
        if block.content is not None:
            del self.cached[block.content]
        block.content = content
        if content is not None:
            assert content not in self.cached
            self.cached[content] = block

    def take(self, job, n):
        for _ in range(n):
            block = self.free.pop(0)
            self.fill(block, None)
            block.n_users = 1
            job.table.append(block)
        job.blocks = len(job.table)
        self.note_peak()

    def row(self, key):
        """Return the cached blocks of one key, from the first on, as far as they go."""
        blocks = []
        while (*key, len(blocks)) in self.cached:
            blocks.append(self.cached[(*key, len(blocks))])
        return blocks

    def found(self, job):
        """Return the whole hashed parts that a job finds, and blocks behind them that become its own."""
        shared = []
        own = self.row(("own", job.job_id))
        for key in job.ask.hashes[: min(job.prompt_tok, job.context_tok - 1) // self.hash_tok]:
            row = self.row(("prompt", key))
            if not row:
                break
            if len(row) < self.n_per_hash:
                return shared, row
            shared.append(row)
        return shared, own if len(shared) == job.n_kept_after else []

    def need(self, job, tok):
        shared, own = self.found(job)
        hits = [block for row in shared for block in row]
        held_tok = min(job.context_tok, (len(hits) + len(own)) * self.block_tok + tok)
        return self.blocks_of(held_tok) - sum(block.n_users > 0 for block in hits)

    def hold(self, job, tok):
        shared, own = self.found(job)
        hits = [block for row in shared for block in row] + own
        for block in hits:
            if block.n_users == 0:
                self.free.remove(block)
            block.n_users += 1
        for block in own + self.row(("own", job.job_id)):
            if block.content is not None:
                self.fill(block, None)
        job.table, job.n_shared = list(hits), len(shared)
        self.take(job, self.blocks_of(min(job.context_tok, len(hits) * self.block_tok + tok)) - len(hits))
        return len(hits) * self.block_tok

    def publish(self, job):
        for i, key in enumerate(job.ask.hashes[: job.prompt_tok // self.hash_tok]):
            if i < job.n_shared:
                continue
            if ("prompt", key, 0) in self.cached:
                break
            for j, block in enumerate(job.table[i * self.n_per_hash : (i + 1) * self.n_per_hash]):
                self.fill(block, ("prompt", key, j))
            job.n_shared = i + 1

    def drop(self, job, computed_tok):
        own = job.table[job.n_shared * self.n_per_hash : computed_tok // self.block_tok]
        for i, block in enumerate(own):
            self.fill(block, ("own", job.job_id, i))
        for block in reversed(job.table):
            block.n_users -= 1
            if block.n_users == 0:
                self.free.append(block)
        job.n_kept_after, job.n_shared = job.n_shared, 0
        job.table, job.blocks = [], 0
