"""How busy an endpoint is now, as far as it lets itself be looked into."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ServerLoad:
    """Queue and batch of a white-box server, as of the newest iteration boundary of each replica.

    Parameters
    ----------
    n_resident, n_waiting : int
        Requests in a batch, and in a queue.
    max_batch : int
        Most requests that may be in a batch, all replicas together.
    token_s : float
        Token time of the present batches, in s.
    prefill_s_per_tok : float
        Prefill time per token, read off a prompt of 512 tokens.
    """

    n_resident: int
    n_waiting: int
    max_batch: int
    token_s: float
    prefill_s_per_tok: float


@dataclass(frozen=True)
class EdgeLoad:
    """How busy the boxes are that would serve a user.

    Parameters
    ----------
    wait_s : float
        Estimated wait of a sequence that came now, in s.
    n_waiting : int
        Sequences that wait.
    n_boxes, slots : int
        Boxes, and slots of each.
    """

    wait_s: float
    n_waiting: int
    n_boxes: int
    slots: int
