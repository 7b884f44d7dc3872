"""What a scheduler sees and what it decides.

The engine asks the scheduler of a replica at iteration boundaries: `schedule(replica)`. The scheduler looks at the
replica, moves jobs with the replica's verbs, and returns `Orders` for the iteration that begins now. `ReplicaView`
is all that it may see and do; the type checker holds the schedulers of this package to it.

What it must not do: read `job.answer_tok`, leave `decode_shortfall() > 0` while ordering a decode, or keep state that
depends on being asked at every iteration: see `Orders.ask_after`. What depends on a period reads
`replica.iteration`, for example ``Orders(ask_after=10 - replica.iteration % 10)``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Reversible, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from discosim.world.engine.costs.base import CostModel
from discosim.world.engine.job import Job

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NEVER = 1 << 60
"""As `ask_after`: only when something happens."""


@dataclass(slots=True)
class Orders:
    """What the next iteration does, and when the scheduler has to be asked again.

    Parameters
    ----------
    prefill : sequence of (Job, int)
        Jobs in PREFILLING and how many of their tokens to process in this iteration, >= 1 each and at most
        ``job.prefill_left_tok``. A job whose last prefill token is processed makes a token at the end of the iteration.
    decode : bool
        Whether all jobs in DECODING make a token in this iteration.
    ask_after : int
        Ask again after at most this many iterations, >= 1, even if nothing happens. The engine may leap over the
        iterations before.
    ask_on_arrival : bool
        Whether a job that enters the queue makes it ask at the next boundary. False where nothing could change.

    Notes
    -----
    The engine always asks again: after an iteration with prefill; when a job finishes, is cancelled or leaves; when
    the next decode iteration of the whole batch would not fit into memory. A replica that decides ahead asks once more
    where arrivals and free places of the boundary before count. In between, a
    scheduler that is asked at *every* boundary must give the same orders as one that is asked only when it said it
    has to be: this is what makes leaps exact, and a test drives both.
    """

    prefill: Sequence[tuple[Job, int]] = ()
    decode: bool = True
    ask_after: int = NEVER
    ask_on_arrival: bool = True


@dataclass(slots=True)
class LiveArrays:
    """All live jobs of a replica as arrays of one length n, in order of ``job_id``.

    Parameters
    ----------
    jobs : list of Job, length n
        The jobs themselves, for the verbs.
    state : array of int, shape (n,)
        `State` of each.
    prompt_tok, generated_tok : array of int, shape (n,)
        Prompt tokens, and answer tokens made so far. Context = prompt + generated.
    blocks : array of int, shape (n,)
        KV blocks held on the GPU (0 for waiting and swapped jobs).
    run_blocks : array of int, shape (n,)
        KV blocks it needs (or holds) to make its next token: ceil((prompt + generated) / block_tok).
    arrival_s, reader_tok_per_s, ttft_target_s : array of float, shape (n,)
        Arrival at the engine, reading rate, TTFT target.
    first_token_s : array of float, shape (n,)
        When its first token was made; ``inf`` before.
    clock_s : array of float, shape (n,)
        When the reader consumes its newest token: c_i = max(made_i, c_(i-1) + 1 / rate); ``-inf`` before the first.
    delay_s : array of float, shape (n,)
        Sum over its tokens of max(0, c_i - T_i), T_i = arrival + target + (i - 1) / rate: Andes' S_delay so far.
        Source: Andes v2, token-wise delays (secondary source).
    n_preemptions : array of int, shape (n,)
        Preemptions so far.
    """

    jobs: list[Job]
    state: Ints
    prompt_tok: Ints
    generated_tok: Ints
    blocks: Ints
    run_blocks: Ints
    arrival_s: Floats
    reader_tok_per_s: Floats
    ttft_target_s: Floats
    first_token_s: Floats
    clock_s: Floats
    delay_s: Floats
    n_preemptions: Ints


class Jobs(Collection[Job], Reversible[Job], Protocol):
    """Jobs in an order, to be looked at; only the verbs of the replica move them."""


class Memory(Protocol):
    """The KV memory of a replica, in blocks."""

    @property
    def total_blocks(self) -> int:
        """All blocks."""
        ...

    @property
    def free_blocks(self) -> int:
        """Blocks that nobody holds."""
        ...

    @property
    def watermark_blocks(self) -> int:
        """Blocks that admission leaves free."""
        ...

    @property
    def block_tok(self) -> int:
        """Tokens of a block."""
        ...

    def blocks_of(self, tok: int) -> int:
        """Return the blocks that so many tokens take."""
        ...


class ReplicaView(Protocol):
    """A replica as its scheduler may see it and move its jobs."""

    @property
    def now_s(self) -> float:
        """Time of the boundary, in s."""
        ...

    @property
    def iteration(self) -> int:
        """Iterations begun so far on this replica."""
        ...

    @property
    def waiting(self) -> Jobs:
        """The queue in its order: arrival; recomputed jobs stand in front."""
        ...

    @property
    def prefilling(self) -> Jobs:
        """Jobs whose prompt is being processed, in order of admission."""
        ...

    @property
    def decoding(self) -> Jobs:
        """The decode batch, in order of admission."""
        ...

    @property
    def swapped(self) -> Jobs:
        """Jobs in host memory, in order of swapping out."""
        ...

    @property
    def n_resident(self) -> int:
        """Jobs that hold KV memory: those prefilling and those decoding."""
        ...

    @property
    def max_batch(self) -> int:
        """Most jobs that may be resident."""
        ...

    @property
    def memory(self) -> Memory:
        """The KV memory."""
        ...

    @property
    def host_free_blocks(self) -> int:
        """Room in host memory for swapped jobs, in blocks."""
        ...

    @property
    def cost(self) -> CostModel:
        """How long iterations take: `prefill_s`, `mixed_s`, `decode_line`."""
        ...

    @property
    def context_tok(self) -> int:
        """KV tokens of the decode batch in its next iteration."""
        ...

    def generated_of(self, job: Job) -> int:
        """Return the answer tokens of one job so far."""
        ...

    def decode_shortfall(self) -> int:
        """Return the blocks missing for one more decode iteration of the whole batch; <= 0 where it fits."""
        ...

    def swap_s(self, n_blocks: int) -> float:
        """Return the time to move blocks between GPU and host, one way, in s."""
        ...

    def can_swap(self, n_blocks: int) -> bool:
        """Tell whether a job that decodes and holds so many blocks would go to host memory, were it preempted now."""
        ...

    def live(self) -> LiveArrays:
        """Return all live jobs as arrays; O(live jobs), for schedulers that declare ``needs_live = True``.

        Columns are read when they are first looked at: in the same call of the scheduler, or a RuntimeError says so.
        """
        ...

    def fits(self, job: Job, tok: int | None = None) -> bool:
        """Tell whether ``admit`` or ``resume`` is possible now: batch, blocks above the watermark.

        With ``tok``, whether the first ``tok`` tokens that a waiting job has to compute fit beside the next token of
        all who decode.
        """
        ...

    def admit(self, job: Job, tok: int | None = None) -> None:
        """Take a job in, WAITING -> PREFILLING, or DECODING where its KV has arrived already; it takes its blocks.

        With ``tok``, it takes those of the first ``tok`` tokens it has to compute, and `extend` takes the others.
        """
        ...

    def extend(self, job: Job, tok: int) -> None:
        """Take the blocks of the next ``tok`` tokens of a job in PREFILLING that was admitted with fewer."""
        ...

    def preempt(self, job: Job) -> None:
        """Put a resident job out: SWAPPED where it decodes and `can_swap`, else WAITING, at the front of the queue."""
        ...

    def resume(self, job: Job) -> None:
        """Bring a job back, SWAPPED -> DECODING; swap traffic stalls the iteration that begins now."""
        ...


class Scheduler(ABC):
    """Decides at iteration boundaries what one replica does next; every replica has its own.

    Attributes
    ----------
    kind : str
        Its name in scenario files.
    source : str
        Paper and section, or system, that it follows, and what it leaves out.
    needs_live : bool
        Whether it calls `ReplicaView.live`; the replica then keeps the arrays up to date.
    may_share_blocks : bool
        Whether jobs may share KV blocks: it does not infer from blocks held what a preemption frees.
    may_decide_ahead : bool
        Whether it may decide ahead: what `fits` or free blocks do not allow it does not do, though nobody be resident.
    """

    kind: ClassVar[str] = ""
    source: ClassVar[str] = ""
    needs_live: ClassVar[bool] = False
    may_share_blocks: ClassVar[bool] = False
    may_decide_ahead: ClassVar[bool] = True

    @abstractmethod
    def schedule(self, replica: ReplicaView) -> Orders:
        """Move jobs with the replica's verbs and return the orders for the iteration that begins now."""
