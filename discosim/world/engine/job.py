"""One request inside the engine."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from discosim.world.engine.replica import Replica


class State(IntEnum):
    """Where a job stands inside its replica."""

    WAITING = 0  # in the queue: never begun, dropped for recomputation, or its KV arrived from a prefill pool
    PREFILLING = 1  # admitted; holds the blocks of its whole prompt
    DECODING = 2  # makes one token in every iteration that decodes
    SWAPPED = 3  # its KV lies in host memory
    GONE = 4  # finished, cancelled, or on its way to another pool


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
    prefill_left_tok : int
        Prompt (and, after a recomputation, answer) tokens still to be prefilled; 0 while decoding or swapped.
    n_preemptions : int
        How often it was preempted.
    answer_tok : int
        Tokens it will make. The engine alone may know; a scheduler must not read it.
    """

    __slots__ = (
        "answer_tok",
        "arrival_s",
        "blocks",
        "finish_step",
        "first_token_s",
        "generated_tok",
        "gpu_mark_s",
        "gpu_s",
        "has_kv",
        "is_cancelled",
        "job_id",
        "join_s",
        "join_step",
        "kv_mark",
        "kv_tok_s",
        "lead_tok",
        "n_preemptions",
        "on_end",
        "on_first",
        "prefill_left_tok",
        "prefix_tok",
        "prompt_tok",
        "reader_tok_per_s",
        "replica",
        "row",
        "spans",
        "state",
        "ttft_target_s",
    )
