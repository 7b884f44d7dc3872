"""Noise and heat of devices in a scenario: what is built from the keys, what is refused, and what the notes say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from discosim.config import load_scenario
from discosim.core.device_law import Heat, Residual, Stalls
from discosim.core.empirical import CorrelatedSeries, QuantileTable
from discosim.core.errors import UserError
from discosim.core.scenario import ColdStart
from discosim.runs.build import build
from discosim.runs.build_noise import lognormal
from discosim.traces.catalogue import load_digest
from discosim.world.device_profile import DeviceProfile

PHONE = "pixel-7-pro-bloom-1.1b"
MEASURED = Residual(prefill=CorrelatedSeries(QuantileTable((0.0, 1.0), (0.8, 1.5)), 0.3), first=2.0)
HEAT = Heat(heating_s=40.0, cooling_s=90.0, floor=0.5)


def scenario(**device: Any) -> Any:
    return load_scenario(
        {
            "name": "noise",
            "workload": {
                "kind": "generate",
                "n_requests": 5,
                "arrivals": {"kind": "poisson", "rate_per_s": 1},
                "lengths": {"kind": "constant", "prompt_tok": 10, "output_tok": 10},
            },
            "devices": [{"profile": PHONE, **device}],
            "server": {
                "kind": "replay",
                "digest": "openrouter-gpt-5.4",
                "prices": {"prompt_usd_per_mtok": 1, "output_usd_per_mtok": 1},
            },
            "cost": {"exchange_rate_usd_per_j": 0},
            "policies": [{"kind": "device_only"}],
        }
    )


def built(**device: Any) -> DeviceProfile:
    return build(scenario(**device)).model.fleet[0][0]


def notes(**device: Any) -> list[str]:
    return [note for note in build(scenario(**device)).notes if note.startswith("device")]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the profile hold a residual law, heat and a loading time."""
    held = replace(load_digest(PHONE, "device"), residual=MEASURED, heat=HEAT, cold_start_load_s=1.5)  # type: ignore[arg-type]
    monkeypatch.setattr("discosim.runs.build_noise._digest", lambda _: held)


# --- what is built --------------------------------------------------------------------------------------------


def test_without_keys_and_measurements_a_device_keeps_to_its_line() -> None:
    unit = built()
    assert (unit.residual, unit.heat, unit.heat_at_start) == (None, None, 0.0)
    assert notes() == []


@pytest.mark.usefixtures("measured")
def test_what_was_measured_holds_unless_the_scenario_says_otherwise() -> None:
    unit = built()
    assert (unit.residual, unit.heat, unit.cold_start) == (MEASURED, HEAT, None)
    assert notes() == [f"device {PHONE}: its measured load of 1.5 s is left out, as cold_start is null"]
    unit = built(residual={"kind": "none"}, heat={"kind": "none"}, cold_start={"keep_s": 60})
    assert (unit.residual, unit.heat) == (None, None)
    assert unit.cold_start == ColdStart(load_s=1.5, keep_s=60)
    assert notes(residual={"kind": "none"}, heat={"kind": "none"}, cold_start={}) == [
        f"device {PHONE}: its measured residual and heat is left out, as the scenario says"
    ]
    assert built(heat={"kind": "measured", "start": 0.75}).heat_at_start == 0.75
    assert built(cold_start={"load_s": 9}).cold_start == ColdStart(load_s=9)


def test_a_law_of_ones_own_by_quantiles() -> None:
    given = {
        "kind": "quantiles",
        "levels": [0, 0.5, 1],
        "prefill": [0.8, 1, 3],
        "decode": [0.9, 1, 1.1],
        "memory": 0.5,
        "stall_share": 0.1,
        "stall_s": [1, 2, 12],
        "first": 2,
    }
    levels = (0.0, 0.5, 1.0)
    assert built(residual=given).residual == Residual(
        prefill=CorrelatedSeries(QuantileTable(levels, (0.8, 1.0, 3.0)), 0.5),
        decode=CorrelatedSeries(QuantileTable(levels, (0.9, 1.0, 1.1)), 0.5),
        stalls=Stalls(share=0.1, duration=QuantileTable(levels, (1.0, 2.0, 12.0))),
        first=2.0,
    )
    assert notes(residual=given) == [f"device {PHONE}: residual chosen in the scenario"]


def test_a_law_of_which_the_spread_alone_is_known() -> None:
    law = built(residual={"kind": "lognormal", "prefill_cv": 0.4, "memory": -0.2, "stall_share": 0.5, "stall_s": 3})
    assert law.residual is not None
    assert law.residual.decode is None
    assert law.residual.prefill.latent_rho == -0.2
    assert law.residual.stalls == Stalls(share=0.5, duration=QuantileTable.constant(3.0))
    assert built(residual={"kind": "lognormal", "prefill_cv": 0.4}).residual.stalls is None  # type: ignore[union-attr]


@pytest.mark.parametrize("cv", [0.0, 0.05, 0.5, 1.5])
def test_a_lognormal_table_has_mean_one_and_the_spread_that_was_asked_for(cv: float) -> None:
    ratios = lognormal(cv).ppf((np.arange(200_000) + 0.5) / 200_000)
    assert ratios.mean() == pytest.approx(1.0, abs=1e-4)
    # the far tail is cut off at 1e-5, which a wide law notices
    assert ratios.std() == pytest.approx(cv, rel=0.04, abs=1e-12)
    assert np.median(ratios) == pytest.approx((1 + cv**2) ** -0.5, rel=5e-3)


def test_heat_of_ones_own() -> None:
    given = {"kind": "given", "heating_s": 30, "cooling_s": 60, "floor": 0.6, "onset": 0.1, "start": 1}
    unit = built(heat=given)
    assert unit.heat == Heat(heating_s=30.0, cooling_s=60.0, onset=0.1, floor=0.6)
    assert unit.heat_at_start == 1.0
    assert notes(heat=given) == [f"device {PHONE}: heat chosen in the scenario"]


# --- what is refused ------------------------------------------------------------------------------------------

OWN = {"kind": "quantiles", "levels": [0, 0.5, 1], "prefill": [1, 1, 2]}
HOT = {"kind": "given", "heating_s": 30, "cooling_s": 60, "floor": 0.6}


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ({"residual": OWN | {"levels": [0, 0.5, 0.9]}}, "levels: must rise from 0 to 1 .got 0, 0.5, 0.9."),
        ({"residual": OWN | {"levels": [0, 50, 1]}}, r"levels\[1\].*<= 1"),
        ({"residual": OWN | {"levels": [0, 0, 1]}}, "must rise from 0 to 1"),
        ({"residual": OWN | {"prefill": [1, 2]}}, "prefill: must have a value for each of the 3 levels .got 2."),
        ({"residual": OWN | {"prefill": [1, 2, 1]}}, "prefill: must not fall"),
        ({"residual": OWN | {"prefill": [0, 1, 2]}}, r"prefill\[0\].*> 0"),
        ({"residual": OWN | {"prefill": [1, "x", 2]}}, r"prefill\[1\]"),
        ({"residual": OWN | {"prefill": [1, float("nan"), 2]}}, r"prefill\[1\]"),
        ({"residual": OWN | {"prefill": 1}}, "prefill: must be a list"),
        ({"residual": OWN | {"decode": [1, 2]}}, "decode: must have a value for each"),
        ({"residual": OWN | {"stall_share": 0.1}}, "stall_s: comes together with stall_share > 0"),
        ({"residual": OWN | {"stall_s": [1, 2, 3]}}, "stall_s: comes together with stall_share > 0"),
        ({"residual": {"kind": "quantile"}}, "unknown kind 'quantile'; did you mean 'quantiles'"),
        ({"residual": {"prefill_cv": 0.1}}, "residual.kind: is missing"),
        ({"residual": {"kind": "lognormal", "prefill_cv": -0.1}}, "prefill_cv.*>= 0"),
        ({"residual": {"kind": "lognormal", "prefill_cv": 0.1, "first": 0.5}}, "first.*>= 1"),
        ({"residual": {"kind": "lognormal"}}, "prefill_cv: is missing"),
        ({"heat": HOT | {"floor": 0}}, "floor"),
        ({"heat": HOT | {"floor": 60}}, "floor.*<= 1"),
        ({"heat": HOT | {"heating_s": 0}}, "heating_s.*> 0"),
        ({"heat": HOT | {"start": 40}}, "start.*<= 1"),
        ({"heat": HOT, "throttle": {"onset_s": 1, "sustained": 0.5}}, "heat: has no meaning beside throttle"),
        ({"heat": {"kind": "none", "start": 1}}, "unknown key"),
    ],
)
def test_what_makes_no_law_is_refused_where_it_stands(device: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        scenario(**device)
    assert len(str(error.value).splitlines()) == 1
    assert "devices[0]" in str(error.value)


def test_what_was_not_measured_cannot_be_asked_for() -> None:
    with pytest.raises(UserError, match="has no measured heat that could be there at the begin") as error:
        built(heat={"kind": "measured", "start": 0.5})
    assert error.value.where == "devices[0].heat.start"
    with pytest.raises(UserError, match="has no measured time to load its model") as error:
        built(cold_start={})
    assert error.value.where == "devices[0].cold_start.load_s"


@pytest.mark.usefixtures("measured")
def test_a_throttle_beside_a_measured_heat_is_refused() -> None:
    throttle = {"onset_s": 1, "sustained": 0.5}
    with pytest.raises(UserError, match="two models of heat exclude each other") as error:
        built(throttle=throttle)
    assert error.value.where == "devices[0].throttle"
    assert built(throttle=throttle, heat={"kind": "none"}).throttle is not None
