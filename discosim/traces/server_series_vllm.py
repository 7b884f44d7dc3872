"""The lines that vLLM logs of itself every ten seconds, as a series."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.readers.clock import hour_back
from discosim.traces.readers.series_names import LINE
from discosim.traces.readers.source import read_bytes
from discosim.traces.server_log import ServerSeries

_STAMP = re.compile(
    r"(?:(?P<year>\d{4})-)?(?P<month>\d\d)-(?P<day>\d\d)[T ](?P<clock>\d\d:\d\d:\d\d)(?:[.,](?P<part>\d+))?"
    r"(?P<zone> ?(?:Z|UTC|[+-]\d\d:?\d\d)\b)?"
)
_DAY_NS = 86_400 * 10**9
_YEAR_NS = 366 * _DAY_NS
"""Of a year that no line names: one in which every day is one."""
Cells = tuple[float, float, float, float, float]


def read_vllm_lines(place: Path) -> ServerSeries:
    """Read the lines in which vLLM says what it does; of several engines, those of one moment add up.

    Parameters
    ----------
    place : Path
        The log file, with other lines between.

    Raises
    ------
    UserError
        If a line has no moment, some have an offset from UTC and others none, or engines share no moment.

    Notes
    -----
    Lines without a year go on from 31 December to 1 January. Of two lines of one engine and moment the later counts.
    """
    stamps_ns: list[int] = []
    rows: dict[int, dict[str, Cells]] = {}
    first_zone: bool | None = None
    turns = n_twice = 0
    text = read_bytes(place).decode(errors="replace")
    for number, line in enumerate(text.split("\n"), start=1):
        found = LINE.search(line)
        if found is None:
            continue
        where = f"{place} row {number}"
        stamp = _STAMP.search(line)
        if stamp is None:
            raise UserError("has no time (month-day hour:minute:second)", where=where)
        if first_zone not in (None, has_zone := stamp["zone"] is not None):
            raise UserError("times with and without a UTC offset are mixed", where=where)
        first_zone = has_zone
        at_ns = _moment_ns(stamp, where)
        if not stamp["year"]:
            at_ns += turns * _YEAR_NS
            if stamps_ns and abs(at_ns - stamps_ns[-1]) > _YEAR_NS // 2:  # over new year, or back in a log that is
                turn = 1 if at_ns < stamps_ns[-1] else -1  # written with the newest line first
                turns += turn
                at_ns += turn * _YEAR_NS
        stamps_ns.append(at_ns)
        kv = float(found["kv"]) / 100.0 if found["kv"] else np.nan
        held = rows.setdefault(at_ns, {})
        n_twice += (found["engine"] or "") in held
        cells = (float(found["running"]), float(found["waiting"]), float(found["prompt"]), float(found["output"]), kv)
        held[found["engine"] or ""] = cells
    doubts = [] if first_zone else hour_back(np.array(stamps_ns) / 1e9, "the log")
    if n_twice:
        doubts.append(
            f"{n_twice:,} of {len(stamps_ns):,} lines have a later one of the same engine and moment (a restart, or "
            "two servers in one file?) and are left out."
        )
    return _series(rows, place, doubts)


def _moment_ns(stamp: re.Match[str], where: str) -> int:
    day = f"{stamp['year'] or '2024'}-{stamp['month']}-{stamp['day']}T{stamp['clock']}"
    zone = (stamp["zone"] or "Z").strip().replace("UTC", "Z")
    try:
        at_s = int(datetime.fromisoformat(day + zone).astimezone(UTC).timestamp())
    except (ValueError, OverflowError):
        raise UserError(f"{day}{zone if zone != 'Z' else ''} is no moment", where=where) from None
    return at_s * 10**9 + int((stamp["part"] or "0")[:9].ljust(9, "0"))


def _series(rows: dict[int, dict[str, Cells]], place: Path, doubts: list[str]) -> ServerSeries:
    engines = {engine for held in rows.values() for engine in held}
    whole = {at_ns: held for at_ns, held in sorted(rows.items()) if len(held) == len(engines)}
    if not whole:
        raise UserError(
            "its engines never log at one moment, so that their figures cannot be added up", where=str(place)
        )
    stamps_ns = np.array(list(whole), dtype=np.int64)
    table = np.array([list(held.values()) for held in whole.values()])
    running, waiting, prompt, output = (table[:, :, i].sum(axis=1) for i in range(4))
    kv_share = table[:, :, 4].mean(axis=1)
    warnings = ["The stamps of the log count from its first line; throughputs are means since the line before."]
    if len(whole) < len(rows):
        warnings.append(
            f"{len(rows) - len(whole):,} moments lack a line of one of the {len(engines)} engines; left out."
        )
    if not (kv_share > 0).any():
        kv_share = np.full(stamps_ns.shape, np.nan)
        warnings.append("The KV cache usage is 0 throughout: it was not recorded.")
    return ServerSeries(
        t_s=(stamps_ns - stamps_ns[0]) / 1e9,
        running=running,
        waiting=waiting,
        prompt_tok_per_s=prompt,
        output_tok_per_s=output,
        kv_share=kv_share,
        name=str(place),
        warnings=(*warnings, *doubts),
    )
