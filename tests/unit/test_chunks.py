"""Tokens that come together: the law, its tape, and a service that sends like that."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import simpy
from worlds import bursts, constant, constant_link, model, past, play, requests, server

from discosim import load_scenario, simulate
from discosim.core.chunk_law import ChunkLaw
from discosim.core.empirical import CorrelatedSeries, QuantileTable
from discosim.core.errors import UserError
from discosim.core.request import RequestRecord
from discosim.core.rng import RandomStreams
from discosim.core.timelines import Timelines
from discosim.metrics.events import event_columns, event_numbers
from discosim.metrics.histogram import GapHistogram
from discosim.policies.server_only import ServerOnly
from discosim.traces.catalogue import load_digest
from discosim.traces.digest import Card
from discosim.traces.digest_file import write_own_digest
from discosim.traces.readers.streams import Arrivals as Stream
from discosim.traces.recipes import measure
from discosim.traces.recipes.chunks import chunk_digest, events_of
from discosim.world.api_server import ApiServer
from discosim.world.cards import Card as Asked
from discosim.world.chunks import TAPE_EVENTS, ChunkTape, made
from discosim.world.endpoint import Ask
from discosim.world.link import Link
from discosim.world.luck import Luck

CARD = Card(title="", origin="", commit="", licence="", citation="", raw_file="", raw_sha256="", method="")
PAIRS = ChunkLaw(size=constant(2.0), gap=constant(7.0))


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first, second)[0, 1])


def replace_times(record: RequestRecord, times_s: np.ndarray) -> RequestRecord:
    changed = copy.copy(record)
    changed.generated_s = changed.delivered_s = times_s
    return changed


# --- the law ----------------------------------------------------------------------------------------------------


def test_a_law_gives_back_tables_and_all_four_correlations() -> None:
    wanted = {"size_lag1": 0.2, "gap_lag1": -0.15, "size_then_gap": 0.3, "gap_then_size": 0.25}
    size = QuantileTable((0.0, 0.2, 0.8, 1.0), (1.0, 2.0, 9.0, 30.0))
    gap = QuantileTable((0.0, 0.5, 0.9, 1.0), (0.05, 0.4, 20.0, 80.0))
    latent = [
        measure.latent_cross(size, size, 0.2),
        measure.latent_cross(gap, gap, -0.15),
        measure.latent_cross(size, gap, 0.3),
        measure.latent_cross(gap, size, 0.25),
    ]
    law = ChunkLaw(
        size=CorrelatedSeries(size, latent[0]),
        gap=CorrelatedSeries(gap, latent[1]),
        size_then_gap=latent[2],
        gap_then_size=latent[3],
    )
    n = 200_000
    sizes, gaps = law.sample(n, np.random.default_rng(3))
    found = {
        "size_lag1": correlation(sizes[1:], sizes[:-1]),
        "gap_lag1": correlation(gaps[1:], gaps[:-1]),
        "size_then_gap": correlation(sizes, gaps),
        "gap_then_size": correlation(gaps[:-1], sizes[1:]),
    }
    # SE of a correlation of heavy tails over 200,000 pairs is below 0.004; 5 SE: a false alarm in a million
    assert found == pytest.approx(wanted, abs=0.02)
    levels = np.array([0.05, 0.3, 0.5, 0.7, 0.95])
    # SE of a share is at most 0.0011, twice that for the memory; 5 SE
    for drawn, table in ((gaps, gap), (sizes, size)):
        for level, value in zip(levels, np.round(table.ppf(levels), 6), strict=True):
            reached = [np.mean(drawn < value - 0.5 * (table is size)), np.mean(drawn <= value + 0.5 * (table is size))]
            assert reached[0] - 0.012 <= level <= reached[1] + 0.012


def test_what_no_process_has_is_refused() -> None:
    with pytest.raises(ValueError, match="no process has these four"):
        ChunkLaw(
            size=CorrelatedSeries(QuantileTable((0, 1), (1, 5)), -0.9),
            gap=constant(1.0),
            size_then_gap=0.9,
            gap_then_size=0.9,
        )
    with pytest.raises(ValueError, match="events of at least one token and gaps > 0"):
        ChunkLaw(size=constant(0.0), gap=constant(1.0))
    with pytest.raises(ValueError, match="events of at least one token and gaps > 0"):
        ChunkLaw(size=constant(1.0), gap=constant(0.0))


# --- from streams to a law --------------------------------------------------------------------------------------


def test_events_of_a_stream_by_hand() -> None:
    # arrivals at 0, 0.2 ms | 40 ms, 40.9 ms, 41.8 ms | 141.8 ms: a gap of 0.9 ms still joins, chained
    found = events_of(Stream(np.array([0.0002, 0.0398, 0.0009, 0.0009, 0.1])))
    assert found is not None
    assert found.sizes.tolist() == [2, 3, 1]
    # 141.8 ms for the five tokens behind the first
    np.testing.assert_allclose(found.gaps, np.array([0.04, 0.1018]) / (0.1418 / 5))
    found = events_of(Stream(np.array([0.0002, 0.04]), np.array([3, 1, 4])))
    assert found is not None
    assert found.sizes.tolist() == [4, 4]
    np.testing.assert_allclose(found.gaps, [7.0])
    assert events_of(Stream(np.array([0.0001, 0.0002]))) is None
    assert events_of(Stream(np.empty(0))) is None


def test_a_digest_gives_the_law_back_that_made_its_streams() -> None:
    law = bursts()
    rng = np.random.default_rng(5)
    streams = []
    for _ in range(300):
        sizes, gaps = law.sample(60, rng)
        gaps_s = [part for size, gap in zip(sizes, gaps, strict=True) for part in (*[0.0002] * (size - 1), 0.02 * gap)]
        streams.append(Stream(np.array(gaps_s)))
    digest = chunk_digest("own", CARD, streams)
    assert digest is not None
    # each stream ends with a gap behind its last event, which brings one token more
    assert digest.n == 300 * 61
    found, wanted = digest.law, law
    # 18,000 events; SE of a correlation 0.008, of what dividing by a stream's own mean adds about as much; 5 SE
    assert found.size.latent_rho == pytest.approx(wanted.size.latent_rho, abs=0.08)
    assert found.gap.latent_rho == pytest.approx(wanted.gap.latent_rho, abs=0.08)
    assert found.size_then_gap == pytest.approx(wanted.size_then_gap, abs=0.08)
    assert found.gap_then_size == pytest.approx(wanted.gap_then_size, abs=0.08)
    assert digest.moments["under_threshold_share"] == pytest.approx(
        1 - 60 / (digest.moments["event_tok_mean"] * 61 - 1), abs=0.01
    )


def test_streams_of_one_event_have_no_law() -> None:
    assert chunk_digest("own", CARD, [Stream(np.array([1e-4, 1e-4]))]) is None


# --- the tape ---------------------------------------------------------------------------------------------------


def test_answers_by_hand() -> None:
    tape = ChunkTape(PAIRS, np.random.default_rng(1))
    # events of two tokens at equal gaps; six tokens: the third event comes after five times per token
    np.testing.assert_allclose(tape.leaves(6, 0.3), [0, 0, 2.5, 2.5, 5, 5])
    np.testing.assert_allclose(tape.leaves(5, 0.3), [0, 0, 2, 2, 4])
    assert tape.leaves(1, 0.3).tolist() == [0.0]
    # shorter than its first event: the last token comes when its time per token says
    assert tape.leaves(2, 0.3).tolist() == [0.0, 1.0]
    np.testing.assert_allclose(made(tape.leaves(6, 0.3)), [0, 0, 2, 2.5, 4, 5])


@pytest.mark.parametrize("u", [0.0, 0.4, 1 - 1 / TAPE_EVENTS])
def test_an_answer_longer_than_the_tape_goes_on(u: float) -> None:
    law = ChunkLaw(size=constant(2.0), gap=CorrelatedSeries(QuantileTable((0.0, 1.0), (1.0, 3.0))))
    leaves = ChunkTape(law, np.random.default_rng(1)).leaves(6 * TAPE_EVENTS, u)
    assert leaves[-1] == pytest.approx(6 * TAPE_EVENTS - 1)
    gaps = np.diff(leaves[::2])
    assert gaps.min() > 0.1
    np.testing.assert_allclose(gaps[:1000], gaps[TAPE_EVENTS : TAPE_EVENTS + 1000], rtol=1e-6)
    assert (np.diff(leaves) >= 0).all()


def test_single_tokens_of_many_answers_are_those_of_each() -> None:
    tape = ChunkTape(bursts(), np.random.default_rng(2))
    rng = np.random.default_rng(3)
    n_tok = rng.integers(1, 90, 300)
    n_tok[:2] = 100_000, 3
    k, u = rng.integers(0, n_tok), rng.random(300)
    u[0] = 0.999
    each = [tape.leaves(int(n), float(x))[i] for n, x, i in zip(n_tok, u, k, strict=True)]
    np.testing.assert_allclose(tape.leave(k, n_tok, u), each, rtol=1e-12)


def test_answers_begin_with_events_like_measured_first_ones() -> None:
    law = ChunkLaw(
        size=CorrelatedSeries(QuantileTable((0.0, 1.0), (1.0, 9.0))),
        gap=constant(1.0),
        first=QuantileTable.constant(4.0),
    )
    tape = ChunkTape(law, np.random.default_rng(1))
    rng = np.random.default_rng(2)
    assert all((tape.leaves(200, float(u)) == 0).sum() == 4 for u in rng.random(50))


# --- the service ------------------------------------------------------------------------------------------------


def test_chunks_move_neither_the_first_token_nor_the_last() -> None:
    table = requests(200)
    plain, sent = (server(chunks=chunks) for chunks in (None, bursts()))
    one, two = (play(ServerOnly(), model(service=s), table) for s in (plain, sent))
    for name in ("ttft_s", "e2e_s", "tpot_s", "ttft_generated_s", "e2e_generated_s", "server_cost_usd"):
        np.testing.assert_allclose(two.columns[name], one.columns[name], rtol=1e-12)
    together = [record for record in two.records if (np.diff(record.delivered_s) == 0).any()]
    assert len(together) > 150
    assert not any((np.diff(record.delivered_s) == 0).any() for record in one.records)
    for record in two.records:
        assert (record.generated_s <= record.delivered_s).all()


def test_every_attempt_meets_its_own_bursts_and_the_same_under_every_policy() -> None:
    parts = model(service=server(ttft=constant(0.5), tpot=constant(0.05), chunks=bursts()))
    table = requests(3, output_tok=80)
    world = play(ServerOnly(), parts, table).world
    service = world.server
    assert isinstance(service, ApiServer)
    assert service.chunks is not None
    starts = [service.chunk_start(i, attempt) for i in range(3) for attempt in range(2)]
    assert len(set(starts)) == 6
    again = play(ServerOnly(), parts, table).records
    first = play(ServerOnly(), parts, table).records
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.delivered_s, other.delivered_s)
        leaves = service.chunks.leaves(80, service.chunk_start(one.request_id, 0))
        np.testing.assert_allclose(one.delivered_s, one.arrival_s + 0.5 + 0.05 * leaves)


def test_a_cancel_pays_for_tokens_that_exist_and_were_not_sent() -> None:
    parts = model(service=server(ttft=constant(1.0), tpot=constant(0.1), chunks=PAIRS))
    env, streams = simpy.Environment(), RandomStreams(1)
    service = ApiServer(env, parts.server, Link(parts.link, 1, streams), Luck(streams, 1))
    card = Asked(0, 0, 0.0, 10, 6, 4.8, 1.0)
    stream = service.start(Ask(card, 10, 1, 6))
    env.run(until=1.24)
    stream.stop()
    # sent at 1.0, 1.0, 1.25, 1.25, 1.5, 1.5; made at 1.0, 1.0, 1.2, 1.25, 1.4, 1.5
    np.testing.assert_allclose(stream.arrival_s, [1.0, 1.0, 1.25, 1.25, 1.5, 1.5])
    assert stream.bill() == (10.0, 3)


@pytest.mark.parametrize("tokens_per_packet", [1, 4])
def test_the_foreseen_first_token_is_the_one_that_comes(tokens_per_packet: int) -> None:
    parts = model(service=server(chunks=bursts()), link=constant_link(0.1, tokens_per_packet=tokens_per_packet))
    table = requests(200)
    played = play(ServerOnly(), parts, table)
    draws = played.world.draws
    np.testing.assert_allclose(played.ttft_s, draws.server_ttft_s, rtol=1e-9)
    assert past(parts).server_ttft_s.mean() == pytest.approx(played.ttft_s.mean(), rel=0.3)


def test_gaps_between_events_are_told_from_gaps_between_tokens() -> None:
    # one token | 0.5 s | three at once | 1 s | one: five tokens, three events
    times = np.array([2.0, 2.5, 2.5, 2.5 + 5e-7, 3.5])
    timelines = play(
        ServerOnly(), model(service=server(ttft=constant(1.0), tpot=constant(0.1))), requests(2, output_tok=[5, 1])
    )
    flat = Timelines.of([replace_times(timelines.records[0], times), timelines.records[1]])
    pool = GapHistogram()
    columns = event_columns(flat, pool)
    assert columns["n_events"].tolist() == [3, 1]
    np.testing.assert_allclose(columns["inter_event_max_s"], [1.0, np.nan])
    numbers = event_numbers({"output_tok": np.array([5, 1]), "n_events": columns["n_events"]}, pool)
    assert numbers["event_tok_mean"] == 6 / 4
    assert numbers["inter_event_pooled_p50_s"] == pytest.approx(0.75, rel=2e-3)


# --- in a scenario ----------------------------------------------------------------------------------------------

SCENARIO = """
name: s
workload:
  kind: generate
  n_requests: 40
  arrivals: {kind: poisson, rate_per_s: 1}
  lengths: {kind: constant, prompt_tok: 10, output_tok: 60}
devices: [{profile: iphone-llama-3.2-3b}]
server: {kind: replay, digest: openrouter-gpt-5.4, CHUNKS, prices: {prompt_usd_per_mtok: 1, output_usd_per_mtok: 2}}
cost: {exchange_rate_usd_per_j: 1.0e-7}
replications: 2
policies: [{kind: server_only}]
"""


def test_a_scenario_sends_by_a_shipped_digest_or_by_a_file(tmp_path: Path) -> None:
    held = load_digest("openai-gpt-4-0125-chunks", "chunks")
    write_own_digest(held, tmp_path / "mine.json")
    runs = []
    for name, chunks in (("shipped", "digest: openai-gpt-4-0125-chunks"), ("own", "digest_file: mine.json")):
        (tmp_path / f"{name}.yaml").write_text(SCENARIO.replace("CHUNKS", f"chunks: {{{chunks}}}"))
        runs.append(simulate(load_scenario(tmp_path / f"{name}.yaml")))
    one, own = runs
    assert one.requests.equals(own.requests)
    assert one.summary.value("server_only", "event_tok_mean").mean == pytest.approx(2.19, rel=0.1)
    assert one.requests["n_events"].min() > 10
    (tmp_path / "plain.yaml").write_text(SCENARIO.replace("CHUNKS, ", ""))
    plain = simulate(load_scenario(tmp_path / "plain.yaml"))
    assert not [name for name in plain.columns if "event" in name]
    assert not [name for name in plain.summary.metrics if "event" in name]
    assert "server chunks openai-gpt-4-0125-chunks: measured, n = 3907" in one.notes
    assert "server chunks mine.json: the user's own file" in own.notes
    assert any("A chunk is taken for a token" in note for note in own.notes)


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        ("chunks: {}", r"server\.chunks: needs exactly one of digest and digest_file \(got none\)"),
        ("chunks: {digest: azure-gpt-4-1106-chunk}", "did you mean 'azure-gpt-4-1106-chunks'"),
        ("chunks: {digest: azure-conv}", "is of kind workload, a chunks digest is needed"),
        ("chunks: {digest_file: none.json}", "no such file"),
        (
            "chunks: {digest: azure-gpt-4-1106-chunks}, tbt_jitter_p99_over_p50: 2",
            "tbt_jitter_p99_over_p50: must be 1 beside chunks",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, chunks: str, message: str) -> None:
    (tmp_path / "s.yaml").write_text(SCENARIO.replace("CHUNKS", chunks))
    with pytest.raises(UserError, match=message):
        load_scenario(tmp_path / "s.yaml")


def test_many_answers_leave_as_each_by_itself() -> None:
    """To the bit, for answers of all lengths, also behind the end of the tape."""
    tape = ChunkTape(bursts(), np.random.default_rng(1))
    rng = np.random.default_rng(2)
    n_tok, u = rng.integers(1, 60, 400), rng.random(400)
    n_tok[:5], u[:3] = [1, 2, 60_000, 20_000, 3], [0.0, 0.99999, 0.9]
    alone = [tape.leaves(n, x) for n, x in zip(n_tok.tolist(), u.tolist(), strict=True)]
    assert np.array_equal(tape.leaves_of(n_tok, u), np.concatenate(alone))
    assert tape.leaves_of(n_tok[:0], u[:0]).size == 0
    k = rng.integers(0, n_tok)
    assert np.array_equal(tape.leave(k, n_tok, u), [times[i] for times, i in zip(alone, k.tolist(), strict=True)])
