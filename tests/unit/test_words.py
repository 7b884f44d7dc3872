"""Every metric has a name in words that nobody shares, and a unit that people use."""

from __future__ import annotations

import pytest

from discosim.metrics.definitions import DEFINITIONS, SUMMARY_METRICS
from discosim.metrics.words import in_words, readable


def test_every_number_of_a_summary_has_words_of_its_own() -> None:
    words = [in_words(metric.name) for metric in SUMMARY_METRICS]
    assert len(set(words)) == len(words)
    known = [in_words(name) for name in DEFINITIONS]
    assert not [word for word in known if "_" in word]
    codes = {"n", "tok", "usd", "j", "s", "ttft", "e2e", "tbt", "tpot", "qoe"}
    assert not [word for metric, word in zip(SUMMARY_METRICS, words, strict=True) if codes & set(word.split())], words


@pytest.mark.parametrize(
    ("name", "unit", "value", "shown"),
    [
        ("server_cost_mean_usd", "USD", 8.82e-5, (0.0882, "$ per 1,000 requests")),
        ("server_cost_total_usd", "USD", 2.5, (2.5, "$")),
        ("server_cost_usd", "USD", 3e-4, (0.3, "$ per 1,000 requests")),
        ("tbt_pooled_p99_s", "s", 0.085, (85.0, "ms")),
        ("ttft_mean_s", "s", 1.7, (1.7, "s")),
        ("ttft_mean_s", "s", 0.0, (0.0, "s")),
        ("device_energy_mean_j", "J", 296.0, (296.0, "J per request")),
        ("device_energy_total_j", "J", 296_000.0, (296.0, "kJ")),
        ("budget_used_server", "1", 0.5, (50.0, "%")),
        ("qoe_andes_mean", "1", 0.9, (0.9, "")),
        ("n_tok_late_mean", "tok", 0.1, (0.1, "tokens")),
    ],
)
def test_units_are_those_people_use(name: str, unit: str, value: float, shown: tuple[float, str]) -> None:
    found = readable(name, unit, [value, float("nan")])
    assert (pytest.approx(shown[0]), shown[1]) == (found.factor * value, found.head)
