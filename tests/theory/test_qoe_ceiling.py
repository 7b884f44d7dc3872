"""No order of service keeps quality beyond saturation: a bound on what any scheduler makes of its own tokens."""

from __future__ import annotations

import numpy as np
import pytest
from engines import FLAT, run_leaping, token_times
from scipy.special import ndtri
from stepping_engine import Ask
from worlds import long

from discosim.core.errors import UserError
from discosim.core.timeline import Ragged
from discosim.metrics.ceiling import load_ceiling, qoe_ceiling
from discosim.metrics.qoe import qoe_andes
from discosim.metrics.reading import read
from discosim.world.engine.floor import ReplicaModel
from discosim.world.engine.schedulers.andes_code import AndesCode
from discosim.world.engine.schedulers.andes_v1 import AndesV1
from discosim.world.engine.schedulers.andes_v2 import AndesV2
from discosim.world.engine.schedulers.fcfs import Fcfs
from discosim.world.engine.schedulers.lqsf import Lqsf
from discosim.world.engine.schedulers.round_robin import RoundRobin

KINDS = [Fcfs(), AndesCode(), AndesV1(), AndesV2(), Lqsf(), RoundRobin(quantum=5)]
SCHEDULERS = {scheduler.kind: scheduler for scheduler in KINDS}


def least_loss(arrival_s, due_s, made_s, end_s):
    """Return the least sum of 1 - QoE that any order of service leaves whose tokens are made at ``made_s``.

    Requests of ``due_s[k]`` tokens each, by arrival; all that is made is for somebody who has come. Of request k and
    those after it, at least (due by u) - (made since k came, until u) tokens are late at a time u; a late token costs
    ``w_k = 1 / sum(end - due)`` a second, the more the later it came. So the loss is at least the sum over k of
    ``w_k - w_(k-1)`` times these numbers, over time.
    """
    weight = 1.0 / (end_s - due_s).sum(axis=1)
    assert (np.diff(weight) >= 0.0).all()
    made_s = np.sort(made_s)
    total = 0.0
    for k, (at_s, step) in enumerate(zip(arrival_s, np.diff(weight, prepend=0.0), strict=True)):
        due, made = np.sort(due_s[k:].ravel()), made_s[made_s > at_s]
        times = np.concatenate([due, made])
        order = np.argsort(times, kind="stable")
        late = np.cumsum(np.repeat([1, -1], [due.size, made.size])[order])
        total += step * float((np.maximum(late[:-1], 0) * np.diff(times[order])).sum())
    return total


def due(arrival_s, n_tok, rate, target_s):
    return np.asarray(arrival_s)[:, None] + target_s + np.arange(n_tok) / rate


@pytest.mark.parametrize("kind", [kind if kind in {"fcfs", "andes_code"} else long(kind) for kind in SCHEDULERS])
def test_no_scheduler_makes_more_of_its_tokens_than_the_best_order(kind):
    """Room for eight answers at once, 1.6 times the load that can be served; readers nearly as fast as the service."""
    rng = np.random.default_rng(3)
    model = ReplicaModel(cost=FLAT, kv_blocks=500, block_tok=1, watermark=0.0, max_batch=8)
    n_tok, rate, target_s = 40, 60.0, 0.3
    # eight answers take a prefill of 0.05 s and 39 decodes of 0.01 s at least
    arrival_s = np.cumsum(rng.exponential(0.44 / 8 / 1.6, 120))
    asks = [Ask(float(t), 10, n_tok, np.inf, rate, target_s) for t in arrival_s]
    _, jobs, _ = run_leaping(model, SCHEDULERS[kind], asks)
    made = [token_times(job) for job in jobs]
    seen = read(
        Ragged.of([times - at_s for times, at_s in zip(made, arrival_s, strict=True)]),
        np.full(120, 1.0 / rate),
        np.full(120, target_s),
    )
    lost = float((1.0 - qoe_andes(seen)).sum())
    end_s = float((arrival_s + seen.last_s).max())
    least = least_loss(arrival_s, due(arrival_s, n_tok, rate, target_s), np.concatenate(made), end_s)
    assert least > 0.05 * 120  # beyond saturation something is lost by whatever order
    assert lost >= least - 1e-9


@pytest.mark.parametrize("load", [1.05, 1.0 / 0.9, 1.5, 3.0])
def test_the_bound_of_a_long_run_is_the_closed_form(load):
    """Equal answers at equal distances, tokens made one after the other: the sums tend to the integral with 1/n."""
    error = []
    for n in (100, 200):
        arrival_s = np.arange(n, dtype=float)
        n_tok = 4
        made_s = load * np.arange(1, n * n_tok + 1) / n_tok
        due_s = due(arrival_s, n_tok, 1e9, 0.0)
        error.append(1.0 - least_loss(arrival_s, due_s, made_s, made_s[-1]) / n - qoe_ceiling(load))
    assert abs(error[1]) < 0.6 * abs(error[0])  # it halves where n doubles
    assert abs(error[1]) < 4.0 / 200


def test_the_newest_first_reaches_the_ceiling():
    """A plain loop: one answer a second comes, each takes 1.25 s, and who came last is served first."""
    n, load = 400, 1.25
    value, now_s, end_s = 0.0, 0.0, 400 * 1.25
    stack: list[list[float]] = []  # arrival, work left in s
    for k in range(n):
        stack.append([float(k), load])
        until_s = k + 1.0 if k < n - 1 else end_s
        while stack and now_s < until_s - 1e-9:
            at_s, left_s = stack[-1]
            part_s = min(left_s, until_s - now_s)
            # what is made on average half of this part from now on, of an answer that could have had it since it came
            value += part_s / load * (end_s - now_s - part_s / 2) / (end_s - at_s)
            now_s += part_s
            stack[-1][1] -= part_s
            if stack[-1][1] < 1e-9:
                stack.pop()
        now_s = max(now_s, min(until_s, end_s))
    assert value / n == pytest.approx(qoe_ceiling(load), abs=4.0 / n)


def test_the_ceiling_falls_from_one_to_a_half():
    loads = np.concatenate([np.linspace(0.5, 3.0, 200), [10.0, 1e3, 1e5]])
    values = [qoe_ceiling(float(load)) for load in loads]
    assert (np.diff(values) <= 1e-12).all()
    assert values[0] == 1.0
    assert values[-1] == pytest.approx(0.5, abs=1e-4)


def test_the_load_that_keeps_a_quality():
    assert load_ceiling(0.9) == pytest.approx(1.1421, abs=1e-4)
    assert load_ceiling(0.95) == pytest.approx(1.0605, abs=1e-4)
    for target in (0.6, 0.9, 0.99):
        assert qoe_ceiling(load_ceiling(target)) == pytest.approx(target)
    with pytest.raises(UserError, match=r"0\.5 and 1"):
        load_ceiling(0.4)


def test_unequal_lengths_leave_the_longest_out():
    """The figures of the page, by quantiles of the law in place of draws."""
    levels = (np.arange(200_000) + 0.5) / 200_000
    tok = np.minimum(287.0 * np.exp(0.54 * ndtri(levels)), 1024.0)
    knows_lengths = tok.sum() / tok[levels < 0.9].sum()
    assert knows_lengths == pytest.approx(1.29, abs=0.005)
    share_in_time = np.minimum(1.0, 349.0 / tok)
    assert share_in_time.mean() == pytest.approx(0.9, abs=5e-4)
    assert tok.mean() / np.minimum(tok, 349.0).mean() == pytest.approx(1.23, abs=0.005)
