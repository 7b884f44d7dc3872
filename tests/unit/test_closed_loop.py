"""Users who ask again when they have been answered: when requests come, and what stays the same under any policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from discosim.config import load_scenario
from discosim.core.errors import UserError
from discosim.core.rng import RandomStreams
from discosim.core.scenario import ClosedLoopArrivals, ExponentialThink, LognormalThink
from discosim.metrics.numbers import warmup_numbers
from discosim.policies import Policy
from discosim.runs.convert import workload_of
from discosim.runs.simulate import simulate
from discosim.traces.think import draw_loop

PRICES = {"prices": {"prompt_usd_per_mtok": 1, "output_usd_per_mtok": 1}}
API = {"kind": "replay", "digest": "openrouter-gpt-5.4"} | PRICES
ENGINE = {
    "kind": "engine",
    "iterations": {"kind": "constant", "prefill_s": 0.2, "decode_s": 0.05},
    "kv_tok": 4000,
    "max_batch": 2,
    "pilot_requests": 20,
} | PRICES
THINK = {"kind": "exponential", "mean_s": 1.0}


def scenario(server=API, n=40, users=6, policies=("server_only",), link=None, **changes):
    arrivals = {"kind": "closed_loop", "users": users, "think_s": THINK} | changes.pop("arrivals", {})
    workload = {
        "kind": "generate",
        "n_requests": n,
        "arrivals": arrivals,
        "lengths": {"kind": "lognormal", "prompt_median_tok": 80, "output_median_tok": 30},
    }
    return load_scenario(
        {
            "name": "loop",
            "replications": 1,
            "workload": workload | changes.pop("workload", {}),
            "devices": [{"profile": "snapdragon-8-elite-llama-3.2-3b"}],
            "server": server,
            "link": link or {"kind": "constant", "rtt_s": 0.1},
            "cost": {"exchange_rate_usd_per_j": 1e-7},
            "policies": [{"kind": kind} for kind in policies],
        }
        | changes
    )


def end_s(columns):
    return columns["arrival_s"] + columns["e2e_s"]


@pytest.mark.parametrize("server", [API, ENGINE], ids=["replay", "engine"])
def test_the_next_request_comes_a_think_time_after_the_answer(server):
    held = scenario(server)
    columns = simulate(held).columns
    think_s = draw_loop(held.workload.arrivals, 40, RandomStreams(held.seed, 0)).think_s
    assert columns["user_id"].tolist() == [i % 6 for i in range(40)]
    assert columns["arrival_s"][:6].tolist() == think_s[:6].tolist()
    assert columns["arrival_s"][6:] == pytest.approx(end_s(columns)[:-6] + think_s[6:], rel=1e-12)


@dataclass(kw_only=True)
class Hasty(Policy):
    """Keep the server's answer and be done, while it is still being written."""

    kind: ClassVar[str] = "hasty"

    def serve(self, session):
        server = session.start("server")
        yield session.first_token_of(server)
        session.keep(server)


@pytest.mark.parametrize("server", [API, ENGINE], ids=["replay", "engine"])
def test_a_policy_that_is_done_early_does_not_hurry_its_user(server):
    held = scenario(server)
    result = simulate(held, policies=Hasty())
    columns = {name: values[result.columns["policy"] == "hasty"] for name, values in result.columns.items()}
    think_s = draw_loop(held.workload.arrivals, 40, RandomStreams(held.seed, 0)).think_s
    assert columns["arrival_s"][6:] == pytest.approx(end_s(columns)[:-6] + think_s[6:], rel=1e-12)


def test_a_wave_comes_when_all_answers_of_the_former_have_ended():
    held = scenario(ENGINE, arrivals={"waves": True})
    columns = simulate(held).columns
    think_s = draw_loop(held.workload.arrivals, 40, RandomStreams(held.seed, 0)).think_s
    last_s = 0.0
    for first in range(0, 40, 6):
        wave = slice(first, first + 6)
        assert columns["arrival_s"][wave] == pytest.approx(last_s + think_s[first], rel=1e-12)
        last_s = end_s(columns)[wave].max()


def test_a_wave_waits_for_failures_and_outages_too():
    # refusals are known 2 s after they were sent, and whoever is sent in the outage hears of it as late
    held = scenario(
        API
        | {
            "failures": "measured",
            "failure_share": 0.3,
            "failure_after_s": 2.0,
            "outages": [{"start_s": 20, "end_s": 40}],
        },
        link={"kind": "none"},
        arrivals={"waves": True},
    )
    columns = simulate(held).columns
    arrival_s, is_failed = columns["arrival_s"], columns["status"] == "failed"
    is_out = (arrival_s >= 20.0) & (arrival_s < 40.0)
    assert is_failed[is_out].all()
    assert 0 < is_failed[~is_out].sum() < (~is_out).sum()
    ends_s = np.where(is_failed, arrival_s + 2.0, end_s(columns))
    think_s = draw_loop(held.workload.arrivals, 40, RandomStreams(held.seed, 0)).think_s
    last_s = 0.0
    for first in range(0, 40, 6):
        wave = slice(first, first + 6)
        assert arrival_s[wave] == pytest.approx(last_s + think_s[first], rel=1e-12)
        last_s = ends_s[wave].max()


def test_who_gets_no_answer_asks_again_when_it_is_known():
    # refusals are known after 2 s, long prompts are refused on arrival; think a second each time
    held = scenario(
        API | {"failures": "measured", "failure_share": 0.5, "failure_after_s": 2.0},
        users=1,
        link={"kind": "none"},
        arrivals={"think_s": {"kind": "constant", "mean_s": 1.0}},
        workload={"max_prompt_tok": 120},
    )
    columns = simulate(held).columns
    status = columns["status"]
    assert {"finished", "failed", "rejected"} == set(status.tolist())
    ends_s = np.where(
        status == "finished", end_s(columns), columns["arrival_s"] + np.where(status == "failed", 2.0, 0.0)
    )
    assert columns["arrival_s"][1:] == pytest.approx(ends_s[:-1] + 1.0, rel=1e-12)


def test_request_k_of_a_user_meets_the_same_luck_whenever_it_comes():
    slow, fast = (
        simulate(scenario(link={"kind": "none"}, arrivals={"think_s": {"kind": "constant", "mean_s": s}})).columns
        for s in (0.0, 9.0)
    )
    assert (slow["arrival_s"][6:] < fast["arrival_s"][6:]).all()
    for name in ("user_id", "prompt_tok", "output_tok", "ttft_s", "e2e_s"):
        np.testing.assert_allclose(slow[name], fast[name], rtol=1e-9, err_msg=name)


def test_policies_share_lengths_and_think_times_and_not_arrivals():
    held = scenario(ENGINE, policies=("server_only", "race", "device_only"))
    rows = simulate(held).requests
    tables = [mine.reset_index(drop=True) for _, mine in rows.groupby("policy", observed=True)]
    for name in ("user_id", "prompt_tok", "output_tok"):
        assert all(table[name].tolist() == tables[0][name].tolist() for table in tables)
    later = [table["arrival_s"].to_numpy() for table in tables]
    assert [times[:6].tolist() for times in later] == [later[0][:6].tolist()] * 3
    assert not np.array_equal(later[0], later[1])


def test_a_longer_run_begins_like_a_shorter_one():
    short, whole = (simulate(scenario(ENGINE, n=n)).columns for n in (12, 40))
    done = end_s(short) < whole["arrival_s"][12:].min()
    assert done.any()
    for name in ("arrival_s", "e2e_s"):
        np.testing.assert_array_equal(short[name][done], whole[name][:12][done])


@pytest.mark.parametrize("law", [ExponentialThink(mean_s=3.0), LognormalThink(median_s=2.0, sigma=0.5)], ids=repr)
def test_think_times_follow_their_law_and_the_first_do_not_depend_on_their_number(law):
    loop = draw_loop(ClosedLoopArrivals(users=5, think_s=law), 20_000, RandomStreams(3))
    again = draw_loop(ClosedLoopArrivals(users=5, think_s=law), 100, RandomStreams(3))
    np.testing.assert_array_equal(loop.think_s[:100], again.think_s)
    # a deviation of 3.9 standard errors has a false-alarm rate of 1e-4
    mean_s, sd_s = (3.0, 3.0) if isinstance(law, ExponentialThink) else (2 * np.exp(0.125), 2 * np.exp(0.125) * 0.533)
    assert loop.think_s.mean() == pytest.approx(mean_s, abs=3.9 * sd_s / np.sqrt(20_000))


def test_what_needs_arrivals_beforehand_is_refused():
    with pytest.raises(UserError, match=r"policies: a clairvoyant policy needs arrivals that are known beforehand"):
        simulate(scenario(policies=("oracle",)))
    with pytest.raises(UserError, match=r"requests of a closed loop come when others have been answered"):
        workload_of(scenario())


def test_the_users_of_the_loop_are_all_that_there_are():
    result = simulate(scenario(workload={"n_users": 50}))
    assert set(result.columns["user_id"].tolist()) == set(range(6))
    assert [note for note in result.notes if "the 6 of the closed loop (workload.arrivals.users)" in note]
    with pytest.raises(UserError, match=r"workload.arrivals.users.* must be >= 2, the kinds of device \(got 1\)"):
        scenario(users=1, devices=[{"profile": "snapdragon-8-elite-llama-3.2-3b"}] * 2)


def test_nothing_is_said_of_overload_where_the_load_holds_itself_back():
    notes = simulate(scenario(ENGINE, n=400, users=300, arrivals={"think_s": {"kind": "constant"}})).notes
    assert not [note for note in notes if "no steady state" in note]
    assert [note for note in notes if "the 300 of the closed loop" in note]


def test_the_warm_up_is_looked_for_in_the_order_of_arrival():
    rng = np.random.default_rng(4)
    in_time = {"arrival_s": np.arange(400.0), "ttft_s": 1.0 + rng.random(400) + 5.0 * (np.arange(400) < 60)}
    shuffled = rng.permutation(400)
    numbered_otherwise = {name: values[shuffled] for name, values in in_time.items()}
    assert warmup_numbers(in_time, 400) == warmup_numbers(numbered_otherwise, 400)
    assert warmup_numbers(in_time, 400)["warmup_mser5_share"] == pytest.approx(60 / 400, abs=0.03)
