"""Rules that tie the keys of a device together: what one without a profile needs, and units that were mistaken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from discosim.config.keypath import KeyPath

Values = Mapping[str, Any]
Findings = Iterator[tuple[KeyPath, str]]

SLOWEST_TOK_PER_S = 1.0
"""Prefill rate below which a number is taken for seconds per token; the slowest published device has 30 tok/s."""

NEEDED = (
    (("decode_tok_per_s",), "decode_tok_per_s"),
    (("prefill_tok_per_s", "prefill_s_per_tok"), "prefill_tok_per_s (or prefill_s_per_tok)"),
    (("prefill_j_per_tok", "decode_over_prefill"), "prefill_j_per_tok"),
    (("decode_j_per_tok",), "decode_j_per_tok"),
)
"""What a device without a profile must say: the keys of which one will do, and how a message names them."""


def device_findings(values: Values, raw: Values) -> Findings:
    """Yield (path inside the section, message) for every broken rule of a device; ``raw`` is as it was written."""
    yield from _prefill(values)
    has_misspelt = any(key not in values for key in raw)  # which may well have been the profile
    if not has_misspelt and values.get("profile") is None and values.get("profile_file") is None:
        yield from _without_profile(values)
    if values.get("max_context_tok") is not None and values.get("context") == "extrapolate":
        yield ("max_context_tok",), "has no effect where context is extrapolate; leave one of the two"


def _prefill(values: Values) -> Findings:
    rate, per_tok = values.get("prefill_tok_per_s"), values.get("prefill_s_per_tok")
    if rate is None:
        return
    if per_tok is not None:
        yield ("prefill_tok_per_s",), f"says the same as prefill_s_per_tok (got {rate:g} and {per_tok:g}); leave one"
    elif rate < SLOWEST_TOK_PER_S:
        said = (
            f"would be slower than any device known (got {rate:g} tokens per second); seconds per token go under "
            f"prefill_s_per_tok: {rate:g}, and a device as slow as this is prefill_s_per_tok: {1.0 / rate:.6g}"
        )
        yield ("prefill_tok_per_s",), said


def _without_profile(values: Values) -> Findings:
    # a key that was refused is not missing, and is spoken of already
    missing = [said for keys, said in NEEDED if all(key in values and values[key] is None for key in keys)]
    if missing:
        listed = " and ".join([", ".join(missing[:-1]), missing[-1]] if missing[1:] else missing)
        joules = "; write 0 for an energy that is not to count" if any("_j_" in said for said in missing) else ""
        yield (), f"has no profile, so it needs {listed}{joules} (or a profile: `discosim traces list`)"


MOST_WH = 1000.0
"""Capacity above which a number is taken for mAh: laptops may have 100 Wh to be let into a plane."""


def battery_findings(values: Values) -> Findings:
    """Yield (path inside the section, message) for every broken rule of a battery."""
    capacity, start, reserve = (values.get(key) for key in ("capacity_wh", "start_percent", "reserve_percent"))
    if capacity is not None and capacity > MOST_WH:
        said = (
            f"must be <= {MOST_WH:,.0f} Wh (got {capacity:g}); a capacity in mAh is times its voltage over 1000: "
            f"{capacity:g} mAh x 3.85 V = {capacity * 3.85e-3:.3g} Wh"
        )
        yield ("capacity_wh",), said
    if start is not None and start <= 1.0:
        yield ("start_percent",), f"is in per cent (got {start:g}); a share of {start:g} is {100 * start:g}"
    elif start is not None and reserve is not None and reserve >= start:
        never = f"must be below start_percent = {start:g}, or the device is never used (got {reserve:g})"
        yield ("reserve_percent",), never
