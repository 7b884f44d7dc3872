"""A closed loop where its answer is known: nobody waits for himself, and the law of the machine repairman."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t as student_t
from worlds import long

from discosim.config import load_scenario
from discosim.runs.simulate import simulate

SCREEN = 0.0005  # two-sided false-alarm rate of each interval below
N_RUNS = 20
PREFILL_S, DECODE_S, OUTPUT_TOK = 0.1, 0.02, 21
SERVICE_S = PREFILL_S + (OUTPUT_TOK - 1) * DECODE_S
THINK_S = 2.0


def run(users, n, *, think=None, max_batch=1, replications=1, waves=False, link=None):
    """Serve a closed loop at one replica without a last hop; every request takes ``SERVICE_S`` alone."""
    return simulate(
        load_scenario(
            {
                "name": "closed",
                "replications": replications,
                "workload": {
                    "kind": "generate",
                    "n_requests": n,
                    "arrivals": {
                        "kind": "closed_loop",
                        "users": users,
                        "think_s": think or {"kind": "exponential", "mean_s": THINK_S},
                        "waves": waves,
                    },
                    "lengths": {"kind": "constant", "prompt_tok": 50, "output_tok": OUTPUT_TOK},
                },
                "devices": [{"profile": "snapdragon-8-elite-llama-3.2-3b"}],
                "server": {
                    "kind": "engine",
                    "iterations": {"kind": "constant", "prefill_s": PREFILL_S, "decode_s": DECODE_S},
                    "kv_tok": 100_000,
                    "max_batch": max_batch,
                    "pilot_requests": 10,
                    "prices": {"prompt_usd_per_mtok": 1, "output_usd_per_mtok": 1},
                },
                "link": link or {"kind": "none"},
                "cost": {"exchange_rate_usd_per_j": 0},
                "policies": [{"kind": "server_only"}],
            }
        )
    )


@pytest.mark.parametrize("think_s", [{"kind": "constant"}, {"kind": "exponential", "mean_s": 0.3}], ids=str)
@pytest.mark.parametrize("waves", [False, True])
def test_one_user_sees_no_queue(think_s, waves):
    columns = run(1, 60, think=think_s, waves=waves, link={"kind": "constant", "rtt_s": 0.07}).columns
    assert columns["queue_s"].tolist() == [0.0] * 60
    assert columns["e2e_s"] == pytest.approx(SERVICE_S + 0.07)
    # two do meet, else the test above would prove nothing
    assert run(2, 60, think=think_s, waves=waves).columns["queue_s"].max() > 0.0


def rates(users: int) -> np.ndarray:
    """Return answers per second of each run between 20 s, ten times to think, and 120 s, when nobody is through yet."""
    begin_s, end_s = 20.0, 120.0
    n = users * (10 + math.ceil(1.5 * end_s * repairman(users) / users))
    columns = run(users, n, replications=N_RUNS).columns
    done_s = columns["arrival_s"] + columns["e2e_s"]
    last_s = [
        done_s[(columns["replication"] == k) & (columns["user_id"] == user)].max()
        for k in range(N_RUNS)
        for user in range(users)
    ]
    assert min(last_s) > end_s
    inside = (done_s > begin_s) & (done_s <= end_s)
    return np.array([(inside & (columns["replication"] == k)).sum() / (end_s - begin_s) for k in range(N_RUNS)])


def half_width(values: np.ndarray) -> float:
    quantile = float(student_t.ppf(1 - SCREEN / 2, values.size - 1))
    return quantile * float(values.std(ddof=1)) / math.sqrt(values.size)


def repairman(users: int) -> float:
    """Return the throughput of M/D/1 with a finite source, 1/s.

    A busy period takes ``S sum_n C(N-1, n) B_n`` with ``B_n = prod_{i <= n} (1 - f_i)/f_i`` and
    ``f_i = exp(-i S/Z)``, an idle one ``Z/N`` (Takacs, "Introduction to the Theory of Queues", 1962, chapter 5).
    """
    odds = np.concatenate(([1.0], np.cumprod(np.expm1(np.arange(1, users) * SERVICE_S / THINK_S))))
    busy_s = SERVICE_S * sum(math.comb(users - 1, n) * odds[n] for n in range(users))
    return busy_s / (busy_s + THINK_S / users) / SERVICE_S


@pytest.mark.parametrize("users", [long(1), 3, 5, long(12)])
def test_throughput_is_that_of_the_machine_repairman(users):
    found = rates(users)
    whole = 1 / 100.0  # a window of 100 s holds whole answers: up to one more or less than its share
    assert found.mean() == pytest.approx(repairman(users), abs=half_width(found) + whole)
    assert half_width(found) + whole < 0.12 * repairman(users)
    # and its bound: neither more than alone, all side by side, nor more than the server can do
    assert found.mean() < min(users / (SERVICE_S + THINK_S), 1.0 / SERVICE_S) + half_width(found) + whole


def test_without_chance_the_bound_is_met_exactly():
    # thinking always takes as long: below saturation users fall into step and never meet again
    for users in (1, 2, 4, 5, 7):
        columns = run(users, 60 * users, think={"kind": "constant", "mean_s": THINK_S}).columns
        late = columns["arrival_s"] > 10.0
        end_s = np.sort(columns["arrival_s"][late] + columns["e2e_s"][late])[: 40 * users]
        rate = (end_s.size - 1) / (end_s[-1] - end_s[0])
        cycle_s = max(SERVICE_S + THINK_S, users * SERVICE_S)
        # so many answers in whole cycles, and part of one
        assert rate == pytest.approx(users / cycle_s, rel=1.5 / 40)


def test_a_full_batch_shares_the_server_and_the_bound_grows_with_it():
    # 8 in a batch of 8 in step: each wave is prefilled together and decodes together
    columns = run(8, 80, think={"kind": "constant"}, max_batch=8, waves=True).columns
    span_s = (columns["arrival_s"] + columns["e2e_s"]).max()
    assert 80 / span_s == pytest.approx(8 / SERVICE_S)
    assert columns["queue_s"].max() == 0.0
