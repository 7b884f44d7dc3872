"""The bytes of a file before any format looks at them: packings, encodings, limits, pipes, and what is no table."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import os
import re
import subprocess
import sys
import tarfile
import threading
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from discosim.core.errors import UserError
from discosim.traces.readers import fingerprint, read_any, read_requests
from discosim.traces.readers.source import read_bytes, read_head, read_members, settled
from discosim.traces.readers.unpack import LIMIT_NAME

NATIVE = b"arrival_s,prompt_tok,output_tok\n0,10,5\n1.5,20,6\n"


def zipped(**members: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("::", "/"), content)
    return held.getvalue()


PACKED = {
    "t.csv.gz": gzip.compress(NATIVE),
    "t.csv.xz": lzma.compress(NATIVE),
    "t.csv.bz2": bz2.compress(NATIVE),
    "t.csv.zst": pa.compress(NATIVE, codec="zstd", asbytes=True),
    "t.csv.lz4": pa.compress(NATIVE, codec="lz4", asbytes=True),
    "t.zip": zipped(**{"t.csv": NATIVE}),
    "clutter.zip": zipped(**{"t.csv": NATIVE, "__MACOSX::._t.csv": b"x", "d::.DS_Store": b"y"}),
}


# --- packings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["t.csv.xz", "t.csv.bz2", "t.csv.gz", "t.csv.zst"])
def test_what_follows_the_packed_data_is_refused_and_streams_in_a_row_are_one_file(name: str, write) -> None:
    second = b"2,7,8\n" * 3
    pack = {"xz": lzma.compress, "bz2": bz2.compress, "gz": gzip.compress}
    pack["zst"] = lambda raw: pa.compress(raw, codec="zstd", asbytes=True)
    more = pack[name.rpartition(".")[2]](second)
    assert read_bytes(write(PACKED[name] + more, name)) == NATIVE + second
    for rest in (b"garbage", b"x", b"\0garbage", b"2,7,8\n" * 400_000):
        with pytest.raises(UserError, match="the compressed data are cut short or damaged"):
            read_bytes(write(PACKED[name] + rest, name))


def test_padding_of_xz_is_no_garbage(write) -> None:
    packed = PACKED["t.csv.xz"]
    assert read_bytes(write(packed + b"\0" * 8, "t.csv.xz")) == NATIVE
    assert read_bytes(write(packed + b"\0" * 4 + lzma.compress(b"2,7,8\n"), "t.csv.xz")) == NATIVE + b"2,7,8\n"
    with pytest.raises(UserError, match="cut short or damaged"):
        read_bytes(write(packed + b"\0" * 5, "t.csv.xz"))


@pytest.mark.long
def test_large_packed_files_are_read_in_pieces(write) -> None:
    rng = np.random.default_rng(5)
    raw = NATIVE + b"".join(b"%d,%d,%d\n" % (2 + i, *rng.integers(1, 10**6, 2)) for i in range(200_000))
    for pack, name in ((lzma.compress, "t.csv.xz"), (bz2.compress, "t.csv.bz2")):
        assert read_bytes(write(pack(raw), name)) == raw


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (lzma.compress(NATIVE, lzma.FORMAT_ALONE), "t.csv.lzma", "packed in lzma's old format"),
        (lzma.compress(NATIVE, lzma.FORMAT_ALONE), "t.csv", "packed in lzma's old format"),
        (b"\x1b\x2f\x00", "t.csv.br", r"packed with Brotli by its name \(\.br\)"),
        (b"\x31\x10abc", "t.csv.snappy", r"packed with Snappy by its name \(\.snappy\)"),
        (b"\xff\x06\0\0sNaPpYabc", "t.csv.sz", "a file packed with Snappy"),
        (b"LZIP\x01abc", "t.csv.lz", "a file packed with lzip"),
    ],
)
def test_packings_that_are_not_read_are_named(content: bytes, name: str, said: str, write) -> None:
    with pytest.raises(UserError, match=rf"{said}.*; unpack it"):
        read_requests(write(content, name))


@pytest.mark.parametrize("name", PACKED)
def test_a_packed_file_reads_like_the_plain_one(name: str, write) -> None:
    path = write(PACKED[name], name)
    assert read_bytes(path) == NATIVE
    assert read_head(path) == NATIVE
    assert read_requests(path).prompt_tok.tolist() == [10, 20]
    assert fingerprint(path).raw_bytes == len(NATIVE)


def test_a_zstandard_frame_of_raw_blocks_and_frames_one_after_another(write) -> None:
    # RFC 8878: magic, descriptor (single segment), content size, then one last raw block
    frame = b"\x28\xb5\x2f\xfd\x20" + bytes([len(NATIVE)]) + (len(NATIVE) << 3 | 1).to_bytes(3, "little") + NATIVE
    skippable = b"\x50\x2a\x4d\x18\x04\0\0\0abcd"
    assert read_bytes(write(frame, "raw.zst")) == NATIVE
    assert read_bytes(write(skippable + frame, "skip.zst")) == NATIVE
    assert read_bytes(write(frame + frame, "two.zst")) == NATIVE + NATIVE


@pytest.mark.parametrize("name", PACKED)
def test_a_cut_packed_file_is_damaged_and_never_a_shorter_trace(name: str, write) -> None:
    whole = PACKED[name]
    for kept in range(9, len(whole) - 1, 7):
        with pytest.raises(UserError, match="cut short or damaged"):
            read_bytes(write(whole[:kept], name))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            zipped(**{"a.csv": NATIVE, "b.csv": NATIVE}),
            "is a zip archive of 2 files (a.csv, b.csv); unpack it",
        ),
        (zipped(), "is a zip archive of 0 files"),
        (
            zipped(**{"[Content_Types].xml": b"<x/>", "xl::a.xml": b"<x/>"}),
            "is an Excel workbook or another",
        ),
        (zipped(mimetype=b"application/vnd.oasis"), "is an OpenDocument"),
        (gzip.compress(gzip.compress(NATIVE)), "is packed twice (gzip inside); unpack it once"),
        (gzip.compress(zipped(**{"a.csv": NATIVE})), "is packed twice (a zip inside)"),
    ],
    ids=["two", "none", "Excel", "OpenDocument", "gzip in gzip", "zip in gzip"],
)
def test_archives_that_are_not_one_file(content: bytes, message: str, write) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        read_bytes(write(content, "t.bin"))


def test_an_encrypted_member_is_said(write) -> None:
    locked = bytearray(zipped(**{"a.csv": NATIVE}))
    at = locked.index(b"PK\x01\x02")
    locked[6] |= 1
    locked[at + 8] |= 1
    with pytest.raises(UserError, match=r"file a\.csv is encrypted; unpack it first"):
        read_bytes(write(bytes(locked), "t.zip"))


@pytest.mark.parametrize("suffix", ["gz", "xz", "bz2", "zst", "lz4", "zip"])
def test_a_name_that_promises_a_packing_keeps_it(suffix: str, write) -> None:
    with pytest.raises(UserError, match=rf"is named \.{suffix} but does not hold {suffix} data"):
        read_bytes(write(NATIVE, f"t.csv.{suffix}"))


# --- limits -----------------------------------------------------------------------------------------------------


def test_a_bomb_stops_at_the_ratio(write) -> None:
    bomb = gzip.compress(bytes(80 * 2**20), 9)
    path = write(bomb, "bomb.csv.gz")
    assert len(bomb) < 100_000
    with pytest.raises(UserError, match="unpack to more than 500 times as many, as no trace does"):
        read_bytes(path)


def test_the_limit_is_said_and_can_be_set(write, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, packed = write(NATIVE), write(PACKED["t.csv.gz"], "t.csv.gz")
    monkeypatch.setenv(LIMIT_NAME, "20")
    with pytest.raises(UserError, match="holds more than 20 bytes; cut it, or set DISCOSIM_MAX_TRACE_BYTES"):
        read_bytes(plain)
    with pytest.raises(UserError, match="holds more than 20 bytes once unpacked"):
        read_bytes(packed)
    monkeypatch.setenv(LIMIT_NAME, str(len(NATIVE)))
    assert read_bytes(plain) == read_bytes(packed) == NATIVE
    for wrong in ("0", "-5", "2G", "1e9", "9" * 30):
        monkeypatch.setenv(LIMIT_NAME, wrong)
        with pytest.raises(UserError, match="DISCOSIM_MAX_TRACE_BYTES: expected a whole number of bytes above 0"):
            read_bytes(plain)


def test_a_sparse_member_claims_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.tar"
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("a.csv"), io.BytesIO(b""))
    monkeypatch.setattr(tarfile.TarFile, "next", _Claims(tarfile.TarFile.next))
    with pytest.raises(UserError, match=r"its member a\.csv claims 1,000,000,000,000,000 bytes"):
        read_members(path, re.compile("csv"))


class _Claims:
    """A descriptor that lets every member of an archive say that it is very large."""

    def __init__(self, inner) -> None:
        self._inner = inner

    def __get__(self, archive, _owner):
        def following():
            member = self._inner(archive)
            if member is not None:
                member.size = 10**15
            return member

        return following


# --- encodings --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("order", ["le", "be"])
def test_a_byte_order_mark_names_the_encoding(encoding: str, order: str, write) -> None:
    text = NATIVE.decode()
    raw = text.encode(encoding) if encoding == "utf-8-sig" else ("\ufeff" + text).encode(f"{encoding}-{order}")
    assert read_requests(write(raw)).prompt_tok.tolist() == [10, 20]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (
            NATIVE.decode().encode("utf-16-le"),
            "looks like UTF-16 or UTF-32 text without a byte-order mark; save",
        ),
        (
            NATIVE.decode().encode("utf-16-be"),
            "looks like UTF-16 or UTF-32 text without a byte-order mark; save",
        ),
        (NATIVE.decode().encode("utf-32-le"), "looks like UTF-16 or UTF-32 text without a byte-order mark"),
        (b"\xff\xfe" + b"a\0\n\xd8", "begins with the byte-order mark of UTF-16 but is no such text"),
        (NATIVE + "3,4,5,é\n".encode("latin-1"), "holds bytes that are no UTF-8 text"),
    ],
    ids=["utf-16-le", "utf-16-be", "utf-32-le", "no utf-16", "latin-1"],
)
def test_text_that_cannot_be_decoded(raw: bytes, message: str, write) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        read_requests(write(raw))


def test_two_byte_order_marks_are_as_one(write) -> None:
    assert read_requests(write(b"\xef\xbb\xbf" * 2 + NATIVE)).prompt_tok.tolist() == [10, 20]
    assert read_requests(write(b"\xff\xfe" * 2 + NATIVE.decode().encode("utf-16-le"))).prompt_tok.tolist() == [10, 20]


@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
def test_line_ends_of_other_systems(end: bytes, write) -> None:
    trace = read_requests(write(NATIVE.replace(b"\n", end)))
    assert trace.source_row.tolist() == [2, 3]
    assert trace.output_tok.tolist() == [5, 6]


# --- what is no table -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 52283111\n",
            "is a Git LFS pointer to a file of 52,283,111 bytes, not the data; fetch them with `git lfs pull`",
        ),
        (b"../../.git/annex/objects/aa/bb/SHA256E-s12--ab.csv\n", "is a git-annex pointer"),
        (b"<!DOCTYPE html>\n<html><head><title>404:\n Not Found</title>", "is a web page (HTML) ('404: Not Found')"),
        (b"<!-- hi -->\n<HTML lang=en>", "is a web page (HTML), not the data; download the raw file"),
        (b'<?xml version="1.0"?><Error/>', "is an XML document"),
        (b"SQLite format 3\0" + bytes(100), "is an SQLite database; export the table as CSV"),
        (b"ARROW1\0\0" + bytes(100), "is an Arrow (Feather) file"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(9), "is a 7-Zip archive"),
        (b"Rar!\x1a\x07\x01\0" + bytes(9), "is a RAR archive"),
        (b"\x80\x04\x95\x10\0", "is a Python pickle, which is never loaded here"),
        (b"\x89HDF\r\n\x1a\n" + bytes(9), "is an HDF5 file"),
        (b"%PDF-1.7\n", "is a PDF"),
    ],
    ids=["LFS", "annex", "page", "page 2", "XML", "SQLite", "Arrow", "7z", "rar", "pickle", "HDF5", "PDF"],
)
@pytest.mark.parametrize("name", ["auto", "native", "mooncake"])
def test_what_is_no_table_is_named_whatever_was_asked_for(content: bytes, message: str, name: str, write) -> None:
    for file in (write(content), write(gzip.compress(content), "t.csv.gz")):
        with pytest.raises(UserError, match=re.escape(message)):
            read_requests(file, format=name)


def test_a_pointer_that_is_named_like_packed_data_is_told(write) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n"
    for name in ("t.csv.gz", "t.jsonl.zst", "t.parquet"):
        with pytest.raises(UserError, match="is a Git LFS pointer to a file of 7 bytes"):
            read_requests(write(pointer, name))


def test_a_tar_archive_is_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "t.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("t.csv")
        member.size = len(NATIVE)
        archive.addfile(member, io.BytesIO(NATIVE))
    with pytest.raises(UserError, match="no known format fits: it is a tar archive; unpack it and name one file"):
        read_requests(path)
    with pytest.raises(UserError, match="is a tar archive, and the format asked for is one file; unpack it"):
        read_requests(path, format="native")


def test_parquet_is_no_text(tmp_path: Path) -> None:
    from pyarrow import parquet

    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(UserError, match="is a Parquet file, and the format asked for is text"):
        read_any(path, format="uncore")


# --- what is no file --------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes of POSIX")
def test_a_pipe_is_copied_once_and_refused_elsewhere(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    for act in (read_bytes, read_head, read_requests, fingerprint):
        with pytest.raises(UserError, match=r"pipe\.csv: is a pipe, which can be read only once; save it to a file"):
            act(pipe)
    feeder = threading.Thread(target=lambda: pipe.write_bytes(NATIVE))
    feeder.start()
    with settled(pipe) as place:
        assert read_head(place) == read_bytes(place) == NATIVE
        with settled(place) as again:
            assert again == place
    feeder.join()
    assert not place.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes of POSIX")
def test_errors_name_the_pipe_and_an_endless_one_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)

    def feed() -> None:
        with contextlib.suppress(BrokenPipeError):
            pipe.write_bytes(NATIVE * 100_000)

    feeder = threading.Thread(target=feed)
    feeder.start()
    with pytest.raises(UserError, match="odd") as caught, settled(pipe) as place:
        raise UserError("odd", where=f"{place} row 2")
    feeder.join()
    assert caught.value.where == f"{pipe} row 2"
    monkeypatch.setenv(LIMIT_NAME, "1000")
    feeder = threading.Thread(target=feed)
    feeder.start()
    with pytest.raises(UserError, match=r"pipe\.csv: gives more than 1,000 bytes"), settled(pipe):
        pass
    feeder.join()


@pytest.mark.skipif(sys.platform == "win32", reason="devices of POSIX")
@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_refused(device: str) -> None:
    with pytest.raises(UserError, match=f"{device}: is a device; expected a file"):
        read_requests(device)


@pytest.mark.skipif(sys.platform == "win32", reason="names of POSIX")
def test_names_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for name in ("x" * 300, "a\0b", "loop", "file/below"):
        (tmp_path / "file").write_bytes(NATIVE)
        with pytest.raises(UserError) as caught:
            read_requests(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_plain_text_loads_no_arrow(write) -> None:
    code = (
        "import sys; from pathlib import Path; from discosim.traces.readers.source import read_bytes; "
        "read_bytes(Path(sys.argv[1])); print('pyarrow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(write(NATIVE))], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
