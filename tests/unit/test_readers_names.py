"""Who asked: a request without a name is nobody in particular, and never one person with one device."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from discosim import load_scenario, simulate
from discosim.core.errors import UserError
from discosim.core.rng import RandomStreams
from discosim.core.scenario import Reader, ReplayedWorkload
from discosim.runs.convert import convert
from discosim.traces.check import check
from discosim.traces.readers import RequestTrace, read_requests
from discosim.traces.workload import make_requests
from discosim.traces.writers import write_requests

BURST = "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type\n"


def rows(*names: object, key: str = "user_id") -> str:
    """Give JSON lines a second apart; a name of ``...`` is an absent key."""
    made = [{"arrival_s": i, "prompt_tok": 9, "output_tok": 5, key: name} for i, name in enumerate(names)]
    return "".join(json.dumps({k: v for k, v in row.items() if v is not ...}) + "\n" for row in made)


def users_of(path: Path, **options: object) -> tuple[list[int], dict[str, object]]:
    table = make_requests(ReplayedWorkload(file=str(path), **options), Reader(), RandomStreams(1), Path())
    return table.user_id.tolist(), table.notes


# --- files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("nobody", ["", "   ", "\t", "\u00a0", None, ..., float("nan")])
def test_whoever_is_not_named_is_a_user_of_his_own(nobody: object, write) -> None:
    path = write(rows("ada", nobody, nobody, "ada", nobody), "t.jsonl")
    trace = read_requests(path)
    assert trace.user_id is not None
    assert trace.user_id.tolist() == ["ada", "", "", "ada", ""]
    assert trace.notes["unnamed"] == 3
    users, notes = users_of(path)
    assert users == [0, 1, 2, 0, 3]
    assert notes["users"] == "from the trace; 3 requests without a name are users of their own"
    assert any(line.split() == ["unnamed", "3"] for line in check(path).splitlines())


@pytest.mark.parametrize("cell", ["", "  ", '""'])
def test_a_blank_cell_of_a_csv_is_no_name(cell: str, write) -> None:
    path = write(f"arrival_s,prompt_tok,output_tok,user_id\n0,9,5,ada\n1,9,5,{cell}\n2,9,5,{cell}\n3,9,5,ada\n")
    assert users_of(path)[0] == [0, 1, 2, 0]


def test_nulls_of_a_data_frame_are_no_names(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    numbers = [7, None, None, 7]
    for names in (pd.Series(numbers, dtype="float64"), pd.Series(numbers, dtype="Int64"), ["a", None, None, "a"]):
        frame = pd.DataFrame({"arrival_s": range(4), "prompt_tok": 9, "output_tok": 5, "user_id": names})
        frame.to_parquet(path)
        assert users_of(path)[0] == [0, 1, 2, 0]


def test_zero_is_a_name_and_names_of_blanks_around_are_the_same(write) -> None:
    assert users_of(write(rows(0, 0, "0", 1), "t.jsonl"))[0] == [0, 0, 0, 1]
    assert users_of(write(rows("ada", " ada", "ada ", "Ada"), "t.jsonl"))[0] == [0, 0, 0, 1]


def test_a_column_without_any_name_counts_as_absent(write) -> None:
    named, blank = write(rows(*[...] * 40), "a.jsonl"), write(rows(*[None] * 40), "b.jsonl")
    assert read_requests(blank).user_id is None
    users, notes = users_of(blank, n_users=5)
    assert (users, notes["users"]) == (users_of(named, n_users=5)[0], "drawn from 5")
    assert read_requests(blank).notes["unnamed"] == 40
    assert "unnamed" not in read_requests(named).notes


WORDS = ["None", "null", "NaN", "nan", "N/A", "NA", "<NA>", "\\N", "<null>", "(null)", "<nil>", "''", "-", "--", "***"]


@pytest.mark.parametrize("word", WORDS)
def test_words_that_tools_write_for_nobody_name_nobody_and_are_counted(word: str, write) -> None:
    lines = write(rows(word, "ada", f" {word}", "\u200b", word), "t.jsonl")
    table = write("arrival_s,prompt_tok,output_tok,user_id\n" + f"0,9,5,{word}\n1,9,5,ada\n2,9,5,'{word}'\n", "t.csv")
    for path, n in ((lines, 4), (table, 2)):
        trace = read_requests(path)
        assert trace.user_id is not None
        assert set(trace.user_id) == {"", "ada"}
        assert trace.notes["unnamed"] == n
        (doubt,) = trace.warnings
        assert repr(word) in doubt
        assert doubt.endswith("which names nobody; these requests count as unnamed")
    assert f"user_id holds {word!r} 3 times, which" in read_requests(lines).warnings[0]


def test_what_cannot_be_seen_names_nobody_and_is_no_part_of_a_name(write) -> None:
    path = write(rows("\u200b", "\ufeff", "ada\u200b", "ada", "\u2060 \u00a0"), "t.jsonl")
    assert users_of(path)[0] == [0, 1, 2, 2, 3]


@pytest.mark.parametrize("word", ["Nat", "Na", "No", "Nona", "Nil Armstrong", "-x", "\U0001f431"])
def test_what_may_be_a_person_is_a_name(word: str, write) -> None:
    trace = read_requests(write(rows(word, word, "ada", "ada"), "t.jsonl"))
    assert trace.user_id is not None
    assert set(trace.user_id) == {word, "ada"}
    assert trace.warnings == ()


def test_minus_one_among_numbers_is_nobody_and_numbers_are_one_name_however_written(write) -> None:
    for cells in ([-1, 7, -1.0, 7.0], ["-1", "7", "-1.0", "7.0"]):
        trace = read_requests(write(rows(*cells), "t.jsonl"))
        assert trace.user_id is not None
        assert trace.user_id.tolist() == ["", "7", "", "7"]
        assert trace.warnings[0].startswith("user_id holds '-1' 2 times, which names nobody")
    mixed = read_requests(write(rows("-1", "ada", "-1", "-1"), "t.jsonl"))
    assert mixed.user_id is not None
    assert mixed.user_id.tolist() == ["-1", "ada", "-1", "-1"]
    assert "one person of that name" in mixed.warnings[0]


@pytest.mark.parametrize("word", ["anonymous", "Unknown", "guest", "00000000-0000-0000-0000-000000000000", "<unknown>"])
def test_names_that_may_be_many_are_doubted_where_they_own_more_than_their_share(word: str, write) -> None:
    much = read_requests(write(rows(word, "ada", word, "ben", word), "t.jsonl"))
    (doubt,) = much.warnings
    assert doubt.startswith(f"user_id holds {word!r} 3 times, which is read as one person of that name with one device")
    assert read_requests(write(rows(word, "ada", word, "ada", "ada"), "t.jsonl")).warnings == ()
    assert len(read_requests(write(rows(*[word] * 30), "t.jsonl")).warnings) == 1


def test_the_first_of_users_counted_from_zero_is_a_user(write) -> None:
    assert read_requests(write(rows(0, 1, 2, 0, 1, 0), "t.jsonl")).warnings[0].startswith("user_id holds '0' 3 times")
    assert read_requests(write(rows(0, 1, 2, 0, 1, 2, 0), "t.jsonl")).warnings == ()


def test_names_of_bytes_are_text(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    def trace_of(names: pa.Array) -> RequestTrace:
        n = len(names)
        table = {"arrival_s": [float(i) for i in range(n)], "prompt_tok": [9] * n, "output_tok": [5] * n}
        parquet.write_table(pa.table({**table, "user_id": names}), tmp_path / "t.parquet")
        return read_requests(tmp_path / "t.parquet")

    held = trace_of(pa.array([b"ada", b"", None, b"\xff\x00", b" ada"], pa.binary())).user_id
    assert held is not None
    assert held.tolist() == ["ada", "", "", "ff00", "ada"]
    assert trace_of(pa.array([b"\0" * 16, b"\0" * 16], pa.binary(16))).user_id is None
    for wrong in (pa.array([None, [1]]), pa.array([None, {"a": 1}]), pa.array([None, True])):
        with pytest.raises(UserError, match=r"t\.parquet row 2 column user_id: expected a name"):
            trace_of(wrong)


def test_one_name_that_holds_most_of_a_file_is_doubted_whatever_the_gap(write) -> None:
    slow = [("api" if i % 3 else f"u{i}") for i in range(30)]
    body = "".join(f"{i * 40},9,5,{name}\n" for i, name in enumerate(slow))
    (doubt,) = read_requests(write("arrival_s,prompt_tok,output_tok,user_id\n" + body), time_unit="s").warnings
    assert doubt.startswith("user_id 'api' sends 20 of the 30 requests: each user is one person with one device")
    body = "".join(f"{i * 0.5},9,5,api\n" for i in range(25))
    (doubt,) = read_requests(write("arrival_s,prompt_tok,output_tok,user_id\n" + body)).warnings
    assert doubt.startswith("user_id 'api' sends 25 of the 25 requests")
    few = [("api" if i % 2 else f"u{i}") for i in range(30)]  # a half is not most
    body = "".join(f"{i * 4},9,5,{name}\n" for i, name in enumerate(few))
    assert read_requests(write("arrival_s,prompt_tok,output_tok,user_id\n" + body)).warnings == ()


@pytest.mark.parametrize("name", [["a"], {"id": 1}, True, False, "\ud800"])
def test_what_cannot_be_a_name_is_refused_with_its_place(name: object, write) -> None:
    with pytest.raises(UserError, match=r"t\.jsonl row 2 column user_id: expected a name \(text or a number\)"):
        read_requests(write(rows("ada", name), "t.jsonl"))


# --- users and sessions -----------------------------------------------------------------------------------------


def test_a_session_says_who_asked_where_the_user_is_not_named(write) -> None:
    lines = [
        ("ada", "s1"),
        ("", "s1"),  # the same session: ada
        ("", "s2"),  # nobody is named in it: a user of the session
        ("", "s2"),
        ("", ""),  # a user of its own
        ("s2", ""),  # a user who is called like the session is somebody else
        ("ben", "s3"),
        ("cem", "s3"),
        ("", "s3"),  # ben or cem: nobody knows, so a user of the session
        ("", ""),
    ]
    body = "".join(f"{i},9,5,{user},{session}\n" for i, (user, session) in enumerate(lines))
    path = write("arrival_s,prompt_tok,output_tok,user_id,session_id\n" + body)
    users, notes = users_of(path)
    assert users == [0, 0, 1, 1, 2, 3, 4, 5, 6, 7]
    assert notes["users"] == "from the trace; 2 requests without a name are users of their own"


def test_first_requests_have_the_users_that_the_whole_trace_gives_them(write) -> None:
    path = write(rows("b", None, "a", None, "b"), "t.jsonl")
    assert users_of(path, n_requests=3)[0] == users_of(path)[0][:3]


# --- what follows from it ---------------------------------------------------------------------------------------


def test_unnamed_requests_do_not_wait_for_one_device(write) -> None:
    """Forty requests of nobody within twenty seconds run as if each had a session of its own."""
    rng = np.random.default_rng(3)
    lengths = rng.integers(100, 600, (40, 2))
    tail = [f"{prompt},{output // 4},9,API log\n" for prompt, output in lengths]
    blank = write(BURST + "".join(f"{i // 2},,1.0,ChatGPT,{rest}" for i, rest in enumerate(tail)), "blank.csv")
    named = write(BURST + "".join(f"{i // 2},x{i},1.0,ChatGPT,{rest}" for i, rest in enumerate(tail)), "named.csv")
    # one session of the blank file is named, so that its column counts
    for path in (blank, named):
        path.write_text(path.read_text() + "30,y,1.0,ChatGPT,50,50,9,Conversation log\n")

    def ttft_s(path: Path) -> list[float]:
        sets = ["replications=1", f"workload={json.dumps({'kind': 'replay', 'file': str(path)})}"]
        policies = ["policies=[{kind: device_only}]", "baseline=device_only"]
        run = simulate(load_scenario("quickstart", overrides=[*sets, *policies]))
        return list(run.requests.sort_values("request_id").ttft_s)

    assert ttft_s(blank) == ttft_s(named)
    assert max(ttft_s(blank)) < 2.0  # in one queue the last would wait for 40 answers of about 75 tokens


def test_convert_writes_no_empty_names(tmp_path: Path) -> None:
    names = np.array(["ada", "", "", "cem"], dtype=np.object_)
    trace = RequestTrace(np.arange(4.0), np.full(4, 9), np.full(4, 5), np.arange(1, 5), user_id=names)
    lines, table, arrow = (tmp_path / f"t.{suffix}" for suffix in ("jsonl", "csv", "parquet"))
    for path in (lines, table, arrow):
        write_requests(trace, path, "native")
        back = read_requests(path)
        assert back.user_id is not None
        assert back.user_id.tolist() == names.tolist()
    assert [("user_id" in json.loads(line)) for line in lines.read_text().splitlines()] == [True, False, False, True]
    assert table.read_text().splitlines()[2] == "1.0,9,5,"
    assert pd.read_parquet(arrow)["user_id"].isna().tolist() == [False, True, True, False]
    told = convert(lines, tmp_path / "b.csv", "blis")
    assert "unnamed    2 (no user and no session)" in told
    assert [line.split(",")[1] for line in (tmp_path / "b.csv").read_text().splitlines()[1:]] == names.tolist()


def test_an_owner_who_asks_faster_than_a_person_is_doubted(write) -> None:
    header = "arrival_s,prompt_tok,output_tok,user_id\n"
    service = write(header + "".join(f"{i * 0.5},9,5,{'api' if i % 4 else f'u{i}'}\n" for i in range(80)))
    (doubt,) = read_requests(service).warnings
    assert doubt.startswith("user_id 'api' sends 60 requests, one in 0.661 s: each user is one person with one device")
    calm = write(header + "".join(f"{i * 2},9,5,ada\n" for i in range(80)))
    assert read_requests(calm).warnings == ()
