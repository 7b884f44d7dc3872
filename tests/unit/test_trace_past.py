"""What policies learn from where a trace is replayed: never the run itself."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discosim.config import load_scenario
from discosim.core.errors import UserError
from discosim.core.rng import RandomStreams
from discosim.core.scenario import Reader, ReplayedWorkload
from discosim.runs import simulate
from discosim.runs.build import HISTORY_REPLICATION, build
from discosim.traces.history import Past
from discosim.traces.past import block_length, block_rows, drawn_rows
from discosim.traces.readers import HashIds, RequestTrace
from discosim.traces.workload import make_requests

N = 90
PAST = RandomStreams(1, HISTORY_REPLICATION)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """Write a trace in which every length, gap and output occurs once."""
    rng = np.random.default_rng(5)
    gaps = rng.permutation(np.arange(1, N + 1)) / 8.0
    rows = zip(
        np.cumsum(gaps).tolist(), rng.permutation(np.arange(100, 100 + N)).tolist(),
        rng.permutation(np.arange(10, 10 + N)).tolist(), [f"u{k}" for k in rng.integers(0, 12, N)], strict=True,
    )  # fmt: skip
    path = tmp_path / "trace.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["arrival_s", "prompt_tok", "output_tok", "user_id"])
        writer.writerows(rows)
    return path


def replayed(trace: Path, **changes: Any) -> ReplayedWorkload:
    return ReplayedWorkload(file=str(trace), **changes)


def whole(workload: ReplayedWorkload) -> Any:
    return make_requests(workload, Reader(), RandomStreams(1), Path())


def engine_scenario(trace: Path, **workload: Any) -> dict[str, Any]:
    return {
        "name": "replayed",
        "replications": 1,
        "workload": {"kind": "replay", "file": str(trace), **workload},
        "devices": [{"profile": "snapdragon-8-elite-llama-3.2-3b"}],
        "server": {
            "kind": "engine",
            "iterations": {"kind": "digest", "digest": "opt-13b-a100-tp1"},
            "prices": {"prompt_usd_per_mtok": 1, "output_usd_per_mtok": 1, "source": "assumption"},
        },
        "cost": {"exchange_rate_usd_per_j": 1e-7},
        "policies": [{"kind": "server_only"}],
    }


# --- the law of the trace -------------------------------------------------------------------------------------------


def test_a_drawn_past_consists_of_blocks_of_the_trace(trace: Path) -> None:
    workload = replayed(trace, time_scale=2.0)
    run, past = whole(workload), Past.of(workload, PAST).requests(N, Reader())
    assert len(past) == N
    length = block_length(N)
    assert length == 10
    row_of = {int(prompt): row for row, prompt in enumerate(run.prompt_tok)}
    rows = np.array([row_of[int(prompt)] for prompt in past.prompt_tok])
    assert not np.array_equal(rows, np.arange(N))
    steps = np.diff(rows) % N
    assert (np.delete(steps, np.arange(length - 1, N - 1, length)) == 1).all(), "inside a block one row follows another"
    assert np.array_equal(past.output_tok, run.output_tok[rows])
    assert np.array_equal(past.user_id, run.user_id[rows]), "people keep their numbers"
    gaps = np.diff(run.arrival_s)
    expected = np.where(rows[1:] == 0, gaps.mean(), gaps[rows[1:] - 1])
    np.testing.assert_allclose(np.diff(past.arrival_s), expected, rtol=0, atol=1e-9)
    assert past.arrival_s[0] == 0.0


def test_every_row_is_drawn_equally_often() -> None:
    # blocks wrap around, so each of 50 rows comes in a fiftieth of the draws: 25,000 independent blocks of 8, a z of 5
    n_rows, n = 50, 200_000
    counts = np.bincount(block_rows(n_rows, n, np.random.default_rng(1)), minlength=n_rows)
    n_blocks, chance = n / block_length(n_rows), block_length(n_rows) / n_rows
    assert np.abs(counts - n / n_rows).max() < 5 * np.sqrt(n_blocks * chance * (1 - chance))


def test_the_past_has_the_means_of_the_trace(trace: Path) -> None:
    workload = replayed(trace)
    run = whole(workload)
    prompt, output = Past.of(workload, PAST).lengths(100_000)
    # 10,000 independent blocks of ten rows whose lengths are in random order: 4 standard errors of a mean of 100,000
    assert abs(prompt.mean() - run.prompt_tok.mean()) < 4 * run.prompt_tok.std() / np.sqrt(100_000)
    assert abs(output.mean() - run.output_tok.mean()) < 4 * run.output_tok.std() / np.sqrt(100_000)


def test_only_the_requests_that_are_replayed_make_the_law(trace: Path) -> None:
    workload = replayed(trace, n_requests=20)
    first = set(whole(workload).prompt_tok.tolist())
    past = Past.of(workload, PAST)
    assert set(past.lengths(5000)[0].tolist()) == first
    assert len(past.requests(50, Reader())) == 20, "no longer than what is replayed"


def test_what_occurs_in_one_place_of_the_trace_is_not_found_in_the_cache_twice() -> None:
    # each prompt begins with the shared block 7 and goes on with a block of its own
    n = 16
    ids = HashIds(np.array([x for i in range(n) for x in (7, 100 + i)]), np.arange(0, 2 * n + 1, 2))
    trace = RequestTrace(
        np.arange(n, dtype=float), np.full(n, 1024), np.full(n, 5), np.arange(n), hash_ids=ids
    )  # fmt: skip
    past = drawn_rows(trace, 400, np.random.default_rng(3))
    assert past.prefix_hashes is not None
    assert {hashes[0] for hashes in past.prefix_hashes} == {7}
    own = [hashes[1] for hashes in past.prefix_hashes]
    assert len(set(own)) == 400, "400 prompts, none seen before"


def test_a_conversation_keeps_its_blocks_inside_a_block_and_beyond() -> None:
    # rows 0 to 3 are turns of one conversation; row 4 is another; row 9 comes back to the first
    chains = [(1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), (50,), (60,), (70,), (80,), (90,), (1, 2, 9)]
    ids = HashIds(np.concatenate(chains), np.concatenate(([0], np.cumsum([len(c) for c in chains]))))
    trace = RequestTrace(np.arange(10.0), np.full(10, 99), np.full(10, 5), np.arange(10), hash_ids=ids)
    past = drawn_rows(trace, 12, np.random.default_rng(8))
    assert past.prefix_hashes is not None
    for row, hashes in zip(past.rows.tolist(), past.prefix_hashes, strict=True):
        assert len(hashes) == len(chains[row])
        kept = [new == old for new, old in zip(hashes, chains[row], strict=True)]
        assert kept[: min(2, len(kept))] == [1 in chains[row]] * min(2, len(kept)), (
            "1 and 2 occur far apart in the trace"
        )


# --- a part that is held out ----------------------------------------------------------------------------------------


def test_the_first_part_is_the_past_and_the_rest_the_run(trace: Path) -> None:
    workload = replayed(trace, past_share=0.3)
    everything, run = whole(replayed(trace)), whole(workload)
    assert len(run) == N - 27
    assert run.arrival_s[0] == 0.0
    np.testing.assert_allclose(run.arrival_s, everything.arrival_s[27:] - everything.arrival_s[27], rtol=0, atol=1e-9)
    for column in ("prompt_tok", "output_tok", "user_id", "reader_tok_per_s"):
        assert np.array_equal(getattr(run, column), getattr(everything, column)[27:]), column
    past = Past.of(workload, PAST)
    assert set(past.lengths(3000)[0].tolist()) == set(everything.prompt_tok[:27].tolist())
    pilot = past.requests(1000, Reader())
    np.testing.assert_allclose(pilot.arrival_s, everything.arrival_s[:27] - everything.arrival_s[0], rtol=0, atol=1e-9)
    assert np.array_equal(pilot.prompt_tok, everything.prompt_tok[:27])
    assert np.array_equal(pilot.user_id, everything.user_id[:27])
    late = past.requests(5, Reader())
    assert np.array_equal(late.prompt_tok, everything.prompt_tok[22:27]), "the last before the run"


def test_the_share_is_one_of_the_requests_that_are_used(trace: Path) -> None:
    run = whole(replayed(trace, n_requests=40, past_share=0.5))
    assert np.array_equal(run.prompt_tok, whole(replayed(trace)).prompt_tok[20:40])


def test_a_share_that_holds_nothing_is_refused(trace: Path) -> None:
    with pytest.raises(UserError, match=r"workload.past_share.*0.01 of 90 requests is none"):
        whole(replayed(trace, past_share=0.01))


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_a_share_outside_its_range_is_refused(trace: Path, share: float) -> None:
    with pytest.raises(UserError, match=r"workload.past_share"):
        load_scenario(engine_scenario(trace, past_share=share))


# --- the run is not the past ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("past_share", [None, 0.4])
def test_the_pilot_of_an_engine_is_not_the_run(trace: Path, past_share: float | None) -> None:
    scenario = load_scenario(engine_scenario(trace, past_share=past_share))
    view = build(scenario).view
    met = simulate(scenario).requests["ttft_s"].to_numpy()
    assert view.server_prompt_tok is not None
    n = min(met.size, view.server_ttft_s.size)
    assert not np.allclose(np.sort(met)[:n], np.sort(view.server_ttft_s)[:n])
    if past_share is not None:
        run_tok = simulate(scenario).requests["prompt_tok"].to_numpy()
        assert not np.intersect1d(run_tok, view.server_prompt_tok).size, "rows of the trace occur once"
        assert not np.intersect1d(run_tok, view.prompt_tok).size


@pytest.mark.parametrize(
    ("workload", "server", "said"),
    [
        (
            {},
            True,
            "past: requests drawn anew from the law of the trace, in blocks of 10 consecutive of its 90 requests",
        ),
        ({"past_share": 0.3}, True, "past: requests of the first 27 of 90 requests of the trace (workload.past_share)"),
        ({"past_share": 0.3}, False, "100,000 TTFTs drawn from the law of the service"),
    ],
)
def test_a_run_says_what_its_past_is(trace: Path, workload: dict[str, Any], server: bool, said: str) -> None:
    config = engine_scenario(trace, **workload)
    if not server:
        prices = {"prompt_usd_per_mtok": 1, "output_usd_per_mtok": 1, "source": "assumption"}
        config["server"] = {"kind": "replay", "digest": "openrouter-gpt-5.5", "prices": prices}
    notes = simulate(load_scenario(config)).notes
    (past,) = (note for note in notes if note.startswith("past: "))
    assert said in past
    if server:
        assert "TTFTs of a pilot run of" in past


def test_a_generated_run_says_so_too() -> None:
    notes = simulate(load_scenario("quickstart", overrides=["replications=1", "workload.n_requests=20"])).notes
    (past,) = (note for note in notes if note.startswith("past: "))
    assert past.startswith(
        "past: requests drawn from the laws of the workload, in a replication of its own; 100,000 TTFTs"
    )


def test_the_past_of_a_trace_that_is_all_too_long_is_refused(trace: Path) -> None:
    workload = replace(replayed(trace), max_prompt_tok=5)
    with pytest.raises(UserError, match="reject nearly every request"):
        Past.of(workload, PAST).lengths(100)


def test_a_pilot_keeps_each_ttft_beside_its_prompt() -> None:
    # a request a day: nobody waits, so that the TTFT is the prefill's, and grows with the prompt alone
    calm = ["workload.arrivals.rate_per_s=1.0e-5", "server.pilot_requests=200", "replications=1"]
    view = build(load_scenario("engine", overrides=calm)).view
    assert view.server_prompt_tok is not None
    assert view.server_prompt_tok.size == view.server_ttft_s.size == 200
    by_length = np.lexsort((view.server_ttft_s, view.server_prompt_tok))
    assert np.unique(view.server_prompt_tok).size > 50
    assert (np.diff(view.server_ttft_s[by_length]) >= -1e-9).all()
