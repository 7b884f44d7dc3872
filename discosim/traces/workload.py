"""The workload stage: from a workload specification to the table of requests of one replication."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from discosim.core.bounds import NAMED
from discosim.core.errors import UserError
from discosim.core.request import RequestTable
from discosim.core.rng import RandomStreams
from discosim.core.scenario import (
    ClientArrivals,
    DigestLengths,
    FileLengths,
    GeneratedWorkload,
    Reader,
    ReplayedWorkload,
    Workload,
)
from discosim.traces.arrivals import draw_arrivals
from discosim.traces.length_file import draw_rows, notes_on, table_of
from discosim.traces.lengths import LENGTHS, draw_lengths
from discosim.traces.owners import users_of
from discosim.traces.past import block_rows, drawn_rows, first_rows, held_out_rows, parts_of, past_note
from discosim.traces.reader_rates import rates_of_users
from discosim.traces.readers import RequestTrace, read_requests
from discosim.traces.readers.requests import spread_ties

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Notes = dict[str, float | str]

USERS = "workload.users"
READERS = "workload.readers"
TIES = "workload.ties"
HISTORY = "history.lengths"
BLOCKS = "history.blocks"
_HISTORY_ROUNDS = 50
MOST_TOK = int(NAMED["prompt_tok"]["le"])
"""Tokens of the longest prompt or answer, whether a scenario, a law or a trace names it."""


def make_requests(workload: Workload, reader: Reader, streams: RandomStreams, base_dir: Path) -> RequestTable:
    """Make the requests of one replication.

    Parameters
    ----------
    workload : Workload
        Laws to draw from, or a trace to replay.
    reader : Reader
        Consumption rate and expected TTFT.
    streams : RandomStreams
        Luck of the replication; streams ``workload.gaps``, ``.lengths``, ``.users``, ``.readers``, ``.ties``.
    base_dir : Path
        Folder that a trace's relative path starts from.

    Returns
    -------
    RequestTable
        Its first k requests do not depend on how many are asked for.

    Raises
    ------
    UserError
        For an unknown digest, an impossible law, or a trace that cannot be read or is too short.
    """
    match workload:
        case GeneratedWorkload():
            return _generated(workload, reader, streams, base_dir)
        case ReplayedWorkload():
            return _replayed(workload, reader, streams, base_dir)


@dataclass(frozen=True)
class Past:
    """The requests that policies learn from: a sample of the run's law that shares no draw with it, or a held-out part.

    Parameters
    ----------
    workload : Workload
        As for `make_requests`.
    streams : RandomStreams
        Luck of the past; beside the streams of `make_requests` ``history.lengths`` and ``history.blocks``.
    trace : RequestTrace or None
        What is replayed; None for generated requests.
    base_dir : Path
        Folder that relative paths start from.
    """

    workload: Workload
    streams: RandomStreams
    trace: RequestTrace | None = None
    base_dir: Path = Path()

    @classmethod
    def of(cls, workload: Workload, streams: RandomStreams, base_dir: Path = Path()) -> Past:
        """Read the trace, where there is one; errors as in `make_requests`."""
        if isinstance(workload, GeneratedWorkload):
            if isinstance(workload.lengths, FileLengths):  # the order of the run is the run's own
                workload = replace(workload, lengths=replace(workload.lengths, order="resample"))
            return cls(workload, streams, None, base_dir)
        return cls(workload, streams, _trace(workload, streams, base_dir), base_dir)

    @property
    def note(self) -> str:
        """Where the past comes from, for people."""
        if isinstance(self.workload, GeneratedWorkload):
            return "drawn from the laws of the workload, in a replication of its own"
        assert self.trace is not None
        return past_note(self.workload, len(self.trace))

    def lengths(self, n: int) -> tuple[Ints, Ints]:
        """Return past prompt and output lengths inside the scenario's limits, shape (n,) each.

        Of a replayed trace, blocks of the part that is held out, or of all that is replayed. What the limits clip is
        clipped, and drawn again where they reject.

        Raises
        ------
        UserError
            For an unknown digest, and where the limits reject nearly everything.
        """
        rng = self.streams.generator(HISTORY)
        kept: list[tuple[Ints, Ints]] = []
        n_kept = 0
        for _ in range(_HISTORY_ROUNDS):
            prompt, output = self._draw(n, rng)
            prompt, output, rejected, _notes = _limited(self.workload, prompt, output)
            kept.append((prompt[~rejected], output[~rejected]))
            n_kept += int((~rejected).sum())
            if n_kept >= n:
                prompts, outputs = (np.concatenate(part)[:n] for part in zip(*kept, strict=True))
                return prompts, outputs
        raise UserError("max_prompt_tok and max_output_tok reject nearly every request", where="workload")

    def _draw(self, n: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
        workload, trace = self.workload, self.trace
        if isinstance(workload, GeneratedWorkload):
            return draw_lengths(workload.lengths, n, rng, base_dir=self.base_dir)
        assert trace is not None
        parts = parts_of(workload, len(trace))
        rows = block_rows(parts.n_held_out or parts.n_used, n, rng)
        return trace.prompt_tok[rows], trace.output_tok[rows]

    def requests(self, n: int, reader: Reader) -> RequestTable:
        """Return ``n`` requests of the past, for a service whose queue has to be lived through to be known.

        They are fewer where a replayed trace, or the part of it that is held out, has fewer.
        """
        workload, trace, streams = self.workload, self.trace, self.streams
        if isinstance(workload, GeneratedWorkload):
            return make_requests(replace(workload, n_requests=n), reader, streams, self.base_dir)
        assert trace is not None
        parts = parts_of(workload, len(trace))
        if parts.n_held_out:
            past = held_out_rows(trace, parts, n)
        else:
            past = drawn_rows(first_rows(trace, parts.n_used), min(n, parts.n_used), streams.generator(BLOCKS))
        owners, _ = users_of(trace, parts.n_used)
        if owners is None:
            user = streams.generator(USERS).integers(0, workload.n_users, past.rows.size)
        else:
            user = owners[past.rows]
        arrival_s = past.arrival_s * workload.time_scale
        prompt, output = trace.prompt_tok[past.rows], trace.output_tok[past.rows]
        table = _table(workload, reader, streams, arrival_s, prompt, output, user, {})
        return replace(table, prefix_hashes=past.prefix_hashes, hash_block_tok=trace.hash_block_tok)


def _generated(workload: GeneratedWorkload, reader: Reader, streams: RandomStreams, base_dir: Path) -> RequestTable:
    n = workload.n_requests
    arrived = draw_arrivals(workload.arrivals, n, streams)
    sender = arrived.client if _lengths_follow_clients(workload) else None
    lengths, rng = workload.lengths, streams.generator(LENGTHS)
    notes: Notes = {}
    warnings: tuple[str, ...] = ()
    if isinstance(lengths, FileLengths):
        held = table_of(lengths, base_dir)
        prompt, output = draw_rows(lengths, held, n, rng)
        notes, warnings = notes_on(lengths, held, n)
    else:
        prompt, output = draw_lengths(lengths, n, rng, sender=sender)
    user = streams.generator(USERS).integers(0, workload.n_users, n)
    table = _table(workload, reader, streams, arrived.arrival_s, prompt, output, user, {**arrived.notes, **notes})
    return replace(table, warnings=warnings)


def _lengths_follow_clients(workload: GeneratedWorkload) -> bool:
    arrivals, lengths = workload.arrivals, workload.lengths
    return (
        isinstance(arrivals, ClientArrivals)
        and isinstance(lengths, DigestLengths)
        and arrivals.digest == lengths.digest
    )


def _trace(workload: ReplayedWorkload, streams: RandomStreams, base_dir: Path) -> RequestTrace:
    path = base_dir / workload.file
    trace = read_requests(path, workload.format, time_unit=workload.time_unit)
    if workload.ties == "spread":
        # one spreading for all replications: the trace is an input, not luck
        trace = spread_ties(trace, RandomStreams(streams.seed).generator(TIES))
    if workload.n_requests is not None and workload.n_requests > len(trace):
        raise UserError(
            f"n_requests is {workload.n_requests}, the trace holds {len(trace)} usable requests",
            where=str(path),
        )
    return trace


def _replayed(workload: ReplayedWorkload, reader: Reader, streams: RandomStreams, base_dir: Path) -> RequestTable:
    trace = _trace(workload, streams, base_dir)
    parts = parts_of(workload, len(trace))
    run, n = parts.run, parts.n_used
    notes: Notes = {f"trace_{key}": value for key, value in trace.notes.items()}
    if workload.time_scale != 1.0:
        notes["arrival_times_multiplied_by"] = workload.time_scale
    user, n_unnamed = users_of(trace, n)
    if user is None:
        user = streams.generator(USERS).integers(0, workload.n_users, n)
        notes["users"] = f"drawn from {workload.n_users}"
    else:
        alone = f"; {n_unnamed} requests without a name are users of their own" if n_unnamed else ""
        notes["users"] = f"from the trace{alone}"
    arrival_s = trace.arrival_s[run]
    if parts.n_held_out:  # the run counts from its own first request
        arrival_s = arrival_s - arrival_s[0]
    arrival_s = arrival_s * workload.time_scale
    # people keep their numbers, and with them their devices, however much is held out
    table = _table(workload, reader, streams, arrival_s, trace.prompt_tok[run], trace.output_tok[run], user[run], notes)
    table = replace(table, warnings=trace.warnings)
    if trace.hash_ids is None:
        return table
    hashes = tuple(tuple(trace.hash_ids[i].tolist()) for i in range(run.start, run.stop))
    return replace(table, prefix_hashes=hashes, hash_block_tok=trace.hash_block_tok)


def _limited(workload: Workload, prompt: Ints, output: Ints) -> tuple[Ints, Ints, Bools, Notes]:
    """Apply the length limits: clip, or mark as rejected; count either."""
    rejected = np.zeros(prompt.size, dtype=np.bool_)
    notes: Notes = {}
    limited = []
    for label, values, limit in (
        ("prompt", prompt, workload.max_prompt_tok),
        ("output", output, workload.max_output_tok),
    ):
        over = np.zeros(values.size, dtype=np.bool_) if limit is None else values > limit
        if limit is not None:
            verb = "clipped" if workload.over_limit == "clip" else "rejected"
            notes[f"{verb}_for_{label}_tok"] = int(over.sum())
        if workload.over_limit == "reject":
            rejected |= over
        limited.append(values if limit is None or workload.over_limit == "reject" else np.minimum(values, limit))
        longest = int(limited[-1][~rejected].max(initial=0))
        if longest > MOST_TOK:
            raise UserError(
                f"holds a request of {longest:,} {label} tokens, at most {MOST_TOK:,} can be simulated; set "
                f"max_{label}_tok, or a smaller law of lengths",
                where="workload",
            )
    return limited[0], limited[1], rejected, notes


def _table(
    workload: Workload,
    reader: Reader,
    streams: RandomStreams,
    arrival_s: Floats,
    prompt: Ints,
    output: Ints,
    user: Ints,
    notes: Notes,
) -> RequestTable:
    prompt, output, rejected, limit_notes = _limited(workload, prompt, output)
    n_users = int(user.max()) + 1 if user.size else 1
    rate_of = rates_of_users(reader, n_users, streams.generator(READERS))
    return RequestTable(
        arrival_s=arrival_s,
        prompt_tok=prompt,
        output_tok=output,
        user_id=user,
        reader_tok_per_s=rate_of[user],
        ttft_target_s=np.full(arrival_s.size, reader.ttft_target_s),
        rejected=rejected,
        notes={**notes, **limit_notes},
    )
