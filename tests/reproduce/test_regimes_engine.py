"""The ladder of loads with an engine: lots, shares by what others spent, settings by what others saw."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from discosim import load_scenario, simulate
from discosim.reproduce.code import load_module

FOLDER = Path(__file__).parents[2] / "experiments" / "regimes"
ENGINE, TABLES, ESTIMATORS = (load_module(FOLDER, name) for name in ("engine", "engine_tables", "estimators"))


def test_a_share_costs_what_the_purse_holds() -> None:
    """By hand: the phone costs 3 on average and the server 11; a fifth of the way is 4.6.

    A setting at 4 fits whole; one at 7 serves 0.4 of the requests, as 3 + 0.4 x 4 = 4.6.
    """
    spends = [
        {"device_only": 2.0, "server_only": 10.0, "race": 7.0, "pd_device": 4.0},
        {"device_only": 4.0, "server_only": 12.0, "race": 7.0, "pd_device": 4.0},
    ]
    shares = ENGINE.shares_within(spends, 0.2)
    assert shares == pytest.approx({"device_only": 1.0, "server_only": 0.2, "race": 0.4, "pd_device": 1.0})
    assert ENGINE.shares_within(spends, 1.0)["server_only"] == 1.0


def test_a_lot_gives_a_policy_its_share_and_the_phone_the_rest() -> None:
    """Of 500 requests 150 ± 47 at the server: 4.6 standard errors, a false alarm in 200,000; the seed is fixed."""
    overrides = ["replications=1", "workload.n_requests=500", "policies=[{kind: server_only}]", "baseline=null"]
    scenario = load_scenario("quickstart", overrides=overrides)
    policies = {f"lot of {name}": policy for name, policy in ENGINE.lots_of({"server_only": 0.3}).items()}
    rows = simulate(scenario, policies=policies).requests
    rows = rows[rows["policy"] == "lot of server_only"]
    at_server, on_phone = rows["is_server_dispatched"], rows["is_device_dispatched"]
    assert (at_server != on_phone).all()
    assert abs(at_server.sum() - 150) < 4.6 * math.sqrt(500 * 0.3 * 0.7)


def test_a_setting_is_chosen_by_the_other_replications() -> None:
    """Seed 0 sees hedge at 1 and race at 9; the others have it the other way round, so seed 0 has to take race."""
    wait_s = {"hedge": (1.0, 5.0, 5.0), "race": (9.0, 2.0, 2.0)}
    runs = pd.DataFrame(
        [
            {"load": 1.0, "spend": "much", "seed": seed, "setting": setting, "share": 1.0, "spend_mean_usd": 0.0}
            | {"ttft_p99_s": wait_s.get(setting, (3.0,) * 3)[seed], "qoe_mean": 0.5}
            for seed in range(3)
            for setting in (*ENGINE.KINDS, ENGINE.PHONE)
        ]
    )
    found = pd.DataFrame(list(TABLES._chosen(runs)))
    own = found[(found["question"] == "p99 TTFT") & (found["policy"] == "hedge")].set_index("seed")
    assert own["setting"].to_list() == ["race", "hedge", "hedge"]  # 1 and 2 see means of 3 and of 5.5
    assert own["ttft_p99_s"].to_list() == [9.0, 5.0, 5.0]


def test_how_far_a_policy_lies_above_each_rival() -> None:
    rows = pd.DataFrame(
        [(1.0, seed, policy, value) for seed in range(2) for policy, value in (("a", 1.0), ("b", 2.0), ("c", 1.0))],
        columns=["load", "seed", "policy", "ttft_p99_s"],
    )
    cells = ESTIMATORS.over_rivals(rows, "ttft_p99_s", "a")
    assert [(cell.name, cell.mean, cell.is_idle) for cell in cells] == [
        ("load=1, b", pytest.approx(-50.0), False),
        ("load=1, c", pytest.approx(0.0), True),
    ]
