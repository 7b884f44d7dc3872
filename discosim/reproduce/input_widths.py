"""What few rows behind the inputs leave open in the cells of claims: a small table beside those of a paper.

A claim's statistic is computed of each version of its table; the spread is what the inputs leave open, and no
number of seeds makes it smaller. Where seeds drew versions of their own, a function of estimators.py answers for that
itself, as only it knows which cells have a measured input (fields ``few_rows``, ``luck_low`` and ``luck_high``). The
result is kept as ``inputs_of_claims.csv``, so that verdicts can be read again without the runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

from discosim.reproduce.estimates import SEED, Cell, cells_of
from discosim.reproduce.experiment import Experiment
from discosim.reproduce.files import Claim, Sensitivity, Statistic
from discosim.sweep.input_intervals import Versions

if TYPE_CHECKING:
    import pandas as pd

WIDTHS = "inputs_of_claims"
"""Name of the table, beside those that experiment.yaml names."""
OWN, ONLY = "the claim itself", "the only cell"
"""What stands for no variant, and for the name of a cell without one."""
COLUMNS = ("claim", "variant", "cell", "input_half_width", "few_rows")


@dataclass(frozen=True)
class Drawn:
    """What is known of a table's inputs.

    Parameters
    ----------
    versions : Versions or None
        Numbers under versions of the inputs of few rows.
    is_resampled : bool
        Whether seeds had versions of their own: then their spread holds the inputs, whatever their number.
    few_rows : str
        The inputs.
    """

    versions: Versions | None
    is_resampled: bool = False
    few_rows: str = ""


def widths_of(
    experiment: Experiment, tables: Mapping[str, pd.DataFrame], drawn: Mapping[str, Drawn]
) -> pd.DataFrame | None:
    """Return the half-widths that the inputs add, a row per claim, variant and cell; None where there are none."""
    import pandas as pd

    rows = []
    code = experiment.code.get("estimators")
    for claim in experiment.claims.claims:
        for variant, statistic in statistics_of(claim, tables):
            known = drawn.get(statistic.table)
            if known is not None and known.few_rows:
                rows += [
                    (claim.id, variant, cell or ONLY, half, known.few_rows)
                    for cell, half in _halves(statistic, tables[statistic.table], known, code).items()
                ]
    return pd.DataFrame(rows, columns=list(COLUMNS)) if rows else None


def statistics_of(claim: Claim, tables: Mapping[str, pd.DataFrame]) -> list[tuple[str, Statistic]]:
    """Return a claim's statistic, and that of each variant of what is open, with all cells."""
    if claim.statistic is None:
        return []
    own = replace(claim.statistic, pick="each")
    found = [(OWN, own)]
    for given in (claim.sensitivity, claim.energy):
        if given is not None:
            found += [
                (variant_key(given, variant), replace(own, table=given.table, where={**given.where, given.by: variant}))
                for variant in dict.fromkeys(tables[given.table][given.by])
            ]
    return found


def variant_key(given: Sensitivity, variant: Any) -> str:
    """Return the name of a variant in the table of half-widths."""
    return f"{given.table}: {variant}"


def _halves(statistic: Statistic, table: pd.DataFrame, known: Drawn, code: ModuleType | None) -> dict[str, float]:
    if known.is_resampled and statistic.kind == "function":
        return {}  # it knows which of its seeds drew versions, and says so in its cells
    if known.is_resampled:
        # the mean over n versions lies from the truth as far as one version does, and not a root of n closer
        return {c.name: (c.high - c.low) / 2.0 * math.sqrt(c.n) for c in cells_of(statistic, table, code)}
    assert known.versions is not None
    samples: dict[str, list[float]] = {}
    for _, version in known.versions.table.groupby(SEED, sort=True):
        for cell in cells_of(statistic, version, code):
            samples.setdefault(cell.name, []).append(cell.mean)
    return {name: known.versions.part(sample).half_width() for name, sample in samples.items()}


def widened(cells: Sequence[Cell], widths: pd.DataFrame | None, claim: str, variant: str = OWN) -> list[Cell]:
    """Return cells with intervals that hold the inputs, where the table of half-widths knows them."""
    if widths is None:
        return list(cells)
    own = widths[(widths["claim"] == claim) & (widths["variant"] == variant)]
    known = {
        str(name): (float(half), str(few))
        for name, half, few in zip(own["cell"], own["input_half_width"], own["few_rows"], strict=True)
    }
    return [_cell(cell, *known.get(cell.name or ONLY, (math.nan, ""))) for cell in cells]


def _cell(cell: Cell, half: float, few_rows: str) -> Cell:
    if math.isnan(half) or math.isnan(cell.low):
        return cell
    low, high = (math.hypot(cell.mean - end, half) for end in (cell.low, cell.high))
    return replace(
        cell,
        low=cell.mean - low,
        high=cell.mean + high,
        luck_low=cell.low,
        luck_high=cell.high,
        few_rows=few_rows,
    )
