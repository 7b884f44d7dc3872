"""Whether the times of a server's log can be of one unit and of one service; and whether a file is all there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from discosim.core.errors import UserError
from discosim.core.json_text import read_json
from discosim.traces.readers.base import Ints
from discosim.traces.readers.source import read_bytes, read_head
from discosim.traces.server_log import ServerLog

APART, SIDE = 300.0, 0.05
"""By what factor, with nothing between, times of rows are of two units; and which share of the rows is on either side
at least. Source: our choice; units are 1,000 apart, and single requests may stall for that long."""
LONGEST_S = 1e6
"""A request that takes longer, and 1,000 times as long as the median, is none: eleven days. Source: our choice."""


def refuse_odd_times(log: ServerLog, source_row: Ints) -> None:
    """Raise UserError where some rows of a log are in another unit than the rest, or one lasts for ever."""
    e2e_s = log.e2e_s
    if np.isfinite(e2e_s).any():
        i = int(np.nanargmax(e2e_s))
        middle_s = float(np.nanmedian(e2e_s))
        if e2e_s[i] > max(LONGEST_S, 1e3 * middle_s):
            raise UserError(
                f"takes {e2e_s[i]:.4g} s to its last token, where the median is {middle_s:.4g} s",
                where=f"{log.name} row {int(source_row[i])}",
            )
    # no TTFT where there is more: who waits for a whole batch before his may do so for any time
    times_s, what = (log.tpot_s, "time per token") if np.isfinite(log.tpot_s).any() else (log.ttft_s, "TTFT")
    rows = np.flatnonzero(np.isfinite(times_s) & (times_s > 0.0))
    if rows.size < 2:
        return
    order = rows[np.argsort(times_s[rows], kind="stable")]
    steps = times_s[order][1:] / times_s[order][:-1]
    cut = int(np.argmax(steps)) + 1
    if steps[cut - 1] > APART and min(cut, rows.size - cut) > SIDE * rows.size:
        i = int(order[cut:].min())
        raise UserError(
            f"{what} of {times_s[i]:.4g} s, as in {rows.size - cut} rows, where those of {cut} others are at most "
            f"{times_s[order[cut - 1]]:.4g} s: rows in different units? Write all in one",
            where=f"{log.name} row {int(source_row[i])}",
        )


def require_whole(place: Path) -> None:
    """Raise UserError where a file begins as one JSON object, over one line or more, and ends before it does."""
    head = read_head(place).removeprefix(b"\xef\xbb\xbf").lstrip()
    if not head.startswith(b"{") or _is_json(head.partition(b"\n")[0]):
        return
    whole = read_bytes(place)
    lines = whole.removeprefix(b"\xef\xbb\xbf").lstrip().split(b"\n", 2)[:2]
    if not any(line.startswith(b"{") and _is_json(line) for line in lines):  # else rows, whose reader names the bad one
        read_json(whole, where=str(place), is_finite=False)


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
