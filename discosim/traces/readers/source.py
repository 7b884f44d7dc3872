"""Bytes of a trace file: transparent decompression, members of archives, fingerprints."""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import re
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from discosim.core.errors import UserError
from discosim.core.files import near_files

HEAD_BYTES = 65536
_XZ_MAGIC = b"\xfd7zXZ\x00"
_GZ_MAGIC = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
_BROKEN = (EOFError, lzma.LZMAError, gzip.BadGzipFile, zlib.error)


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


def _stored(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"no such file{near_files(path)}", where=str(path)) from None
    except IsADirectoryError:
        raise UserError("is a folder; expected a file", where=str(path)) from None
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(path)) from None
    if not data:
        raise UserError("the file is empty", where=str(path))
    return data


def _opened(data: bytes, path: Path) -> BinaryIO | gzip.GzipFile | lzma.LZMAFile:
    if data.startswith(_XZ_MAGIC):
        return lzma.open(io.BytesIO(data))
    if data.startswith(_GZ_MAGIC):
        return gzip.open(io.BytesIO(data))
    if path.suffix in {".xz", ".gz"}:
        raise UserError(f"is named {path.suffix} but does not hold {path.suffix[1:]} data", where=str(path))
    return io.BytesIO(data)


def _read(data: bytes, path: Path, size: int = -1) -> bytes:
    try:
        with _opened(data, path) as stream:
            raw = stream.read(size)
    except _BROKEN as error:
        raise UserError(
            f"the compressed data are cut short or damaged ({one_line(error)}); fetch the file again", where=str(path)
        ) from None
    if not raw:
        raise UserError("the file is empty once decompressed", where=str(path))
    return raw


def one_line(error: Exception) -> str:
    """Return a library's error text on one line."""
    return " ".join(str(error).split())


def without_bom(raw: bytes) -> bytes:
    """Return the bytes without a UTF-8 byte-order mark."""
    return raw.removeprefix(_BOM)


def read_bytes(path: Path) -> bytes:
    """Return the decompressed content of a plain, ``.xz`` or ``.gz`` file, without a byte-order mark.

    Raises
    ------
    UserError
        If the file is missing, a folder, empty, cut short, or not what its suffix says.
    """
    return without_bom(_read(_stored(path), path))


def read_head(path: Path) -> bytes:
    """Return the first bytes of the decompressed content; for a folder, its file names, one a line.

    Raises
    ------
    UserError
        As :func:`read_bytes`, as far as the first bytes show it.
    """
    if path.is_dir():
        return "\n".join(sorted(p.name for p in path.iterdir())).encode()
    return without_bom(_read(_stored(path), path, HEAD_BYTES))


def first_line(head: bytes) -> str:
    """Return the first line of a head as text, undecodable bytes replaced."""
    return head.split(b"\n", 1)[0].decode(errors="replace").rstrip("\r")


def is_tar(head: bytes) -> bool:
    """Tell whether decompressed bytes begin a tar archive."""
    return head[257:262] == b"ustar"


def stem(path: Path) -> str:
    """Return the file name without a compression suffix and without its extension."""
    name = path.name
    for suffix in (".xz", ".gz"):
        name = name.removesuffix(suffix)
    return Path(name).stem


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def read_members(path: Path, wanted: re.Pattern[str]) -> dict[str, bytes]:
    """Return the files of a folder or tar archive whose base name matches, in natural order (2 before 10).

    Nothing is unpacked to disk.

    Raises
    ------
    UserError
        If the archive is damaged or nothing in it matches.
    """
    found: dict[str, bytes] = {}
    if path.is_dir():
        found = {p.name: read_bytes(p) for p in path.iterdir() if wanted.search(p.name)}
    else:
        try:
            with tarfile.open(fileobj=io.BytesIO(read_bytes(path)), mode="r:") as archive:
                for member in archive:
                    content = archive.extractfile(member) if wanted.search(member.name) else None
                    if content is not None:
                        found[member.name] = content.read()
        except tarfile.TarError as error:
            raise UserError(f"the tar archive cannot be read ({one_line(error)})", where=str(path)) from None
    if not found:
        raise UserError(f"holds no file named like {wanted.pattern}", where=str(path))
    return {name: found[name] for name in sorted(found, key=_natural)}


def fingerprint(path: Path) -> Fingerprint:
    """Return digests and sizes of a file, as stored and decompressed."""
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.is_file())
        stored = [(p.name, _stored(p)) for p in files]
        lines = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in stored)
        digest = hashlib.sha256(lines.encode()).hexdigest()
        size = sum(len(data) for _, data in stored)
        return Fingerprint(digest, digest, size, size)
    data = _stored(path)
    raw = _read(data, path)
    return Fingerprint(hashlib.sha256(data).hexdigest(), hashlib.sha256(raw).hexdigest(), len(data), len(raw))
