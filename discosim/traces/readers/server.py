"""Per-request logs of a server (JSON lines, a JSON array, CSV or Parquet): load and truth in one table.

Format: a row a request with prompt and output tokens, moments (arrival, queued, scheduled, first token, last token) or
durations (TTFT, end to end, queue, time per token), under any of the names in `server_names.NAMES`; vLLM's own stamps
are called ``queued_ts, scheduled_ts, first_token_ts, last_token_ts``.
Origin: vLLM's ``RequestStateStats`` (``vllm/v1/metrics/stats.py``, Apache-2.0) and what people log of their services.
Quirks: ``arrival_time`` of vLLM is Unix time of the client's process, its ``*_ts`` are a monotonic clock of the engine:
the two are never subtracted from each other. A request arrives at the server when it is queued; TTFT and queue count
from there. Rows are sorted by arrival, and time starts at the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.mapping import NO_NAMES
from discosim.traces.readers.base import Bools, Floats, Ints, Reader, RequestTrace, TimeUnit, Words
from discosim.traces.readers.chars import MOST_TOK
from discosim.traces.readers.clock import finest_tick
from discosim.traces.readers.doubts import length_doubts
from discosim.traces.readers.foreign import PARQUET
from discosim.traces.readers.names import names_of
from discosim.traces.readers.outcomes import KNOWN, outcome_columns, outcomes_of, plain_name
from discosim.traces.readers.repeats import repeat_doubts
from discosim.traces.readers.runs import rows_by_name
from discosim.traces.readers.server_doubts import (
    beside_times,
    models_in,
    queue_doubts,
    wall_clock_doubts,
    without_stream,
)
from discosim.traces.readers.server_names import TIMES, Named, field_of, fields_in, missing
from discosim.traces.readers.server_seems import refuse_no_table
from discosim.traces.readers.server_times import Times, in_units, is_seen, times_of
from discosim.traces.readers.server_truth import truth_of
from discosim.traces.readers.source import read_head
from discosim.traces.readers.table import Table, names_in_order, names_of_table, read_table

NAME = "server"
_ENDS = frozenset({"finish_reason", "finished_reason", "end_reason"})
_CUT_SHORT = frozenset({"abort", "aborted", "error", "cancelled", "canceled", "timeout", "disconnect"})
"""Reasons of an end that are none of the model's (``stop``, ``length`` and the like are)."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Requests of a log in order of arrival, as a `ServerLog` and a `RequestTrace` need them.

    Parameters
    ----------
    arrival_s, ttft_s, e2e_s, queue_s : array of float, shape (n,)
        As in `ServerLog`.
    prompt_tok, output_tok, source_row : array of int, shape (n,)
        Lengths, and the line of each.
    user_id : array of str objects, shape (n,), or None
        Names of users.
    concurrency : array of str objects, shape (n,), or None
        What the column of that name holds.
    tick_s, first_arrival : float
        Of the clock of arrivals.
    is_streamed : bool
        False where no answer came token by token, so that no TTFT was seen although the file has one.
    models : tuple of str
        Names of the models, where the file has them.
    n_rows, n_failed, n_empty : int
        Rows of the file, those left out as failed, and those left out for want of tokens.
    warnings : tuple of str
        Whole sentences.
    """

    arrival_s: Floats
    ttft_s: Floats
    e2e_s: Floats
    queue_s: Floats
    prompt_tok: Ints
    output_tok: Ints
    source_row: Ints
    user_id: Words | None
    concurrency: Words | None
    tick_s: float
    first_arrival: float
    is_streamed: bool
    models: tuple[str, ...]
    n_rows: int
    n_failed: int
    n_empty: int
    warnings: tuple[str, ...]

    def groups(self) -> dict[str, Ints]:
        """Return the rows of each concurrency, in rising order; all rows under '' where the file has none."""
        if self.concurrency is None:
            return {"": np.arange(self.arrival_s.size)}
        found = rows_by_name(self.concurrency.tolist())
        return {name: found[name] for name in sorted(found, key=lambda word: (len(word), word))}


def read_rows(path: Path, mapping: Mapping[str, str], unit: str, *, truth: bool = True) -> Rows:
    """Read a log.

    Parameters
    ----------
    path : Path
        The file.
    mapping : mapping of str to str
        Our names to the file's, where they are not known.
    unit : str
        Of the times whose columns do not say it; ``auto`` looks.
    truth : bool
        Whether TTFT or the whole time must be there.

    Raises
    ------
    UserError
        If a field is missing, a cell is wrong, clocks run backwards, ids stand twice or the unit is not to be told.
    """
    head = read_head(path)
    is_json = not head.startswith(PARQUET) and head.lstrip()[:1] in {b"{", b"["}
    names = sorted(names_of_table(head, path)) if is_json else names_in_order(head, path)
    label = str(path)
    refuse_no_table(head, names, path)
    fields = fields_in(names, mapping, label)
    _require_fields(fields, names, label, truth=truth)
    said = [
        *outcome_columns(names),
        *(name for name in names if plain_name(name) in _ENDS),
        *(KNOWN if is_json else ()),
        *beside_times(names),
    ]
    wanted = dict.fromkeys([*(named.name for named in fields.values()), *said])
    need = [fields[field].name for field in ("prompt_tok", "output_tok")]
    table = read_table(path, () if is_json else need, [name for name in wanted if is_json or name not in need])
    for name in need:
        if not table.has(name):
            raise table.error(0, name, "is missing")
    _refuse_twins(table, fields.get("request_id"))
    return _rows(table, fields, unit, label)


def _require_fields(fields: Mapping[str, Named], names: list[str], label: str, *, truth: bool) -> None:
    for field, what in (("prompt_tok", "prompt tokens"), ("output_tok", "output tokens")):
        if field not in fields:
            raise missing(field, what, names, label)
    if "queued" not in fields and "arrival" not in fields:
        raise missing("arrival", "arrivals", names, label)
    if truth and not {"first_token", "last_token", "ttft", "e2e"} & set(fields):
        raise missing("first_token", "the time of the first or of the last token", names, label)


def _refuse_twins(table: Table, named: Named | None) -> None:
    if named is None:
        return
    words = table.words(named.name).tolist()
    seen: dict[str, int] = {}
    for i, word in enumerate(words):
        if word and seen.setdefault(word, i) != i:
            raise table.error(i, named.name, f"{word!r} stands in {table.place(seen[word])} too; each request once")


def _rows(table: Table, fields: Mapping[str, Named], unit: str, label: str) -> Rows:
    prompt, output = fields["prompt_tok"].name, fields["output_tok"].name
    outcomes = outcomes_of(table)
    if outcomes.unclear:
        i, name = outcomes.unclear[0]
        raise table.error(i, name, f"{table.shown(name, i)} says neither that the request succeeded nor that it failed")
    failed = outcomes.is_failed | _cut_short(table)
    counts = {
        name: table.counts(name, only=~(failed | table.columns[name].blank()), highest=MOST_TOK)
        for name in (prompt, output)
    }
    for name in (prompt, output):  # a failed request has tokens where its cell is a number of them
        values = table.columns[name].floats()
        good = failed & np.isfinite(values) & (values >= 0) & (values <= MOST_TOK)
        counts[name][good] = values[good].astype(np.int64)
    empty = (counts[prompt] == 0) | (counts[output] == 0)
    kept = ~empty
    named = {field: fields[field] for field in TIMES if field in fields and table.has(fields[field].name)}
    start = "queued" if "queued" in named else "arrival"
    if start not in named:
        raise missing("arrival", "arrivals", list(table.columns), label)
    unstamped = ~is_seen(table, named[start].name)
    if "queued" in named and "arrival" in named and bool((unstamped | ~kept | failed).all()):
        start = "arrival"
        unstamped = ~is_seen(table, named[start].name)
    lost = kept & unstamped & ~failed
    if lost.any():
        raise table.error(int(np.argmax(lost)), named[start].name, "is blank: when did the request arrive?")
    kept &= ~unstamped
    if not kept.any():
        raise UserError("no row has prompt and output tokens and an arrival", where=label)
    truth = kept & ~failed
    held = times_of(table, named, truth | kept)
    held = {field: _only(times, truth) if field != start else times for field, times in held.items()}
    begun = held[start].seen & (held[start].ticks > 0)
    for field in ("scheduled", "first_token", "last_token"):  # 0 is what vLLM has for what did not happen
        if field in held:
            held[field] = _only(held[field], ~(begun & (held[field].ticks == 0)))
    held, warnings = in_units(held, np.where(truth, counts[output], 0), unit, label, table)
    ttft_s, e2e_s, queue_s, notes = truth_of(table, held, start, counts[output], label)
    ttft_s, is_streamed, doubts = without_stream(table, kept & ~failed, ttft_s, e2e_s, counts[output])
    if wait := held.get("scheduled") or held.get("queue"):
        doubts += queue_doubts(wait.name, ttft_s, e2e_s, queue_s)
    models, several = models_in(table, kept)
    doubts += several
    notes = [*warnings, *outcomes.warnings, *notes, *doubts, *_left_out(failed, empty, kept, ttft_s, e2e_s)]
    arrivals = held[start]
    notes += wall_clock_doubts(table, held[start])
    rows = np.flatnonzero(kept)
    first = rows[int(np.argmin(arrivals.ticks[rows]))]
    since = arrivals.since(arrivals, int(first))
    order = rows[np.lexsort((counts[output][rows], counts[prompt][rows], ttft_s[rows], since[rows]))]
    users = names_of(table, fields["user_id"].name if "user_id" in fields else "", order)
    level = fields.get("concurrency")
    assert arrivals.per_s is not None
    notes += _of_rows(ttft_s[order], e2e_s[order], counts[prompt][order], counts[output][order], since[order])
    return Rows(
        arrival_s=since[order],
        ttft_s=ttft_s[order],
        e2e_s=e2e_s[order],
        queue_s=queue_s[order],
        prompt_tok=counts[prompt][order],
        output_tok=counts[output][order],
        source_row=table.lines[order],
        user_id=users[0],
        concurrency=None if level is None or not table.has(level.name) else table.words(level.name)[order],
        tick_s=finest_tick(arrivals.ticks[order], arrivals.per_s) / arrivals.per_s,
        first_arrival=float(arrivals.ticks[first]) / arrivals.per_s,
        is_streamed=is_streamed,
        models=models,
        n_rows=len(table),
        n_failed=int((failed & ~kept).sum()),
        n_empty=int((~failed & ~kept).sum()),
        warnings=(*notes, *users[1]),
    )


def _of_rows(ttft_s: Floats, e2e_s: Floats, prompt_tok: Ints, output_tok: Ints, arrival_s: Floats) -> list[str]:
    """Return what to doubt of all rows together."""
    twice = repeat_doubts(ttft_s, e2e_s, prompt_tok, output_tok, clock=arrival_s)
    return [*length_doubts(prompt_tok, output_tok), *twice]


def _cut_short(table: Table) -> Bools:
    """Return the rows whose reason of the end says that the request was cut short."""
    found = np.zeros(len(table), dtype=np.bool_)
    for name in (name for name in table.columns if plain_name(name) in _ENDS):
        found |= np.array([word.lower() in _CUT_SHORT for word in table.words(name).tolist()], dtype=np.bool_)
    return found


def _only(times: Times, rows: Bools) -> Times:
    return Times(times.name, times.ticks, times.seen & rows, times.per_s)


def _left_out(failed: Bools, empty: Bools, kept: Bools, ttft_s: Floats, e2e_s: Floats) -> list[str]:
    said = []
    n = failed.size
    if n_lost := int((failed & ~kept).sum()):
        said.append(f"{n_lost:,} of {n:,} requests failed before they had an answer, and are left out.")
    if n_loads := int((failed & kept).sum()):
        said.append(
            f"{n_loads:,} of {n:,} requests failed or were cancelled after some tokens: they stay in the load, with "
            "the tokens they had, and their times are not looked at."
        )
    if n_none := int((~failed & empty).sum()):
        said.append(f"{n_none:,} of {n:,} requests have no prompt or no output tokens, and are left out.")
    ok = kept & ~failed
    for what, times_s in (("time of the first token", ttft_s), ("time of the last token", e2e_s)):
        n_blank = int((ok & ~np.isfinite(times_s)).sum())
        if n_blank:
            which = "no request has" if n_blank == ok.sum() else f"{n_blank:,} of {int(ok.sum()):,} requests lack"
            said.append(f"{which[0].upper()}{which[1:]} a {what}.")
    return said


def matches(head: bytes, path: Path) -> bool:
    """Recognise lengths, an arrival and a time of the answer, under names that mean them beyond doubt."""
    try:
        fields = fields_in(names_of_table(head, path), {}, str(path))
    except UserError:
        return False
    has_truth = {"first_token", "last_token", "ttft", "e2e"} & set(fields)
    return {"prompt_tok", "output_tok"} <= set(fields) and bool({"arrival", "queued"} & set(fields)) and bool(has_truth)


def why_not(head: bytes, path: Path) -> str:
    """Return what keeps a log of requests from being recognised, as a sentence; '' where a file is none."""
    names = names_of_table(head, path)
    known = {field_of(name) for name in names}
    if not known >= {"prompt_tok", "output_tok"} or not known & {"arrival", "queued"}:
        return ""
    try:
        fields_in(names, {}, "")
    except UserError as error:
        return str(error).removeprefix(": ")
    return ""


def read(path: Path, time_unit: TimeUnit = "auto", mapping: Mapping[str, str] = NO_NAMES) -> RequestTrace:
    """Read the load: requests at the moments when they arrived at the server."""
    rows = read_rows(path, mapping, time_unit)
    return RequestTrace(
        arrival_s=rows.arrival_s,
        prompt_tok=rows.prompt_tok,
        output_tok=rows.output_tok,
        source_row=rows.source_row,
        user_id=rows.user_id,
        notes={
            "first_arrival": rows.first_arrival,
            "format": NAME,
            "rows": rows.n_rows,
            "dropped_failed": rows.n_failed,
            "dropped_zero_tok": rows.n_empty,
            "tick_s": rows.tick_s,
            "tied": int(np.sum(np.diff(rows.arrival_s) == 0)),
            "ties": "keep",
        },
        warnings=rows.warnings,
    )


READER = Reader(
    NAME, "per-request log of a server, load and times (JSON lines, CSV, Parquet)", "requests", matches, read
)
