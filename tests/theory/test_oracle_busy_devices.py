"""The oracle at busy devices: against every choice there is, through the real world, and where it is no bound."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from idle_draws import idle_draws
from worlds import constant_link, model, past, play, profile, requests

from discosim.core.device_law import Heat, Residual, Stalls
from discosim.core.empirical import CorrelatedSeries, QuantileTable
from discosim.core.request import RequestTable
from discosim.core.scenario import ColdStart, Throttle
from discosim.policies import Policy
from discosim.policies.clairvoyance import Foresight
from discosim.policies.device_only import DeviceOnly
from discosim.policies.oracle import Oracle
from discosim.policies.phone_queue import Phone
from discosim.world.world import Draws, WorldModel


@dataclass(kw_only=True)
class Scripted(Policy):
    """Do with each request what the script says: server, device or race."""

    script: tuple[str, ...] = ()

    def serve(self, session: Any) -> Generator[Any, Any, None]:
        todo = self.script[session.request_id]
        streams = [session.start(side) for side in ("server", "device") if todo in (side, "race")]
        winner = yield session.first_token_of(*streams)
        if winner is None:
            session.fail()
            return
        session.keep(winner)
        yield session.finished()


def tiny_world(seed: int, n_users: int, gap_s: float, **device: Any) -> tuple[WorldModel, RequestTable]:
    """Return a world of six requests whose answers take about 10 s on a phone."""
    rng = np.random.default_rng(seed)
    parts = model(device=profile(prefill_s_per_tok=0.004, **device))
    lengths = {"prompt_tok": rng.integers(20, 400, 6), "output_tok": rng.integers(20, 300, 6)}
    return parts, requests(6, seed=seed, gap_s=gap_s, n_users=n_users, **lengths)


def best_of_all(parts: WorldModel, table: RequestTable, side: str, budget: float, seed: int) -> float:
    """Return the least mean TTFT that any choice of endpoints reaches within the budget."""
    view, best_s = past(parts, n=20), np.inf
    for script in product(("server", "device", "race"), repeat=len(table)):
        tokens = sum(n for n, todo in zip(table.prompt_tok.tolist(), script, strict=True) if todo in (side, "race"))
        if tokens <= budget * table.prompt_tok.sum() + 1e-9:
            best_s = min(best_s, float(play(Scripted(script=script), parts, table, seed=seed, view=view).ttft_s.mean()))
    return best_s


@pytest.mark.long
@pytest.mark.parametrize("side", ["server", "device"])
@pytest.mark.parametrize(("n_users", "gap_s"), [(6, 10.0), (2, 4.0), (1, 8.0), (1, 2.0)])
def test_no_choice_of_endpoints_beats_the_oracle_by_more_than_one_saving(side: str, n_users: int, gap_s: float) -> None:
    gaps = []
    for seed, budget in ((1, 0.25), (2, 0.5), (3, 1.0)):
        parts, table = tiny_world(seed, n_users, gap_s)
        played = play(Oracle(constraint=side, budget=budget), parts, table, seed=seed, view=past(parts, n=20))
        best_s = best_of_all(parts, table, side, budget, seed)
        draws = played.world.draws
        if budget == 1.0:  # no knapsack: what is left is the plan around the queue, which is exact
            assert played.ttft_s.mean() == pytest.approx(best_s, abs=1e-9)
        one_saving_s = float(np.abs(draws.server_ttft_s - draws.device_ttft_s).max()) / len(table)
        assert played.budget_used(side) <= budget + 1e-9
        gaps.append((played.ttft_s.mean() - best_s) / max(one_saving_s, 1e-9))
        assert best_s >= played.policy._plan.least_mean_s() - 1e-9, "idle devices allow what nobody gets below"
    assert min(gaps) >= -1e-9
    assert max(gaps) < 1.0


@pytest.mark.parametrize("side", ["server", "device"])
@pytest.mark.parametrize("seed", range(6))
def test_the_oracle_plans_around_its_own_queue(side: str, seed: int) -> None:
    # one phone, answers of 10 s every 4 s: what a plan that trusts an idle device promises is far from what it gets
    parts, table = tiny_world(seed, 1, 4.0)
    view = past(parts, n=20)
    played = play(Oracle(constraint=side, budget=1.0), parts, table, seed=seed, view=view)
    draws = played.world.draws
    is_faster = (draws.device_ttft_s < draws.server_ttft_s).tolist()
    greedy = tuple("device" if faster else "server" for faster in is_faster)
    trusting = play(Scripted(script=greedy), parts, table, seed=seed, view=view)
    for rival in (trusting, play(Scripted(script=("race",) * 6), parts, table, seed=seed, view=view)):
        assert played.ttft_s.mean() <= rival.ttft_s.mean() + 1e-9


@pytest.mark.parametrize("side", ["server", "device"])
def test_a_plan_for_one_phone_is_the_best_of_all_plans(side: Any) -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        n = 7
        draws = replace(
            idle_draws(server_s=rng.uniform(0.5, 9.0, n), device_s=np.zeros(n), prompt_tok=rng.integers(20, 400, n)),
            output_tok=rng.integers(2, 150, n),
            arrival_s=np.cumsum(rng.exponential(4.0, n)),
            user_id=np.zeros(n, dtype=np.int64),
        )
        draws = replace(draws, device_ttft_s=0.01 * draws.prompt_tok)
        found = Foresight(draws, side, 1.0).uses()

        def total_s(uses: Any, draws: Draws = draws) -> float:
            free_s = total = 0.0
            for i, is_limited in enumerate(uses):
                if is_limited == (side == "device"):
                    begun_s = max(free_s, float(draws.arrival_s[i]))
                    first_s = begun_s + 0.01 * int(draws.prompt_tok[i])
                    free_s = first_s + (int(draws.output_tok[i]) - 1) / 15.0
                    total += first_s - float(draws.arrival_s[i])
                else:
                    total += float(draws.server_ttft_s[i])
            return total

        best_s = min(total_s(uses) for uses in product((False, True), repeat=n))
        assert total_s(found.tolist()) == pytest.approx(best_s, abs=1e-9)


NOISY = Residual(
    prefill=CorrelatedSeries(QuantileTable((0.0, 0.5, 1.0), (0.6, 1.0, 3.0)), 0.4),
    decode=CorrelatedSeries(QuantileTable((0.0, 1.0), (0.7, 1.4))),
    stalls=Stalls(share=0.1, duration=QuantileTable((0.0, 1.0), (1.0, 6.0))),
    first=2.5,
)


@pytest.mark.parametrize(
    "memory",
    [
        {},
        {"cold_start": ColdStart(load_s=1.5, keep_s=20.0)},
        {"throttle": Throttle(onset_s=5.0, sustained=0.5, cooling=0.3)},
        {"cold_start": ColdStart(load_s=0.7, keep_s=5.0), "throttle": Throttle(onset_s=8.0, sustained=0.6)},
        {"heat": Heat(heating_s=6.0, cooling_s=9.0, onset=0.2, floor=0.4), "heat_at_start": 0.8},
        {"residual": NOISY, "cold_start": ColdStart(load_s=0.7, keep_s=5.0)},
        {"residual": NOISY, "heat": Heat(heating_s=6.0, cooling_s=9.0, floor=0.4)},
        {"residual": NOISY, "throttle": Throttle(onset_s=8.0, sustained=0.6)},
    ],
    ids=["plain", "cold", "hot", "both", "heat", "noise, cold", "noise, heat", "noise, hot"],
)
def test_a_foretold_phone_answers_when_the_device_does(memory: dict[str, Any]) -> None:
    parts = model(device=profile(prefill_s_per_tok=0.01, prefill_intercept_s=0.1, **memory))
    table = requests(60, seed=4, gap_s=9.0, n_users=1)
    played = play(DeviceOnly(), parts, table)
    met, draws = played.ttft_s, played.world.draws
    phone, foretold = Phone(), []
    for i, (at_s, prompt, output) in enumerate(
        zip(table.arrival_s.tolist(), table.prompt_tok.tolist(), table.output_tok.tolist(), strict=True)
    ):
        first_s, phone = phone.ask(parts.fleet[0][0], at_s, prompt, output, draws.noise_of(i))
        foretold.append(first_s - at_s)
    np.testing.assert_allclose(met, foretold, rtol=0, atol=1e-6)
    assert (met > table.prompt_tok * 0.01 + 0.2).any(), "some had to wait"


def test_the_oracle_says_where_it_is_no_bound() -> None:
    def remarks(parts: WorldModel, table: RequestTable) -> list[str]:
        played = play(Oracle(constraint="device", budget=0.6), parts, table)
        assert isinstance(played.policy, Oracle)
        return list(played.policy.remarks(played.policy.tally(played.columns)))

    parts = model(device=profile(prefill_s_per_tok=0.001))
    assert remarks(parts, requests(40)) == []
    one_phone = requests(40, n_users=1, gap_s=2.0)
    (said,) = remarks(parts, one_phone)
    # who finds the phone at work on an earlier answer, and would have been answered sooner by an idle one
    played = play(Oracle(constraint="device", budget=0.6), parts, one_phone)
    free_s, n_busy = 0.0, 0
    for record in played.records:
        gain = 0.001 * record.prompt_tok < played.world.draws.server_ttft_s[record.request_id]
        n_busy += bool(record.arrival_s < free_s and gain)
        if record.first_endpoint == "device":
            free_s = float(record.generated_s[-1])
    assert n_busy > 5
    assert said.startswith(f"no bound here: devices were busy for {n_busy} of 40 requests")
    loading = model(device=profile(prefill_s_per_tok=0.001, cold_start=ColdStart(load_s=0.1)))
    (said,) = remarks(loading, requests(40))
    assert "devices were busy for" in said
    packets = model(device=profile(prefill_s_per_tok=0.004), link=constant_link(0.05, tokens_per_packet=4))
    assert remarks(packets, requests(40)) == []
