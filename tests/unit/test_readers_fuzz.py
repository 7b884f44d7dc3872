"""Files damaged at random: every reader of requests gives a trace or one sentence, and never anything else."""

from __future__ import annotations

import gzip
import itertools
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from discosim.core.errors import UserError
from discosim.traces.readers import RequestTrace, known_readers, read_any, read_requests
from discosim.traces.writers import write_requests

N_SHORT, N_LONG = 12, 400
"""Mutations of each sample in the default suite, and in the long one."""
SNIPPETS = (
    *(b"", b",", b"\n", b'"', b"'", b"\r", b"\0", b"\xff", b"\xef\xbb\xbf", b"\t", b";", b"{", b"[", b"}", b"]", b":"),
    *(b"nan", b"-", b"1e400", b"1e308", b"9" * 25, b"-1", b"null", b"true", b"\\ud800", "é\u2028".encode(), b"1,000"),
)
REQUESTS = tuple(reader.name for reader in known_readers() if reader.produces == "requests")


def _samples(folder: Path) -> dict[str, bytes]:
    """Give a small file of each format of requests, by its name, and of what they come packed in."""
    rng = np.random.default_rng(7)
    n = 12
    names = np.where(rng.random(n) < 0.4, "", rng.integers(0, 4, n).astype(str)).astype(object)
    plain = RequestTrace(
        np.cumsum(rng.exponential(2.0, n)),
        rng.integers(1, 900, n),
        rng.integers(1, 90, n),
        np.arange(1, n + 1),
        names,
        names,
    )
    found: dict[str, bytes] = {}
    for to, suffix in (("native", "jsonl"), ("native", "csv"), ("native", "parquet"), ("mooncake", "jsonl")):
        path = folder / f"{to}.{suffix}"
        write_requests(plain, path, to)
        found[path.name] = path.read_bytes()
    for to in ("vidur", "splitwise", "blis"):
        path = folder / f"{to}.csv"
        write_requests(plain, path, to)
        found[path.name] = path.read_bytes()
        (folder / "blis.yaml").unlink(missing_ok=True)
    at_s = plain.arrival_s.tolist()
    found["azure.csv"] = b"TIMESTAMP,ContextTokens,GeneratedTokens\r\n" + b"".join(
        b"2023-11-16 18:17:%02d.9799601,%d,%d\r\n" % (i, 10 + i, 5 + i) for i in range(n)
    )
    found["burstgpt.csv"] = b"Timestamp,Session ID,Model,Request tokens,Response tokens\n" + b"".join(
        b"%d,%s,GPT-4,%d,%d\n" % (t, b"s1" if i % 3 else b"", 9 + i, i) for i, t in enumerate(at_s)
    )
    chats = [
        {
            "chat_id": i,
            "parent_chat_id": i - 1,
            "timestamp": t,
            "input_length": 20,
            "output_length": 4,
            "hash_ids": [i, 7],
        }
        for i, t in enumerate(at_s)
    ]
    found["bailian.jsonl"] = "".join(json.dumps(chat) + "\n" for chat in chats).encode()
    loads = [{"input_toks": 9, "output_toks": 4, "arrival_time_ns": int(t * 1e9)} for t in at_s]
    found["llmservingsim.jsonl"] = "".join(json.dumps(load) + "\n" for load in loads).encode()
    found["array.json"] = json.dumps(
        [{"arrival_s": t, "prompt_tok": 9, "output_tok": 4} for t in at_s], indent=1
    ).encode()
    found["native.csv.gz"] = gzip.compress(found["native.csv"], mtime=0)
    found["native.csv.zst"] = pa.compress(found["native.csv"], codec="zstd", asbytes=True)
    found["utf16.csv"] = b"\xff\xfe" + found["vidur.csv"].decode().encode("utf-16-le")
    return found


SAMPLES = (
    *("native.jsonl", "native.csv", "native.parquet", "mooncake.jsonl", "vidur.csv", "splitwise.csv", "blis.csv"),
    *("azure.csv", "burstgpt.csv", "bailian.jsonl", "llmservingsim.jsonl", "array.json"),
    *("native.csv.gz", "native.csv.zst", "utf16.csv"),
)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return _samples(tmp_path_factory.mktemp("samples"))


def _damaged(good: bytes, rng: np.random.Generator) -> bytes:
    raw = bytearray(good)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(raw) + 1))
        match int(rng.integers(6)):
            case 0:  # flip a bit
                if at < len(raw):
                    raw[at] ^= 1 << int(rng.integers(8))
            case 1:  # put something in the place of a few bytes
                raw[at : at + int(rng.integers(4))] = SNIPPETS[rng.integers(len(SNIPPETS))]
            case 2:  # cut
                del raw[at:]
            case 3:  # a part twice
                raw[at:at] = raw[at : at + int(rng.integers(200))]
            case 4:  # lines in another order
                lines = bytes(raw).split(b"\n")
                rng.shuffle(lines)
                raw = bytearray(b"\n".join(lines))
            case _:  # a number becomes another
                digits = [i for i, byte in enumerate(raw) if 48 <= byte < 58]
                if digits:
                    i = digits[rng.integers(len(digits))]
                    raw[i : i + 1] = SNIPPETS[rng.integers(len(SNIPPETS))]
    return bytes(raw)


def _sound(trace: RequestTrace) -> None:
    """Check by plain loops what every trace promises."""
    at_s = trace.arrival_s.tolist()
    assert at_s[0] == 0.0
    assert all(0.0 <= a <= b < float("inf") for a, b in itertools.pairwise(at_s))
    assert all(1 <= tok <= 10_000_000 for tok in (*trace.prompt_tok.tolist(), *trace.output_tok.tolist()))
    for names in (trace.user_id, trace.session_id):
        assert names is None or (len(names) == len(at_s) and any(names.tolist()))
    if trace.hash_ids is not None:
        assert sum(len(trace.hash_ids[i]) for i in range(len(at_s))) == trace.hash_ids.values.size
    for doubt in trace.warnings:
        assert "\n" not in doubt


def _tried(path: Path, name: str) -> None:
    said = ""
    try:
        if name == "any":
            read_any(path)
        else:
            _sound(read_requests(path, name))
    except UserError as error:
        said = str(error)
    assert "\n" not in said
    assert len(said) < 1500
    said.encode()


def _fuzz(sample: str, good: bytes, folder: Path, n: int) -> None:
    rng = np.random.default_rng([SAMPLES.index(sample), 11])
    path = folder / sample
    for _ in range(n):
        path.write_bytes(_damaged(good, rng))
        for name in ("auto", "any", sample.partition(".")[0], REQUESTS[rng.integers(len(REQUESTS))]):
            if name in {"auto", "any", *REQUESTS}:
                _tried(path, name)


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_samples_are_good(sample: str, samples: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / sample
    path.write_bytes(samples[sample])
    trace = read_requests(path)
    _sound(trace)
    assert len(trace) >= 11
    assert set(samples) == set(SAMPLES)


@pytest.mark.parametrize("sample", SAMPLES)
def test_damage_is_answered_in_a_sentence(sample: str, samples: dict[str, bytes], tmp_path: Path) -> None:
    _fuzz(sample, samples[sample], tmp_path, N_SHORT)


@pytest.mark.long
@pytest.mark.parametrize("sample", SAMPLES)
def test_much_damage_is_answered_in_a_sentence(sample: str, samples: dict[str, bytes], tmp_path: Path) -> None:
    _fuzz(sample, samples[sample], tmp_path, N_LONG)


def test_parquet_of_every_type_is_answered_in_a_sentence(tmp_path: Path) -> None:
    columns = {
        "whole": pa.array([1, 2]),
        "text": pa.array(["1", "x"]),
        "null": pa.nulls(2),
        "bool": pa.array([True, False]),
        "time": pa.array([1, 2], pa.timestamp("ns")),
        "list": pa.array([[1], None]),
        "nested": pa.array([{"a": 1}, None]),
        "huge": pa.array([2**63, 2**64 - 1], pa.uint64()),
        "bytes": pa.array([b"\xff", b""]),
        "names": pa.array(["a", "b"]).dictionary_encode(),
        "decimal": pa.array([1, 2]).cast(pa.decimal128(30, 2)),
    }
    path = tmp_path / "t.parquet"
    for name in ("arrival_s", "prompt_tok", "user_id", "hash_ids"):
        for column in columns.values():
            good = {"arrival_s": columns["whole"], "prompt_tok": columns["whole"], "output_tok": columns["whole"]}
            parquet.write_table(pa.table(good | {name: column}), path)
            _tried(path, "auto")
