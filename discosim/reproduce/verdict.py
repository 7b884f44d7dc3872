"""From cells to a verdict, by one rule for all claims."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from discosim.metrics.influence import is_beyond
from discosim.reproduce.estimates import Cell, cells_of
from discosim.reproduce.experiment import Experiment
from discosim.reproduce.files import WEAK, Claim, Expect, Input

if TYPE_CHECKING:
    import pandas as pd

Word = Literal["reproduced", "partly", "not reproduced", "cannot be decided"]
Side = Literal["agrees", "disagrees", "unclear"]
RULE = (
    "A cell agrees where its whole 95 % interval lies inside the paper's bounds, disagrees where all of it lies "
    "outside, and is unclear where it crosses one. reproduced: all cells agree; partly: some do; not reproduced: none "
    "does and at least one disagrees; cannot be decided: all are unclear or undefined, or a needed fact is not public."
)


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
    n_agree, n_disagree, n_unclear : int
        Of the cells.
    inputs : tuple of (str, Input)
        What the numbers rest on.
    variants : mapping
        Variant -> verdict, where the claim has a sensitivity table.
    """

    paper: str
    claim: Claim
    word: Word
    cells: tuple[Cell, ...]
    n_agree: int
    n_disagree: int
    n_unclear: int
    inputs: tuple[tuple[str, Input], ...]
    variants: Mapping[str, Word]

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
    def text(self) -> str:
        """The verdict as it may be quoted: what rests on something nobody can look up says so."""
        is_positive = self.word in {"reproduced", "partly"}
        if is_positive and self.weak_inputs:
            return f"{self.word}, on assumed inputs"
        return self.word

    @property
    def turned_by(self) -> tuple[str, ...]:
        """Variants that give another verdict than the first one, which is the setting itself."""
        first = next(iter(self.variants.values()), None)
        return tuple(name for name, word in self.variants.items() if word != first)


def side_of(cell: Cell, expect: Expect) -> Side:
    """Compare one cell with the bounds.

    Examples
    --------
    >>> side_of(Cell("", 5.0, 4.0, 6.0, 3), Expect(low=0.0, high=10.0))
    'agrees'
    >>> side_of(Cell("", 5.0, -1.0, 11.0, 3), Expect(low=0.0))
    'unclear'
    """
    if math.isnan(cell.low) or math.isnan(cell.high):
        return "unclear"
    low = -math.inf if expect.low is None else expect.low
    high = math.inf if expect.high is None else expect.high
    if low <= cell.low and cell.high <= high:
        return "agrees"
    return "disagrees" if cell.high < low or cell.low > high else "unclear"


def word_of(sides: Sequence[Side]) -> Word:
    """Return the verdict over the cells of a claim; see :data:`RULE`."""
    n_agree, n_disagree = sides.count("agrees"), sides.count("disagrees")
    if n_agree and n_agree == len(sides):
        return "reproduced"
    if n_agree:
        return "partly"
    return "not reproduced" if n_disagree else "cannot be decided"


def judge(experiment: Experiment, claim: Claim, tables: Mapping[str, pd.DataFrame]) -> Verdict:
    """Compute the verdict of one claim from the tables."""
    inputs = tuple((name, experiment.claims.inputs[name]) for name in claim.inputs)
    if claim.statistic is None or claim.expect is None:
        return Verdict(experiment.name, claim, "cannot be decided", (), 0, 0, 0, inputs, {})
    code = experiment.code.get("estimators")
    cells = cells_of(claim.statistic, tables[claim.statistic.table], code)
    sides = [side_of(cell, claim.expect) for cell in cells]
    variants: dict[str, Word] = {}
    if claim.sensitivity is not None:
        variants = _variants(experiment, claim, tables)
    counts = (sides.count("agrees"), sides.count("disagrees"), sides.count("unclear"))
    word: Word = "cannot be decided" if claim.lacking else word_of(sides)
    return Verdict(experiment.name, claim, word, tuple(cells), *counts, inputs, variants)


def variant_cells(experiment: Experiment, claim: Claim, tables: Mapping[str, pd.DataFrame]) -> dict[str, list[Cell]]:
    """Compute the claim's statistic for each variant of what is open."""
    assert claim.statistic is not None
    assert claim.sensitivity is not None
    sensitivity = claim.sensitivity
    table = tables[sensitivity.table]
    code = experiment.code.get("estimators")
    found = {}
    for variant in dict.fromkeys(table[sensitivity.by]):
        where = {**sensitivity.where, sensitivity.by: variant}
        statistic = replace(claim.statistic, table=sensitivity.table, where=where)
        found[str(variant)] = cells_of(statistic, table, code)
    return found


def _variants(experiment: Experiment, claim: Claim, tables: Mapping[str, pd.DataFrame]) -> dict[str, Word]:
    assert claim.expect is not None
    expect = claim.expect
    found = variant_cells(experiment, claim, tables)
    return {name: word_of([side_of(cell, expect) for cell in cells]) for name, cells in found.items()}
