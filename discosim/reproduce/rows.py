"""Verdicts as plain rows: verdicts.csv, JSON, and those that somebody asks for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from discosim.core.errors import UserError, close_match
from discosim.core.files import write_whole
from discosim.core.json_text import strict_json
from discosim.reproduce.text import bounds_text, inputs_text, intervals_text, ours_text, reach_text
from discosim.reproduce.verdict import Side, Verdict

NAMES: dict[Side, str] = {
    "agrees": "agree",
    "disagrees": "disagree",
    "unclear": "unclear",
    "idle": "idle",
    "beyond": "out_of_reach",
    "certain": "certain",
}
"""Where a cell lies -> what the column is called that counts such cells."""


def write_verdicts(path: Path, verdicts: Sequence[Verdict]) -> None:
    """Write verdicts.csv."""
    import pandas as pd

    from discosim.reproduce.tables import as_csv

    write_whole(path, as_csv(pd.DataFrame([plain(verdict) for verdict in verdicts])))


def plain(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as one row of plain values."""
    return {
        "claim": verdict.claim.id,
        "role": verdict.claim.role,
        "verdict": verdict.text,
        "published": verdict.claim.published,
        "known_from": verdict.claim.known_from,
        "bounds": bounds_text(verdict),
        "ours": ours_text(verdict),
        "could_be": reach_text(verdict),
        "intervals": intervals_text(verdict),
        **{f"n_{name}": verdict.sides.count(side) for side, name in NAMES.items()},
        "weak_inputs": " ".join(verdict.weak_inputs),
        "turned_by": "; ".join((*verdict.turned_by, *verdict.turned_by_energy)),
        "says": verdict.claim.says,
        "scenario": verdict.claim.scenario,
        "rests_on": inputs_text(verdict),
        "lacking": verdict.claim.lacking,
        "reason": verdict.reason,
        "would_change": verdict.claim.would_change,
    }


def as_json(verdicts: Sequence[Verdict]) -> str:
    """Return verdicts as a JSON list: the row of verdicts.csv, and bounds and cells as numbers; null is no limit."""
    return strict_json(records(verdicts))


def records(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """Return verdicts as plain data."""
    return [_record(verdict) for verdict in verdicts]


def _record(verdict: Verdict) -> dict[str, Any]:
    expect = verdict.claim.expect
    low, high = (-math.inf, math.inf) if expect is None else expect.bounds
    cells = [
        {
            "cell": cell.name,
            **{
                name: _finite(getattr(cell, name))
                for name in ("mean", "low", "high", "luck_low", "luck_high", "floor", "ceiling")
            },
            "n": cell.n,
            "side": side,
        }
        for cell, side in zip(verdict.cells, verdict.sides, strict=True)
    ]
    row = {"paper": verdict.paper, **plain(verdict), "unit": verdict.claim.unit}
    return {**row, "bounds": {"low": _finite(low), "high": _finite(high)}, "cells": cells}


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def chosen_verdicts(verdicts: Sequence[Verdict], words: Sequence[str]) -> list[Verdict]:
    """Return the verdicts that any of ``words`` names: how the verdict begins, or a part of a claim's name.

    Raises
    ------
    UserError
        If one of the words names no verdict and no claim.
    """
    if not words:
        return list(verdicts)
    named = {word: [v for v in verdicts if v.text.startswith(word) or word in v.claim.id] for word in words}
    for word, found in named.items():
        if not found:
            known = [*dict.fromkeys(str(v.word) for v in verdicts), *(v.claim.id for v in verdicts)]
            raise UserError(f"no claim and no verdict '{word}'; {close_match(word, known)}", where="--only")
    return [v for v in verdicts if any(v in found for found in named.values())]
