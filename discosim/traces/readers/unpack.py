"""Decompressed bytes of one file, within a limit: plain, gzip, xz, bzip2, Zstandard, LZ4, or a zip of one file."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from discosim.core.errors import UserError
from discosim.core.files import near_files
from discosim.traces.readers.foreign import what_it_is

LIMIT_NAME = "DISCOSIM_MAX_TRACE_BYTES"
MOST_BYTES = 2 * 2**30
"""Decompressed bytes that are read of one file. Source: our choice; the largest public trace of requests, Azure's week
of 2024, has 1.2 GB."""
_SMALL, _MOST_RATIO = 64 * 2**20, 500
"""Beyond so many bytes a file may not unpack to more than so many times its size. Source: our choice; tables of
numbers shrink by 3 to 30, and gzip itself ends at 1,032."""
_CHUNK = 2**20
_LONGEST_MAGIC = 8
_LOOK = 4096
_BROKEN = (
    *(EOFError, OSError, ValueError, RuntimeError, LookupError, OverflowError),
    *(lzma.LZMAError, zlib.error, zipfile.BadZipFile, struct.error),
)
_OFFICE = {
    "[Content_Types].xml": "an Excel workbook or another Office file",
    "mimetype": "an OpenDocument or e-book file",
    "Index/Document.iwa": "a Numbers or another iWork file",
    "META-INF/MANIFEST.MF": "a Java archive",
}
_CLUTTER = ("__MACOSX/", ".DS_Store", "Thumbs.db", "desktop.ini")


class Stream(Protocol):
    """What is read from here: bytes, in pieces."""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to ``size`` bytes, all where it is negative, none at the end."""


Open = Callable[[BinaryIO, ExitStack], Stream]


def most_bytes() -> int:
    """Return the limit in bytes, from ``DISCOSIM_MAX_TRACE_BYTES`` where that is set.

    Raises
    ------
    UserError
        If the variable holds no whole number above 0.
    """
    text = os.environ.get(LIMIT_NAME, "").strip()
    if not text:
        return MOST_BYTES
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) > 0):
        raise UserError(f"expected a whole number of bytes above 0, got {text[:40]!r}", where=LIMIT_NAME)
    return int(text)


def one_line(error: Exception) -> str:
    """Return a library's error text on one line."""
    return " ".join(str(error).split()) or type(error).__name__


def require_file(path: Path) -> None:
    """Raise UserError unless a path is a regular file that can be read again and again.

    A pipe gives its bytes once; whoever wants to read one copies it first (`discosim.traces.readers.source.settled`).
    """
    kind = kind_of(path)
    if kind == "pipe":
        raise UserError("is a pipe, which can be read only once; save it to a file and name that", where=str(path))
    if kind != "file":
        raise UserError(f"is a {kind}; expected a file", where=str(path))


def kind_of(path: Path) -> str:
    """Return ``file``, ``folder``, ``pipe``, ``socket`` or ``device``.

    Raises
    ------
    UserError
        If there is no such file, or the system refuses to say.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"no such file{near_files(path)}", where=str(path)) from None
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror or error}", where=str(path)) from None
    except ValueError as error:  # a NUL in the name
        raise UserError(f"is no name of a file ({error})", where=repr(str(path))) from None
    tests = {"file": stat.S_ISREG, "folder": stat.S_ISDIR, "pipe": stat.S_ISFIFO, "socket": stat.S_ISSOCK}
    return next((kind for kind, holds in tests.items() if holds(mode)), "device")


class Unpacked:
    """Decompressed bytes of a file, counted against the limit.

    Parameters
    ----------
    stream : Stream
        What is read.
    path : Path
        Name for errors.
    stored_bytes : int
        Size of the file on disk.
    packing : str
        How it is packed; '' for a plain file.
    """

    def __init__(self, stream: Stream, path: Path, stored_bytes: int, packing: str) -> None:
        self.packing = packing
        self._stream, self._path, self._stored = stream, path, stored_bytes
        self._most, self._count = most_bytes(), 0

    def read(self, size: int = -1, /) -> bytes:
        """Return up to ``size`` bytes, all where it is negative.

        Raises
        ------
        UserError
            If the data are damaged, or more than the limit.
        """
        parts, got = [], 0
        while size < 0 or got < size:
            part = self._part(_CHUNK if size < 0 else min(_CHUNK, size - got))
            if not part:
                break
            parts.append(part)
            got += len(part)
        try:
            return b"".join(parts)
        except MemoryError:
            raise UserError(f"its {got:,} bytes do not fit into memory", where=str(self._path)) from None

    def _part(self, size: int) -> bytes:
        try:
            part = self._stream.read(size)
        except _BROKEN as error:
            if not self.packing:
                raise UserError(f"cannot be read: {one_line(error)}", where=str(self._path)) from None
            raise _damaged(self._path, error) from None
        self._count += len(part)
        if self._count > self._most:
            raise UserError(
                f"holds more than {self._most:,} bytes{' once unpacked' if self.packing else ''}; "
                f"cut it, or set {LIMIT_NAME} to a larger limit",
                where=str(self._path),
            )
        if self.packing and LIMIT_NAME not in os.environ and self._count > max(_SMALL, _MOST_RATIO * self._stored):
            raise UserError(
                f"its {self._stored:,} bytes unpack to more than {_MOST_RATIO} times as many, as no trace does; "
                f"unpack it and look, or set {LIMIT_NAME} to say how much may be read",
                where=str(self._path),
            )
        return part


@contextmanager
def unpacked(path: Path) -> Iterator[Unpacked]:
    """Open a file for reading its decompressed bytes once, from the start.

    What it is packed with is told by its first bytes. A name that ends in a packing and holds none is refused.

    Raises
    ------
    UserError
        If the file is missing, a folder, a pipe, empty, damaged, or not what its suffix says.
    """
    require_file(path)
    with ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("rb"))
            stored = os.fstat(file.fileno()).st_size
            magic = file.read(8)
            file.seek(0)
        except OSError as error:
            raise UserError(f"cannot be read: {error.strerror or error}", where=str(path)) from None
        if not magic:
            raise UserError("the file is empty", where=str(path))
        packing = next((name for name, marks in _MAGIC.items() if magic.startswith(marks)), "")
        suffix = path.suffix.lower()
        if not packing and suffix in SUFFIXES:
            file.seek(0)
            said = what_it_is(file.read(_LOOK)) or f"named {path.suffix} but does not hold {SUFFIXES[suffix]} data"
            raise UserError(f"is {said}", where=str(path))
        if not packing and suffix in _UNREAD:
            by_name = f"packed with {_UNREAD[suffix]} by its name ({path.suffix}), which is not read"
            file.seek(0)
            known = what_it_is(file.read(_LOOK)).partition(";")[0] or by_name
            raise UserError(f"is {known}; unpack it, or pack it with gzip, xz or Zstandard", where=str(path))
        try:
            stream = _OPENERS[packing](file, stack)
        except _BROKEN as error:
            raise _damaged(path, error) from None
        except UserError as error:
            raise UserError(error.message, where=str(path)) from None
        yield Unpacked(stream, path, stored, packing)


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(
        f"the compressed data are cut short or damaged ({one_line(error)}); fetch the file again", where=str(path)
    )


def _zip_of_one(file: BinaryIO, stack: ExitStack) -> Stream:
    archive = stack.enter_context(zipfile.ZipFile(file))
    names = archive.namelist()
    for mark, words in _OFFICE.items():
        if mark in names:
            raise UserError(f"is {words}; save the table as CSV")
    inside = [info for info in archive.infolist() if not info.is_dir() and not info.filename.startswith(_CLUTTER)]
    inside = [info for info in inside if PurePosixPath(info.filename).name not in _CLUTTER]
    if len(inside) != 1:
        shown = ", ".join(info.filename for info in inside[:5]) + (", ..." if len(inside) > 5 else "")
        raise UserError(f"is a zip archive of {len(inside)} files ({shown}); unpack it and name one of them")
    if inside[0].flag_bits & 1:
        raise UserError(f"is a zip archive whose file {inside[0].filename} is encrypted; unpack it first")
    try:
        return stack.enter_context(archive.open(inside[0]))
    except NotImplementedError as error:
        raise UserError(f"is a zip archive that cannot be unpacked here ({one_line(error)}); unpack it first") from None


class _Decompressor(Protocol):
    """What unpacks one stream of xz or bzip2."""

    def decompress(self, data: bytes, /, max_length: int = -1) -> bytes:
        """Return at most ``max_length`` bytes of what is unpacked."""

    @property
    def eof(self) -> bool:
        """The stream has ended."""

    @property
    def needs_input(self) -> bool:
        """Nothing comes without more data."""

    @property
    def unused_data(self) -> bytes:
        """What follows the stream."""


class _Streams:
    """Streams of xz or bzip2 one after another; the modules of Python drop without a word what follows them.

    Parameters
    ----------
    file : binary file
        Packed bytes.
    new : callable
        Makes what unpacks one stream.
    magic : bytes or tuple of bytes
        How a stream begins.
    padding : int
        Zeros may stand between streams, and after the last, in multiples of so many.
    """

    def __init__(
        self, file: BinaryIO, new: Callable[[], _Decompressor], magic: bytes | tuple[bytes, ...], padding: int = 0
    ) -> None:
        self._file, self._new, self._magic, self._padding = file, new, magic, padding
        self._one: _Decompressor | None = new()
        self._fresh = b""

    def read(self, size: int = -1, /) -> bytes:
        """Return up to ``size`` bytes, none at the end."""
        while self._one is not None:
            if self._one.eof:
                self._next(self._one.unused_data)
                continue
            data, self._fresh = self._fresh, b""
            if self._one.needs_input and not data:
                data = self._file.read(_CHUNK)
                if not data:
                    raise EOFError("it ends before its end")
            part = self._one.decompress(data, size)
            if part:
                return part
        return b""

    def _next(self, rest: bytes) -> None:
        """Begin the next stream, or end."""
        zeros = 0
        while self._padding:
            rest = rest or self._file.read(_CHUNK)
            more = len(rest) - len(rest.lstrip(b"\0"))
            zeros, rest = zeros + more, rest[more:]
            if rest or not more:
                break
        if len(rest) < _LONGEST_MAGIC:
            rest += self._file.read(_CHUNK)
        if not rest and not (self._padding and zeros % self._padding):
            self._one = None
            return
        if not rest.startswith(self._magic):
            raise OSError("what follows its end is none of it")
        self._one, self._fresh = self._new(), rest


def _by_arrow(codec: str) -> Open:
    def opened(file: BinaryIO, stack: ExitStack) -> Stream:
        import pyarrow as pa

        stream: Stream = stack.enter_context(pa.CompressedInputStream(pa.PythonFile(file, mode="r"), codec))
        return stream

    return opened


_MAGIC: Mapping[str, bytes | tuple[bytes, ...]] = {
    "xz": b"\xfd7zXZ\x00",
    "gzip": b"\x1f\x8b",
    "bzip2": tuple(b"BZh%d" % level + mark for level in range(1, 10) for mark in (b"1AY&", b"\x17rE8")),
    "zstd": (b"\x28\xb5\x2f\xfd", *(bytes([low]) + b"\x2a\x4d\x18" for low in range(0x50, 0x60))),
    "lz4": b"\x04\x22\x4d\x18",
    "zip": (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"),
}
_OPENERS: Mapping[str, Open] = {
    "": lambda file, _stack: file,
    "xz": lambda file, _stack: _Streams(file, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ), _MAGIC["xz"], padding=4),
    "gzip": lambda file, stack: stack.enter_context(gzip.GzipFile(fileobj=file)),
    "bzip2": lambda file, _stack: _Streams(file, bz2.BZ2Decompressor, b"BZh"),
    "zstd": _by_arrow("zstd"),
    "lz4": _by_arrow("lz4"),
    "zip": _zip_of_one,
}
_UNREAD: Mapping[str, str] = {
    ".lzma": "lzma's old format",
    ".br": "Brotli",
    ".sz": "Snappy",
    ".snappy": "Snappy",
    ".lz": "lzip",
    ".lzo": "LZO",
    ".z": "compress",
}
"""Packings that are told by the file's name alone, since their bytes begin with nothing of their own."""
SUFFIXES: Mapping[str, str] = {
    ".xz": "xz",
    ".gz": "gz",
    ".bz2": "bz2",
    ".zst": "zst",
    ".zstd": "zst",
    ".lz4": "lz4",
    ".zip": "zip",
}
