"""One request inside the engine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import IntEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from discosim.world.engine.free_run import FreeRun

Floats = NDArray[np.float64]


class State(IntEnum):
    """Where a job stands inside its replica."""

    WAITING = 0  # in the queue: never begun, dropped for recomputation, or its KV arrived from a prefill pool
    PREFILLING = 1  # admitted; holds the blocks of its whole prompt, or of what has been computed and is now
    DECODING = 2  # makes one token in every iteration that decodes
    SWAPPED = 3  # its KV lies in host memory
    GONE = 4  # finished, cancelled, or on its way to another pool


class Place(Protocol):
    """Who has a job: what the others in the engine need of a replica."""

    def submit(self, job: Job) -> None:
        """Queue a job."""
        ...

    def cancel(self, job: Job) -> None:
        """Drop a job at the next boundary."""
        ...

    def release(self, job: Job) -> None:
        """Free the blocks of a prefilled job whose KV has left."""
        ...

    def known_times(self, job: Job, t_s: float) -> tuple[Floats | None, float | None]:
        """Return the job's token times since it joined, and the end of the running iteration, as of ``t_s``."""
        ...


class Owner(Protocol):
    """Who wants to hear of a job."""

    def on_first(self, at_s: float) -> None:
        """Hear that the first token was made."""
        ...

    def on_join(self) -> None:
        """Hear that it decodes from the next iteration on; only while `Job.is_watched`."""
        ...

    def on_end(self, at_s: float) -> None:
        """Hear that nothing more will be made: the job is complete, or its cancel has taken effect."""
        ...


class Job:
    """One request inside the engine, and where it stands.

    Attributes
    ----------
    job_id : int
        Number of the job in the engine, from 0 in order of submission; schedulers break ties with it.
    prompt_tok : int
        Tokens to prefill before the first token of the answer.
    arrival_s : float
        When the engine got it.
    reader_tok_per_s, ttft_target_s : float
        What the reader expects, stated with the request.
    state : State
        Where it stands now.
    base_tok : int
        Answer tokens made before it last joined a decode batch; `Replica.generated_of` adds those since.
    prefill_left_tok : int
        Prompt (and, after a recomputation, answer) tokens still to be prefilled; 0 while decoding or swapped.
    blocks : int
        Blocks held while prefilling, or to be brought back from host memory while swapped.
    held_tok : int
        Tokens that these are for, while prefilling.
    n_preemptions : int
        How often it was preempted.
    gpu_s, kv_tok_s : float
        Share of the replica's GPU time, and KV tokens held times seconds, up to its last change of state.
    scheduled_s : float
        When the scheduler decided to take it for the first time; ``inf`` before.
    queued_s : float
        When the replica that has it got it.
    first_token_s : float
        When its first token was made; ``inf`` before.
    answer_tok : int
        Tokens it will make. The engine alone may know; a scheduler must not read it.
    """

    # defaults stand in the class: most jobs never need most of them, and making a job is on every request's path
    state: State = State.WAITING
    base_tok: int = 0
    blocks: int = 0
    held_tok: int = 0
    has_kv: bool = False  # waiting, with its KV on this replica's doorstep
    is_cancelled: bool = False
    is_watched: bool = False  # its owner wants to hear when it joins a decode batch
    n_preemptions: int = 0
    prefill_factor: float = 1.0  # how much longer than others its prefill takes, per token
    scheduled_s: float = math.inf
    queued_s: float = 0.0
    first_token_s: float = math.inf
    gpu_s: float = 0.0
    kv_tok_s: float = 0.0
    join_step: int = 0
    finish_step: int = 0
    lead_tok: int = 0
    mark_s: float = 0.0
    gpu_mark_s: float = 0.0
    kv_mark: float = 0.0
    row: int = -1
    n_shared: int = 0  # hashed parts of its prompt whose blocks others may use, too
    kept: FreeRun | None = None  # its blocks that were computed before it was preempted, as far as they are left
    n_kept_after: int = 0  # hashed parts that come before these
    place: Place | None = None  # the replica that has it

    def __init__(
        self,
        job_id: int,
        owner: Owner,
        prompt_tok: int,
        answer_tok: int,
        arrival_s: float,
        reader_tok_per_s: float = 4.8,
        ttft_target_s: float = 1.0,
        hashes: Sequence[int] = (),
    ) -> None:
        self.job_id = job_id
        self.owner = owner
        self.prompt_tok = prompt_tok
        self.answer_tok = answer_tok
        self.arrival_s = arrival_s
        self.reader_tok_per_s = reader_tok_per_s
        self.ttft_target_s = ttft_target_s
        self.hashes = hashes  # prefix blocks of the prompt, for reuse
        self.prefill_left_tok = prompt_tok
        self.spans: list[float | Floats] = []  # token times of past stays in a decode batch, and of prefill ends

    @property
    def asked_tok(self) -> int:
        """Most answer tokens that its client asks for, stated with the request: here, those it will make."""
        return self.answer_tok

    @property
    def context_tok(self) -> int:
        """Prompt and answer tokens so far; of a decoding job, as of when it joined."""
        return self.prompt_tok + self.base_tok
