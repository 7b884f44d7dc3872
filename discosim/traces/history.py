"""The past that policies learn from: requests of the run's own law that share no draw with it, or a part held out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from discosim.core.errors import UserError
from discosim.core.request import RequestTable
from discosim.core.rng import RandomStreams
from discosim.core.scenario import FileLengths, GeneratedWorkload, Reader, Workload
from discosim.traces.lengths import draw_lengths
from discosim.traces.owners import users_of
from discosim.traces.past import block_rows, drawn_rows, first_rows, held_out_rows, parts_of, past_note
from discosim.traces.readers import RequestTrace
from discosim.traces.workload import USERS, limited, make_requests, replayed_trace, request_table

Ints = NDArray[np.int64]

HISTORY = "history.lengths"
BLOCKS = "history.blocks"
_ROUNDS = 50


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
        return cls(workload, streams, replayed_trace(workload, streams, base_dir), base_dir)

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
        for _ in range(_ROUNDS):
            prompt, output = self._draw(n, rng)
            prompt, output, rejected, _notes = limited(self.workload, prompt, output)
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
        table = request_table(workload, reader, streams, arrival_s, prompt, output, user, {})
        return replace(table, prefix_hashes=past.prefix_hashes, hash_block_tok=trace.hash_block_tok)
