"""Clocks: where time begins, what unit it is in, and what is implausible."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from discosim import load_scenario, simulate
from discosim.core.errors import UserError
from discosim.core.rng import RandomStreams
from discosim.core.scenario import Reader, ReplayedWorkload
from discosim.traces.readers import read_requests
from discosim.traces.workload import make_requests

NATIVE = "arrival_s,prompt_tok,output_tok\n"
STEPS = (0, 130, 270, 275, 900, 1250, 2000, 2600, 3100, 3999, 4210, 5000)


def csv_at(*stamps: object) -> str:
    return NATIVE + "".join(f"{stamp},{20 + i},{5 + i}\n" for i, stamp in enumerate(stamps))


def mooncake_at(*stamps: float, **more: object) -> str:
    rows = [{"timestamp": t, "input_length": 20 + i, "output_length": 5 + i, **more} for i, t in enumerate(stamps)]
    return "".join(json.dumps(row) + "\n" for row in rows)


# --- where time begins ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("native", "arrival_s,prompt_tok,output_tok\n{0},5,7\n{1},6,8\n"),
        ("vidur", "arrived_at,num_prefill_tokens,num_decode_tokens\n{0},5,7\n{1},6,8\n"),
        ("splitwise", "arrival_timestamp,prompt_size,token_size\n{0},5,7\n{1},6,8\n"),
        ("burstgpt", "Timestamp,Model,Request tokens,Response tokens\n{0},m,5,7\n{1},m,6,8\n"),
    ],
)
@pytest.mark.parametrize("first", ["0", "0.5", "36000.25", "1700000000.5"])
def test_every_format_counts_from_its_first_request(name: str, text: str, first: str, write) -> None:
    trace = read_requests(write(text.format(first, float(first) + 1.5)))
    assert trace.notes["format"] == name
    assert trace.arrival_s.tolist() == [0.0, 1.5]
    assert trace.notes["first_arrival"] == float(first)


def test_what_is_dropped_before_the_first_request_starts_no_clock(write) -> None:
    trace = read_requests(write("arrival_s,prompt_tok,output_tok\n2,0,5\n7,5,5\n9,5,5\n"))
    assert trace.arrival_s.tolist() == [0.0, 2.0]
    assert trace.notes["first_arrival"] == 7.0


@pytest.mark.parametrize(("unit", "per_s"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
def test_unix_time_in_any_unit_gives_the_same_run(unit: str, per_s: int, write) -> None:
    """Nanoseconds of today are beyond what a float holds; differences of whole numbers are exact all the same."""
    gaps_us = np.array([0, 1, 250_000, 250_001, 3_000_000])
    whole = (1_700_000_000 * per_s + gaps_us * per_s // 10**6) if per_s >= 10**6 else None
    stamps = (
        whole.tolist() if whole is not None else [1_700_000_000 * per_s + g * per_s / 1e6 for g in gaps_us.tolist()]
    )
    path = write(csv_at(*stamps))
    got = read_requests(path, time_unit=unit).arrival_s
    slack_s = 0.0 if whole is not None else 2.0**-22  # the last place of 1.7e9, and of 1.7e12 in ms
    np.testing.assert_allclose(got, gaps_us / 1e6, rtol=0, atol=slack_s)
    if unit == "s":
        return
    with pytest.raises(
        UserError, match=rf"is Unix time in {unit} \(2023-11-14\).*say so with workload.time_unit: {unit}"
    ):
        read_requests(path)


def test_busy_shares_do_not_know_when_a_trace_was_cut(write) -> None:
    """Share of the engine's time in use: an origin ten hours early would make it a thousandth."""
    rng = np.random.default_rng(5)
    at_s = np.cumsum(rng.exponential(0.4, 40))

    def busy(origin_s: float, name: str) -> float:
        rows = "".join(f"{origin_s + t:.6f},200,100\n" for t in at_s)
        path = write("arrived_at,num_prefill_tokens,num_decode_tokens\n" + rows, name)
        sets = ["replications=1", f"workload={json.dumps({'kind': 'replay', 'file': str(path)})}"]
        run = simulate(load_scenario("engine", overrides=[*sets, "policies=[{kind: server_only}]"]))
        return float(run.summary.to_json_dict()["policies"]["server_only"]["engine_busy_share"]["mean"])

    assert busy(36_000.0, "late.csv") == pytest.approx(busy(0.0, "zero.csv"), abs=1e-6)


# --- units ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("unit", "per_s"), [("ms", 1e3), ("us", 1e6), ("ns", 1e9)])
def test_a_unit_that_is_named_is_taken(unit: str, per_s: float, write) -> None:
    seconds = [step / 1000 for step in STEPS]
    text = csv_at(*(round(second * per_s) for second in seconds))
    named = read_requests(write(text), time_unit=unit)
    plain = read_requests(write(csv_at(*seconds), "s.csv"))
    assert named.arrival_s.tolist() == plain.arrival_s.tolist()
    assert (named.notes["time_unit"], plain.notes["time_unit"]) == (unit, "s")
    table = make_requests(ReplayedWorkload(file=str(write(text)), time_unit=unit), Reader(), RandomStreams(1), Path())
    assert table.arrival_s.tolist() == plain.arrival_s.tolist()


def test_mooncake_keys_with_seconds(write) -> None:
    path = write(mooncake_at(*(step / 1000 for step in STEPS)), "m.jsonl")
    assert read_requests(path, time_unit="s").arrival_s.tolist() == [step / 1000 for step in STEPS]
    (doubt,) = read_requests(path).warnings
    assert doubt == (
        "12 requests arrive in 0.005 s, 2200 a second, read in ms; if timestamp is in s, set workload.time_unit: s"
    )
    assert read_requests(path, time_unit="ms").warnings == (doubt,)  # nobody has 2,200 requests a second
    assert read_requests(path, time_unit="s").warnings == ()


def test_dates_have_no_unit(write) -> None:
    path = write("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,1,1\n")
    with pytest.raises(UserError, match="TIMESTAMP holds dates, which have no unit; leave workload"):
        read_requests(path, time_unit="ms")
    with pytest.raises(UserError, match="unknown unit of time 'min'"):
        read_requests(path, time_unit="min")


@pytest.mark.parametrize(
    ("stamps", "doubt"),
    [
        ([0.0007 * i for i in range(60)], "60 requests arrive in 0.0413 s, 1429 a second, read in s"),
        (
            [250 * i for i in range(40)],
            "one request in 250 s on average, read in s; if arrival_s is in ms, set workload.time_unit: ms",
        ),
        ([5] * 3, "all 3 requests arrive at the same moment"),
        ([0, 4e7], "the trace spans 1.27 years, read in s"),
        ([0.25 * i for i in range(60)], ""),
        ([110.5 * i for i in range(40)], ""),
        ([130.5 * i for i in range(40)], "one request in 130.5 s on average, read in s"),
        ([61 * i for i in range(4)], ""),  # too few to say
        (
            [50 * i for i in range(60)],
            "arrival_s holds whole numbers alone, and large ones (over 2,950), read in s;",
        ),
        (
            [1000 * i for i in range(4)],
            "arrival_s holds whole numbers alone, and large ones (over 3,000), read in s;",
        ),
        ([4 * i for i in range(300)], ""),  # in ms these would be 250 a second
        ([50.5 * i for i in range(60)], ""),
    ],
    ids=[
        "fast",
        "slow",
        "at_once",
        "years",
        "calm",
        "broken",
        "broken_and_slow",
        "few",
        "whole_and_large",
        "four_large_ones",
        "whole_and_dense",
        "broken_numbers",
    ],
)
def test_clocks_that_are_doubted(stamps: list[float], doubt: str, write) -> None:
    warnings = read_requests(write(csv_at(*stamps))).warnings
    assert len(warnings) == bool(doubt)
    assert "".join(warnings).startswith(doubt)


def blis_at(*stamps: float) -> str:
    return "input_tokens,output_tokens,arrival_time_us\n" + "".join(f"9,5,{stamp}\n" for stamp in stamps)


def llmservingsim_at(*stamps: float) -> str:
    keys = ("input_toks", "output_toks", "arrival_time_ns")
    return "".join(json.dumps(dict(zip(keys, (9, 5, stamp), strict=True))) + "\n" for stamp in stamps)


WRITE = {
    "native": (csv_at, "t.csv", "s"),
    "mooncake": (mooncake_at, "t.jsonl", "ms"),
    "blis": (blis_at, "t.csv", "us"),
    "llmservingsim": (llmservingsim_at, "t.jsonl", "ns"),
}


@pytest.mark.parametrize("form", WRITE)
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("gap_ms", [500, 3000])
def test_the_unit_that_is_offered_is_the_one_and_a_wrong_one_stays_doubted(
    form: str, unit: str, gap_ms: int, write
) -> None:
    """Sixty requests at random, written in each unit in each format: what is offered mends the trace."""
    make, name, own = WRITE[form]
    arrival_ms = np.cumsum(np.random.default_rng(7).exponential(gap_ms, 60)).round().astype(int)
    stamps = [ms / 1000 if unit == "s" else int(ms) * {"ms": 1, "us": 10**3, "ns": 10**6}[unit] for ms in arrival_ms]
    path = write(make(*stamps), name)
    try:
        doubts = read_requests(path).warnings
    except UserError as error:
        doubts = (str(error),)
    if unit == own:
        assert doubts == ()
        return
    assert f"set workload.time_unit: {unit}" in doubts[0]
    told = read_requests(path, time_unit=unit)
    assert told.warnings == ()
    assert told.arrival_s[-1] == pytest.approx((arrival_ms[-1] - arrival_ms[0]) / 1000)


def test_broken_numbers_where_a_format_counts_whole_units_are_doubted(write) -> None:
    path = write(mooncake_at(4.329, 8.093, 39.724, 59.799), "m.jsonl")
    (doubt,) = read_requests(path).warnings
    assert doubt == (
        "timestamp holds broken numbers, where this format's are whole ms; if timestamp is in s, set "
        "workload.time_unit: s, else to ms"
    )
    assert read_requests(path, time_unit="ms").warnings == ()


@pytest.mark.parametrize(
    ("stamps", "tick_s"),
    [
        ([0, 1, 4], 1.0),
        ([0.5, 2.5, 7], 0.1),
        ([0.25, 1.125], 0.001),
        ([1.7e9 + 0.5, 1.7e9 + 3.25], 0.01),
        ([1 / 3, 2], 0),
    ],
)
def test_the_tick_is_that_of_the_finest_digit_in_use(stamps: list[float], tick_s: float, write) -> None:
    assert read_requests(write(csv_at(*stamps))).notes["tick_s"] == pytest.approx(tick_s)


def test_a_minute_is_a_tick_and_dates_have_one(write) -> None:
    head = "TIMESTAMP,ContextTokens,GeneratedTokens\n"

    def ticks(*clocks: str) -> object:
        return read_requests(write(head + "".join(f"2024-05-10 {clock},9,5\n" for clock in clocks))).notes["tick_s"]

    assert ticks("10:00:00", "10:01:00", "10:01:00", "10:07:00") == 60.0
    assert ticks("10:00:00", "10:00:01", "10:00:01") == 1.0
    assert ticks("10:00:00.5", "10:00:01.2500") == 0.01
    assert ticks("10:00:00.0000001", "10:00:01") == 1e-7


def test_ties_of_whole_seconds_are_spread_over_the_second(write) -> None:
    head = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    path = write(head + "".join(f"2024-05-10 10:00:{i // 5:02d},9,5\n" for i in range(100)))
    spread = read_requests(path, ties="spread", rng=np.random.default_rng(3)).arrival_s
    assert np.floor(spread).tolist() == [i // 5 for i in range(100)]
    assert np.unique(spread).size == 100
    assert 0.4 < np.mean(spread % 1.0) < 0.6  # uniform in its second: 0.5, standard error 0.03


def test_times_that_are_none_are_refused(write) -> None:
    with pytest.raises(UserError, match=r"arrival_s begins at 1e\+25 s, which is no time; set workload\.time_unit"):
        read_requests(write(csv_at(1e25, 2e25)))
    with pytest.raises(UserError, match=r"arrival_s spans 126752 years, read in s; set workload\.time_unit"):
        read_requests(write(csv_at(0, 4e12)))


def test_lengths_that_look_like_bytes_are_doubted_and_impossible_ones_refused(write) -> None:
    trace = read_requests(write(NATIVE + "0,300000,5\n1,310000,5\n"))
    assert trace.warnings == ("the median prompt has 305,000 tokens, more than most models take; are these bytes?",)
    for cell in ("10000001", "99999999999999999999", "1e18"):
        with pytest.raises(
            UserError, match=rf"row 3 column prompt_tok: expected a whole number from 0 to 10,000,000, got '{cell}'"
        ):
            read_requests(write(NATIVE + f"0,10000000,5\n1,{cell},5\n"))


def test_doubts_reach_the_notes_of_the_run(write) -> None:
    path = write(mooncake_at(*(step / 1000 for step in STEPS)), "m.jsonl")
    sets = ["replications=1", f"workload={json.dumps({'kind': 'replay', 'file': str(path)})}"]
    notes = simulate(load_scenario("quickstart", overrides=sets)).notes
    assert notes[0].startswith("warning: workload: 12 requests arrive in 0.005 s")


def test_sessions_of_mooncake_files_are_users(write) -> None:
    rows = [{"timestamp": 10 * i, "input_length": 9, "output_length": 5, "session_id": s} for i, s in enumerate("aba")]
    trace = read_requests(write("".join(json.dumps(row) + "\n" for row in rows), "m.jsonl"))
    assert trace.session_id is not None
    assert trace.session_id.tolist() == ["a", "b", "a"]


# --- ties -----------------------------------------------------------------------------------------------------


def test_spread_without_ties_moves_nothing_and_says_so(write) -> None:
    path = write(mooncake_at(0, 7, 31, 900), "m.jsonl")
    spread = read_requests(path, ties="spread", rng=np.random.default_rng(1))
    assert spread.arrival_s.tolist() == read_requests(path).arrival_s.tolist()
    assert spread.warnings == (
        "ties: spread has nothing to do, no two requests share a tick of 0.001 s; nothing was moved",
    )
