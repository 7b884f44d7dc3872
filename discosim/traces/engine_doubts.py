"""Measured iterations that cannot be what their columns say: another unit, or rows that tell no coefficients apart."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from discosim.core.errors import UserError, close_match

Floats = NDArray[np.float64]
AUTO = "auto"
UNITS_S: Mapping[str, float] = MappingProxyType({"s": 1.0, "ms": 1e-3, "us": 1e-6})
RANGE_S: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"decode": (1e-4, 1.0), "prefill": (1e-4, 10.0), "mixed": (1e-4, 10.0)}
)
"""Median iterations of a phase that are taken without a word of the user's. Source: our choice. A decode reads the
weights once: a model of 100 million parameters on an H100 takes 0.1 ms of that and its launches, OPT-175B on eight A100
some 50 ms, and beyond 1 s nobody reads along. A prefill of 100,000 tokens takes seconds."""
LONG_PREFILL_TOK = 64.0
APART = (0.05, 0.5)
"""Bounds of phases in one unit. Source: our choice. A prompt is a pass through the weights as a decode is, so it takes
no twentieth of one; and its tokens share that pass, so none of 64 and more takes half a decode."""
RANK_TOLERANCE = 1e-6


def unit_of_times(names: list[str], unit: str, where: str) -> tuple[str, float]:
    """Return the column of the times and what one of its units is in s; ``unit`` counts before the column's name.

    Raises
    ------
    UserError
        If both columns are there, or the unit is unknown.
    """
    if unit != AUTO and unit not in UNITS_S:
        raise UserError(f"unknown unit {unit!r}; {close_match(unit, (AUTO, *UNITS_S))}", where="--unit")
    if "time_ms" in names and "time_s" in names:
        raise UserError("has both time_s and time_ms; leave one", where=f"{where} row 1")
    clock = "time_ms" if "time_ms" in names else "time_s"
    return clock, UNITS_S[clock.removeprefix("time_") if unit == AUTO else unit]


def require_plausible(phase: NDArray[np.object_], time_s: Floats, clock: str, unit: str, where: str) -> None:
    """Raise UserError where the median iteration of a phase is none of a served model, unless the unit was said."""
    if unit != AUTO:
        return
    medians = {name: float(np.median(time_s[phase == name])) for name in RANGE_S if (phase == name).any()}
    for name, middle_s in medians.items():
        least, most = RANGE_S[name]
        if least <= middle_s <= most:
            continue
        other = "ms" if middle_s > most else "s"
        own = clock.removeprefix("time_")
        beside = "".join(f"; {held:g} s of {word}" for word, held in medians.items() if word != name)
        hint = (
            f"if its times are in {other}, call the column time_{other}" if other != own else "they are in another unit"
        )
        raise UserError(
            f"the median iteration would take {middle_s:g} s, as none of {name} does ({least:g} to {most:g} s{beside})"
            f"; {hint}, or say --unit (s, ms, us); all phases are to be in one",
            where=f"{where} column {clock}",
        )


def phase_doubts(is_decode: NDArray[np.bool_], is_prefill: NDArray[np.bool_], tok: Floats, time_s: Floats) -> list[str]:
    """Return a doubt where prompts and decodes are so far apart that they are in two units."""
    long_ = is_prefill & (tok >= LONG_PREFILL_TOK)
    if not long_.any() or not is_decode.any():
        return []
    decode_s = float(time_s[is_decode].min())
    whole = float(np.median(time_s[long_])) / decode_s
    each = float(np.median(time_s[long_] / tok[long_])) / decode_s
    if whole >= APART[0] and each <= APART[1]:
        return []
    doubt = (
        f"Doubtful: the median prefill takes {whole:.3g} and each of its tokens {each:.3g} times the shortest decode: "
        "are both phases in one unit?"
    )
    return [doubt]


def apart_doubts(name: str, terms: tuple[str, str, str], form: Floats, where: str) -> list[str]:
    """Return a doubt where rows do not tell all three coefficients of a line apart.

    Raises
    ------
    UserError
        If all rows are alike, so that they tell one number: a line through it may have any slope.
    """
    scaled = form / np.maximum(form.max(axis=0), 1e-300)
    rank = int(np.linalg.matrix_rank(scaled, tol=RANK_TOLERANCE * scaled.shape[0] ** 0.5))
    if rank == 1:
        shown = " and ".join(f"{term} {value:g}" for term, value in zip(terms[1:], form[0, 1:], strict=True))
        raise UserError(
            f"all {form.shape[0]} {name} rows have {shown}: they do not tell a fixed part from a slope; measure other "
            "sizes, too",
            where=where,
        )
    if rank == 2:
        doubt = (
            f"Doubtful: the {name} rows do not tell their three coefficients ({', '.join(terms)}) apart, as they vary "
            "in one way alone: iterations of other sizes are guesses; measure some."
        )
        return [doubt]
    return []
