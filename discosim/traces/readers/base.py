"""What readers return: frozen columns in our own units, with notes of every rule that was applied."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Words = NDArray[np.object_]
Notes = Mapping[str, int | float | str]
Kind = Literal["requests", "latency", "rtt", "lengths", "clients", "device"]
TimeUnit = Literal["auto", "s", "ms", "us", "ns"]
PER_S: Mapping[str, int] = MappingProxyType({"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9})
"""Units of time in one second."""


def _same_length(record: object, *names: str) -> None:
    sizes = {name: len(getattr(record, name)) for name in names if getattr(record, name) is not None}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"columns of unequal length: {sizes}")


@dataclass(frozen=True, eq=False)
class HashIds:
    """Prefix-cache block ids of each request, stored flat.

    Parameters
    ----------
    values : array of int, shape (total,)
        All ids, request after request.
    offsets : array of int, shape (n + 1,)
        Request i owns ``values[offsets[i]:offsets[i + 1]]``.
    """

    values: Ints
    offsets: Ints

    def __len__(self) -> int:
        return int(self.offsets.size) - 1

    def __getitem__(self, i: int) -> Ints:
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    def take(self, rows: Ints) -> HashIds:
        """Return the ids of the requests ``rows`` (indices from 0), in that order."""
        sizes = np.diff(self.offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        flat = np.repeat(self.offsets[:-1][rows] - offsets[:-1], sizes) + np.arange(offsets[-1])
        return HashIds(self.values[flat], offsets)


@dataclass(frozen=True, eq=False)
class RequestTrace:
    """Requests of a trace, as columns of equal length n, sorted by arrival.

    Parameters
    ----------
    arrival_s : array of float, shape (n,)
        Arrival times from the first request on, non-decreasing; ``notes["first_arrival"]`` keeps what was taken off.
    prompt_tok, output_tok : array of int, shape (n,)
        Lengths, >= 1.
    source_row : array of int, shape (n,)
        Line of the file each request was read from, from 1, header included (Parquet: row from 1).
    session_id, user_id : array of str objects, shape (n,), optional
        Owner names as the file gives them; empty where a request has none, and None where no request has one.
    hash_ids : HashIds, optional
        Prefix-cache block ids.
    hash_block_tok : int, optional
        Prompt tokens that one block id stands for; None where neither the format nor the file says.
    notes : mapping
        Every rule applied and its count: ``format, rows, dropped_zero_tok, dropped_failed, tied, tick_s,
        ties`` and what the format adds.
    warnings : tuple of str
        What a person should doubt about the file, in whole sentences.
    """

    arrival_s: Floats
    prompt_tok: Ints
    output_tok: Ints
    source_row: Ints
    session_id: Words | None = None
    user_id: Words | None = None
    hash_ids: HashIds | None = None
    hash_block_tok: int | None = None
    notes: Notes = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        single = {"hash_block_tok", "notes", "warnings"}
        _same_length(self, *(f.name for f in fields(self) if f.name not in single))

    def __len__(self) -> int:
        return int(self.arrival_s.size)


@dataclass(frozen=True, eq=False)
class LatencySeries:
    """TTFT and TPOT of one service, in the order of the file.

    Parameters
    ----------
    group : str
        Label of the service, ``provider/model``; the file's stem where it holds one unnamed series.
    ttft_s, tpot_s : array of float, shape (n,)
        Time to first token and time per token after the first, > 0, of the successes with one of them seen; NaN where
        that one was not. A TTFT counts where it was seen, a TPOT where it was seen.
    attempt : array of int, shape (n,)
        Position of each of these successes among all attempts, from 0.
    is_failed : array of bool, shape (n_attempts,)
        True where the attempt failed.
    prompt_tok, output_tok : array of int, shape (n,), optional
        Lengths of these successes.
    hour : array of int, shape (n,), optional
        Hour of the day of each of these successes, where the file has it.
    totals : tuple of two int, optional
        Attempts and failures of the whole load test, where the file holds a sample of them.
    unit_s : float or None
        Seconds that the format's own unit of time stands for; None where the file names a unit beside each value.
    run_s : float or None
        Duration of the load test in s, where the file says it: no request takes longer.
    stated_ttft_s : float or None
        Median TTFT in s that the file itself states in its summary.
    start_s : array of float, shape (n_attempts,), optional
        When each attempt was sent, in s from the first one on; NaN where the file does not say it of one.
    concurrency : int, optional
        Requests that the load generator kept in flight, where the file says so.
    begin_unix_s : float or None
        Unix time at which ``start_s`` is 0, where the file has it.
    unit_doubt : str
        Why the unit of the times cannot be told, in a sentence; '' where it can.
    notes : mapping
        Every rule applied and its count.
    warnings : tuple of str
        What a person should doubt about the file, in whole sentences.
    """

    group: str
    ttft_s: Floats
    tpot_s: Floats
    attempt: Ints
    is_failed: Bools
    prompt_tok: Ints | None = None
    output_tok: Ints | None = None
    hour: Ints | None = None
    totals: tuple[int, int] | None = None
    unit_s: float | None = 1.0
    run_s: float | None = None
    stated_ttft_s: float | None = None
    start_s: Floats | None = None
    concurrency: int | None = None
    begin_unix_s: float | None = None
    unit_doubt: str = ""
    notes: Notes = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _same_length(self, "ttft_s", "tpot_s", "attempt", "prompt_tok", "output_tok", "hour")

    def __len__(self) -> int:
        return int(self.ttft_s.size)

    @property
    def seen_ttft_s(self) -> Floats:
        """TTFTs that were seen, in order."""
        return self.ttft_s[np.isfinite(self.ttft_s)]

    @property
    def seen_tpot_s(self) -> Floats:
        """TPOTs that were seen, in order."""
        return self.tpot_s[np.isfinite(self.tpot_s)]

    @property
    def failure_share(self) -> float:
        """Share of the attempts that failed, in [0, 1]; of the whole load test where its totals are known."""
        attempts, failed = self.totals or (self.is_failed.size, int(self.is_failed.sum()))
        return failed / attempts if attempts else 0.0


@dataclass(frozen=True, eq=False)
class RttSeries:
    """Round-trip times in measuring order.

    Parameters
    ----------
    group : str
        Label of the path; the file's stem where it holds one series.
    rtt_s : array of float, shape (n,)
        Round-trip time of each probe; NaN where it was lost.
    lost : array of bool, shape (n,)
        True where the probe was lost.
    spacing_s : float or None
        Median time between probes; None where the file has no clock.
    loss_share : float
        Share of packets lost, in [0, 1]; taken from the file where one row averages several packets.
    recording : array of int, shape (n,), optional
        Which recording each probe belongs to; autocorrelation must not cross from one to the next.
    unit_s : float or None
        Seconds that the format's own unit of time stands for; None where the file names a unit beside each value.
    is_unit_stated : bool
        False where the format has no unit of its own and the file says none: somebody must say it.
    notes : mapping
        Every rule applied and its count.
    warnings : tuple of str
        What a person should doubt about the file, in whole sentences.
    """

    group: str
    rtt_s: Floats
    lost: Bools
    spacing_s: float | None
    loss_share: float
    recording: Ints | None = None
    unit_s: float | None = 1.0
    is_unit_stated: bool = True
    notes: Notes = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _same_length(self, "rtt_s", "lost", "recording")

    def __len__(self) -> int:
        return int(self.rtt_s.size)

    @property
    def received_s(self) -> Floats:
        """Round-trip times of the probes that came back."""
        return self.rtt_s[~self.lost]


@dataclass(frozen=True, eq=False)
class LengthTable:
    """Joint prompt and output lengths without arrival times.

    Parameters
    ----------
    prompt_tok, output_tok : array of int, shape (n,)
        Lengths, >= 1.
    notes : mapping
        Every rule applied and its count.
    warnings : tuple of str
        What a person should doubt about the file, in whole sentences.
    """

    prompt_tok: Ints
    output_tok: Ints
    notes: Notes = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _same_length(self, "prompt_tok", "output_tok")

    def __len__(self) -> int:
        return int(self.prompt_tok.size)


@dataclass(frozen=True, eq=False)
class LengthPdf:
    """A discrete distribution: the published histogram of a length or a ratio.

    Parameters
    ----------
    values : array of float, shape (n,)
        Support, increasing; tokens for lengths, a share for ``reason_ratio``.
    weights : array of float, shape (n,)
        Weights as published, >= 0; they sum to about 1.
    """

    values: Floats
    weights: Floats

    def __post_init__(self) -> None:
        _same_length(self, "values", "weights")


@dataclass(frozen=True, eq=False)
class ClientWindows:
    """One client of a client-level trace: its arrival law window by window, and its length histograms.

    Parameters
    ----------
    client : str
        The file's name of the client.
    window_start_s : array of float, shape (n,)
        Start of each window, from 0, increasing.
    rate_per_s, cv : array of float, shape (n,)
        Mean request rate and CV of the gaps inside the window, >= 0; both 0 where the client was idle.
    pattern : array of str objects, shape (n,)
        Fitted law of the gaps: ``Gamma``, ``Weibull`` or empty where none was fitted.
    p1, p2 : array of float, shape (n,)
        Shape and scale (s) of the fitted law, 0 where none was fitted.
    lengths : mapping of str to mapping of float to LengthPdf
        ``input_tokens``, ``output_tokens`` and (reasoning models) ``reason_ratio``; each by start in s.
        A window in which nothing was seen has no entry.
    """

    client: str
    window_start_s: Floats
    rate_per_s: Floats
    cv: Floats
    pattern: Words
    p1: Floats
    p2: Floats
    lengths: Mapping[str, Mapping[float, LengthPdf]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _same_length(self, "window_start_s", "rate_per_s", "cv", "pattern", "p1", "p2")


@dataclass(frozen=True, eq=False)
class ClientTable:
    """All clients of a client-level trace, in the order of their numbers.

    Parameters
    ----------
    clients : tuple of ClientWindows
        One entry per client.
    window_s : float
        Length of a window.
    notes : mapping
        Every rule applied and its count.
    """

    clients: tuple[ClientWindows, ...]
    window_s: float
    notes: Notes = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.clients)


@dataclass(frozen=True)
class DevicePerf:
    """Published speed of one language model on one device.

    Parameters
    ----------
    model, precision, component, device, runtime : str
        What ran on what, in the file's words.
    context_length : int
        Context length in tokens of the measurement.
    ttft_min_s, ttft_max_s : float
        Published range of the time to first token.
    decode_tok_per_s : float
        Decode rate.
    """

    model: str
    precision: str
    component: str
    device: str
    runtime: str
    context_length: int
    ttft_min_s: float
    ttft_max_s: float
    decode_tok_per_s: float


Produced = (
    RequestTrace | dict[str, LatencySeries] | dict[str, RttSeries] | LengthTable | ClientTable | tuple[DevicePerf, ...]
)


@dataclass(frozen=True)
class Reader:
    """One format: how to recognise it and how to read it.

    Parameters
    ----------
    name : str
        Name used in configurations, for example ``"azure"``.
    description : str
        One line for listings.
    produces : str
        Kind of record: requests, latency, rtt, lengths, clients or device.
    matches : callable
        ``matches(head, path)`` tells from the first bytes whether the file is of this format. They come
        decompressed and without a byte-order mark; for a folder they are the names of its files, one a line.
    read : callable
        ``read(path)`` reads it all. ``latency`` and ``rtt`` formats return a dict by group. Formats of requests take
        the unit of their arrivals as a second argument; ``auto`` is the format's own.
    columns : tuple of str
        Columns or keys that every such file has, to say which one a file lacks.
    """

    name: str
    description: str
    produces: Kind
    matches: Callable[[bytes, Path], bool]
    read: Callable[..., Produced]
    columns: tuple[str, ...] = ()
