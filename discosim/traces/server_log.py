"""What a real server did with each request: load and truth in one record."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class ServerLog:
    """Requests of one run of a real server, in order of arrival; times in s, the first arrival at 0.

    Parameters
    ----------
    arrival_s : array of float, shape (n,)
        When each request arrived at the server, rising, from 0.
    prompt_tok, output_tok : array of int, shape (n,)
        Lengths, >= 1.
    ttft_s, e2e_s : array of float, shape (n,)
        From arrival to first and to last token, > 0; NaN where it was not logged.
    queue_s : array of float, shape (n,)
        From arrival until the request was first scheduled, >= 0; NaN where it was not logged.
    user_id : array of int, shape (n,), or None
        Who sent it, where the log tells (a test in a closed loop).
    concurrency : int or None
        Requests that the load generator kept in flight, where it says so.
    name, format : str
        Of the file, for messages, and of the reader.
    is_client_side : bool
        Whether times were taken at a client, network included.
    models : tuple of str
        Names of the models that answered, where the log has them.
    warnings : tuple of str
        What a reader of results must know, as sentences.
    """

    arrival_s: Floats
    prompt_tok: Ints
    output_tok: Ints
    ttft_s: Floats
    e2e_s: Floats
    queue_s: Floats
    user_id: Ints | None = None
    concurrency: int | None = None
    name: str
    format: str
    is_client_side: bool = False
    models: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of requests."""
        return int(self.arrival_s.size)

    @property
    def tpot_s(self) -> Floats:
        """Mean time per token after the first, (e2e - ttft) / (output - 1), in s; NaN for answers of one token."""
        with np.errstate(divide="ignore", invalid="ignore"):
            tpot_s = (self.e2e_s - self.ttft_s) / (self.output_tok - 1)
        return np.where(self.output_tok > 1, tpot_s, np.nan)


@dataclass(frozen=True, eq=False, kw_only=True)
class ServerSeries:
    """What a real server showed once a second; times on the clock of its `ServerLog` where one is given.

    Parameters
    ----------
    t_s : array of float, shape (n,)
        Rising.
    running, waiting : array of float, shape (n,)
        Requests in the batch, and in the queue.
    prompt_tok_per_s, output_tok_per_s : array of float, shape (n,)
        Throughput of prompt and of generated tokens.
    kv_share : array of float, shape (n,)
        Share of the KV memory in use, 0 to 1; NaN where it was not recorded.
    name : str
        Of the file, for messages.
    warnings : tuple of str
        What a reader of results must know, as sentences.
    """

    t_s: Floats
    running: Floats
    waiting: Floats
    prompt_tok_per_s: Floats
    output_tok_per_s: Floats
    kv_share: Floats
    name: str
    warnings: tuple[str, ...] = ()
