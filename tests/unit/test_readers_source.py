"""Opening, recognising and refusing files, whatever the format."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from discosim.core.errors import UserError
from discosim.traces.readers import detect, fingerprint, known_readers, read_requests, reader_named
from discosim.traces.readers.source import read_bytes, read_members

VIDUR = b"arrived_at,num_prefill_tokens,num_decode_tokens\n" + b"".join(
    b"%d.5,%d,%d\n" % (i, 10 + i % 7, 5 + i % 3) for i in range(500)
)


def test_xz_and_gz_read_like_the_plain_file(tmp_path: Path) -> None:
    plain, xz, gz = (tmp_path / name for name in ("a.csv", "a.csv.xz", "a.csv.gz"))
    plain.write_bytes(VIDUR)
    xz.write_bytes(lzma.compress(VIDUR))
    gz.write_bytes(gzip.compress(VIDUR))
    for path in (plain, xz, gz):
        trace = read_requests(path)
        assert len(trace) == 500
        assert trace.arrival_s[7] == 7.0


@pytest.mark.parametrize(("suffix", "compress"), [(".xz", lzma.compress), (".gz", gzip.compress)])
@pytest.mark.parametrize("kept", [0.3, 0.9, 0.999])
def test_truncated_compression_names_the_file(tmp_path: Path, suffix: str, compress, kept: float) -> None:
    whole = compress(VIDUR)
    path = tmp_path / f"cut.csv{suffix}"
    path.write_bytes(whole[: int(len(whole) * kept)])
    for act in (read_requests, read_bytes):
        with pytest.raises(UserError, match=rf"cut\.csv\{suffix}: .*cut short or damaged"):
            act(path)


def test_damaged_xz_is_a_user_error(tmp_path: Path) -> None:
    whole = bytearray(lzma.compress(VIDUR))
    whole[len(whole) // 2] ^= 0xFF
    path = tmp_path / "damaged.csv.xz"
    path.write_bytes(bytes(whole))
    with pytest.raises(UserError, match="cut short or damaged"):
        read_requests(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", b"", "the file is empty"),
        ("empty.csv.xz", b"", "the file is empty"),
        ("hollow.csv.xz", lzma.compress(b""), "empty once decompressed"),
        ("hollow.csv.gz", gzip.compress(b""), "empty once decompressed"),
        ("false.csv.gz", VIDUR, "named .gz but does not hold gz data"),
        ("false.csv.xz", VIDUR, "named .xz but does not hold xz data"),
        (
            "other.txt",
            b"once upon a time\n",
            "no known format fits: it begins with 'once upon a time'",
        ),
        ("noise.bin", bytes(range(256)) * 40, "no known format fits"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_unusable_files(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        read_requests(path)
    assert name in caught.value.where


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_requests(tmp_path / "none.csv")
    with pytest.raises(UserError, match="no known format fits"):
        read_requests(tmp_path)
    with pytest.raises(UserError, match="is a folder"):
        read_requests(tmp_path, format="azure")


def test_unknown_format_offers_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'mooncake'"):
        reader_named("moncake")
    assert reader_named("azure").produces == "requests"


def test_format_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "rtt.csv"
    path.write_text("5\n3\n4\n")
    assert detect(path).name == "uncore"
    with pytest.raises(UserError, match="'uncore' holds rtt; expected one of: azure, bailian, blis"):
        read_requests(path)


def test_two_fitting_formats_are_not_guessed_between(tmp_path: Path) -> None:
    path = tmp_path / "both.csv"
    path.write_text("arrival_s,prompt_tok,output_tok,arrived_at,num_prefill_tokens,num_decode_tokens\n0,1,1,0,1,1\n")
    with pytest.raises(UserError, match="more than one format fits; name one of: native, vidur"):
        read_requests(path)
    assert len(read_requests(path, format="vidur")) == 1


def test_every_reader_is_documented_and_named_once() -> None:
    names = [reader.name for reader in known_readers()]
    assert names == sorted(set(names))
    for reader in known_readers():
        header = sys.modules[reader.read.__module__].__doc__ or ""
        for word in ("Format:", "Origin:", "Quirks:"):
            assert word in header, f"{reader.name} lacks {word}"


def test_fingerprint_of_compressed_plain_and_folder(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.xz"
    stored = lzma.compress(VIDUR)
    path.write_bytes(stored)
    mark = fingerprint(path)
    assert mark.raw_sha256 == hashlib.sha256(VIDUR).hexdigest()
    assert mark.stored_sha256 == hashlib.sha256(stored).hexdigest()
    assert (mark.raw_bytes, mark.stored_bytes) == (len(VIDUR), len(stored))
    listing = f"{mark.stored_sha256}  a.csv.xz\n".encode()
    assert fingerprint(tmp_path).raw_sha256 == hashlib.sha256(listing).hexdigest()


def test_tar_members_stay_in_memory_and_in_natural_order(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar.xz"
    source = tmp_path / "x"
    source.write_text("1")
    with tarfile.open(archive, "w:xz") as tar:
        for name in ("d/f10.csv", "../../f2.csv", "d/other.txt"):
            tar.add(source, arcname=name)
    before = sorted(tmp_path.parent.iterdir())
    members = read_members(archive, re.compile(r"\.csv$"))
    assert [Path(name).name for name in members] == ["f2.csv", "f10.csv"]
    assert sorted(tmp_path.parent.iterdir()) == before
    with pytest.raises(UserError, match="holds no file named like"):
        read_members(archive, re.compile("zip"))


def test_cut_tar_is_a_user_error(tmp_path: Path) -> None:
    inner = tmp_path / "chunk-0-trace.csv"
    inner.write_text("0,1,1,Gamma,1,1\n" * 2000)
    whole = tmp_path / "whole.tar"
    with tarfile.open(whole, "w") as tar:
        tar.add(inner, arcname=inner.name)
    cut = tmp_path / "cut.tar"
    cut.write_bytes(whole.read_bytes()[:5000])
    with pytest.raises(UserError, match="cannot be read"):
        detect(cut).read(cut)


def test_heavy_libraries_are_loaded_on_use_only() -> None:
    code = (
        "import sys, discosim.traces.check; "
        "print([m for m in ('pandas', 'pyarrow', 'yaml', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
