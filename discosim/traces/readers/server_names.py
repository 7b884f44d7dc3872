"""Names of the columns of a server's log: what each field is called, and which column of a file it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from discosim.core.errors import MANY, UserError, close_match
from discosim.traces.readers.outcomes import plain_name
from discosim.traces.readers.table_base import nearest, printable

MOMENTS = ("arrival", "queued", "scheduled", "first_token", "last_token")
DURATIONS = ("ttft", "e2e", "queue", "tpot")
TIMES = (*MOMENTS, *DURATIONS)
_TOKENS = ("tokens", "toks", "tok", "len", "length")


def _of_tokens(*words: str) -> tuple[str, ...]:
    return tuple(f"{n}{word}_{end}" for word in words for end in _TOKENS for n in ("", "num_", "n_", "number_"))


NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "arrival": (
            *("arrival", "arrival_time", "arrival_ts", "arrival_timestamp", "arrived", "arrived_at"),
            *("submitted_at", "submit_time", "submit_ts", "received_at", "received_ts", "request_start_time"),
        ),
        "queued": ("queued", "queued_ts", "queued_at", "queued_time", "enqueued_at", "enqueue_time", "enqueue_ts"),
        "scheduled": (
            *("scheduled", "scheduled_ts", "scheduled_at", "scheduled_time", "schedule_time"),
            *("first_scheduled_time", "first_scheduled_ts", "first_scheduled_at", "first_scheduled"),
        ),
        "first_token": ("first_token", "first_token_ts", "first_token_time", "first_token_at", "first_token_timestamp"),
        "last_token": (
            *("last_token", "last_token_ts", "last_token_time", "last_token_at", "last_token_timestamp"),
            *("finished_time", "finish_time", "finished_at", "finished_ts", "finish_ts"),
        ),
        "ttft": ("ttft", "time_to_first_token", "first_token_latency"),
        "e2e": (
            *("e2e", "e2e_latency", "e2e_time", "e2el", "end_to_end_latency", "end_to_end_time", "request_latency"),
            "total_latency",
        ),
        "queue": (
            *("queue", "queue_time", "time_in_queue", "queue_wait", "queue_delay", "queueing_time", "queuing_time"),
            *("waiting_time", "wait_time"),
        ),
        "tpot": ("tpot", "time_per_output_token", "mean_tpot", "mean_time_per_output_token"),
        "prompt_tok": _of_tokens("prompt", "input"),
        "output_tok": _of_tokens("output", "completion", "generation", "generated"),
        "request_id": ("request_id", "req_id", "request_uuid"),
        "user_id": ("user_id", "user", "client_id"),
        "concurrency": ("concurrency", "max_concurrency", "num_concurrent_requests"),
    }
)
"""Fields by our name, with the names that other tools give them, without the unit of time at their end."""

_WEAK: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "arrival": ("start_time", "start_ts", "send_time", "sent_at", "request_time", "created_at", "timestamp", "at"),
        "last_token": ("end_time", "end_ts", "completed_at"),
        "e2e": ("latency", "total", "total_time", "duration"),
        "request_id": ("id", "uuid", "rid"),
    }
)
"""Names that may mean the field: they count where no plainer one is there."""

_AFTER = MappingProxyType({"finished_time": "last_token_time"})
"""Names that are not the field where another one is there: vLLM's older ``RequestMetrics`` has both, and a request is
finished after its last token, when somebody has looked."""
_SHOWN = 40
_UNIT = re.compile(r"_(?:in_)?(s|ms|us|ns|sec|secs|seconds|msec|millis|milliseconds|usec|micros|microseconds|nanos)$")
_UNITS = MappingProxyType(
    {
        **dict.fromkeys(("s", "sec", "secs", "seconds"), "s"),
        **dict.fromkeys(("ms", "msec", "millis", "milliseconds"), "ms"),
        **dict.fromkeys(("us", "usec", "micros", "microseconds"), "us"),
        **dict.fromkeys(("ns", "nanos"), "ns"),
    }
)
_FIELD_OF = {name: field for field, names in NAMES.items() for name in names}
_WEAK_FIELD_OF = {name: field for field, names in _WEAK.items() for name in names}
VLLM = frozenset({"queued_ts", "scheduled_ts", "first_token_ts", "last_token_ts"})
"""Names of vLLM's own stamps, which are in s (``vllm/v1/metrics/stats.py``, ``RequestStateStats``)."""


@dataclass(frozen=True)
class Named:
    """One column: its name in the file, and the unit of time that a name declares."""

    name: str
    unit: str | None = None


def split_unit(name: str) -> tuple[str, str | None]:
    """Return a plain name without the unit of time at its end, and the unit."""
    plain = plain_name(name)
    found = _UNIT.search(plain)
    return (plain, None) if found is None else (plain[: found.start()], _UNITS[found[1]])


def field_of(name: str) -> str | None:
    """Return the field that a column's name means beyond doubt, or None."""
    return _FIELD_OF.get(split_unit(name)[0])


def fields_in(names: Iterable[str], mapping: Mapping[str, str], where: str) -> dict[str, Named]:
    """Return the column of each field that a file has.

    Parameters
    ----------
    names : iterable of str
        Columns of the file.
    mapping : mapping of str to str
        Our name (any of `NAMES`, also with a unit of time at its end) to the file's.
    where : str
        File, for errors.

    Raises
    ------
    UserError
        If the mapping names a field or a column that is not there, or two columns mean one field.
    """
    present = list(dict.fromkeys(names))
    found: dict[str, Named] = {}
    for ours, theirs in mapping.items():
        field, unit = _our_field(ours, where)
        if theirs not in present:
            raise UserError(
                f"no column {theirs!r}, which --map gives to {ours}; {nearest(theirs, present)}", where=where
            )
        if field in found and found[field].name != theirs:
            raise UserError(f"--map gives both {found[field].name!r} and {theirs!r} to {field}; leave one", where=where)
        found[field] = _named(theirs, unit) if field in TIMES else Named(theirs)
    plain = {split_unit(name)[0] for name in present}
    taken = {named.name for named in found.values()}
    taken |= {name for name in present if _AFTER.get(split_unit(name)[0]) in plain}
    for known in (_FIELD_OF, _WEAK_FIELD_OF):
        here: dict[str, list[str]] = {}
        for name in present:
            field_name = known.get(split_unit(name)[0])
            if field_name is not None and name not in taken:
                here.setdefault(field_name, []).append(name)
        for field, columns in here.items():
            if field in found:
                continue
            if len(columns) > 1:
                raise UserError(
                    f"the columns {_listed(columns)} may all be {field}; say which with --map {field}={columns[0]}",
                    where=where,
                )
            found[field] = _named(columns[0], None) if field in TIMES else Named(columns[0])
    return found


def _our_field(ours: str, where: str) -> tuple[str, str | None]:
    for text, unit in ((plain_name(ours), None), split_unit(ours)):
        field = text if text in NAMES else _FIELD_OF.get(text) or _WEAK_FIELD_OF.get(text)
        if field is not None:
            return field, unit
    raise UserError(f"--map names an unknown field {ours!r}; {close_match(ours, NAMES)}", where=where)


def _named(name: str, said: str | None) -> Named:
    """Return a column of times; the file's own name says its unit where it does, else ours."""
    return Named(name, split_unit(name)[1] or said)


def _listed(names: Sequence[str]) -> str:
    return " and ".join(repr(name[:_SHOWN]) for name in names)


def missing(field: str, what: str, present: Iterable[str], where: str) -> UserError:
    """Return the error for a field that the file lacks, with the nearest of its columns and how to name it."""
    known = [*NAMES[field], *_WEAK.get(field, ())]
    near = [(printable(n), like) for n in present if len(n) <= _SHOWN and (like := _likeness(n, known)) > 0]
    near.sort(key=lambda item: -item[1])
    hint = f"if {near[0][0]!r} is it, say --map {field}={near[0][0]}" if near else f"name it with --map {field}=COLUMN"
    listed = ", ".join(printable(name)[:_SHOWN] for name in list(present)[:MANY]) or "none"
    return UserError(f"no column with {what} ({', '.join(known[:4])}, ...); {hint}; its columns: {listed}", where=where)


def _likeness(name: str, known: Sequence[str]) -> float:
    from difflib import SequenceMatcher

    plain = split_unit(name)[0]
    best = max(SequenceMatcher(None, plain, word).ratio() for word in known)
    return best if best >= 0.6 and field_of(name) is None else 0.0
