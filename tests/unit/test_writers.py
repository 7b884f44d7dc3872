"""Writers of request traces: exact bytes of a tiny trace, round trips through the readers, units, bad names."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from discosim import cli
from discosim.core.errors import UserError
from discosim.runs.convert import convert
from discosim.traces.readers import HashIds, RequestTrace, read_requests
from discosim.traces.writers import known_writers, write_requests
from discosim.traces.writers.blis import HEADER

SUFFIX = {"blis": ".csv", "mooncake": ".jsonl", "native": ".jsonl", "splitwise": ".csv", "vidur": ".csv"}


def words(*names: str) -> np.ndarray:
    return np.array(names, dtype=np.object_)


TINY = RequestTrace(
    arrival_s=np.array([0.0, 1.25, 1.25, 90.0004]),
    prompt_tok=np.array([310, 95, 1400, 33]),
    output_tok=np.array([42, 120, 8, 7]),
    source_row=np.arange(1, 5),
    user_id=words("ada", "ben, the second", "ada", "cem"),
    session_id=words("s1", "s2", "s1", "s3"),
    hash_ids=HashIds(np.array([1, 1, 5], dtype=np.int64), np.array([0, 1, 2, 2, 3], dtype=np.int64)),
    hash_block_tok=512,
)

BYTES = {
    "mooncake": (
        '{"timestamp": 0, "input_length": 310, "output_length": 42, "hash_ids": [1]}\n'
        '{"timestamp": 1250, "input_length": 95, "output_length": 120, "hash_ids": [1]}\n'
        '{"timestamp": 1250, "input_length": 1400, "output_length": 8, "hash_ids": [6, 7, 8]}\n'
        '{"timestamp": 90000, "input_length": 33, "output_length": 7, "hash_ids": [5]}\n'
    ),
    "vidur": ("arrived_at,num_prefill_tokens,num_decode_tokens\n0.0,310,42\n1.25,95,120\n1.25,1400,8\n90.0004,33,7\n"),
    "splitwise": (
        "request_id,request_type,application_id,arrival_timestamp,batch_size,prompt_size,token_size\n"
        "0,2,0,0.0,1,310,42\n1,2,0,1.25,1,95,120\n2,2,0,1.25,1,1400,8\n3,2,0,90.0004,1,33,7\n"
    ),
    "blis": (
        "request_id,client_id,tenant_id,slo_class,session_id,round_index,prefix_group,prefix_length,streaming,"
        "input_tokens,output_tokens,text_tokens,image_tokens,audio_tokens,video_tokens,reason_ratio,model,deadline_us,"
        "server_input_tokens,arrival_time_us,send_time_us,first_chunk_time_us,last_chunk_time_us,num_chunks,status,"
        "error_message,finish_reason\n"
        "0,ada,,,s1,0,,0,true,310,42,0,0,0,0,0,,0,0,0,0,0,0,0,incomplete,,\n"
        '1,"ben, the second",,,s2,0,,0,true,95,120,0,0,0,0,0,,0,0,1250000,1250000,0,0,0,incomplete,,\n'
        "2,ada,,,s1,1,,0,true,1400,8,0,0,0,0,0,,0,0,1250000,1250000,0,0,0,incomplete,,\n"
        "3,cem,,,s3,0,,0,true,33,7,0,0,0,0,0,,0,0,90000400,90000400,0,0,0,incomplete,,\n"
    ),
    "native": (
        '{"arrival_s": 0.0, "prompt_tok": 310, "output_tok": 42, "user_id": "ada", "session_id": "s1", '
        '"hash_ids": [1]}\n'
        '{"arrival_s": 1.25, "prompt_tok": 95, "output_tok": 120, "user_id": "ben, the second", "session_id": "s2", '
        '"hash_ids": [1]}\n'
        '{"arrival_s": 1.25, "prompt_tok": 1400, "output_tok": 8, "user_id": "ada", "session_id": "s1", '
        '"hash_ids": []}\n'
        '{"arrival_s": 90.0004, "prompt_tok": 33, "output_tok": 7, "user_id": "cem", "session_id": "s3", '
        '"hash_ids": [5]}\n'
    ),
}


# --- what is written ------------------------------------------------------------------------------------------


def test_every_writer_is_tried_here() -> None:
    assert {writer.name for writer in known_writers()} == set(BYTES) == set(SUFFIX)


@pytest.mark.parametrize("to", sorted(BYTES))
def test_the_bytes_of_a_tiny_trace(to: str, tmp_path: Path) -> None:
    path = tmp_path / f"t{SUFFIX[to]}"
    paths = write_requests(TINY, path, to).paths
    assert path.read_text(encoding="utf-8") == BYTES[to]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in paths)


def test_what_has_no_place_is_named(tmp_path: Path) -> None:
    def left_out(name: str, to: str) -> tuple[str, ...]:
        return write_requests(TINY, tmp_path / name, to).left_out

    assert left_out("t.csv", "vidur") == ("user_id", "session_id", "hash_ids")
    assert left_out("t.jsonl", "mooncake") == ("user_id", "session_id")
    assert left_out("t.csv", "blis") == ("hash_ids",)
    assert left_out("t.csv", "native") == ("hash_ids",)
    assert left_out("t.parquet", "native") == ()


def test_hash_ids_that_are_added_share_nothing(tmp_path: Path) -> None:
    """Who replays Mooncake's files asks for ids in every line; what is made up must not look like reuse."""
    path = tmp_path / "t.jsonl"
    said = write_requests(replace(TINY, hash_ids=None), path, "mooncake").said
    rows = [json.loads(line)["hash_ids"] for line in path.read_text(encoding="utf-8").splitlines()]
    assert rows == [[0], [1], [2, 3, 4], [5]]  # one for each begun block of 512 of 310, 95, 1400 and 33 tokens
    assert said == ("hash_ids of their own for every request: they claim no reuse of prefixes",)
    assert "hash_ids" not in write_requests(replace(TINY, hash_ids=None), tmp_path / "n.jsonl", "native").said
    assert "hash_ids" not in (tmp_path / "n.jsonl").read_text(encoding="utf-8")


def lists(rows: list[list[int]]) -> HashIds:
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return HashIds(np.array([x for row in rows for x in row], dtype=np.int64), offsets)


@pytest.mark.parametrize(
    ("prompt_tok", "block_tok", "given", "expected", "said"),
    [
        # the trace's own, as they are
        ([1024, 1025, 10], 512, [[7, 8], [7, 8, 9], [3]], [[7, 8], [7, 8, 9], [3]], ""),
        # what is not named gets ids that nobody has: 2 of 3 blocks, and all of the last request
        ([1024, 1500, 10], 512, [[7, 8], [7], []], [[7, 8], [7, 9, 10], [11]], "for what 2 requests do not name"),
        # 64-bit hashes lose their upper half where they are replayed
        ([600, 600], 512, [[2**40, -1], [2**40, 5]], [[0, 1], [0, 2]], "numbered anew from 0"),
        # four blocks of 128 make one; the third request goes on differently in its second block of 512
        (
            [512, 640, 1024],
            128,
            [[1, 2, 3, 4], [1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6, 7, 8]],
            [[0], [0, 1], [0, 2]],
            "of blocks of 128 tokens put together to blocks of 512",
        ),
        # the same four ids after another way are another block
        ([1024, 512], 128, [[9, 9, 9, 9, 1, 2, 3, 4], [1, 2, 3, 4]], [[0, 1], [2]], "put together"),
        # larger blocks cannot be cut
        ([1024, 600], 1024, [[5], [5]], [[0, 1], [2, 3]], "left out: they stand for blocks of 1024 tokens"),
        ([100, 100], None, [[5, 6], [5, 6]], [[0], [1]], "left out: they stand for blocks of an unknown size"),
    ],
    ids=["own", "short", "64 bits", "joined", "another way", "larger", "unknown"],
)
def test_hash_ids_become_blocks_of_512(
    prompt_tok: list[int],
    block_tok: int | None,
    given: list[list[int]],
    expected: list[list[int]],
    said: str,
    tmp_path: Path,
) -> None:
    n = len(prompt_tok)
    trace = RequestTrace(
        np.arange(n, dtype=float),
        np.array(prompt_tok),
        np.full(n, 5),
        np.arange(1, n + 1),
        hash_ids=lists(given),
        hash_block_tok=block_tok,
    )
    path = tmp_path / "t.jsonl"
    written = write_requests(trace, path, "mooncake")
    assert [json.loads(line)["hash_ids"] for line in path.read_text(encoding="utf-8").splitlines()] == expected
    assert said in "; ".join(written.said)
    assert bool(said) == bool(written.said)


@pytest.mark.parametrize(("to", "column", "per_s"), [("mooncake", "timestamp", 1e3), ("blis", "arrival_time_us", 1e6)])
def test_the_units_are_those_of_the_format(to: str, column: str, per_s: float, tmp_path: Path) -> None:
    """A day of requests, a second apart: off by a factor of 1000 could not hide."""
    n = 86_400
    day = RequestTrace(np.arange(n, dtype=float), np.full(n, 9), np.full(n, 9), np.arange(1, n + 1))
    path = tmp_path / f"day{SUFFIX[to]}"
    write_requests(day, path, to)
    with path.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file] if to == "mooncake" else list(csv.DictReader(file))
    assert [float(row[column]) for row in rows] == [second * per_s for second in range(n)]


def test_the_header_of_blis_names_its_unit(tmp_path: Path) -> None:
    paths = write_requests(TINY, tmp_path / "t.csv", "blis").paths
    assert [p.name for p in paths] == ["t.csv", "t.yaml"]
    assert paths[1].read_text(encoding="utf-8") == HEADER
    assert yaml.safe_load(HEADER) == {
        "trace_version": 2,
        "time_unit": "microseconds",
        "mode": "generated",
        "warm_up_requests": 0,
    }


# --- round trips ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("to", "suffix", "within_s"),
    [
        ("vidur", ".csv", 0.0),
        ("splitwise", ".csv", 0.0),
        ("mooncake", ".jsonl", 0.0005),
        ("native", ".jsonl", 0.0),
        ("native", ".csv", 0.0),
        ("native", ".parquet", 0.0),
        ("blis", ".csv", 5e-7),
    ],
)
def test_our_reader_finds_what_was_written(to: str, suffix: str, within_s: float, tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    n = 500
    arrival_s = np.cumsum(rng.exponential(1 / 7, n))
    prompt, output = rng.integers(1, 10**5, n), rng.integers(1, 5000, n)
    # ids as far as 64 bits go, as a hash would be; Mooncake's replayers keep 32
    sizes = -(-prompt // 512)
    least, most = (0, 2**32) if to == "mooncake" else (-(2**63), 2**63 - 1)
    ids = HashIds(rng.integers(least, most, sizes.sum()), np.concatenate([[0], np.cumsum(sizes)]))
    # a third of the requests has no user, another third no session
    users = np.where(rng.random(n) < 1 / 3, "", rng.integers(0, 9, n).astype(str)).astype(object)
    sessions = np.where(rng.random(n) < 1 / 3, "", rng.integers(0, 9, n).astype(str)).astype(object)
    trace = RequestTrace(arrival_s, prompt, output, np.arange(1, n + 1), sessions, users, ids, 512)
    path = tmp_path / f"t{suffix}"
    left_out = write_requests(trace, path, to).left_out
    back = read_requests(path)
    assert back.notes["format"] == to
    since_s = arrival_s - arrival_s[0]
    assert np.max(np.abs(back.arrival_s - since_s)) <= 2 * within_s + 1e-12 * (within_s > 0)
    assert back.prompt_tok.tolist() == prompt.tolist()
    assert back.output_tok.tolist() == output.tolist()
    if "user_id" not in left_out:
        assert back.user_id is not None
        assert back.session_id is not None
        assert back.user_id.tolist() == users.tolist()
        assert back.session_id.tolist() == sessions.tolist()
    if "hash_ids" not in left_out:
        assert back.hash_ids is not None
        assert back.hash_ids.values.tolist() == ids.values.tolist()
        assert back.hash_ids.offsets.tolist() == ids.offsets.tolist()
        assert back.hash_block_tok == 512


@pytest.mark.parametrize("to", ["vidur", "splitwise"])
def test_published_traces_survive_the_way_there(to: str, raw_traces: Path, tmp_path: Path) -> None:
    source = next((raw_traces / "azure-llm-2023").glob("*conv*"))
    trace = read_requests(source)
    convert(source, tmp_path / "t.csv", to)
    back = read_requests(tmp_path / "t.csv")
    assert np.array_equal(back.arrival_s, trace.arrival_s)
    assert np.array_equal(back.prompt_tok, trace.prompt_tok)
    assert np.array_equal(back.output_tok, trace.output_tok)


# --- the command ----------------------------------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert cli.main(["traces", "convert", *map(str, arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    return line.removeprefix("discosim: error: ")


def test_a_configuration_gives_its_first_replication(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "w.csv"
    change = ["--set", "workload.n_requests=50", "--seed", "7"]
    assert cli.main(["traces", "convert", "quickstart", str(out), "--to", "vidur", *change]) == 0
    told = capsys.readouterr().out
    assert told.startswith("requests   50 in ")
    assert "left out   user_id" in told
    assert len(read_requests(out)) == 50

    from discosim import load_scenario
    from discosim.runs.build import build

    requests = build(load_scenario("quickstart", overrides=["workload.n_requests=50"], seed=7)).requests(0)
    back = read_requests(out)
    assert back.arrival_s.tolist() == (requests.arrival_s - requests.arrival_s[0]).tolist()
    assert back.notes["first_arrival"] == requests.arrival_s[0]


def test_what_the_limits_reject_is_left_out_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    limits = ["--set", "workload.max_prompt_tok=1000", "--set", "workload.over_limit=reject"]
    out = tmp_path / "w.jsonl"
    assert cli.main(["traces", "convert", "quickstart", str(out), "--to", "native", *limits]) == 0
    told = capsys.readouterr().out
    n = len(read_requests(out))
    assert read_requests(out).prompt_tok.max() <= 1000
    assert f"dropped    {1000 - n} (rejected)" in told
    assert 0 < n < 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["t.jsonl", "o.csv", "--to", "vidar"], "unknown format to write 'vidar'; did you mean 'vidur'?"),
        (["t.jsonl", "o.json", "--to", "vidur"], "o.json: format 'vidur' is written to a name that ends in .csv"),
        (["t.jsonl", "o.csv", "--to", "mooncake"], "is written to a name that ends in .jsonl or .json"),
        (["t.jsonl", "none/o.csv", "--to", "vidur"], "none/o.csv: cannot be written (no folder none)"),
        (["t.jsonl", "t.jsonl", "--to", "native"], "t.jsonl: would replace what it reads; give another name"),
        (["t.jsonl", "o.csv", "--to", "vidur", "--seed", "1"], "--set and --seed change a configuration"),
        (["gone.jsonl", "o.csv", "--to", "vidur"], "gone.jsonl: no such file"),
        (["bad.csv", "o.csv", "--to", "vidur"], "bad.csv row 2 column output_tok: expected a whole number"),
        (["quickstrat", "o.csv", "--to", "vidur"], "did you mean 'quickstart'?"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_requests(TINY, "t.jsonl", "native")
    Path("bad.csv").write_text("arrival_s,prompt_tok,output_tok\n0,1,x\n", encoding="utf-8")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert message in refused(capsys, *arguments)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_file_that_cannot_be_finished_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.csv"
    write_requests(TINY, path, "blis")
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UserError, match=r"cannot be written \(No space left on device\)"):
        write_requests(replace(TINY, prompt_tok=TINY.prompt_tok + 1), path, "blis")
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_times_beyond_the_clock_are_refused(tmp_path: Path) -> None:
    late = replace(TINY, arrival_s=np.array([0.0, 1.0, 2.0, 1e11]))
    with pytest.raises(UserError, match="cannot be counted"):
        write_requests(late, tmp_path / "t.csv", "blis")


def test_ties_that_rounding_makes_are_among_what_is_changed(tmp_path: Path) -> None:
    source = tmp_path / "t.csv"
    source.write_text("arrival_s,prompt_tok,output_tok\n0,9,5\n0,9,5\n0.0002,9,5\n0.0004,9,5\n1,9,5\n1.0000001,9,5\n")
    told = convert(source, tmp_path / "m.jsonl", "mooncake")
    assert "changed    3 arrivals tied with the one before, as less than 1 ms was between them" in told
    assert "changed    1 arrivals tied with the one before, as less than 1 us" in convert(
        source, tmp_path / "b.csv", "blis"
    )
    assert "tied with" not in convert(source, tmp_path / "v.csv", "vidur")
