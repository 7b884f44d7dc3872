"""Requests as the parts of a world know them: one card each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from discosim.core.request import RequestTable


@dataclass(slots=True)
class Card:
    """One request: whose it is, how long, and what its reader expects.

    Parameters
    ----------
    request_id, user_id : int
        Identity.
    arrival_s : float
        When it arrived.
    prompt_tok, output_tok : int
        Lengths, >= 1. The true length of the answer is for endpoints; a session shows it to no policy.
    reader_tok_per_s, ttft_target_s : float
        What the reader expects, stated with the request.
    prefix_hashes : tuple of int
        Hashes of the leading blocks of its prompt, where the trace has them.
    """

    request_id: int
    user_id: int
    arrival_s: float
    prompt_tok: int
    output_tok: int
    reader_tok_per_s: float
    ttft_target_s: float
    prefix_hashes: tuple[int, ...] = ()


def cards_of(table: RequestTable, only: NDArray[np.bool_] | None = None) -> Iterator[Card]:
    """Yield the cards of a request table, or of those ``only``, in order of arrival."""
    n = len(table)
    ids = np.arange(n) if only is None else np.flatnonzero(only)
    hashes = repeat((), n) if table.prefix_hashes is None else map(table.prefix_hashes.__getitem__, ids.tolist())
    return map(
        Card,
        ids.tolist(),
        table.user_id[ids].tolist(),
        table.arrival_s[ids].tolist(),
        table.prompt_tok[ids].tolist(),
        table.output_tok[ids].tolist(),
        table.reader_tok_per_s[ids].tolist(),
        table.ttft_target_s[ids].tolist(),
        hashes,
    )
