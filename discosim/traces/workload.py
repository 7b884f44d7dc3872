"""The workload stage: from a workload specification to the table of requests of one replication."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from discosim.core.bounds import NAMED
from discosim.core.errors import UserError
from discosim.core.request import RequestTable
from discosim.core.rng import RandomStreams
from discosim.core.scenario import (
    ClientArrivals,
    ClosedLoopArrivals,
    DigestLengths,
    FileLengths,
    GeneratedWorkload,
    Reader,
    ReplayedWorkload,
    Workload,
)
from discosim.core.versions import Warp
from discosim.traces.arrivals import Arrived, draw_arrivals
from discosim.traces.length_file import draw_rows, notes_on, table_of
from discosim.traces.lengths import LENGTHS, draw_lengths
from discosim.traces.mapping import parse_mapping
from discosim.traces.owners import users_of
from discosim.traces.past import parts_of, redrawn
from discosim.traces.read_once import requests_of
from discosim.traces.reader_rates import rates_of_users
from discosim.traces.readers import RequestTrace
from discosim.traces.readers.requests import spread_ties
from discosim.traces.think import draw_loop

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Notes = dict[str, float | str]

USERS = "workload.users"
READERS = "workload.readers"
TIES = "workload.ties"
MOST_TOK = int(NAMED["prompt_tok"]["le"])
"""Tokens of the longest prompt or answer, whether a scenario, a law or a trace names it."""


def make_requests(
    workload: Workload,
    reader: Reader,
    streams: RandomStreams,
    base_dir: Path,
    versions: RandomStreams | None = None,
) -> RequestTable:
    """Make the requests of one replication.

    Parameters
    ----------
    workload : Workload
        Laws to draw from, or a trace to replay.
    reader : Reader
        Consumption rate and expected TTFT.
    streams : RandomStreams
        Luck of the replication; streams ``workload.gaps``, ``.think``, ``.lengths``, ``.users``, ``.readers`` and
        ``.ties``.
    base_dir : Path
        Folder that a trace's relative path starts from.
    versions : RandomStreams, optional
        Luck of a version of what was measured (streams ``inputs.*``); without it the workload is as it was measured.

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
            return _generated(workload, reader, streams, base_dir, versions)
        case ReplayedWorkload():
            return _replayed(workload, reader, streams, base_dir, versions)


def _generated(
    workload: GeneratedWorkload,
    reader: Reader,
    streams: RandomStreams,
    base_dir: Path,
    versions: RandomStreams | None,
) -> RequestTable:
    n, loop = workload.n_requests, None
    if isinstance(workload.arrivals, ClosedLoopArrivals):
        loop = draw_loop(workload.arrivals, n, streams)
        arrived = Arrived(
            np.full(n, np.nan), notes={"users": f"the {loop.n_users} of the closed loop (workload.arrivals.users)"}
        )
    else:
        arrived = draw_arrivals(workload.arrivals, n, streams, versions)
    sender = arrived.client if _lengths_follow_clients(workload) else None
    lengths, rng = workload.lengths, streams.generator(LENGTHS)
    notes: Notes = {}
    warnings: tuple[str, ...] = ()
    if isinstance(lengths, FileLengths):
        held = table_of(lengths, base_dir)
        warp = None if versions is None else Warp.of(len(held), versions.generator("inputs.lengths.rows"))
        prompt, output = draw_rows(lengths, held, n, rng, warp)
        notes, warnings = notes_on(lengths, held, n)
    else:
        prompt, output = draw_lengths(lengths, n, rng, sender=sender, versions=versions)
    user = streams.generator(USERS).integers(0, workload.n_users, n) if loop is None else np.arange(n) % loop.n_users
    table = request_table(
        workload, reader, streams, arrived.arrival_s, prompt, output, user, {**arrived.notes, **notes}
    )
    return replace(table, warnings=warnings, loop=loop)


def _lengths_follow_clients(workload: GeneratedWorkload) -> bool:
    arrivals, lengths = workload.arrivals, workload.lengths
    return (
        isinstance(arrivals, ClientArrivals)
        and isinstance(lengths, DigestLengths)
        and arrivals.digest == lengths.digest
    )


def replayed_trace(workload: ReplayedWorkload, streams: RandomStreams, base_dir: Path) -> RequestTrace:
    """Read the trace of a workload, its ties spread where that is asked; errors as in `make_requests`."""
    path = base_dir / workload.file
    mapping = parse_mapping(workload.columns, where="workload.columns")
    trace = requests_of(path, workload.format, workload.time_unit, mapping)
    if workload.ties == "spread":
        # one spreading for all replications: the trace is an input, not luck
        trace = spread_ties(trace, RandomStreams(streams.seed).generator(TIES))
    if workload.n_requests is not None and workload.n_requests > len(trace):
        raise UserError(
            f"n_requests is {workload.n_requests}, the trace holds {len(trace)} usable requests",
            where=str(path),
        )
    return trace


def _replayed(
    workload: ReplayedWorkload,
    reader: Reader,
    streams: RandomStreams,
    base_dir: Path,
    versions: RandomStreams | None,
) -> RequestTable:
    trace = replayed_trace(workload, streams, base_dir)
    parts = parts_of(workload, len(trace))
    if versions is not None:
        trace = redrawn(trace, parts, versions.generator("inputs.workload"))
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
    table = request_table(
        workload, reader, streams, arrival_s, trace.prompt_tok[run], trace.output_tok[run], user[run], notes
    )
    table = replace(table, warnings=trace.warnings)
    if trace.hash_ids is None:
        return table
    hashes = tuple(tuple(trace.hash_ids[i].tolist()) for i in range(run.start, run.stop))
    return replace(table, prefix_hashes=hashes, hash_block_tok=trace.hash_block_tok)


def limited(workload: Workload, prompt: Ints, output: Ints) -> tuple[Ints, Ints, Bools, Notes]:
    """Apply the length limits: clip, or mark as rejected; count either."""
    rejected = np.zeros(prompt.size, dtype=np.bool_)
    notes: Notes = {}
    kept = []
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
        kept.append(values if limit is None or workload.over_limit == "reject" else np.minimum(values, limit))
        longest = int(kept[-1][~rejected].max(initial=0))
        if longest > MOST_TOK:
            raise UserError(
                f"holds a request of {longest:,} {label} tokens, at most {MOST_TOK:,} can be simulated; set "
                f"max_{label}_tok, or a smaller law of lengths",
                where="workload",
            )
    return kept[0], kept[1], rejected, notes


def request_table(
    workload: Workload,
    reader: Reader,
    streams: RandomStreams,
    arrival_s: Floats,
    prompt: Ints,
    output: Ints,
    user: Ints,
    notes: Notes,
) -> RequestTable:
    """Return the table of requests whose times, lengths and users are known: limits applied, readers drawn."""
    prompt, output, rejected, limit_notes = limited(workload, prompt, output)
    n_users = int(user.max()) + 1 if user.size else 1
    rate_of = rates_of_users(reader, n_users, streams.generator(READERS))
    return RequestTable(
        arrival_s=arrival_s,
        prompt_tok=prompt,
        output_tok=output,
        user_id=user,
        reader_tok_per_s=rate_of[user],
        ttft_target_s=ttft_targets(reader, prompt),
        rejected=rejected,
        notes={**notes, **limit_notes},
    )


def ttft_targets(reader: Reader, prompt_tok: Ints) -> Floats:
    """Return the TTFT that the reader of each request expects, in s, shape (n,).

    Source: ``max(prompt / 5000, 1)`` s of Andes v2 (secondary source); the authors' code divides whole numbers.
    """
    if reader.ttft_prompt_tok_per_s is None:
        return np.full(prompt_tok.size, reader.ttft_target_s)
    return np.maximum(reader.ttft_target_s, prompt_tok / reader.ttft_prompt_tok_per_s)
