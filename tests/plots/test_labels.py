"""Labels are words with units: none is a name of a column, and no two metrics share one."""

from __future__ import annotations

import re

import pytest

from discosim.metrics.definitions import DEFINITIONS, SUMMARY_METRICS
from discosim.metrics.labels import factor_of, key_label, metric_label

SHOWN = {
    "s": "[s]",
    "USD": "[USD",
    "J": "[J",
    "%": "[%]",
}


def test_every_metric_of_a_summary_has_a_label_of_its_own() -> None:
    labels = [metric_label(metric.name) for metric in SUMMARY_METRICS]
    assert len(set(labels)) == len(labels)
    assert not [label for label in labels if "_" in label]


@pytest.mark.parametrize("unit", list(SHOWN))
def test_units_of_the_registry_stand_on_the_axes(unit: str) -> None:
    names = [metric.name for metric in DEFINITIONS.values() if metric.unit == unit and metric.dtype == "float64"]
    assert names
    assert [name for name in names if SHOWN[unit] not in metric_label(name)] == []


def test_no_unit_is_said_without_its_factor() -> None:
    for metric in SUMMARY_METRICS:
        label, factor = metric_label(metric.name), factor_of(metric.name)
        assert (factor == 1000.0) == ("per 1,000" in label), label
        assert (factor == 100.0) == (metric.unit != "%" and label.endswith("[%]")), label


@pytest.mark.parametrize("path", ["a.b_s", "policies.x.budget", "devices[0].profile", "server", "x", "link.rtt_s"])
def test_a_key_becomes_words(path: str) -> None:
    assert not re.search(r"[_.\[]\w*\.|_", key_label(path)), key_label(path)
