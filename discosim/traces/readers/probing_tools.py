"""Reports of tools that probe a path and are not read: which tool wrote them, and what is read instead."""

from __future__ import annotations

import re

_INSTEAD = "give what `ping -c 600 HOST` prints, or its times as a table with a column rtt_ms, a row a probe"
_PATH = f"which has a few probes of each hop and no series of one; {_INSTEAD}"
_AVERAGES = f"which holds averages alone; {_INSTEAD}"
_KNOWN: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"\s*traceroute6? to \S"), f"a report of traceroute, {_PATH}"),
    (re.compile(rb"\s*Tracing route to \S"), f"a report of tracert, {_PATH}"),
    (re.compile(rb"\s*1\??:\s+(\[LOCALHOST\]|\S+\s.*\bpmtu\b)"), f"a report of tracepath, {_PATH}"),
    (re.compile(rb"(.*\n)?\s*HOST:.*\bLoss%.*\bSnt\b"), f"a report of mtr, {_AVERAGES}"),
    (re.compile(rb"(?i)\s*mtr_version,"), f"a report of mtr (CSV), {_AVERAGES}"),
    (re.compile(rb"\s*\{\s*\"report\"\s*:\s*\{\s*\"mtr\""), f"a report of mtr (JSON), {_AVERAGES}"),
    (re.compile(rb"(x \d+ \d+\n)?h \d+ [\da-fA-F.:]+\n[xhpd] \d+ \S+"), f"a raw output of mtr; {_INSTEAD}"),
    (
        re.compile(rb"(.*\n){0,3}?\S+\s*:\s*\[\d+\], \d+ bytes, [\d.]+ ms|(.*\n){0,3}?\S+\s*:\s*\[\d+\], timed out"),
        f"an output of fping, whose lines are not read; {_INSTEAD}",
    ),
    (re.compile(rb"(.*\n){0,3}?\S+\s*: xmt/rcv/%loss = "), f"a summary of fping, {_AVERAGES}"),
    (re.compile(rb"\S+\s+:( ([\d.]+|-)){2,}\s*(\n|$)"), f"an output of fping, whose lines are not read; {_INSTEAD}"),
    (re.compile(rb"\S+ is (alive|unreachable)\b"), f"an output of fping, without a series of times; {_INSTEAD}"),
    (re.compile(rb"\s*Starting Nping "), f"an output of nping, which is not read; {_INSTEAD}"),
    (
        re.compile(rb"\s*(-{20,}\n(Client connecting|Server listening)|Connecting to host \S+, port \d)"),
        f"an output of iperf, which measures rates and no round trips; {_INSTEAD}",
    ),
)
"""How a file begins, and what it is; the first that fits counts."""
_LOOK = 2000


def probing_tool(head: bytes) -> str:
    """Return which probing tool wrote a file that is not read, as the rest of a sentence; '' where nobody knows it.

    Parameters
    ----------
    head : bytes
        Beginning of the file, decompressed.
    """
    text = head[:_LOOK].replace(b"\r\n", b"\n").lstrip(b"\n")
    return next((words for mark, words in _KNOWN if mark.match(text)), "")
