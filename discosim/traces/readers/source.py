"""Bytes of a trace file: unpacked, as text, its head; members of archives, pipes, fingerprints."""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from discosim.core.errors import UserError
from discosim.traces.readers.foreign import refuse_foreign
from discosim.traces.readers.text import as_text
from discosim.traces.readers.unpack import LIMIT_NAME, SUFFIXES, kind_of, most_bytes, one_line, require_file, unpacked

__all__ = [
    "HEAD_BYTES",
    "Fingerprint",
    "fingerprint",
    "first_line",
    "is_tar",
    "one_line",
    "read_bytes",
    "read_head",
    "read_members",
    "read_raw",
    "require_file",
    "settled",
    "stem",
]

HEAD_BYTES = 65536
_LONGEST_LINE = 2**20
"""Bytes of a first line that are looked at to recognise a table: ten thousand columns, the most that are read."""
_CHUNK = 2**20


@dataclass(frozen=True)
class Fingerprint:
    """Identity of a trace file.

    Parameters
    ----------
    stored_sha256 : str
        Digest of the file as it lies on disk.
    raw_sha256 : str
        Digest of the decompressed bytes (a compressed tar: of the tar). For a folder both are the digest of
        the sorted lines ``sha256  name`` of its files.
    stored_bytes, raw_bytes : int
        Sizes.
    """

    stored_sha256: str
    raw_sha256: str
    stored_bytes: int
    raw_bytes: int


def read_raw(path: Path) -> bytes:
    """Return the decompressed content of a file as it is: gzip, xz, bzip2, Zstandard, LZ4, a zip of one file, or plain.

    Raises
    ------
    UserError
        If the file is missing, a folder, a pipe or a device, empty, cut short, not what its suffix says, larger than
        the limit (``DISCOSIM_MAX_TRACE_BYTES``), or recognised as something that is no table.
    """
    with unpacked(path) as stream:
        raw = stream.read()
        if not raw:
            raise UserError("the file is empty once decompressed", where=str(path))
    refuse_foreign(raw, path, parquet_ok=True)
    return raw


def read_bytes(path: Path) -> bytes:
    """Return the decompressed content of a file of text: UTF-8, without a byte-order mark.

    UTF-16 and UTF-32 are read where a mark names them; lines may end in carriage returns.

    Raises
    ------
    UserError
        As :func:`read_raw`; or if it is no text of these encodings.
    """
    raw = read_raw(path)
    refuse_foreign(raw, path)
    if is_tar(raw):
        raise UserError("is a tar archive, and the format asked for is one file; unpack it", where=str(path))
    return as_text(raw, path)


def read_head(path: Path) -> bytes:
    """Return the first bytes of the decompressed content as text; for a folder, its file names, one a line.

    A first line that is longer than ``HEAD_BYTES`` is in it as a whole, up to 1 MiB.

    Raises
    ------
    UserError
        As :func:`read_bytes`, as far as the first bytes show it.
    """
    if kind_of(path) == "folder":
        return "\n".join(sorted(p.name for p in path.iterdir())).encode()
    with unpacked(path) as stream:
        raw = stream.read(HEAD_BYTES)
        if not raw:
            raise UserError("the file is empty once decompressed", where=str(path))
        if len(raw) == HEAD_BYTES and b"\n" not in raw and b"\0" not in raw:
            raw += stream.read(_LONGEST_LINE)
            raw = raw[: max(HEAD_BYTES, raw.find(b"\n") + 1)] if b"\n" in raw else raw
    refuse_foreign(raw, path, parquet_ok=True)
    return as_text(raw, path, is_whole=len(raw) < HEAD_BYTES)


def first_line(head: bytes) -> str:
    """Return the first line of a head as text, undecodable bytes replaced."""
    return head.split(b"\n", 1)[0].decode(errors="replace").rstrip("\r")


def is_tar(head: bytes) -> bool:
    """Tell whether decompressed bytes begin a tar archive."""
    return head[257:262] == b"ustar"


def stem(path: Path) -> str:
    """Return the file name without a compression suffix and without its extension."""
    name = path.name
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return Path(name).stem


@contextmanager
def settled(path: Path) -> Iterator[Path]:
    """Yield a path that can be read again and again: the given one, or a temporary copy of what a pipe gives.

    Errors name the pipe.

    Raises
    ------
    UserError
        If the pipe gives more than the limit.
    """
    if kind_of(path) != "pipe":
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="discosim-") as folder:
        copy = Path(folder) / path.name
        try:
            with path.open("rb") as pipe, copy.open("wb") as file:
                left = most_bytes()
                while chunk := pipe.read(_CHUNK):
                    left -= len(chunk)
                    if left < 0:
                        raise UserError(
                            f"gives more than {most_bytes():,} bytes; set {LIMIT_NAME} to a larger limit",
                            where=str(path),
                        )
                    file.write(chunk)
        except OSError as error:
            raise UserError(f"cannot be read: {error.strerror or error}", where=str(path)) from None
        try:
            yield copy
        except UserError as error:
            raise UserError(error.message, where=error.where.replace(str(copy), str(path))) from None


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def read_members(path: Path, wanted: re.Pattern[str]) -> dict[str, bytes]:
    """Return the files of a folder or tar archive whose base name matches, in natural order (2 before 10).

    Nothing is unpacked to disk.

    Raises
    ------
    UserError
        If the archive is damaged or nothing in it matches.
    """
    found: dict[str, bytes] = {}
    if kind_of(path) == "folder":
        found = {p.name: read_bytes(p) for p in path.iterdir() if wanted.search(p.name)}
    else:
        try:
            with tarfile.open(fileobj=io.BytesIO(read_raw(path)), mode="r:") as archive:
                for member in archive:
                    content = archive.extractfile(member) if wanted.search(member.name) else None
                    if content is None:
                        continue
                    if member.size > most_bytes():  # a sparse member can claim any size
                        raise UserError(f"its member {member.name} claims {member.size:,} bytes", where=str(path))
                    found[member.name] = as_text(content.read(), path / member.name)
        except (tarfile.TarError, EOFError, LookupError, ValueError, OverflowError) as error:
            raise UserError(f"the tar archive cannot be read ({one_line(error)})", where=str(path)) from None
    if not found:
        raise UserError(f"holds no file named like {wanted.pattern}", where=str(path))
    return {name: found[name] for name in sorted(found, key=_natural)}


def fingerprint(path: Path) -> Fingerprint:
    """Return digests and sizes of a file, as stored and decompressed."""
    if kind_of(path) == "folder":
        files = sorted(p for p in path.iterdir() if p.is_file())
        stored = [(p.name, *_stored_digest(p)) for p in files]
        lines = "".join(f"{digest}  {name}\n" for name, digest, _ in stored)
        digest = hashlib.sha256(lines.encode()).hexdigest()
        size = sum(size for *_, size in stored)
        return Fingerprint(digest, digest, size, size)
    stored_sha256, stored_bytes = _stored_digest(path)
    raw_sha256, raw_bytes = hashlib.sha256(), 0
    with unpacked(path) as stream:
        if not stream.packing:
            return Fingerprint(stored_sha256, stored_sha256, stored_bytes, stored_bytes)
        while chunk := stream.read(_CHUNK):
            raw_sha256.update(chunk)
            raw_bytes += len(chunk)
    return Fingerprint(stored_sha256, raw_sha256.hexdigest(), stored_bytes, raw_bytes)


def _stored_digest(path: Path) -> tuple[str, int]:
    require_file(path)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return digest, file.tell()
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror or error}", where=str(path)) from None
