"""Text Generation Inference: memory is reserved for the whole answer, and prefills come in rounds of their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from discosim.core.spec import spec
from discosim.world.engine.job import Job
from discosim.world.engine.schedulers.base import NEVER, Orders, ReplicaView, Scheduler
from discosim.world.engine.schedulers.moves import blocks_held


@dataclass
class Tgi(Scheduler):
    """Admit whom memory holds to the end of the answer; decoding stops for a prefill when enough wait, or long enough.

    Notes
    -----
    Nothing is ever preempted: prompt and longest answer are reserved on admission. While requests decode, the head of
    the queue is prefilled where at least ``waiting_served_ratio`` times as many fit at once as decode, or where
    ``max_waiting_tok`` iterations have passed since the last prefill. After a prefill that interrupted others, all
    decode once before the queue is looked at again. The real server refuses a prompt that is longer than its prefill
    budget; here it has an iteration to itself, as with the other schedulers.
    """

    kind: ClassVar[str] = "tgi"
    may_share_blocks: ClassVar[bool] = True
    source: ClassVar[str] = (
        "Text Generation Inference 2.x, router (public repository, backends/v3: queue.rs, backend.rs; defaults of its "
        "launcher). Left out: padding, sliding windows, speculation."
    )

    max_batch_prefill_tok: int = spec(
        4096, doc="Prompt tokens of one prefill; the real one takes its longest prompt plus 50.", unit="tok", ge=1
    )
    max_batch_total_tok: int | None = spec(
        None,
        doc="Prompt and reserved answer tokens of all in the batch; null for all that memory holds.",
        unit="tok",
        ge=1,
    )
    waiting_served_ratio: float = spec(
        0.3, doc="Those who could be prefilled over those who decode, from which on decoding is stopped.", ge=0
    )
    max_waiting_tok: int = spec(
        20,
        doc="Longest wait of a queue in tokens of those who decode, until anybody who fits is let in.",
        unit="tok",
        ge=0,
    )
    max_new_tok: int | None = spec(
        None,
        doc="Answer tokens that every client asks for; null if each asks for what its answer has, as benchmarks do.",
        unit="tok",
        ge=1,
    )

    _prefilled_at: int = field(init=False, repr=False, default=0)
    """Iteration that was the last prefill."""
    _owes_decode: bool = field(init=False, repr=False, default=False)
    """Whether that one interrupted others."""

    def schedule(self, replica: ReplicaView) -> Orders:
        """Prefill who is let in, or decode."""
        n, n_waiting = len(replica.decoding), len(replica.waiting)
        if n_waiting == 0:
            return Orders()
        waited_tok = replica.iteration - self._prefilled_at
        if n and waited_tok == 1 and self._owes_decode:
            return Orders(ask_after=1)
        is_overdue = waited_tok >= self.max_waiting_tok
        least = 1 if n == 0 or is_overdue else max(1, int(n * self.waiting_served_ratio))
        if n_waiting >= least and len(batch := self._batch(replica)) >= least:
            return self._prefill(replica, batch, interrupts=n > 0)
        # who is overdue and does not fit waits for somebody to finish: memory is reserved, and does not shrink
        return Orders(
            ask_after=NEVER if is_overdue else self.max_waiting_tok - waited_tok, ask_on_arrival=not is_overdue
        )

    def _prefill(self, replica: ReplicaView, batch: list[Job], *, interrupts: bool) -> Orders:
        for job in batch:
            replica.admit(job)
        prefill = [(job, job.prefill_left_tok) for job in batch if job.prefill_left_tok]
        if not prefill:  # their KV has come from a prefill pool
            return Orders(ask_after=1)
        self._prefilled_at, self._owes_decode = replica.iteration, interrupts
        return Orders(prefill, decode=False)

    def _batch(self, replica: ReplicaView) -> list[Job]:
        """Return those at the head of the queue who fit together, to the end of their answers."""
        memory = replica.memory
        residents = [*replica.prefilling, *replica.decoding]
        reserved = [memory.blocks_of(self._most_tok(job) - 1) for job in residents]
        promised = sum(reserved) - sum(blocks_held(replica, job) for job in residents)
        left_blocks = memory.free_blocks - promised
        total_tok = self.max_batch_total_tok or memory.total_blocks * memory.block_tok
        left_tok = total_tok - sum(reserved) * memory.block_tok
        prefill_tok = memory.blocks_of(self.max_batch_prefill_tok) * memory.block_tok
        batch: list[Job] = []
        for job in replica.waiting:
            most_tok = self._most_tok(job)
            need = memory.blocks_of(most_tok - 1)
            new_tok = 0 if job.has_kv else job.context_tok
            fits = most_tok <= left_tok and need <= left_blocks and new_tok <= prefill_tok
            if (
                not (fits or self._fits_alone(replica, job, batch))
                or replica.n_resident + len(batch) == replica.max_batch
            ):
                break
            batch.append(job)
            left_tok -= most_tok
            left_blocks -= need
            prefill_tok -= new_tok
        return batch

    def _most_tok(self, job: Job) -> int:
        return job.prompt_tok + max(self.max_new_tok or 0, job.asked_tok)

    @staticmethod
    def _fits_alone(replica: ReplicaView, job: Job, batch: list[Job]) -> bool:
        """Tell whether a request that is over a budget has the replica to itself; else it would wait for ever."""
        memory = replica.memory
        return not batch and replica.n_resident == 0 and memory.blocks_of(job.context_tok) <= memory.free_blocks
