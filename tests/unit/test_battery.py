"""A battery that runs down: by hand, across requests of one user, and while a request is on its way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from worlds import Played, constant, constant_link, model, past, play, profile, requests, server

from discosim import load_scenario, simulate
from discosim.core.errors import UserError
from discosim.core.request import RequestTable
from discosim.core.scenario import Battery
from discosim.metrics.battery import NO_BATTERY, Batteries, battery_columns, battery_numbers
from discosim.policies import Policy, known_policies
from discosim.world.battery import BATTERY_LOW

OWN = {"decode_tok_per_s": 10, "prefill_tok_per_s": 100, "prefill_j_per_tok": 0.1, "decode_j_per_tok": 0.5}
"""A request of 100 and 20 tokens takes 10 + 10 = 20 J."""
JOULE_WH = 1.0 / 3600.0


def scenario(battery: dict[str, Any] | None, *policies: dict[str, Any], n: int = 6, **changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "name": "battery",
        "replications": 1,
        "workload": {
            "kind": "generate",
            "n_requests": n,
            "n_users": 1,
            "arrivals": {"kind": "poisson", "rate_per_s": 0.01},
            "lengths": {"kind": "constant", "prompt_tok": 100, "output_tok": 20},
        },
        "devices": [{**OWN, "battery": battery}],
        "server": {
            "kind": "replay",
            "digest": "openrouter-gpt-5.4",
            "prices": {"prompt_usd_per_mtok": 1, "output_usd_per_mtok": 1},
        },
        "cost": {"exchange_rate_usd_per_j": 0},
        "policies": list(policies or [{"kind": "device_only"}]),
    }
    return given | changes


PAST = past(model(service=server(ttft=constant(0.5), tpot=constant(0.05))), n=101)


def one_request() -> RequestTable:
    return requests(1, gap_s=1000.0, n_users=1, prompt_tok=100, output_tok=20)


def serve(kind: str, battery: Battery, **options: Any) -> Played:
    """Serve a request of 100 and 20 tokens; the service takes 0.5 s and 0.1 s of way, the device 1 s."""
    parts = model(
        device=profile(prefill_j_per_tok=0.1, decode_j_per_tok=0.5, battery=battery),
        service=server(ttft=constant(0.5), tpot=constant(0.05)),
        link=constant_link(0.1),
    )
    policy: Policy = known_policies()[kind](**options)
    return play(policy, parts, one_request(), view=replace(PAST, fleet=parts.fleet))


# --- by hand --------------------------------------------------------------------------------------------------


def test_requests_are_taken_while_the_charge_is_not_below_the_reserve() -> None:
    """100 J, of which 50 J are the reserve: after 20, 40 and 60 J the fourth finds 40 J and is refused."""
    battery = {"capacity_wh": 100 * JOULE_WH, "reserve_percent": 50}
    result = simulate(load_scenario(scenario(battery)))
    assert result.columns["status"].tolist() == ["finished"] * 3 + ["failed"] * 3
    np.testing.assert_allclose(result.columns["battery_percent"], [20, 20, 20, 0, 0, 0], rtol=1e-12)
    numbers = {name: result.summary.value("device_only", name).mean for name in NO_BATTERY}
    span_s = result.summary.value("device_only", "span_s").mean
    assert numbers == pytest.approx(
        {
            "battery_mean_percent": 10.0,
            "battery_user_day_percent": 60.0 * 86400 / span_s,
            "battery_left_mean_percent": 40.0,
            "battery_left_min_percent": 40.0,
            "battery_low_share": 1.0,
            "n_battery_refused": 3.0,
        }
    )
    assert any("devices refused 3 times" in note for note in result.notes)


def test_what_is_refused_goes_to_the_server_where_the_policy_has_one() -> None:
    battery = {"capacity_wh": 100 * JOULE_WH, "reserve_percent": 50}
    result = simulate(load_scenario(scenario(battery, {"kind": "disco", "constraint": "server", "budget": 0.0})))
    assert result.columns["first_endpoint"].tolist() == ["device"] * 3 + ["server"] * 3


def test_the_rest_of_the_phone_drains_it_too() -> None:
    battery = {"capacity_wh": 500 * JOULE_WH, "reserve_percent": 20, "drain_w": 2.0}
    result = simulate(load_scenario(scenario(battery)))
    left_j, expected = 500.0, []
    for arrival_s in result.columns["arrival_s"]:
        is_low = left_j - 2.0 * arrival_s < 100.0
        left_j -= 0.0 if is_low else 20.0
        expected.append("failed" if is_low else "finished")
    assert result.columns["status"].tolist() == expected
    assert len(set(expected)) == 2
    last_s = np.nanmax(result.columns["arrival_s"] + result.columns["e2e_s"])
    left = result.summary.value("device_only", "battery_left_min_percent").mean
    assert left == pytest.approx(max(0.0, (left_j - 2.0 * last_s) / 5.0))


def test_each_user_has_a_battery_of_his_own() -> None:
    battery = {"capacity_wh": 100 * JOULE_WH, "reserve_percent": 90}
    whole = scenario(battery, n=30)
    whole["workload"]["n_users"] = 4
    result = simulate(load_scenario(whole))
    for user in np.unique(result.columns["user_id"]):
        mine = result.columns["status"][result.columns["user_id"] == user]
        assert mine.tolist() == ["finished"] + ["failed"] * (mine.size - 1)
    n_users = 1 + result.columns["user_id"].max()
    span_s = result.summary.value("device_only", "span_s").mean
    day = result.summary.value("device_only", "battery_user_day_percent").mean
    assert n_users == 4
    assert day == pytest.approx(4 * 20.0 / 4 * 86400 / span_s)


def test_a_stop_gives_back_what_was_not_done() -> None:
    """Of 100 tokens at 100 tok/s, half a second's work is done when the server speaks; the rest was never taken."""
    played = serve("race", Battery(capacity_wh=1.0))
    (record,) = played.records
    (charge,) = played.world.fleet.charges()
    assert charge is not None
    assert record.first_endpoint == "server"
    assert record.device_energy_j == pytest.approx(0.6 * 100 * 0.1)  # the round trip of 0.1 s included
    assert charge.work_j() == pytest.approx(record.device_energy_j)


def test_a_refused_stream_says_why() -> None:
    from discosim.policies.device_only import DeviceOnly

    said = []

    class Listening(DeviceOnly):
        def serve(self, session: Any) -> Any:
            yield from super().serve(session)
            said.extend(stream.failure for stream in session.streams)

    parts = model(device=profile(battery=Battery(capacity_wh=1.0, start_percent=10.0)))
    play(Listening(), parts, requests(1))
    assert said == [BATTERY_LOW]


# --- while a request is on its way ----------------------------------------------------------------------------

ON_THE_WAY: dict[str, tuple[str, dict[str, Any]]] = {
    "pd_device refined": ("pd_device", {"settings": "closed_loop", "kept_share": 0.5, "refine_delay_s": 0.3}),
    "pd_device fixed": ("pd_device", {"settings": "fixed", "cloud_tok": 5, "kept_share": 0.5, "refine_delay_s": 0.4}),
    "kv_shipping": ("kv_shipping", {"downlink_mbit_per_s": 200.0}),
    "kv_shipping one token": ("kv_shipping", {"downlink_mbit_per_s": 200.0, "speaks_meanwhile": False}),
    "speculative": ("speculative", {}),
    "disco": ("disco", {"constraint": "device", "budget": 0.5}),
    "race": ("race", {}),
}


@pytest.mark.parametrize("name", ON_THE_WAY)
def test_an_answer_comes_whole_whenever_the_battery_runs_low(name: str) -> None:
    """The drain alone lets it run low at some moment before, during or after the one request."""
    kind, options = ON_THE_WAY[name]
    used_device = set()
    arrival_s = float(one_request().arrival_s[0])
    for low_after_s in np.linspace(-0.4, 2.6, 16):
        drain_w = 1800.0 / (arrival_s + low_after_s)  # of 1 Wh, half of it above the reserve
        battery = Battery(capacity_wh=1.0, reserve_percent=50.0, drain_w=drain_w)
        (record,) = serve(kind, battery, **options).records
        assert record.status == "finished"
        used_device.add(record.device_energy_j > 0.0)
    assert len(used_device) == 2, "the battery must matter"


def test_the_oracle_says_where_it_is_no_bound() -> None:
    oracle = {"kind": "oracle", "constraint": "server", "budget": 0.0}
    for battery, is_bound in (({"capacity_wh": 1.0}, True), ({"capacity_wh": 0.02, "reserve_percent": 50}, False)):
        notes = simulate(load_scenario(scenario(battery, oracle))).notes
        assert any("no bound here: the batteries of" in note for note in notes) != is_bound


def test_an_answer_is_not_handed_over_to_a_device_that_is_low() -> None:
    """It would refuse, and the server would have to prefill anew."""
    migrated = []
    for reserve_percent in (0.0, 50.0):
        battery = Battery(capacity_wh=1.0, start_percent=40.0, reserve_percent=reserve_percent)
        played = serve("disco", battery, constraint="device", budget=0.0)
        (record,), (charge,) = played.records, played.world.fleet.charges()
        assert charge is not None
        migrated.append(len(record.segments) > 1)
        assert charge.n_refused == 0
        assert record.server_prompt_tok == 100
    assert migrated == [True, False]


# --- without one ----------------------------------------------------------------------------------------------


def test_without_a_battery_nothing_says_anything_of_one() -> None:
    result = simulate(load_scenario(scenario(None)))
    assert not set(NO_BATTERY) & (set(result.replication_columns) | set(result.summary.metrics))
    assert "battery_percent" not in result.columns
    assert not [note for note in result.notes if "batter" in note]


def test_a_fleet_may_have_some() -> None:
    whole = scenario({"capacity_wh": 1.0}, n=20)
    whole["devices"].append({**OWN, "name": "desktop"})
    whole["workload"]["n_users"] = 10
    result = simulate(load_scenario(whole))
    has_battery = ~np.isnan(result.columns["battery_percent"])
    assert 0 < has_battery.sum() < 20
    mean = result.summary.value("device_only", "battery_mean_percent").mean
    assert mean == pytest.approx(100.0 * 20.0 / 3600.0)


def test_a_kind_that_nobody_drew_leaves_its_numbers_open() -> None:
    none = Batteries(np.full(2, np.nan), np.full(2, np.nan), np.zeros(2, dtype=np.bool_), 0)
    columns = {
        "user_id": np.array([0, 1]),
        "device_energy_j": np.array([1.0, 2.0]),
        "status": np.array(["finished"] * 2, dtype=object),
    }
    took = battery_columns(columns, none)
    assert np.isnan(took["battery_percent"]).all()
    assert battery_numbers(columns | took, none, 1.0) == pytest.approx(NO_BATTERY, nan_ok=True)


@pytest.mark.parametrize(
    ("battery", "told"),
    [
        ({"capacity_wh": 4500}, "4500 mAh x 3.85 V = 17.3 Wh"),
        ({"capacity_wh": 0}, "must be > 0"),
        ({"capacity_wh": 18, "start_percent": 0.8}, "a share of 0.8 is 80"),
        ({"capacity_wh": 18, "start_percent": 20}, "must be below start_percent"),
        ({"capacity_wh": 18, "drain_w": -1}, "must be >= 0"),
        ({}, "capacity_wh"),
    ],
)
def test_what_cannot_be_meant_is_refused(battery: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError) as caught:
        load_scenario(scenario(battery))
    assert told in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"battery": {"capacity_wh": 300}}, "phones hold 10 to 25 Wh"),
        ({"battery": {"capacity_wh": 18, "reserve_percent": 0.2}}, "as a share it is 100 times that"),
        ({"prefill_j_per_tok": 0, "decode_j_per_tok": 0}, "both energies are 0"),
    ],
)
def test_what_is_probably_meant_otherwise_is_doubted(changes: dict[str, Any], told: str) -> None:
    whole = scenario({"capacity_wh": 18})
    whole["devices"][0] |= changes
    assert any(note.startswith("warning: ") and told in note for note in simulate(load_scenario(whole)).notes)
