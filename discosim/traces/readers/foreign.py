"""What a file is that is no trace: told by its first bytes, whichever format was asked for."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from discosim.core.errors import UserError

PARQUET = b"PAR1"
_BINARY: tuple[tuple[bytes, str], ...] = (
    (b"ARROW1", "an Arrow (Feather) file; write it as Parquet or CSV"),
    (b"FEA1", "a Feather file; write it as Parquet or CSV"),
    (b"\xff\xff\xff\xff", "an Arrow stream; write it as Parquet or CSV"),
    (b"SQLite format 3\0", "an SQLite database; export the table as CSV"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive; unpack it"),
    (b"Rar!\x1a\x07", "a RAR archive; unpack it"),
    (b"\x1f\x9d", "a file packed with compress (.Z); unpack it"),
    (b"\xff\x06\0\0sNaPpY", "a file packed with Snappy; unpack it"),
    (b"\x5d\0\0", "a file packed in lzma's old format; unpack it"),
    (b"LZIP", "a file packed with lzip; unpack it"),
    (b"\x89LZO\0", "a file packed with LZO; unpack it"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel or Word file; save the table as CSV"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file; write the table as CSV or Parquet"),
    (b"\x93NUMPY", "a NumPy array; write the table as CSV or Parquet"),
    (b"Obj\x01", "an Avro file; write it as Parquet or CSV"),
    (b"%PDF-", "a PDF; the data must lie elsewhere"),
    (b"\x89PNG\r\n", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"\x7fELF", "a program"),
    (b"\xfd7zXZ\0", "packed twice (xz inside); unpack it once"),
    (b"\x1f\x8b", "packed twice (gzip inside); unpack it once"),
    (b"\x28\xb5\x2f\xfd", "packed twice (Zstandard inside); unpack it once"),
    (b"PK\x03\x04", "packed twice (a zip inside); unpack it once"),
)
_TITLE = re.compile(rb"<title[^>]*>\s*([^<]{1,60})", re.IGNORECASE)
_LOOK = 4096


def refuse_foreign(raw: bytes, path: Path, *, parquet_ok: bool = False) -> None:
    """Raise UserError where the first bytes show that a file is no trace, saying what it is and what to do.

    Parameters
    ----------
    raw : bytes
        Decompressed content, or its beginning.
    path : Path
        Name for errors.
    parquet_ok : bool
        Let Parquet pass.
    """
    said = what_it_is(raw[:_LOOK])
    if said:
        raise UserError(f"is {said}", where=str(path))
    if raw.startswith(PARQUET) and not parquet_ok:
        raise UserError("is a Parquet file, and the format asked for is text", where=str(path))


def what_it_is(head: bytes) -> str:
    """Return what a file is that holds no table, as the rest of a sentence; '' where nothing gives it away."""
    for magic, words in _BINARY:
        if head.startswith(magic):
            return words
    return next((say(head) for mark, say in _BY_PATTERN if mark.match(head)), "")


def _pointer(head: bytes) -> str:
    size = re.search(rb"^size (\d{1,15})$", head, re.MULTILINE)
    there = f" to a file of {int(size[1]):,} bytes" if size else ""
    return f"a Git LFS pointer{there}, not the data; fetch them with `git lfs pull`"


def _page(head: bytes) -> str:
    title = _TITLE.search(head)
    named = f" ({' '.join(title[1].decode(errors='replace').split())!r})" if title else ""
    return f"a web page (HTML){named}, not the data; download the raw file"


_BY_PATTERN: tuple[tuple[re.Pattern[bytes], Callable[[bytes], str]], ...] = (
    (re.compile(rb"version https://git-lfs\.github\.com/spec/"), _pointer),
    (
        re.compile(rb"(\.\./)*(\.git/|/)annex/objects/\S+\s*\Z"),
        lambda _head: "a git-annex pointer, not the data; fetch them with `git annex get`",
    ),
    (
        re.compile(rb"\x80[\x02-\x05][\x95}\](c]"),
        lambda _head: "a Python pickle, which is never loaded here; write the table as CSV or Parquet",
    ),
    (re.compile(rb"\s*(<!--.*?-->\s*)?<(!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL), _page),
    (re.compile(rb"\s*<(\?xml|[A-Za-z][\w:.-]*[\s>/])"), lambda _head: "an XML document, not a table"),
)
