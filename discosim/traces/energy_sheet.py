"""What a token costs on measured phones, prompt and output apart: the sheet behind every assumed energy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache

from discosim.traces.model_config import SHEETS

SHEET = SHEETS / "phone_energy.json"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Median, least and most of single runs, all > 0."""

    median: float
    least: float
    most: float


@dataclass(frozen=True, kw_only=True)
class EnergySheet:
    """Energies of single runs on phones, as ratios that carry over to other models.

    Parameters
    ----------
    source, raw_sha256 : str
        Where the runs are from, and the digest of their file.
    n_runs : int
        How many there are.
    decode_j_per_tok_per_b : Measured
        Joules per decoded token and billion parameters of the model.
    decode_over_prefill : Measured
        Energy of a decoded token over that of a prompt token of the same run.

    Notes
    -----
    Computed by `discosim.traces.recipes.phone_energy.sheet_text` from the raw rows.
    """

    source: str
    raw_sha256: str
    n_runs: int
    decode_j_per_tok_per_b: Measured
    decode_over_prefill: Measured


@cache
def energy_sheet() -> EnergySheet:
    """Return the sheet."""
    held = json.loads(SHEET.read_text(encoding="utf-8"))
    return EnergySheet(
        source=held["source"],
        raw_sha256=held["raw_sha256"],
        n_runs=held["n_runs"],
        decode_j_per_tok_per_b=Measured(**held["decode_j_per_tok_per_b"]),
        decode_over_prefill=Measured(**held["decode_over_prefill"]),
    )
