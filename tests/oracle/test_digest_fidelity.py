"""Digests against the raw files, read here with a few lines of pandas and never with the package's own readers."""

from __future__ import annotations

import json
import math
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from raw_data import azure, lag1, raw_events, raw_rtt, raw_ttft_tpot

from discosim.core.empirical import CorrelatedSeries
from discosim.core.rng import RandomStreams
from discosim.core.scenario import DigestArrivals, DigestLengths
from discosim.traces import catalogue
from discosim.traces.arrivals import draw_arrivals
from discosim.traces.chunk_digest import ChunkDigest
from discosim.traces.digest import (
    ClientDigest,
    DeviceDigest,
    LatencyDigest,
    RttDigest,
    WorkloadDigest,
)
from discosim.traces.energy_sheet import SHEET, energy_sheet
from discosim.traces.lengths import draw_lengths
from discosim.traces.recipes.build import build_all, recipes
from discosim.traces.recipes.phone_energy import sheet_text
from discosim.world.chunks import ChunkTape

PERCENTS = np.arange(1, 100) / 100
N_SAMPLE, N_SERIES, SERIES_LENGTH = 1_000_000, 20, 50_000


# --- the comparison -------------------------------------------------------------------------------------------


def assert_gives_back(held: CorrelatedSeries, raw: np.ndarray, unit: float, seed: int) -> None:
    """Sampling gives p1..p99 within 2 % or one unit, and the lag-1 autocorrelation within 0.05."""
    quantiles = np.quantile(raw, PERCENTS)
    allowed = np.maximum(0.02 * np.abs(quantiles), unit)
    np.testing.assert_array_less(np.abs(held.table.ppf(PERCENTS) - quantiles), 0.1 * allowed + 1e-12)

    series = [held.sample(SERIES_LENGTH, np.random.default_rng([seed, index])) for index in range(N_SERIES)]
    drawn = np.quantile(np.concatenate(series), PERCENTS)
    # a sampled quantile wanders in rank; SE of a share over N draws of an AR(1) is at most this; 5 SE, 99 levels:
    # false alarm below 6 in 100,000
    memory = (1 + abs(held.latent_rho)) / (1 - abs(held.latent_rho))
    slack = 5 * np.sqrt(PERCENTS * (1 - PERCENTS) * memory / (N_SERIES * SERIES_LENGTH))
    low = held.table.ppf(np.maximum(PERCENTS - slack, 0)) - allowed
    high = held.table.ppf(np.minimum(PERCENTS + slack, 1)) + allowed
    assert ((drawn >= low) & (drawn <= high)).all()

    measured = np.array([lag1(values) for values in series])
    error = measured.std(ddof=1) / math.sqrt(N_SERIES)
    # the tolerance is the promise; it is only a check if the estimate is far sharper
    assert error < 0.01
    assert abs(measured.mean() - lag1(raw)) < 0.05, (measured.mean(), lag1(raw), error)


LATENCIES = [entry.name for entry in catalogue.list_digests("latency")]
RTTS = [entry.name for entry in catalogue.list_digests("rtt")]


@pytest.mark.long
@pytest.mark.parametrize("name", LATENCIES)
def test_latency_digests(raw_traces, name):
    digest = catalogue.load_digest(name, "latency")
    assert isinstance(digest, LatencyDigest)
    ttft_s, tpot_s, failed = raw_ttft_tpot(raw_traces, name)
    assert digest.n == ttft_s.size
    assert digest.failure_share == pytest.approx(failed, abs=1e-5)
    assert_gives_back(digest.ttft, ttft_s, 0.001, 1)
    assert_gives_back(digest.tpot, tpot_s, 0.001, 2)


@pytest.mark.long
@pytest.mark.parametrize("name", RTTS)
def test_round_trip_digests(raw_traces, name):
    digest = catalogue.load_digest(name, "rtt")
    assert isinstance(digest, RttDigest)
    rtt_s = raw_rtt(raw_traces, name)
    assert digest.n == rtt_s.size
    assert_gives_back(digest.rtt, rtt_s, 0.001, 3)


QUICK = ("azure-gpt-3.5-0613-chunks", "openai-gpt-3.5-0613-chunks")
CHUNKS = [
    entry.name if entry.name in QUICK else pytest.param(entry.name, marks=pytest.mark.long)
    for entry in catalogue.list_digests("chunks")
]


def correlation(pairs: list[tuple[list[float], list[float]]]) -> float:
    """Return the correlation of neighbours, over streams that do not touch."""
    return float(np.corrcoef(*(np.concatenate([pair[side] for pair in pairs]) for side in (0, 1)))[0, 1])


def neighbours(sizes: list, gaps: list) -> list[float]:
    """Return how sizes, gaps, a size and the gap behind it, and a gap and the size behind it hang together."""
    return [
        correlation([(s[:-1], s[1:]) for s in sizes]),
        correlation([(g[:-1], g[1:]) for g in gaps]),
        correlation([(s[:-1], g) for s, g in zip(sizes, gaps, strict=True)]),
        correlation([(g, s[1:]) for s, g in zip(sizes, gaps, strict=True)]),
    ]


@pytest.mark.parametrize("name", CHUNKS)
def test_chunk_digests(raw_traces, name):
    digest = catalogue.load_digest(name, "chunks")
    assert isinstance(digest, ChunkDigest)
    sizes, gaps = raw_events(raw_traces, name)
    all_sizes, all_gaps = np.concatenate(sizes), np.concatenate(gaps)
    assert (digest.n_streams, digest.n) == (len(sizes), all_sizes.size)
    for table, raw, unit in ((digest.law.size.table, all_sizes, 1.0), (digest.law.gap.table, all_gaps, 0.001)):
        quantiles = np.quantile(raw, PERCENTS)
        np.testing.assert_array_less(np.abs(table.ppf(PERCENTS) - quantiles), 0.002 * quantiles + 0.1 * unit)
    assert digest.moments["gap_mean"] == pytest.approx(all_gaps.mean(), rel=1e-4)
    # the law, and so its four correlations: SE over 200,000 events is below 0.005 for the heaviest tails
    drawn_sizes, drawn_gaps = digest.law.sample(200_000, np.random.default_rng(1))
    measured = np.array(neighbours(sizes, gaps))
    np.testing.assert_allclose(neighbours([drawn_sizes], [drawn_gaps[:-1]]), measured, atol=0.05)

    # answers as the world sends them, as long as the measured ones: 16 replications
    sent_sizes, sent_gaps = [], []
    for replication in range(16):
        tape, rng = ChunkTape(digest.law, np.random.default_rng(replication)), np.random.default_rng(99 + replication)
        for n_tok in [sum(events) for events in sizes] * 2:
            at, counts = np.unique(tape.leaves(n_tok, rng.random()), return_counts=True)
            sent_sizes.append(counts)
            sent_gaps.append(np.diff(at))
    for sent, raw in ((np.concatenate(sent_sizes), all_sizes), (np.concatenate(sent_gaps), all_gaps)):
        # more than 14,000 values: SE of a share below 0.005; the promise is 0.05
        share = np.mean(sent[:, None] <= np.quantile(raw, PERCENTS), axis=0)
        just = np.mean(raw[:, None] <= np.quantile(raw, PERCENTS), axis=0)
        assert np.abs(share - just).max() < 0.05
        # stalls: how long the longest hundredth is
        assert np.quantile(sent, 0.99) == pytest.approx(np.quantile(raw, 0.99), rel=0.15)
    # the last event is cut short where the answer ends, and gaps are stretched: 0.07 in place of 0.05
    np.testing.assert_allclose(neighbours(sent_sizes, sent_gaps), measured, atol=0.07)


@pytest.mark.parametrize("service", ["conv", "code"])
def test_azure_gaps(raw_traces, service):
    raw = azure(raw_traces, service)["gap"].dropna().to_numpy()
    digest = catalogue.load_digest(f"azure-{service}", "workload")
    assert isinstance(digest, WorkloadDigest)
    assert digest.gap is not None
    assert digest.rate_per_s == pytest.approx(1 / raw.mean(), rel=1e-5)
    assert_gives_back(digest.gap, raw, 0.001, 4)


@pytest.mark.parametrize(("service", "cv"), [("conv", 1.095), ("code", 13.15)])
def test_azure_arrivals_are_as_bursty_as_the_trace(raw_traces, service, cv):
    raw = azure(raw_traces, service)["gap"].dropna()
    assert raw.std() / raw.mean() == pytest.approx(cv, rel=2e-3)
    arrived = draw_arrivals(DigestArrivals(digest=f"azure-{service}"), 3_000_000, RandomStreams(1))
    gaps = np.diff(arrived.arrival_s)
    # SE of the mean square, relative; the CV moves by half of it; 5 SE: false alarm 6 in 10 million
    error = np.std(gaps**2) / math.sqrt(gaps.size) / np.mean(gaps**2)
    assert error < 0.02
    assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=5 * error / 2 + 0.005)


def assert_lengths(digest: WorkloadDigest, prompt: np.ndarray, output: np.ndarray) -> None:
    sampled = draw_lengths(DigestLengths(digest=digest.name), N_SAMPLE, np.random.default_rng(7))
    # SE of a share over a million independent draws; 5 SE
    slack = 5 * np.sqrt(PERCENTS * (1 - PERCENTS) / N_SAMPLE)
    for drawn, table, raw in zip(sampled, (digest.prompt, digest.output), (prompt, output), strict=True):
        quantiles = np.quantile(raw, PERCENTS)
        allowed = np.maximum(0.02 * quantiles, 1.0)
        np.testing.assert_array_less(np.abs(table.ppf(PERCENTS) - quantiles), 0.5 * allowed)
        found = np.quantile(drawn, PERCENTS)
        assert (found >= table.ppf(PERCENTS - slack) - allowed).all()
        assert (found <= table.ppf(PERCENTS + slack) + allowed).all()
    correlation = np.corrcoef(*sampled)[0, 1]
    # SE near 1/sqrt(10^6) = 0.001; 24 rank bins cost the rest
    assert correlation == pytest.approx(np.corrcoef(prompt, output)[0, 1], abs=0.02)


def test_length_digests(raw_traces):
    loaded: dict[str, Callable[[], tuple[pd.Series, pd.Series]]] = {}
    for service in ("conv", "code"):
        table = azure(raw_traces, service)
        loaded[f"azure-{service}"] = lambda t=table: (t["ContextTokens"], t["GeneratedTokens"])
    mooncake = pd.read_json(
        raw_traces / "mooncake-conversation" / "conversation_trace.jsonl.xz", lines=True, compression="xz"
    )
    loaded["mooncake-conversation"] = lambda: (mooncake["input_length"], mooncake["output_length"])
    (path,) = (raw_traces / "sharegpt-lengths-etalon").glob("*.csv.xz")
    sharegpt = pd.read_csv(path)
    loaded["sharegpt"] = lambda: (sharegpt["num_prefill_tokens"], sharegpt["num_decode_tokens"])
    assert set(loaded) == {entry.name for entry in catalogue.list_digests("workload")}
    for name, lengths in loaded.items():
        digest = catalogue.load_digest(name, "workload")
        assert isinstance(digest, WorkloadDigest)
        prompt, output = (column.to_numpy() for column in lengths())
        assert digest.n == prompt.size
        assert_lengths(digest, prompt, output)


def test_mooncake_arrivals_keep_count_and_rate_of_the_raw_ticks(raw_traces):
    table = pd.read_json(
        raw_traces / "mooncake-conversation" / "conversation_trace.jsonl.xz", lines=True, compression="xz"
    )
    digest = catalogue.load_digest("mooncake-conversation", "workload")
    assert isinstance(digest, WorkloadDigest)
    # spreading moves no request by more than one tick of 3 s
    span_s = (table["timestamp"].iloc[-1] - table["timestamp"].iloc[0]) / 1000
    assert digest.rate_per_s == pytest.approx((len(table) - 1) / span_s, rel=2 * 3 / span_s)


def test_servegen_clients(raw_traces):
    rates, weights, found = {}, [], []
    with tarfile.open(raw_traces / "servegen-alibaba" / "deepseek-r1.tar.xz") as archive:
        for member in archive.getmembers():
            if member.name.endswith("-trace.csv"):
                number = Path(member.name).name.split("-")[1]
                rates[number] = pd.read_csv(archive.extractfile(member), header=None)
        for number, table in rates.items():
            member = next(m for m in archive.getnames() if m.endswith(f"/chunk-{number}-dataset.json"))
            for start, pdfs in json.load(archive.extractfile(member)).items():
                inside = (table[0] >= float(start)) & (table[0] < float(start) + 21600)
                items = [item.split(":") for item in pdfs["input_tokens"].strip("{} ").split(",") if item]
                shares = np.array([float(share) for _, share in items])
                found += [float(length) for length, _ in items]
                weights += (shares / shares.sum() * table.loc[inside, 1].sum()).tolist()
    digest = catalogue.load_digest("servegen-deepseek-r1", "clients")
    assert isinstance(digest, ClientDigest)
    assert len(digest.clients) == len(rates) == 73
    total = sum(table[1].sum() for table in rates.values())
    shares = sorted((table[1].sum() / total for table in rates.values()), reverse=True)
    np.testing.assert_allclose([client.share for client in digest.clients], shares, atol=1e-6)
    assert digest.moments["rate_mean_per_s"] == pytest.approx(total / 144, rel=1e-5)
    prompt, _ = draw_lengths(DigestLengths(digest=digest.name), 400_000, np.random.default_rng(3))
    order = np.argsort(found)
    reached = np.cumsum(np.array(weights)[order])
    for level in (0.1, 0.25, 0.5, 0.75, 0.9):
        # SE of a share over 400,000 draws is at most 0.0008; 5 SE
        bounds = np.interp([level - 0.004, level + 0.004], reached / reached[-1], np.array(found)[order])
        value = np.quantile(prompt, level)
        assert bounds[0] * 0.98 - 1 <= value <= bounds[1] * 1.02 + 1


def test_snapdragon_profiles(raw_traces):
    table = pd.read_csv(raw_traces / "qualcomm-aihub-llm" / "llm_perf.csv")
    rows = table[(table["model"] == "llama_v3_1_8b_instruct") & (table["device"] == "Snapdragon 8 Elite QRD")]
    digest = catalogue.load_digest("snapdragon-8-elite-llama-3.1-8b", "device")
    assert isinstance(digest, DeviceDigest)
    assert digest.prefill_s_per_tok == pytest.approx(rows["ttft_min_ms"].item() / 128_000, rel=1e-5)
    assert digest.decode_tok_per_s == pytest.approx(rows["decode_tokens_per_s"].item(), rel=1e-5)


@pytest.mark.parametrize("engine", ["mnn", "ours"])
def test_energies_of_phones(raw_traces, engine):
    """Medians of nine runs each, and a line that is the best in relative error; from the README: 74.6 and 349 mJ."""
    table = pd.read_csv(raw_traces / "llm-profiler-phones" / "phones.csv")
    models = {"llama3_2-1b": "llama-3.2-1b", "qwen2_5-1_5b": "qwen2.5-1.5b"}
    cells = table[table["engine"] == engine].groupby(["device", "model"])
    assert len(cells) == 8
    for (phone, model), runs in cells:
        suffix = "" if engine == "mnn" else "-aecs"
        digest = catalogue.load_digest(f"{phone}-{models[model]}{suffix}", "device")
        assert isinstance(digest, DeviceDigest)
        assert len(runs) == 9
        assert digest.decode_tok_per_s == pytest.approx(runs["decode_token_speed"].median(), rel=1e-5)
        assert digest.prefill_j_per_tok == pytest.approx(runs["prefill_energy"].median() / 1000, rel=1e-5)
        assert digest.decode_j_per_tok == pytest.approx(runs["decode_energy"].median() / 1000, rel=1e-5)
        times_s = (runs["prefill_len"] / runs["prefill_token_speed"]).groupby(runs["prefill_len"]).median()
        lengths = times_s.index.to_numpy()

        def loss(fixed_s, per_tok_s, lengths=lengths, times_s=times_s):
            return (((fixed_s + per_tok_s * lengths) / times_s - 1) ** 2).sum()

        fixed_s, per_tok_s = digest.prefill_intercept_s, digest.prefill_s_per_tok
        assert fixed_s >= 0
        for factor in (0.99, 1.01):  # any step aside makes it worse, one below 0 is not allowed
            assert loss(fixed_s, per_tok_s * factor) > loss(fixed_s, per_tok_s)
            assert loss(fixed_s + (factor - 1) * 0.1, per_tok_s) > loss(fixed_s, per_tok_s) or fixed_s == 0 > factor - 1


def test_the_sheet_of_energies_is_that_of_the_raw_runs(raw_traces):
    table = pd.read_csv(raw_traces / "llm-profiler-phones" / "phones.csv")
    ratio = table["decode_energy"] / table["prefill_energy"]
    per_b = table["decode_energy"] / 1000 / table["model"].map({"llama3_2-1b": 1.24, "qwen2_5-1_5b": 1.54})
    sheet = energy_sheet()
    assert sheet.n_runs == len(table) == 144
    for held, column in ((sheet.decode_over_prefill, ratio), (sheet.decode_j_per_tok_per_b, per_b)):
        expected = (column.median(), column.min(), column.max())
        assert (held.median, held.least, held.most) == pytest.approx(expected, rel=1e-5)
    assert SHEET.read_text(encoding="utf-8") == sheet_text(raw_traces)


# --- the recipes give the committed bytes -----------------------------------------------------------------------


def assert_rebuilt(root: Path, out: Path, names: list[str]) -> None:
    for path in build_all(root, out, names):
        committed = catalogue.shipped_root() / path.relative_to(out)
        assert path.read_bytes() == committed.read_bytes(), path.name


def test_recipes_give_the_committed_bytes(raw_traces, tmp_path):
    names = [
        "azure-conv",
        "mooncake-conversation",
        "llmperf-together-llama2-70b",
        "openrouter-deepseek-v3.2",
        "starlink-lagos",
        "5g-static",
        "snapdragon-8-elite-llama-3.2-3b",
        "iphone-llama-3.2-3b",
        "rtx4050-laptop-qwen2.5-1.5b",
        "xiaomi15pro-qwen2.5-1.5b-aecs",
        "pixel-7-pro-bloom-1.1b",
        "azure-gpt-4-1106-chunks",
    ]
    assert_rebuilt(raw_traces, tmp_path, names)


@pytest.mark.long
def test_all_recipes_give_the_committed_bytes(raw_traces, tmp_path):
    assert_rebuilt(raw_traces, tmp_path, list(recipes()))
