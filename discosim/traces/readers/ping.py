r"""What ``ping`` prints, on Linux, macOS and Windows (text).

Format: a line for each reply, ``icmp_seq=3 ttl=57 time=11.2 ms`` (busybox: ``seq=``; Windows: ``time=11ms TTL=57``
without a number), a header, and a summary at the end.
Origin: iputils, BSD and macOS, busybox and Windows; the lines as these programs print them.
Quirks: a lost probe has no line (Linux), or one that says so (macOS, Windows); by the numbers of the replies and the
summary's count of probes the lost ones have their places. Where replies have no number, lines in a language that is
not known here are the losses if they are as many as the summary counts; else those are put at the end. Duplicates are
left out and counted. ``time<1ms`` is read as 0.5 ms, half its bound. Words may be in any language: a reply is a line
with ``ttl=`` and one time in ms. The time between probes is that of ``-D``'s stamps, or the summary's whole time over
the probes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.readers.base import Reader, RttSeries
from discosim.traces.readers.rtt import series_of_probes
from discosim.traces.readers.runs import unused_name
from discosim.traces.readers.source import read_bytes, stem

_HEADER = re.compile(r"(?:PING|Pinging) (?P<host>[^\s(\[:]+)")
_ANY_HEADER = re.compile(r"(?!.*(?:statis|estad)).*\bping\b.*\d\)? (?:data )?(?:bytes?|octets)\b", re.IGNORECASE)
_REPLY = re.compile(r"\w+(?P<sign>[=<])\s?(?P<ms>\d{1,7}(?:[.,]\d{1,9})?)\s?ms\b", re.IGNORECASE)
_TTL = re.compile(r"\b(?:ttl|hlim)=\d+", re.IGNORECASE)
_SEQUENCE = re.compile(r"\b(?:icmp_)?seq=(\d+)")
_STAMP = re.compile(r"\[(\d{9,12}\.\d{1,9})\]")
_MISSED = re.compile(
    r"(?:no answer yet for icmp_seq=|Request timeout for icmp_seq |From \S+(?: \(\S+\))?:? icmp_seq=)(\d{1,5})\b"
)
_TIMED_OUT = re.compile(
    r"(?:Request timed out|Reply from \S+ (?:Destination|TTL expired)|General failure)", re.IGNORECASE
)
_UNIX_SUM = re.compile(r"(\d{1,9}) [^\d,]+, (\d{1,9})\b[^%]*%(?:.*?(\d{1,12})\s?ms)?")
_WINDOWS_SUM = re.compile(r"\s.*\w+\s*=\s*(\d{1,9}),\s*[^=,]+=\s*(\d{1,9}),\s*[^=,]+=\s*(\d{1,9})\b")
_NUMBERS = 1 << 16
"""Sequence numbers have 16 bits, and go on with 0 after the last."""
_BELOW = 0.5
MOST_PROBES = 10_000_000


@dataclass
class _Run:
    """What one call of ping printed."""

    host: str
    begins_at: int | None = None
    replies: list[tuple[int | None, float, float | None]] = field(default_factory=list)
    missed: list[int] = field(default_factory=list)
    order: list[float | None] = field(default_factory=list)
    unread: list[int] = field(default_factory=list)
    is_over: bool = False
    sent: int | None = None
    received: int | None = None
    whole_ms: float | None = None
    duplicates: int = 0
    below: int = 0


def _runs(text: str, path: Path) -> Iterator[_Run]:
    """Yield what each call printed, line by line."""
    run: _Run | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        header = _HEADER.match(line)
        if header or _ANY_HEADER.match(line):
            if run is not None:
                yield run
            run = _Run(header["host"] if header else "")
            run.begins_at = 1 if "of data" in line else 0 if "data bytes" in line else None
            continue
        if run is None and not line.strip():
            continue
        run = run or _Run("")
        if not _summary(run, line):
            _line(run, line, f"{path} row {number}")
    if run is not None:
        yield run


def _summary(run: _Run, line: str) -> bool:
    found = _UNIX_SUM.match(line) or _WINDOWS_SUM.match(line)
    if found is None:
        return False
    run.sent, run.received = int(found[1]), int(found[2])
    if found.re is _UNIX_SUM and found[3]:
        run.whole_ms = float(found[3])
    return True


def _line(run: _Run, line: str, where: str) -> None:
    missed = _MISSED.search(line)
    if missed:
        run.missed.append(int(missed[1]))
        return
    if _TIMED_OUT.match(line.strip()):
        run.order.append(None)
        return
    sequence, reply = _SEQUENCE.search(line), _REPLY.search(line)
    if reply is None or not (sequence or _TTL.search(line) or line.startswith("Reply from")):
        if not line.strip():  # what follows is the summary
            run.is_over = bool(run.order)
        elif not run.is_over and not sequence:  # a loss, in a language that is not known here, if the summary agrees
            run.unread.append(len(run.order))
        if sequence and "time" in line:
            raise UserError(f"expected a reply with a time in ms, got {line.strip()[:60]!r}", where=where)
        return
    if sequence and (len(sequence[1]) > 5 or int(sequence[1]) >= _NUMBERS):
        raise UserError(f"expected a sequence number below {_NUMBERS:,}, got {sequence[1][:20]}", where=where)
    if "DUP!" in line:
        run.duplicates += 1
        return
    ms = float(reply["ms"].replace(",", "."))
    if reply["sign"] == "<":
        ms, run.below = ms * _BELOW, run.below + 1
    stamp = _STAMP.match(line)
    run.replies.append((int(sequence[1]) if sequence else None, ms, float(stamp[1]) if stamp else None))
    run.order.append(ms)


def _numbered(run: _Run) -> tuple[dict[int, float], int, int]:
    """Return times by number, and the first and last number that was sent; numbers go on after 65,535."""
    times: dict[int, float] = {}
    latest = turn = 0
    for number, ms, _ in run.replies:
        assert number is not None
        is_late = turn > 0 and number > latest + _NUMBERS // 2  # a reply from before the numbers began again
        if not is_late:
            turn += number < latest - _NUMBERS // 2
            latest = number
        place = number + (turn - is_late) * _NUMBERS
        run.duplicates += place in times
        times.setdefault(place, ms)
    known = [*times, *run.missed]
    begins = run.begins_at
    first = min(known) if begins is None or min(known) < begins else begins
    return times, first, max(*known, first + run.sent - 1 if run.sent else 0)


def _series(run: _Run, group: str, where: str) -> RttSeries:
    if (run.sent or 0) > MOST_PROBES:
        raise UserError(f"its summary counts {run.sent:,} probes; at most {MOST_PROBES:,} are read", where=where)
    if not run.replies:
        what = "the summary alone (ping -q)" if run.received else "no replies"
        raise UserError(f"holds {what}; a series needs the replies one by one", where=where)
    with_number = [number is not None for number, _, _ in run.replies]
    doubts: list[str] = []
    if all(with_number):
        times, first, last = _numbered(run)
        ms = np.array([times.get(number, np.nan) for number in range(first, last + 1)])
    else:
        ms = np.array([np.nan if time is None else time for time in run.order])
        unplaced = (run.sent or 0) - ms.size
        if 0 < unplaced == len(run.unread):
            ms = np.insert(ms, run.unread, np.nan)
        elif unplaced > 0:
            ms = np.append(ms, np.full(unplaced, np.nan))
            doubts.append(f"The summary counts {unplaced:,} lost probes that have no line; they were put at the end.")
    n_received = int(np.isfinite(ms).sum())
    if run.sent is None:
        doubts.append("The output has no summary: probes lost at its end are not known.")
    elif run.received is not None and run.received != n_received:
        doubts.append(f"The summary counts {run.received:,} replies; {n_received:,} were read.")
    if run.below:
        doubts.append(f"{run.below:,} replies took less than 1 ms, and half of that was taken.")
    return series_of_probes(
        group,
        "ping",
        ms / 1000.0,
        where,
        spacing_s=_spacing_s(run, ms.size),
        unit_s=None,
        counts={"duplicates": run.duplicates},
        warnings=doubts,
    )


def _spacing_s(run: _Run, n_probes: int) -> float | None:
    stamped = [(number, at_s) for number, _, at_s in run.replies if number is not None and at_s is not None]
    if len(stamped) > 1:
        numbers, stamps_s = np.array(stamped).T
        steps = np.diff(numbers)
        if (steps > 0).any():
            return float(np.median(np.diff(stamps_s)[steps > 0] / steps[steps > 0]))
    if run.whole_ms and n_probes > 1:
        return run.whole_ms / 1000.0 / (n_probes - 1)
    return None


def matches(head: bytes, _path: Path) -> bool:
    """Recognise a header of ping, or a line with a reply."""
    for line in head[:4096].decode(errors="replace").splitlines()[:20]:
        if _ANY_HEADER.match(line) or (_REPLY.search(line) and _TTL.search(line)):
            return True
    return False


def read(path: Path) -> dict[str, RttSeries]:
    """Read all calls of the file: the file's stem, or each by its host where there are several."""
    runs = list(_runs(read_bytes(path).decode(errors="replace"), path))
    answered = [run for run in runs if run.replies]
    groups: dict[str, RttSeries] = {}
    for run in answered or runs[:1]:
        group = stem(path) if len(answered) < 2 else unused_name(run.host or stem(path), groups)
        groups[group] = _series(run, group, str(path))
    silent = [run for run in runs if not run.replies and (run.sent or run.order or run.missed)]
    if not silent:
        return groups
    doubt = f"Left out: {len(silent)} of the {len(silent) + len(answered)} calls in the file had no reply."
    return {name: replace(series, warnings=(*series.warnings, doubt)) for name, series in groups.items()}


READER = Reader("ping", "round trips as ping prints them, on Linux, macOS and Windows (text)", "rtt", matches, read)
