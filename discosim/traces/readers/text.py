"""Text of a trace file as UTF-8 with plain line ends, whatever byte-order mark or line ends it came with."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from pathlib import Path

from discosim.core.errors import UserError

_MARKS: Mapping[bytes, str] = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16: its mark begins with that of UTF-16
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_LOOK = 4096
_GIVEN_AWAY = 0.9
"""Share of NUL among every second byte that gives UTF-16 away: digits and Latin letters have one each (UTF-32: three,
so that every second of the other bytes is NUL too)."""


def as_text(raw: bytes, path: Path, *, is_whole: bool = True) -> bytes:
    """Return UTF-8 text without a byte-order mark; lines that end in a lone carriage return get a newline.

    Bytes without a mark that hold a newline, or a NUL, come back as they are: they may be no text.

    Parameters
    ----------
    raw : bytes
        Decompressed content, or its beginning.
    path : Path
        Name for errors.
    is_whole : bool
        False where the last character may be cut.

    Raises
    ------
    UserError
        If the bytes are not what their mark says, or look like UTF-16 without one.
    """
    mark = next((mark for mark in _MARKS if raw.startswith(mark)), b"")
    if mark:
        while raw.startswith(mark):  # some tools put one before another's
            raw = raw.removeprefix(mark)
        if mark != codecs.BOM_UTF8:
            raw = _recoded(raw, _MARKS[mark], path, is_whole=is_whole)
    elif _is_markless(raw[:_LOOK]):
        raise UserError("looks like UTF-16 or UTF-32 text without a byte-order mark; save it as UTF-8", where=str(path))
    if b"\r" in raw[:_LOOK] and b"\n" not in raw and b"\0" not in raw[:_LOOK]:
        raw = raw.replace(b"\r", b"\n")
    return raw


def _is_markless(head: bytes) -> bool:
    fuller, emptier = sorted(half.count(0) / max(len(half), 1) for half in (head[0::2], head[1::2]))
    return emptier >= _GIVEN_AWAY and fuller <= 0.6


def _recoded(raw: bytes, encoding: str, path: Path, *, is_whole: bool) -> bytes:
    try:
        return codecs.getincrementaldecoder(encoding)().decode(raw, final=is_whole).encode()
    except UnicodeError:
        name = encoding.rpartition("-")[0].upper()
        raise UserError(f"begins with the byte-order mark of {name} but is no such text", where=str(path)) from None


def require_utf8(raw: bytes, label: str) -> str:
    """Return bytes as text, or raise UserError that names the line where they are none."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        line, byte = raw.count(b"\n", 0, error.start) + 1, raw[error.start]
        message = f"holds bytes that are no UTF-8 text (0x{byte:02x}); save it as UTF-8"
        raise UserError(message, where=f"{label} row {line}") from None
