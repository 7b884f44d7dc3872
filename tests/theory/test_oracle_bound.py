"""Where devices are idle nobody beats the oracle, and its choice is the best knapsack but for one saving."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from idle_draws import idle_draws
from worlds import NO_LINK, constant_link, long, model, past, play, profile, requests

from discosim.policies import known_policies, policy_class
from discosim.policies.clairvoyance import Foresight
from discosim.policies.oracle import Oracle

CONTENDERS: list[tuple[str, dict[str, Any]]] = [
    ("server_only", {}),
    ("device_only", {}),
    ("race", {}),
    *(("stochastic", {"variant": v, "constraint": c}) for v in ("exclusive", "racing") for c in ("server", "device")),
    *(("disco", {"constraint": c, "migration": m}) for c in ("server", "device") for m in (False, True)),
    *(("optimal_wait", {"constraint": c}) for c in ("server", "device")),
    ("skeleton_of_thought", {}),
    ("pd_device", {}),
    ("kv_shipping", {}),
    ("speculative", {}),
    ("router", {}),
    ("hedge", {}),
]


def test_every_shipped_policy_contends() -> None:
    # with an edge there is a third endpoint, of which the oracle knows nothing
    two_ended = {kind: policy for kind, policy in known_policies().items() if not policy.needs_edge}
    shipped = {kind for kind, policy in two_ended.items() if policy.__module__.startswith("discosim.")}
    assert shipped == {kind for kind, _ in CONTENDERS} | {"oracle"}


@pytest.mark.parametrize("rtt_s", [long(0.0), 0.1])
@pytest.mark.parametrize(
    ("kind", "options"), CONTENDERS, ids=lambda x: x if isinstance(x, str) else "-".join(map(str, x.values()))
)
def test_the_oracle_is_never_beaten_inside_the_budget(kind: str, options: dict[str, Any], rtt_s: float) -> None:
    sides = [options["constraint"]] if "constraint" in options else ["server", "device"]
    for seed, budget in enumerate((0.05, 0.3, 0.7)):
        slowness = (0.002, 0.01, 0.03)[seed]
        parts = model(device=profile(prefill_s_per_tok=slowness), link=constant_link(rtt_s) if rtt_s else NO_LINK)
        table, view = requests(200, seed=seed, output_tok=5), past(parts, seed=seed)
        extra = {"budget": budget} if "constraint" in options else {}
        theirs = play(policy_class(kind)(**options, **extra), parts, table, seed=seed, view=view)
        for side in sides:
            used = theirs.budget_used(side)
            best = play(Oracle(constraint=side, budget=min(1.0, used + 1e-12)), parts, table, seed=seed, view=view)
            draws = best.world.draws
            limited_s, other_s = draws.server_ttft_s, draws.device_ttft_s
            if side == "device":
                limited_s, other_s = other_s, limited_s
            one_saving_s = max(0.0, float(np.max(other_s - limited_s))) / len(table)  # what greedy may miss
            assert best.budget_used(side) <= used + 1e-9
            assert best.ttft_s.mean() <= theirs.ttft_s.mean() + one_saving_s + 1e-9


def best_saving(saving: list[int], weight: list[int], room: int) -> int:
    """Solve the knapsack exactly by dynamic programming over the room."""
    best = [0] * (room + 1)
    for gain, size in zip(saving, weight, strict=True):
        if gain <= 0:
            continue
        for left in range(room, size - 1, -1):
            best[left] = max(best[left], best[left - size] + gain)
    return best[room]


@pytest.mark.parametrize("budget", [0.0, 0.1, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("is_even", [False, True], ids=["any weights", "equal weights"])
@pytest.mark.parametrize("side", ["server", "device"])
def test_the_oracles_choice_misses_the_best_knapsack_by_less_than_one_saving(
    side: Any, is_even: bool, budget: float
) -> None:
    rng = np.random.default_rng(6)
    for _ in range(60):
        n = int(rng.integers(1, 25))
        saving = rng.integers(-20, 40, n)
        weight = np.full(n, 3) if is_even else rng.integers(1, 30, n)
        other_s = np.full(n, 100.0)
        times = (other_s - saving, other_s) if side == "server" else (other_s, other_s - saving)
        plan = Foresight(idle_draws(server_s=times[0], device_s=times[1], prompt_tok=weight), side, budget)
        chosen = plan.uses()
        best = best_saving(saving.tolist(), weight.tolist(), int(np.floor(budget * weight.sum() + 1e-9)))
        got = float(np.dot(chosen, saving))
        assert np.dot(chosen, weight) <= budget * weight.sum() + 1e-6
        assert (saving[chosen] > 0).all()
        assert best - max(0, saving.max()) <= got <= best
        assert plan.least_mean_s() <= (other_s.sum() - best) / n + 1e-9, "the bound in any case"
        if is_even:
            assert got == best


def test_the_oracle_answers_first_what_the_other_endpoint_refuses() -> None:
    draws = idle_draws(
        server_s=[1.0, 1.0, np.inf, 1.0], device_s=[9.0, np.inf, np.inf, 2.0], prompt_tok=[10, 10, 10, 10]
    )
    assert Foresight(draws, "server", 0.25).uses().tolist() == [False, True, False, False]
