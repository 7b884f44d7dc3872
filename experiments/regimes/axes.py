"""What the map varies, and its cells: a space-filling design, cells kept out, two slices, a ladder of loads."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class World:
    """One cell of the map; the defaults are the middle, which the slices vary.

    Parameters
    ----------
    prompt_median_tok, prompt_sigma : float
        Log-normal law of the prompts: median, and sigma of the logarithm.
    service_median_s, service_tail : float
        Log-normal law of the service's TTFT, last hop aside: median, and p99 over median.
    prefill_tok_per_s, decode_tok_per_s : float
        The phone.
    rtt_s : float
        Round trip of the last hop.
    usd_per_j : float
        Price of a joule of the phone's.
    load : float
        Requests a second that the service alone would have, over what it can finish; 0 for one without limits.
    """

    prompt_median_tok: float = 200.0
    prompt_sigma: float = 0.8
    service_median_s: float = 0.5
    service_tail: float = 6.0
    prefill_tok_per_s: float = 200.0
    decode_tok_per_s: float = 15.0
    rtt_s: float = 0.05
    usd_per_j: float = 2e-7
    load: float = 0.0


# Ranges: speeds and tails of the digests in traces/ (phones: 11 to 4,100 and 4.9 to 150 tok/s; services: medians of 0.2
# to 5.7 s, p99 over median 1.2 to 97); prompts from an instruction to a document; a joule from a tenth of its price at
# a socket to where a phone's token costs ten of a service's (assumed).
RANGES: dict[str, tuple[float, float]] = {
    "prompt_median_tok": (20.0, 4000.0),
    "prompt_sigma": (0.4, 1.2),
    "service_median_s": (0.2, 2.0),
    "service_tail": (1.5, 30.0),
    "prefill_tok_per_s": (10.0, 3000.0),
    "decode_tok_per_s": (3.5, 80.0),
    "rtt_s": (0.01, 0.3),
    "usd_per_j": (1e-8, 1e-5),
}
LINEAR = ("prompt_sigma",)
"""Axes whose ranges are filled evenly; the others evenly in the logarithm."""
N_CELLS = {"quick": {"design": 18, "kept_out": 14}, "paper": {"design": 120, "kept_out": 60}}
STEPS = {"quick": 4, "paper": 9}
SHIFTS = {"design": 0.5, "kept_out": 0.731}
"""Where each sequence begins, so that no cell of one is one of the other's."""
SLICES = {
    "prompts and phones": {"prompt_median_tok": (20.0, 4000.0), "prefill_tok_per_s": (20.0, 2500.0)},
    "tails and joules": {"service_tail": (1.5, 30.0), "usd_per_j": (1e-8, 1e-5)},
}
LOADS = (0.5, 1.0, 2.0, 4.0)


def filling(n: int, d: int, shift: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return n points that fill the unit cube of d dimensions evenly, shape (n, d).

    Source: additive recurrence on the generalised golden ratio (Roberts, "The unreasonable effectiveness of
    quasirandom sequences", 2018): the same points on every machine, and any number of them.
    """
    golden = 2.0
    for _ in range(60):  # the root of x^(d + 1) = x + 1
        golden = (1.0 + golden) ** (1.0 / (d + 1))
    steps = golden ** -np.arange(1.0, d + 1.0)
    return (shift + np.outer(np.arange(1, n + 1), steps)) % 1.0


def drawn(part: str, n: int) -> list[World]:
    """Return the cells of the design, or those that are kept out."""
    worlds = []
    for point in filling(n, len(RANGES), SHIFTS[part]):
        values = {}
        for (axis, (low, high)), at in zip(RANGES.items(), point.tolist(), strict=True):
            value = low + at * (high - low) if axis in LINEAR else low * (high / low) ** at
            values[axis] = float(f"{value:.3g}")
        worlds.append(World(**values))
    return worlds


def ladder(low: float, high: float, n: int) -> list[float]:
    """Return n values evenly spaced in the logarithm, to three digits."""
    return [float(f"{low * (high / low) ** (i / (n - 1)):.3g}") for i in range(n)]


def sliced(name: str, n: int) -> list[World]:
    """Return the cells of a slice: every pair of n values each of its two axes, all else in the middle."""
    (first, first_range), (second, second_range) = SLICES[name].items()
    return [
        replace(World(), **{first: a, second: b}) for a in ladder(*first_range, n) for b in ladder(*second_range, n)
    ]


def cells(profile: str) -> list[tuple[str, World]]:
    """Return every cell whose phones are idle and whose service has room, with the part it belongs to."""
    found = [(part, world) for part, n in N_CELLS[profile].items() for world in drawn(part, n)]
    return found + [(name, world) for name in SLICES for world in sliced(name, STEPS[profile])]


def as_row(world: World) -> dict[str, float]:
    """Return the axes as columns."""
    return asdict(world)
