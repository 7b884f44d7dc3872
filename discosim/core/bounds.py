"""How large and how small a number of a configuration may be: one table, by unit and by name.

A number beyond these is a slip of the pen, such as bytes for gigabytes or seconds since 1970 for seconds. Within them
no sum of times loses its milliseconds in a float (1e9 s leaves 1e-7 s), no count overflows 64 bits, and no rate has an
inverse without end. They hold for what this package declares itself; options of other packages are theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

MOST: Mapping[str, float] = MappingProxyType(
    {
        "s": 10**9,  # 30 years
        "1/s": 10**9,
        "tok": 10**9,  # the KV memory of a thousand GPUs
        "tok/s": 10**9,
        "s/tok": 10**6,
        "J/tok": 10**9,
        "USD": 10**9,
        "USD/J": 10**9,
        "B": 10**9,  # of one token's KV cache; the largest models have 5e6
        "Mbit/s": 10**9,  # a petabit
        "Gbit/s": 10**9,
        "GB/s": 10**9,
    }
)
"""Most of each unit."""

MOST_OF_ANYTHING = 10**9
"""Most of a number without a unit: counts, weights, shares before they are normalised."""

LEAST: Mapping[str, float] = MappingProxyType(
    {
        "s": 1e-9,  # a nanosecond
        "1/s": 1e-9,  # once in 30 years
        "tok/s": 1e-6,
        "Mbit/s": 1e-9,
        "Gbit/s": 1e-9,
        "GB/s": 1e-9,
        "B": 1e-3,
    }
)
"""Least of each unit where a number must be above 0."""

NAMED: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "seed": {"most": 2**63 - 1},  # a column of 64 bits
        "root": {"most": 2**62},  # more seeds count up from it
        "replications": {"le": 10**6},
        "n_users": {"le": 10**7},  # each has a device
        "pilot_requests": {"le": 10**6},
        "prompt_tok": {"le": 10**7},  # the longest context sold holds 10 million
        "output_tok": {"le": 10**7},
        "prompt_median_tok": {"le": 10**7},
        "output_median_tok": {"le": 10**7},
        "prompt_sigma": {"le": 5},  # one request in a thousand is 5 million times the median
        "output_sigma": {"le": 5},
        "part_sigma": {"le": 5},
        "length_error": {"le": 5},
        "n_replicas": {"le": 10**4},
        "n_boxes": {"le": 10**5},
        "slots": {"le": 10**6},
        "max_batch": {"le": 10**6},
        "n_retries": {"le": 10**6},
        "n_lengths": {"le": 10**4},  # sizes of grids that a policy plans on
        "n_waits": {"le": 10**4},
        "n_rho": {"le": 10**4},
        "width": {"le": 10**3},
        "max_parts": {"le": 10**4},
        "min_points": {"le": 10**4},
        "max_points": {"le": 10**4},
        "n_draft": {"le": 10**4},
        "burstiness": {"ge": 1e-3},  # CV of the gaps of 30
        "sustained": {"ge": 1e-3},
        "time_scale": {"ge": 1e-9},
        "tbt_jitter_p99_over_p50": {"le": 10**6},
    }
)
"""What goes by its name rather than by its unit."""


def bounded(name: str, unit: str, limits: Mapping[str, Any]) -> dict[str, Any]:
    """Return the limits of a number together with those that it does not declare itself.

    Parameters
    ----------
    name, unit : str
        The key, and its unit as declared.
    limits : mapping
        By their pydantic names; what is there is kept.

    Returns
    -------
    dict
        With ``le`` and ``ge`` of what goes by name, and ``most`` and ``least`` of what goes by unit: the latter hold as
        well, but are too many to be said at every key.
    """
    named = NAMED.get(name, {})
    found = dict(limits)
    if not {"le", "lt"} & limits.keys():
        found |= {"le": named["le"]} if "le" in named else {"most": named.get("most", MOST.get(unit, MOST_OF_ANYTHING))}
    if limits.get("gt") == 0:
        found |= {"ge": named["ge"]} if "ge" in named else {"least": LEAST[unit]} if unit in LEAST else {}
    return found


def require_within(name: str, unit: str, value: float) -> None:
    """Hold a number of a file of one's own, such as a digest, against the bounds that configurations have.

    Raises
    ------
    ValueError
        If it is not finite, or beyond the most of its name or unit.
    """
    most = NAMED.get(name, {}).get("le", MOST.get(unit, MOST_OF_ANYTHING))
    if not abs(value) <= most:
        raise ValueError(f"{name} is {value:g}{f' {unit}' if unit else ''}; at most {_short(most)} can be simulated")


def in_words() -> str:
    """Return the bounds that go by unit in one sentence, for the reference."""
    most = ", ".join(f"{_short(limit)} {unit}" for unit, limit in MOST.items())
    least = ", ".join(f"{_short(limit)} {unit}" for unit, limit in LEAST.items())
    return (
        f"Where a comment names no upper bound, a number may be at most {most}, or {_short(MOST_OF_ANYTHING)} without "
        f"a unit; where it must be above 0, at least {least}."
    )


def _short(limit: float) -> str:
    return f"{limit:g}".replace("e+0", "e").replace("e+", "e").replace("e-0", "e-")
