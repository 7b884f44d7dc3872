"""From cells to a verdict, by one rule for all claims."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from discosim.metrics.influence import is_beyond
from discosim.reproduce.estimates import Cell, cells_of
from discosim.reproduce.experiment import Experiment
from discosim.reproduce.files import WEAK, Claim, Expect, Input, Sensitivity
from discosim.reproduce.input_widths import WIDTHS, variant_key, widened
from discosim.runs.inputs import FEW

if TYPE_CHECKING:
    import pandas as pd

Word = Literal["reproduced", "partly", "in few cells", "not reproduced", "too few runs", "not testable here"]
Side = Literal["agrees", "disagrees", "unclear", "idle", "beyond", "certain"]
COUNTED: tuple[Side, ...] = ("agrees", "disagrees", "unclear")
"""Sides of cells that could have come out otherwise."""


@dataclass(frozen=True)
class Verdict:
    """What became of one claim.

    Parameters
    ----------
    paper : str
        Name of the paper's folder.
    claim : Claim
        The claim.
    word : str
        The verdict proper.
    cells : tuple of Cell
        Our numbers.
    sides : tuple of str
        Where each of them lies.
    inputs : tuple of (str, Input)
        What the numbers rest on.
    variants : mapping
        Variant -> verdict, where the claim has a sensitivity table.
    energy : mapping
        Point of the range of assumed energies -> verdict, where the claim reads joules or their price.
    """

    paper: str
    claim: Claim
    word: Word
    cells: tuple[Cell, ...]
    sides: tuple[Side, ...]
    inputs: tuple[tuple[str, Input], ...]
    variants: Mapping[str, Word]
    energy: Mapping[str, Word] = field(default_factory=dict)

    @property
    def n_agree(self) -> int:
        """How many cells agree."""
        return self.sides.count("agrees")

    @property
    def n_counted(self) -> int:
        """How many cells could have agreed, and could have not."""
        return sum(side in COUNTED for side in self.sides)

    @property
    def weak_inputs(self) -> tuple[str, ...]:
        """Names of the inputs that are recollections or assumptions."""
        return tuple(name for name, given in self.inputs if given.kind in WEAK)

    @property
    def too_few_rows(self) -> tuple[tuple[str, int, str], ...]:
        """Inputs whose rows are too few for a quantile that the statistic reads: name, rows, quantile."""
        statistic = self.claim.statistic
        if statistic is None:
            return ()
        read = [value for value in (statistic.metric, *statistic.options.values()) if isinstance(value, str)]
        return tuple(
            (name, given.rows, quantile)
            for name, given in self.inputs
            for quantile in read
            if given.rows is not None and is_beyond(given.rows, quantile)
        )

    @property
    def few_rows(self) -> tuple[tuple[str, int], ...]:
        """Inputs that are known from so few rows that luck alone does not say how far the numbers carry."""
        return tuple((name, given.rows) for name, given in self.inputs if given.rows is not None and given.rows < FEW)

    @property
    def word_by_luck(self) -> Word:
        """What the verdict would be if the rows behind the inputs were the truth."""
        if self.claim.expect is None or self.word == "not testable here":
            return self.word
        cells = [replace(c, low=c.luck_low, high=c.luck_high) if c.few_rows else c for c in self.cells]
        return word_of([side_of(cell, self.claim.expect) for cell in cells])

    @property
    def text(self) -> str:
        """The verdict as it may be quoted: how many cells, and whether it rests on what nobody can look up."""
        text: str = self.word
        if self.word in {"partly", "in few cells"}:
            text += f" ({self.n_agree} of {self.n_counted})"
        if self.word not in {"too few runs", "not testable here"} and self.weak_inputs:
            text += ", on assumed inputs"
        return text

    @property
    def reason(self) -> str:
        """Why the claim is not testable here; empty where it is."""
        if self.word != "not testable here":
            return ""
        if self.claim.lacking:
            return f"not public: {self.claim.lacking}"
        if "beyond" in self.sides:
            return "no outcome could meet the bounds in this scenario"
        if "certain" in self.sides:
            return "holds whatever happens: no outcome could miss the bounds"
        return "nothing happened in any cell" if self.sides else "there is no cell"

    @property
    def reach(self) -> tuple[float, float]:
        """The least and the most that any cell could be; infinite where no limit is known."""
        floors, ceilings = [cell.floor for cell in self.cells], [cell.ceiling for cell in self.cells]
        return min(floors, default=-math.inf), max(ceilings, default=math.inf)

    @property
    def turned_by(self) -> tuple[str, ...]:
        """Variants that give another verdict than the first one, which is the setting itself."""
        return turned(self.variants)

    @property
    def turned_by_energy(self) -> tuple[str, ...]:
        """Points of the range of assumed energies that give another verdict than the setting itself."""
        return turned(self.energy)


def turned(variants: Mapping[str, Word]) -> tuple[str, ...]:
    """Return the variants that give another verdict than the first one."""
    first = next(iter(variants.values()), None)
    return tuple(name for name, word in variants.items() if word != first)


def side_of(cell: Cell, expect: Expect) -> Side:
    """Compare one cell with the bounds.

    Examples
    --------
    >>> side_of(Cell("", 5.0, 4.0, 6.0, 3), Expect(low=0.0, high=10.0))
    'agrees'
    >>> side_of(Cell("", 5.0, -1.0, 11.0, 3), Expect(low=0.0))
    'unclear'
    >>> side_of(Cell("", 1.2, 1.1, 1.3, 3, ceiling=1.38), Expect(up_to=3.2))
    'beyond'
    """
    low, high = expect.bounds
    if cell.ceiling < low or cell.floor > high:
        return "beyond"
    if low <= cell.floor and cell.ceiling <= high:
        return "certain"
    if cell.is_idle:
        return "idle"
    return _tested_side(cell, low, high)


def _tested_side(cell: Cell, low: float, high: float) -> Side:
    is_nothing = cell.low == cell.high == 0.0 and 0.0 in {low, high}  # which is neither a rise nor a fall
    if is_nothing or math.isnan(cell.low) or math.isnan(cell.high):
        return "unclear"
    if low <= cell.low and cell.high <= high:
        return "agrees"
    return "disagrees" if cell.high < low or cell.low > high else "unclear"


def word_of(sides: Sequence[Side]) -> Word:
    """Return the verdict over the cells of a claim; see :data:`discosim.report.rule.RULE`."""
    counted = [side for side in sides if side in COUNTED]
    n_agree = counted.count("agrees")
    if not counted:
        return "not testable here"
    if n_agree == len(counted):
        return "reproduced"
    if n_agree:
        return "partly" if 2 * n_agree > len(counted) else "in few cells"
    return "not reproduced" if "disagrees" in counted else "too few runs"


def judge(experiment: Experiment, claim: Claim, tables: Mapping[str, pd.DataFrame]) -> Verdict:
    """Compute the verdict of one claim from the tables."""
    inputs = tuple((name, experiment.claims.inputs[name]) for name in claim.inputs)
    if claim.statistic is None or claim.expect is None:
        return Verdict(experiment.name, claim, "not testable here", (), (), inputs, {})
    code = experiment.code.get("estimators")
    cells = widened(cells_of(claim.statistic, tables[claim.statistic.table], code), tables.get(WIDTHS), claim.id)
    sides = tuple(side_of(cell, claim.expect) for cell in cells)
    variants = _variants(experiment, claim, claim.sensitivity, tables)
    energy = _variants(experiment, claim, claim.energy, tables)
    word: Word = "not testable here" if claim.lacking else word_of(sides)
    return Verdict(experiment.name, claim, word, tuple(cells), sides, inputs, variants, energy)


def variant_cells(
    experiment: Experiment, claim: Claim, sensitivity: Sensitivity, tables: Mapping[str, pd.DataFrame]
) -> dict[str, list[Cell]]:
    """Compute the claim's statistic for each variant of what is open."""
    assert claim.statistic is not None
    table = tables[sensitivity.table]
    code = experiment.code.get("estimators")
    found = {}
    for variant in dict.fromkeys(table[sensitivity.by]):
        where = {**sensitivity.where, sensitivity.by: variant}
        statistic = replace(claim.statistic, table=sensitivity.table, where=where)
        cells = cells_of(statistic, table, code)
        found[str(variant)] = widened(cells, tables.get(WIDTHS), claim.id, variant_key(sensitivity, variant))
    return found


def _variants(
    experiment: Experiment, claim: Claim, sensitivity: Sensitivity | None, tables: Mapping[str, pd.DataFrame]
) -> dict[str, Word]:
    if sensitivity is None:
        return {}
    assert claim.expect is not None
    expect = claim.expect
    found = variant_cells(experiment, claim, sensitivity, tables)
    return {name: word_of([side_of(cell, expect) for cell in cells]) for name, cells in found.items()}
