"""Rules that tie several keys of a device's noise and heat together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from discosim.config.keypath import KeyPath
from discosim.core import scenario as s

Findings = Iterator[tuple[KeyPath, str]]


def noise_findings(section: type, values: Mapping[str, Any]) -> Findings:
    """Yield (path inside the section, message) for every broken rule; see `checks.check_section`."""
    if section is s.Device:
        yield from _two_heats(values)
    if section is s.QuantileResidual:
        yield from _quantiles(values)


def _two_heats(values: Mapping[str, Any]) -> Findings:
    if values.get("throttle") is not None and isinstance(values.get("heat"), s.GivenHeat):
        yield ("heat",), "has no meaning beside throttle: they are two models of one heat; keep one"


def _quantiles(values: Mapping[str, Any]) -> Findings:
    levels = values.get("levels")
    if levels is None:
        return
    if levels[0] != 0 or levels[-1] != 1 or any(b <= a for a, b in pairwise(levels)):
        yield ("levels",), f"must rise from 0 to 1 (got {', '.join(f'{level:g}' for level in levels)})"
    for key in ("prefill", "decode", "stall_s"):
        held = values.get(key)
        if held is None:
            continue
        if len(held) != len(levels):
            yield (key,), f"must have a value for each of the {len(levels)} levels (got {len(held)})"
        elif any(b < a for a, b in pairwise(held)):
            yield (key,), "must not fall: a quantile at a higher level is no smaller"
    if "stall_s" in values and (values["stall_s"] is None) != (values.get("stall_share", 0) == 0):
        yield ("stall_s",), "comes together with stall_share > 0 or not at all"
