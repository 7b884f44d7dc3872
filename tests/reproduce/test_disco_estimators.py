"""Statistics of DiSCo's claims on tables small enough to work out by hand."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from discosim.reproduce.experiment import load_experiment
from discosim.reproduce.tables import read_csv

EXPERIMENT = load_experiment(Path(__file__).parents[2] / "experiments" / "disco")
ESTIMATORS = EXPERIMENT.code["estimators"]
PIXEL, XIAOMI = "Pixel 7 Pro, B-1.1B", "Xiaomi 14, Q-0.5B"
T_2 = 4.302652729911275
"""97.5 % quantile of Student's t with two degrees of freedom."""


def table(service: str, device: str, new: list[float], old: list[float]) -> pd.DataFrame:
    rows = [
        {"service": service, "device": device, "policy": policy, "seed": seed, "ttft_p99_s": value}
        for policy, values in (("new", new), ("old", old))
        for seed, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


def reduced(service: str) -> tuple[float, float]:
    rows = table(service, PIXEL, [1.0, 2.0, 3.0], [4.0, 4.0, 4.0])
    (cell,) = ESTIMATORS.reductions(rows, "ttft_p99_s", "new", "old", ["service", "device"])
    assert cell.name == f"service={service}, device={PIXEL}"
    assert (cell.n, cell.ceiling, cell.is_idle) == (3, 100.0, False)
    return cell.mean, cell.high - cell.mean


def test_a_measured_service_is_known_no_better_for_more_versions() -> None:
    """Reductions of 75, 50 and 25 %: their spread of 25 points stands beside that of their mean, 25 / sqrt(3)."""
    mean, half = reduced("gpt-5.4")
    assert mean == pytest.approx(50.0)
    assert half == pytest.approx(T_2 * 25.0 * (1.0 + 1.0 / 3.0) ** 0.5)


def test_a_shaped_service_has_an_interval_by_luck() -> None:
    mean, half = reduced("shaped, median 0.3 s")
    assert mean == pytest.approx(50.0)
    assert half == pytest.approx(T_2 * 25.0 / 3.0**0.5)


def test_a_cell_in_which_a_policy_did_as_its_baseline_is_idle() -> None:
    rows = table("gpt-5.4", PIXEL, [1.0, 2.0], [1.0, 2.0])
    (cell,) = ESTIMATORS.reductions(rows, "ttft_p99_s", "new", "old", ["service", "device"])
    assert cell.is_idle


def test_the_trend_is_the_difference_of_two_reductions() -> None:
    rows = pd.concat(
        [
            table("gpt-5.4", PIXEL, [3.0, 3.0, 3.0], [4.0, 4.0, 4.0]),
            table("gpt-5.4", XIAOMI, [1.0, 2.0, 3.0], [4.0, 4.0, 4.0]),
        ]
    )
    (cell,) = ESTIMATORS.device_trend(rows, "ttft_p99_s", "new", "old")
    assert (cell.low + cell.high) / 2 == pytest.approx(cell.mean) == pytest.approx(25.0)
    assert cell.high - cell.mean == pytest.approx(T_2 * 25.0 * (1.0 + 1.0 / 3.0) ** 0.5)


def test_speed_is_what_parts_two_savings() -> None:
    costs = {("shaped, median 0.3 s", "with"): 2.0, ("shaped, median 0.6 s", "with"): 5.0}
    rows = pd.DataFrame(
        [
            {"service": service, "device": PIXEL, "budget": 0.9, "policy": policy, "seed": seed}
            | {"unified_cost_mean_usd": costs.get((service, policy), 10.0)}
            for service in ("shaped, median 0.3 s", "shaped, median 0.6 s")
            for policy in ("with", "without")
            for seed in (1, 2)
        ]
    )
    (cell,) = ESTIMATORS.saving_by_speed(rows, "with", "without")
    assert cell.mean == pytest.approx(30.0)


@pytest.mark.parametrize(("name", "n"), [("sensitivity", 14), ("handover", 9)])
def test_every_variant_has_a_name_of_its_own_and_the_setting_comes_first(name: str, n: int) -> None:
    rows = read_csv(EXPERIMENT.committed("quick", name))
    variants = list(dict.fromkeys(rows["variant"]))
    assert variants[0] == "as in the other figures"
    assert len(variants) == n
    keys = [column for column in ("variant", "scarce", "device", "policy", "seed") if column in rows]
    assert not rows.duplicated(keys).any()
