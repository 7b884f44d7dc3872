"""Request traces: each format on tiny hand-made files, shared rules, bad rows."""

from __future__ import annotations

import numpy as np
import pytest

from discosim.core.errors import UserError
from discosim.core.rng import RandomStreams
from discosim.traces.readers import HashIds, detect, read_requests

AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
MOONCAKE = '{{"timestamp": {t}, "input_length": {n}, "output_length": {m}, "hash_ids": [{ids}]}}\n'
NATIVE = "arrival_s,prompt_tok,output_tok\n"


# --- azure ------------------------------------------------------------------------------------------------


def test_azure_keeps_the_seventh_digit(write) -> None:
    path = write(
        AZURE
        + "2023-11-16 18:17:03.9799601,4808,10\r\n"
        + "2023-11-16 18:17:03.9799604,3180,8\r\n"
        + "2023-11-16 18:17:04,110,27"
    )
    trace = read_requests(path)
    # datetime.fromisoformat would make the first gap 0
    assert trace.arrival_s.tolist() == [0.0, 3e-7, 0.0200399]
    assert trace.prompt_tok.tolist() == [4808, 3180, 110]
    assert trace.output_tok.tolist() == [10, 8, 27]
    assert trace.source_row.tolist() == [2, 3, 4]
    assert trace.notes["first_arrival"] == "2023-11-16 18:17:03.9799601"
    assert trace.notes["tied"] == 0
    assert detect(path).name == "azure"


def test_azure_ties_are_counted_on_whole_ticks(write) -> None:
    stamp = "2023-11-16 18:17:03.9799601"
    trace = read_requests(write(f"{AZURE}{stamp},1,1\n{stamp},2,2\n2023-11-17 00:00:00.0000000,3,3\n"))
    assert trace.notes["tied"] == 1
    assert trace.arrival_s.tolist() == [0.0, 0.0, 20576.0200399]


def test_azure_2024_offsets_and_missing_fraction(write) -> None:
    trace = read_requests(
        write(
            AZURE
            + "2024-05-10 00:00:00.009930+00:00,2162,5\n2024-05-10 00:00:01+00:00,7,8\n"
            + "2024-05-10 02:00:02.5+02:00,7,9\n2024-05-10T00:00:03Z,7,9\n"
        )
    )
    np.testing.assert_array_equal(trace.arrival_s, [0.0, 0.99007, 2.49007, 2.99007])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("2023-11-16 18:17:04.12345678,1,1", "row 3 column TIMESTAMP: expected a time like"),
        ("16/11/2023 18:17,1,1", "row 3 column TIMESTAMP: expected a time like"),
        ("2023-02-30 18:17:04.1,1,1", "row 3 column TIMESTAMP: expected a time like"),
        ("2023-11-16 25:17:04.1,1,1", "row 3 column TIMESTAMP: expected a time like"),
        (",1,1", "row 3 column TIMESTAMP: expected a time like"),
        ("2023-11-16 18:17:04.1+00:00,1,1", "row 3 column TIMESTAMP: times with and without a UTC offset"),
        ("2023-11-16 18:17:02.1,1,1", "row 3 column TIMESTAMP: goes back in time"),
        ("2023-11-16 18:17:04.1,-1,1", "row 3 column ContextTokens: expected a whole number of at least 0"),
        ("2023-11-16 18:17:04.1,1,x", "row 3 column GeneratedTokens: expected a whole number"),
        ("2023-11-16 18:17:04.1,1", "row 3: expected 3 cells, got 2"),
    ],
)
def test_azure_bad_rows(write, row: str, message: str) -> None:
    path = write(f"{AZURE}2023-11-16 18:17:03.9799600,1,1\n{row}\n")
    with pytest.raises(UserError) as caught:
        read_requests(path)
    assert f"t.csv {message}" in str(caught.value)


# --- mooncake ---------------------------------------------------------------------------------------------


def _mooncake(stamps: list[int]) -> str:
    return "".join(MOONCAKE.format(t=t, n=100 + i, m=10 + i, ids=f"0, {i}") for i, t in enumerate(stamps))


def test_mooncake_milliseconds_ticks_and_hash_ids(write) -> None:
    path = write(_mooncake([0, 0, 3000, 3000, 3000, 5999, 9000, 12000]), "m.jsonl")
    trace = read_requests(path)
    assert trace.arrival_s.tolist() == [0, 0, 3, 3, 3, 5.999, 9, 12]
    assert trace.notes["tick_s"] == 3.0
    assert trace.notes["tied"] == 3
    assert trace.notes["distinct_stamps"] == 5
    assert trace.notes["ties"] == "keep"
    assert trace.hash_ids is not None
    assert trace.hash_ids[4].tolist() == [0, 4]
    assert trace.source_row.tolist() == list(range(1, 9))


def test_mooncake_without_bins_ticks_in_milliseconds(write) -> None:
    trace = read_requests(write(_mooncake([0, 7, 31, 900, 902, 4000]), "m.jsonl"))
    assert trace.notes["tick_s"] == 0.001
    assert trace.notes["tick_rule"] == "finest digit in use"


def test_spread_stays_inside_the_tick_and_is_determined_by_the_stream(write) -> None:
    stamps = sorted([0] * 10 + [3000] * 16 + [5999] * 40 + [9000] + [12000] * 5)
    path = write(_mooncake(stamps), "m.jsonl")
    kept = read_requests(path)

    def luck(seed: int) -> np.random.Generator:
        return RandomStreams(seed).generator("workload.ties")

    one, again, other = (read_requests(path, ties="spread", rng=luck(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.arrival_s, again.arrival_s)
    assert not np.array_equal(one.arrival_s, other.arrival_s)
    assert np.all(np.diff(one.arrival_s) > 0)
    edges = np.array([0.0, 3.0, 5.999, 9.0, 12.0, 15.0])
    np.testing.assert_array_equal(
        np.searchsorted(edges, one.arrival_s, side="right"),
        np.searchsorted(edges, kept.arrival_s, side="right"),
    )
    np.testing.assert_array_equal(one.prompt_tok, kept.prompt_tok)
    assert one.notes["ties"] == "spread"
    assert one.notes["spread_over_tick"] == kept.notes["tied"] == 67
    assert one.notes["tied"] == 0


def test_spread_is_uniform_inside_the_tick(write) -> None:
    path = write(_mooncake([0] * 4000 + [3000] * 4000 + [6000] * 4000), "m.jsonl")
    rng = RandomStreams(11).generator("workload.ties")
    inside = np.mod(read_requests(path, ties="spread", rng=rng).arrival_s, 3.0) / 3.0
    # Kolmogorov-Smirnov distance of 12,000 uniforms: above 2.23 / sqrt(n) with probability 1e-4
    steps = np.arange(1, 12001) / 12000
    assert np.max(np.abs(np.sort(inside) - steps)) < 2.23 / np.sqrt(12000) + 1 / 12000


def test_spread_needs_a_tick_a_rule_and_luck(write) -> None:
    native = write(NATIVE + "0.1234567891,1,1\n0.1234567891,1,1\n")
    rng = np.random.default_rng(0)
    with pytest.raises(UserError, match="needs a format with a clock tick"):
        read_requests(native, ties="spread", rng=rng)
    with pytest.raises(UserError, match="did you mean 'spread'"):
        read_requests(native, ties="spreed", rng=rng)
    with pytest.raises(ValueError, match="needs rng"):
        read_requests(write(_mooncake([0, 0]), "m.jsonl"), ties="spread")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"timestamp": 5, "input_length": 1}', "row 2: no key 'output_length'"),
        (
            '{"timestamp": 5, "input_length": 1, "output_length": true}',
            "row 2 column output_length: expected",
        ),
        ('{"timestamp": 5, "input_length": "9", "output_length": 1}', "row 2 column input_length: expected"),
        (
            '{"timestamp": 5, "input_length": 2.5, "output_length": 1}',
            "column input_length: expected a whole",
        ),
        (
            '{"timestamp": NaN, "input_length": 2, "output_length": 1}',
            "row 2 column timestamp: expected a finite",
        ),
        (
            '{"timestamp": null, "input_length": 2, "output_length": 1}',
            "row 2 column timestamp: expected a finite",
        ),
        (
            '{"timestamp": 1e999, "input_length": 2, "output_length": 1}',
            "row 2 column timestamp: expected a finite",
        ),
        (
            '{"timestamp": -5, "input_length": 2, "output_length": 1}',
            "row 2 column timestamp: expected a finite",
        ),
        ('{"timestamp": 5, "input_length": 2, "output_length": 1', "row 2: is not JSON"),
        ("[1, 2]", "row 2: expected a JSON object"),
        (
            '{"timestamp": 5, "input_length": 1, "output_length": 1, "hash_ids": [1, "a"]}',
            "row 2 column hash_ids",
        ),
        ('{"timestamp": 5, "input_length": 1, "output_length": 1, "hash_ids": 7}', "row 2 column hash_ids"),
        (
            f'{{"timestamp": 5, "input_length": 1, "output_length": 1, "hash_ids": [{2**64}]}}',
            "row 2 column hash_ids",
        ),
        (f'{{"timestamp": 5, "input_length": {10**400}, "output_length": 1}}', "row 2 column input_length"),
    ],
)
def test_mooncake_bad_lines(write, line: str, message: str) -> None:
    path = write(_mooncake([0]) + line + "\n" + _mooncake([9]), "m.jsonl")
    with pytest.raises(UserError) as caught:
        read_requests(path)
    assert message in str(caught.value)


def test_json_lines_skip_empty_lines_and_still_count_them(write) -> None:
    path = write(_mooncake([0]) + "\n\n" + '{"timestamp": "x", "input_length": 1, "output_length": 1}\n', "m.jsonl")
    with pytest.raises(UserError, match="row 4 column timestamp"):
        read_requests(path)


def test_two_records_on_one_line_do_not_hide_a_broken_one(write) -> None:
    good = '{"timestamp": 0, "input_length": 1, "output_length": 1}'
    with pytest.raises(UserError, match=r"m\.jsonl row 1: is not JSON"):
        read_requests(write(f"{good}, {good}\n{good}\n", "m.jsonl"))


# --- burstgpt (made-up samples) ---------------------------------------------------------------------------

BURST_OLD = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
BURST_NEW = "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type\n"


def test_burstgpt_old_schema_drops_and_counts_failures(write) -> None:
    path = write(
        BURST_OLD
        + "45,ChatGPT,472,18,490,Conversation log\n45,GPT-4,1087,0,1087,API log\n"
        + "118,GPT-4,417,276,693,Conversation log\n"
    )
    trace = read_requests(path)
    assert detect(path).name == "burstgpt"
    assert trace.arrival_s.tolist() == [0.0, 73.0]
    assert trace.prompt_tok.tolist() == [472, 417]
    assert trace.source_row.tolist() == [2, 4]
    assert trace.session_id is None
    assert {k: trace.notes[k] for k in ("rows", "dropped_failed", "dropped_zero_tok", "tick_s", "schema")} == {
        "rows": 3,
        "dropped_failed": 1,
        "dropped_zero_tok": 0,
        "tick_s": 1.0,
        "schema": "without sessions",
    }


def test_burstgpt_new_schema_keeps_sessions_and_not_the_elapsed_time(write) -> None:
    trace = read_requests(
        write(
            BURST_NEW
            + "5,s-1,7.25,ChatGPT,20,10,30,Conversation log\n5,,junk,ChatGPT,21,11,32,Conversation log\n"
            + "9,s-2,1.0,GPT-4,0,11,11,API log\n"
        )
    )
    assert trace.session_id is not None
    assert trace.session_id.tolist() == ["s-1", ""]
    assert trace.notes["schema"] == "with sessions"
    assert trace.notes["dropped_zero_tok"] == 1
    assert trace.notes["tied"] == 1
    spread = read_requests(write(BURST_OLD + "5,a,1,1,2,x\n" * 3), ties="spread", rng=np.random.default_rng(1))
    assert np.all((spread.arrival_s >= 0) & (spread.arrival_s < 1.0))


# --- any format ---------------------------------------------------------------------------------------------


def test_hash_ids_take_keeps_rows_in_the_asked_order() -> None:
    ids = HashIds(np.array([1, 2, 3, 4, 5, 6]), np.array([0, 2, 2, 6]))
    taken = ids.take(np.array([2, 0, 1]))
    assert [taken[i].tolist() for i in range(len(taken))] == [[3, 4, 5, 6], [1, 2], []]


def test_bytes_changed_at_random_never_give_a_traceback(write) -> None:
    good = (AZURE + "2023-11-16 18:17:03.9799601,4808,10\r\n" * 5).encode()
    rng = np.random.default_rng(12)
    snippets = [b"", b",", b"\n", b'"', b"\r", b"\x00", b"\xff", b"nan", b"1e400", b"9" * 25]
    for _ in range(300):
        at = int(rng.integers(len(good)))
        path = write(good[:at] + snippets[rng.integers(len(snippets))] + good[at + int(rng.integers(3)) :])
        for name in ("auto", "azure"):
            message = ""
            try:
                read_requests(path, format=name)
            except UserError as error:
                message = str(error)
            assert "\n" not in message
