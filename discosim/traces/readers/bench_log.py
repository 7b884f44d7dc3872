"""What llama-bench printed, out of the log and the text that stand around it."""

from __future__ import annotations

import json
import re
from itertools import pairwise

from discosim.traces.readers.head import first_keys

KEYS = ("n_prompt", "n_gen", "avg_ts", "stddev_ts")
"""Keys of its JSON, and columns of its CSV, that nothing else has together."""
_START = re.compile(rb"^[ \t]*[\[{]", re.MULTILINE)
_MOST_STARTS = 20


def is_head_of_table(line: str) -> bool:
    """Tell whether a line is the header of its table of Markdown."""
    return "|" in line and {"test", "t/s"} <= {cell.strip() for cell in line.strip().strip("|").split("|")}


def has_table(text: bytes) -> bool:
    """Tell whether its table of Markdown stands somewhere in a text: its header, and under it a line of dashes."""
    lines = text.decode(errors="replace").split("\n")
    return any(
        is_head_of_table(line) and "-" in under and set(under.strip()) <= set("|-: \t")
        for line, under in pairwise(lines)
    )


def json_at(text: bytes) -> int | None:
    """Return where its JSON begins, after any lines of a log; None where there is none."""
    for n, found in enumerate(_START.finditer(text)):
        if n == _MOST_STARTS:
            break
        at = found.end() - 1
        if set(KEYS) <= first_keys(text[at:]):
            return at
    return None


def csv_at(text: bytes) -> int | None:
    """Return where its CSV begins, after any lines of a log; None where there is none."""
    at = 0
    for line in text.split(b"\n"):
        cells = {cell.strip().strip(b'"').decode(errors="replace") for cell in line.strip().split(b",")}
        if set(KEYS) <= cells:
            return at
        at += len(line) + 1
    return None


def json_alone(text: bytes, at: int) -> bytes:
    """Return JSON without the log around it; lines before it stay as empty ones, so that rows keep their numbers."""
    before, rest = b"\n" * text[:at].count(b"\n"), text[at:]
    if rest[:1] == b"[":
        decoded = rest.decode(errors="surrogateescape")
        try:
            _, end = json.JSONDecoder().raw_decode(decoded)
        except (ValueError, RecursionError):
            return before + rest  # its reader says what is wrong
        after = decoded[end:].encode(errors="surrogateescape")
        return before + (rest if json_at(after) is not None else rest[: len(rest) - len(after)])
    if at == 0:
        return rest
    return before + b"\n".join(line if line.lstrip()[:1] == b"{" else b"" for line in rest.split(b"\n"))
