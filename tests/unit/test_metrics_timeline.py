"""Timeline metrics against exact vectors, a scalar oracle, and hand-worked corner cases."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discosim.core.request import RequestRecord, Segment
from discosim.core.timeline import Ragged
from discosim.core.timelines import Timelines
from discosim.metrics import timeline
from discosim.metrics.histogram import PooledGaps
from discosim.metrics.qoe import qoe_andes, qoe_andes_code, qoe_andes_continuous
from discosim.metrics.reading import read
from discosim.metrics.timeline import request_columns


def record(delivered, *, arrival=0.0, rate=5.0, target=1.0, status="finished", **changes) -> RequestRecord:
    delivered = np.asarray(delivered, dtype=float)
    n = delivered.size
    fields = {
        "request_id": 0,
        "user_id": 0,
        "arrival_s": arrival,
        "prompt_tok": 10,
        "output_tok": max(n, 1),
        "reader_tok_per_s": rate,
        "ttft_target_s": target,
        "status": status,
        "first_endpoint": "server" if n else "",
        "segments": (Segment("server", 1, n),) if n else (),
        "generated_s": delivered - 0.01,
        "delivered_s": delivered,
        "is_device_dispatched": False,
        "is_server_dispatched": True,
        "n_tok_wasted": 0,
        "server_prompt_tok": 10,
        "server_output_tok": n,
        "device_prefill_tok": 0.0,
        "device_decode_tok": 0,
        "server_cost_usd": 0.0,
        "device_energy_j": 0.0,
        "unified_cost_usd": 0.0,
    }
    return RequestRecord(**(fields | changes))


# --- exact vectors: n = 100, r = 5 tok/s, tau = 1 s; "fast" is one token per 0.05 s -----------------------

INDEX = np.arange(100)
FAST = 1.0 + 0.05 * INDEX


def paused(first_slow_token: int, pause_s: float) -> np.ndarray:
    return FAST + pause_s * (first_slow_token - 1 <= INDEX)


VECTORS = {
    # pattern: delivery times, QoE, QoE with end c_n + delta, QoE of the code, stall s, stalls, late tokens
    "B on time, fast": (FAST, 1, 1, 1, 0.0, 0, 0),
    "C first token at 11 s": (FAST + 10.0, 0.4975, 0.5025, 0.5000, 0.0, 0, 0),
    "D one token per 0.4 s": (1.0 + 0.4 * INDEX, 0.6667, 0.6689, 0.6789, 19.80, 99, 99),
    "E 10 s pause before token 51": (paused(51, 10.0), 0.8992, 0.9008, 0.9084, 2.50, 1, 17),
    "F 10 s pause before token 6": (paused(6, 10.0), 0.5411, 0.5459, 0.5534, 9.25, 1, 62),
    "G 5 s pause before token 51": (paused(51, 5.0), 1, 1, 1, 0.0, 0, 0),
}


@pytest.mark.parametrize("arrival", [0.0, 1234.5, 1e5 + 1 / 3])
@pytest.mark.parametrize("name", VECTORS)
def test_exact_vectors(name, arrival):
    """The published forms are rounded to four digits; lateness is compared with the tolerance of 1 ns."""
    times, qoe, continuous, code, stall_s, n_stalls, n_late = VECTORS[name]
    delivered = Ragged.of([(times + arrival) - arrival])
    reading = read(delivered, np.array([0.2]), np.array([1.0]))
    assert qoe_andes(reading)[0] == pytest.approx(qoe, abs=5.1e-5)
    assert qoe_andes_continuous(reading)[0] == pytest.approx(continuous, abs=5.1e-5)
    assert qoe_andes_code(reading)[0] == pytest.approx(code, abs=5.1e-5)
    columns = request_columns(Timelines.of([record(times + arrival, arrival=arrival)]), pacer=True)
    assert columns["qoe_andes"][0] == pytest.approx(qoe, abs=5.1e-5)
    assert columns["qoe_andes_code"][0] == pytest.approx(code, abs=5.1e-5)
    assert columns["stall_s"][0] == pytest.approx(stall_s, abs=1e-8)
    assert columns["n_stalls"][0] == n_stalls
    assert columns["n_tok_late"][0] == n_late


def test_late_start_and_slow_stream_follow_their_closed_forms():
    """Continuous limits: 0.5/(0.5 + x) for lateness x of the reading time, s/(2s - 1) for slow-down s."""
    n = 200_000
    index = np.arange(n)
    late = Ragged.of([0.05 * n * 0.2 + 0.01 * index, 0.2 * index * 2.0])
    values = qoe_andes(read(late, np.full(2, 0.2), np.zeros(2)))
    assert values == pytest.approx([0.5 / 0.55, 2.0 / 3.0], abs=1e-4)


# --- scalar oracle ----------------------------------------------------------------------------------------


def oracle(r: RequestRecord, *, pacer: bool) -> dict[str, float]:
    """Compute every timeline metric token by token, straight from the definitions."""
    a = [float(t) - r.arrival_s for t in r.delivered_s]
    delta, tau, n = 1.0 / r.reader_tok_per_s, r.ttft_target_s, len(a)
    own = [float(t) - r.arrival_s for t in r.paced_s]  # what a policy's own pacer shows is what there is to read
    readable = own or a
    d = [readable[0]]
    for there in readable[1:]:
        d.append(max(there, d[-1] + delta))
    ideal = [tau + i * delta for i in range(n)]
    shown = own or (d if pacer else a)

    clamped = [max(x, t) for x, t in zip(d, ideal, strict=True)]
    end = clamped[-1] + (delta if n == 1 else 0.0)
    delay = sum(c - t for c, t in zip(clamped, ideal, strict=True))
    qoe = 1.0 - delay / sum(end - t for t in ideal) if delay > 0 else 1.0

    running, gap = readable[0], 0.0
    for there, t in zip(readable, ideal, strict=True):
        gap += max(0.0, running - t)
        running = max(there, running + delta)
    target = n * (running - tau) - n * n * delta / 2
    code = min(1.0, 1.0 - gap / target) if gap > 0 else 1.0

    def gaps(times):
        return [y - x for x, y in pairwise(times)] or [math.nan]

    pauses = [g - delta for g in gaps(d) if g > delta + 1e-9]
    return {
        "ttft_s": a[0],
        "ttft_generated_s": float(r.generated_s[0]) - r.arrival_s,
        "e2e_s": a[-1],
        "e2e_generated_s": float(r.generated_s[-1]) - r.arrival_s,
        "e2e_displayed_s": shown[-1],
        "tpot_s": (a[-1] - a[0]) / (n - 1) if n > 1 else math.nan,
        "norm_latency_s": a[-1] / n,
        "tbt_max_s": max(gaps(a)),
        "tbt_p99_s": float(np.percentile(gaps(a), 99)),
        "tbt_displayed_max_s": max(gaps(shown)),
        "tbt_displayed_p99_s": float(np.percentile(gaps(shown), 99)),
        "stall_s": sum(pauses),
        "n_stalls": len(pauses),
        "n_tok_late": sum(t > readable[0] + i * delta + 1e-9 for i, t in enumerate(readable)),
        "qoe_andes": qoe,
        "qoe_andes_code": code,
    }


def random_record(rng: np.random.Generator, *, on_grid: bool) -> RequestRecord:
    """Draw an answer; on the grid all times are multiples of 1/64 s, so ties with the schedule are exact."""
    n = int(rng.choice([1, 2, 3, int(rng.integers(4, 400))]))
    gaps = rng.exponential(rng.choice([0.01, 0.2, 1.0]), n) * (rng.random(n) > rng.choice([0.0, 0.6]))
    gaps[0] = rng.exponential(rng.choice([0.1, 3.0]))
    arrival, rate, target = rng.uniform(0, 1e4), rng.uniform(1, 20), rng.choice([0.0, 1.0, rng.uniform(0, 5)])
    if on_grid:
        gaps, arrival = np.round(gaps * 64) / 64, round(arrival * 64) / 64
        rate, target = rng.choice([1.0, 2.0, 4.0, 8.0]), round(target * 64) / 64
    arrives_s = arrival + np.cumsum(gaps)
    holds_s = np.round(rng.exponential(2.0, n) * 64) / 64
    own = {"paced_s": np.maximum.accumulate(arrives_s + holds_s)} if rng.random() < 0.3 else {}
    return record(arrives_s, arrival=float(arrival), rate=float(rate), target=float(target), **own)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_rows=st.integers(1, 40),
    pacer=st.booleans(),
    on_grid=st.booleans(),
)
def test_batches_equal_the_scalar_oracle(seed, n_rows, pacer, on_grid):
    rng = np.random.default_rng(seed)
    records = [random_record(rng, on_grid=on_grid) for _ in range(n_rows)]
    pool = PooledGaps()
    columns = request_columns(Timelines.of(records), pacer=pacer, gaps=pool)
    for i, r in enumerate(records):
        for name, expected in oracle(r, pacer=pacer).items():
            assert columns[name][i] == pytest.approx(expected, rel=1e-9, abs=1e-8, nan_ok=True), (name, i)
    n_gaps = sum(r.delivered_s.size - 1 for r in records)
    assert len(pool.delivered) == len(pool.displayed) == n_gaps
    assert np.all((columns["qoe_andes"] >= 0) & (columns["qoe_andes"] <= 1))


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_pooled_gaps_are_the_gaps_of_all_rows(seed):
    rng = np.random.default_rng(seed)
    records = [random_record(rng, on_grid=False) for _ in range(20)]
    records.append(record([0.5, 0.6, 0.8]))  # so that there is always a gap
    pool = PooledGaps()
    request_columns(Timelines.of(records), pacer=True, gaps=pool)
    gaps = np.concatenate([np.diff(r.delivered_s - r.arrival_s) for r in records])
    gaps[gaps < 2.0**-20] = 0.0
    for p in (0, 50, 90, 99, 100):
        assert pool.delivered.percentile(p) == pytest.approx(np.percentile(gaps, p), rel=0.002)


def test_batching_does_not_change_a_bit(monkeypatch):
    rng = np.random.default_rng(5)
    records = [random_record(rng, on_grid=False) for _ in range(50)]
    whole = request_columns(Timelines.of(records), pacer=True)
    monkeypatch.setattr(timeline, "BATCH_ROWS", 7)
    parts = request_columns(Timelines.of(records), pacer=True)
    for name, values in whole.items():
        np.testing.assert_array_equal(values, parts[name], err_msg=name)


def test_scaling_all_times_scales_durations_and_leaves_qoe():
    rng = np.random.default_rng(6)
    records = [random_record(rng, on_grid=False) for _ in range(30)]
    slower = [
        record(
            4 * r.delivered_s,
            arrival=4 * r.arrival_s,
            rate=r.reader_tok_per_s / 4,
            target=4 * r.ttft_target_s,
            generated_s=4 * r.generated_s,
            paced_s=4 * r.paced_s,
        )
        for r in records
    ]
    one, four = (request_columns(Timelines.of(rs), pacer=True) for rs in (records, slower))
    for name in (
        "ttft_s",
        "e2e_s",
        "tpot_s",
        "tbt_p99_s",
        "tbt_displayed_max_s",
        "stall_s",
        "e2e_displayed_s",
    ):
        np.testing.assert_allclose(four[name], 4 * one[name], rtol=1e-9, atol=1e-7, err_msg=name)
    for name in ("qoe_andes", "qoe_andes_code", "n_tok_late", "n_stalls"):
        np.testing.assert_allclose(four[name], one[name], rtol=1e-9, err_msg=name)


# --- corner cases -----------------------------------------------------------------------------------------


def test_the_pacer_changes_the_screen_and_not_the_reader():
    r = record([1.0, 1.05, 1.1, 4.0], rate=5.0)
    paced_screen, raw_screen = (request_columns(Timelines.of([r]), pacer=p) for p in (True, False))
    assert paced_screen["e2e_displayed_s"][0] == pytest.approx(4.0)
    assert paced_screen["tbt_displayed_max_s"][0] == pytest.approx(4.0 - 1.4)
    assert raw_screen["tbt_displayed_max_s"][0] == pytest.approx(2.9)
    for name in ("stall_s", "n_stalls", "n_tok_late", "qoe_andes", "tbt_max_s", "e2e_s"):
        assert paced_screen[name][0] == raw_screen[name][0], name
    assert paced_screen["stall_s"][0] == pytest.approx(4.0 - 1.6)


def test_a_policys_own_pacer_decides_what_there_is_to_read():
    # tokens come every 0.1 s from 1 s on and are shown every 0.5 s from 2 s on, to a reader of 5 tok/s
    arrives_s = 1.0 + 0.1 * np.arange(5)
    r = record(arrives_s, rate=5.0, target=1.0, paced_s=2.0 + 0.5 * np.arange(5))
    for pacer in (True, False):  # the scenario's has no say then
        columns = {name: values[0] for name, values in request_columns(Timelines.of([r]), pacer=pacer).items()}
        assert columns["n_tok_late"] == columns["n_stalls"] == 4
        assert columns["stall_s"] == pytest.approx(4 * 0.3)
        # behind the ideal line 1.0, 1.2, ... by 1.0, 1.3, 1.6, 1.9, 2.2, of at most 3.0, 2.8, 2.6, 2.4, 2.2
        assert columns["qoe_andes"] == pytest.approx(1 - 8.0 / 13.0)
        assert columns["e2e_displayed_s"] == pytest.approx(4.0)
        assert columns["tbt_displayed_max_s"] == pytest.approx(0.5)
        # the clock at the client
        assert columns["ttft_s"] == pytest.approx(1.0)
        assert columns["e2e_s"] == pytest.approx(1.4)
        assert columns["tbt_max_s"] == pytest.approx(0.1)
    sketched = record(arrives_s, paced_s=2.0 + 0.5 * np.arange(5), sketch_s=np.array([0.5, 0.7]))
    visible = {name: values[0] for name, values in request_columns(Timelines.of([sketched]), pacer=True).items()}
    assert visible["ttft_visible_s"] == 0.5
    # seven tokens, read at 0.5, 0.7, 2.0, 2.5, ...; the ideal line 1.0, 1.2, 1.4, ... 2.2
    behind = np.array([0, 0, 0.6, 0.9, 1.2, 1.5, 1.8])
    assert visible["qoe_visible"] == pytest.approx(1 - behind.sum() / (4.0 - (1.0 + 0.2 * np.arange(7))).sum())


def test_one_token_answers_have_a_qoe_and_no_gaps():
    columns = request_columns(Timelines.of([record([0.5]), record([1.1]), record([11.0])]), pacer=True)
    assert columns["qoe_andes"] == pytest.approx([1.0, 1 - 0.1 / 0.3, 1 - 10 / 10.2])
    assert columns["qoe_andes_code"] == pytest.approx([1.0, 1 - 0.1 / 0.2, 1 - 10 / 10.1])
    assert np.isnan(columns["tpot_s"]).all()
    assert np.isnan(columns["tbt_p99_s"]).all()
    assert columns["stall_s"].tolist() == [0.0, 0.0, 0.0]


def test_an_early_short_answer_is_perfect_in_the_code_form_too():
    """Its area formula is negative there; nothing was late, so the score is 1."""
    assert request_columns(Timelines.of([record([0.1], target=9.0)]), pacer=True)["qoe_andes_code"][0] == 1.0


def test_unfinished_requests_are_undefined_and_never_dropped():
    records = [record([], status="failed"), record([1.0, 1.1]), record([], status="rejected")]
    columns = request_columns(Timelines.of(records), pacer=True)
    assert columns["status"].tolist() == ["failed", "finished", "rejected"]
    assert np.isnan(columns["ttft_s"]).tolist() == [True, False, True]
    assert np.isnan(columns["stall_s"]).tolist() == [True, False, True]
    assert columns["n_tok_late"].tolist() == [0, 0, 0]
    np.testing.assert_array_equal(columns["qoe_andes"], [0.0, 1.0, np.nan])
    np.testing.assert_array_equal(columns["qoe_andes_code"], [0.0, 1.0, np.nan])


def test_no_requests_give_empty_columns():
    columns = request_columns(Timelines.of([]), pacer=True)
    assert all(values.size == 0 for values in columns.values())


def test_tokens_are_counted_by_producer():
    segments = (Segment("device", 1, 3), Segment("server", 4, 5), Segment("device", 6, 6))
    r = record([1, 2, 3, 4, 5, 6], segments=segments, first_endpoint="device")
    columns = request_columns(Timelines.of([r, record([], status="failed")]), pacer=True)
    assert columns["n_tok_device"].tolist() == [4, 0]
    assert columns["n_tok_server"].tolist() == [2, 0]
    assert columns["n_migrations"].tolist() == [2, 0]
    assert columns["first_endpoint"].tolist() == ["device", ""]
