"""Requests as the world receives them, and records as the world gives them back."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Loop:
    """Requests that come when others have been answered: request i is of user i modulo their number.

    Parameters
    ----------
    n_users : int
        Users, >= 1.
    think_s : array of float, shape (n,)
        How long the user of each request thinks before it, from the end of the former answer or from the start, in s.
    in_waves : bool
        Whether all users ask at once, and again when all have been answered; then the first of a wave says how long
        they think.
    """

    n_users: int
    think_s: Floats
    in_waves: bool = False


@dataclass(frozen=True)
class RequestTable:
    """All requests of one replication, as columns of equal length n, sorted by arrival.

    Parameters
    ----------
    arrival_s : array of float, shape (n,)
        Arrival times from 0, non-decreasing; NaN in a closed loop, where they depend on the answers.
    prompt_tok, output_tok : array of int, shape (n,)
        Lengths, >= 1.
    user_id : array of int, shape (n,)
        Owner of the request, from 0.
    reader_tok_per_s : array of float, shape (n,)
        Consumption rate of the reader, > 0.
    ttft_target_s : array of float, shape (n,)
        TTFT the reader expects, >= 0.
    rejected : array of bool, shape (n,)
        True where a length limit of the scenario refuses the request.
    prefix_hashes : tuple of tuple of int, optional
        Per request the hashes of the leading blocks of its prompt, where the trace has them.
    hash_block_tok : int, optional
        Prompt tokens that one hash stands for, where the trace says or shows it.
    notes : dict
        What the workload stage did to the data (clipped, spread, rescaled, ...), with counts.
    warnings : tuple of str
        What a person should doubt about the requests, in whole sentences.
    loop : Loop, optional
        Who waits for whom, in a closed loop.
    """

    arrival_s: Floats
    prompt_tok: Ints
    output_tok: Ints
    user_id: Ints
    reader_tok_per_s: Floats
    ttft_target_s: Floats
    rejected: Bools
    prefix_hashes: tuple[tuple[int, ...], ...] | None = None
    hash_block_tok: int | None = None
    notes: dict[str, float | str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    loop: Loop | None = None

    def __len__(self) -> int:
        return int(self.arrival_s.size)

    def head(self, n: int) -> RequestTable:
        """Return the first ``n`` requests, or all where there are fewer."""
        single = {"hash_block_tok", "notes", "warnings", "loop"}
        columns: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in single}
        first: dict[str, Any] = {name: None if values is None else values[:n] for name, values in columns.items()}
        loop = None if self.loop is None else replace(self.loop, think_s=self.loop.think_s[:n])
        return replace(self, **first, loop=loop)


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of shown tokens that one endpoint produced; indices count from 1, both ends included."""

    endpoint: str
    first_token: int
    last_token: int
    role: str = ""  # device | server | edge; "" where the endpoint's name says it

    @property
    def counts_as(self) -> str:
        """In whose columns its tokens count: device, server or edge."""
        return self.role or self.endpoint


@dataclass(frozen=True, slots=True)
class Work:
    """What one endpoint did for a request, shown or not, in a world where several names share a role."""

    endpoint: str
    role: str  # device | server | edge
    is_dispatched: bool  # some of it was asked for before the answer was decided, and not refused
    n_streams: int  # how many streams it was asked for; an answer in parts is one
    prompt_tok: float  # fractional where a device's prefill was cut short
    output_tok: int
    cost_usd: float
    energy_j: float
    n_preemptions: int
    gpu_s: float
    kv_tok_s: float


@dataclass(slots=True)
class RequestRecord:
    """What happened to one request under one policy; times are seconds since the start of the replication.

    ``generated_s`` and ``delivered_s`` hold one entry per shown token: when its endpoint produced it, and when it
    reached the client. Both are empty unless ``status`` is ``finished``.
    """

    request_id: int
    user_id: int
    arrival_s: float
    prompt_tok: int
    output_tok: int
    reader_tok_per_s: float
    ttft_target_s: float
    status: str  # finished | failed | rejected
    first_endpoint: str  # device | server | edge | "" where nothing was shown
    segments: tuple[Segment, ...]
    generated_s: Floats
    delivered_s: Floats
    is_device_dispatched: bool  # a device prefill was asked for before the first token
    is_server_dispatched: bool
    n_tok_wasted: int  # tokens generated, neither shown nor part of a sketch
    server_prompt_tok: int
    server_output_tok: int
    device_prefill_tok: float  # fractional where a prefill was cut short
    device_decode_tok: int
    server_cost_usd: float
    device_energy_j: float
    unified_cost_usd: float
    n_preemptions: int = 0  # in a white-box server; this and the next two are 0 where nobody can look inside
    gpu_s: float = 0.0  # its share of the server's GPU time
    kv_tok_s: float = 0.0  # KV tokens it held there, times seconds
    sketch_tok: int = 0  # tokens of a sketch that the server made; no part of the answer
    sketch_s: Floats = field(default_factory=lambda: np.empty(0))  # their arrivals, where the reader is shown them
    paced_s: Floats = field(default_factory=lambda: np.empty(0))  # when a policy's own pacer showed each token
    n_parts: int = 0  # pieces of the answer that were written side by side; 0 where it was written in one go
    edge_prefill_tok: float = 0.0
    edge_decode_tok: int = 0
    edge_box_s: float = 0.0  # its share of the time of edge boxes
    edge_energy_j: float = 0.0
    edge_cost_usd: float = 0.0
    quality_assumed: float = math.nan  # by the scenario's assumptions; nobody measured it
    work: tuple[Work, ...] = ()  # by endpoint, in the order asked; empty where each role has one name
    scheduled_s: float = math.nan  # from its arrival until a white-box server's scheduler took it; NaN where none did
    queue_s: float = math.nan  # how long it had waited at that server by then
    device_waiting_j: float = 0.0  # the part of the device's energy that went into waiting and receiving
