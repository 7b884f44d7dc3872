"""Numbers as a page shows them: in a unit that people use, to the digits that their own interval supports."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from discosim.metrics.definitions import DEFINITIONS
from discosim.metrics.words import Readable, in_words, readable
from discosim.report import cells
from discosim.report.cells import decimals_of, lone
from discosim.report.html.markup import Number, join, tag
from discosim.report.input_rows import mark
from discosim.report.tables import PlainSummary, number

HALVES = {"mean": "half_width", "diff": "diff_half_width", "change_pct": "change_half_width_pct"}


def texts(value: float, half: float = math.nan, *, is_signed: bool = False) -> tuple[str, str]:
    """Return a number and its half-width to the digits that its interval supports; '' for a half-width that is none.

    Examples
    --------
    >>> texts(1.747, 0.35), texts(-0.8, 0.35, is_signed=True), texts(0.0, 0.0), texts(float("nan"))
    (('1.75', '0.35'), ('−0.80', '0.35'), ('0', ''), ('n/a', ''))
    """
    if decimals_of(value, half) is None:
        return lone(value, is_signed=is_signed).replace("-", "−"), ""
    shown, width = cells.cell(value, half, 0, is_signed=is_signed)
    return shown.replace("-", "−"), width


def plain(value: float, half: float = math.nan, *, is_signed: bool = False) -> str:
    """Return a number to its digits; ``n/a`` where it is undefined."""
    return texts(value, half, is_signed=is_signed)[0]


def with_unit(text: str, unit: Readable) -> str:
    """Return a shown number with its unit, without what it is for.

    Examples
    --------
    >>> with_unit("0.30", Readable(prefix="$")), with_unit("−0.1", Readable(prefix="$"))
    ('$0.30', '−$0.1')
    """
    if text == "n/a":
        return text
    if unit.prefix:
        sign = text[0] if text[0] in "+−" else ""
        return f"{sign}{unit.prefix}{text.removeprefix(sign)}"
    return f"{text}\xa0{unit.unit}" if unit.unit else text


def cell(value: float, half: float, unit: Readable, *, is_signed: bool = False, mark: str = "") -> Number:
    """Return a number with its half-width as a cell of a table; the unit stands in the heading."""
    value, half = unit.factor * value, unit.factor * half
    number_text, width = texts(value, half, is_signed=is_signed)
    shown = f"{number_text}{mark}"
    return Number(join(shown, " ", tag("span", f"± {width}", class_="half")) if width else join(shown))


@dataclass(frozen=True)
class Metric:
    """One metric of a summary, ready to be shown for its policies."""

    name: str
    summary: PlainSummary = field(repr=False)
    policies: Sequence[str]

    @property
    def words(self) -> str:
        """Its name in words."""
        return in_words(self.name)

    @property
    def unit(self) -> Readable:
        """The unit in which all its numbers are shown."""
        known = self.summary.get("metrics", {}).get(self.name, {}).get("unit")
        stored = DEFINITIONS[self.name].unit if known is None and self.name in DEFINITIONS else known or ""
        values = [number(self.summary, policy, self.name) for policy in self.policies]
        return readable(self.name, str(stored), values)

    @property
    def is_known(self) -> bool:
        """Whether any policy has a number."""
        return any(math.isfinite(number(self.summary, policy, self.name)) for policy in self.policies)

    def numbers(self, policy: str, field: str = "mean") -> tuple[float, float]:
        """Return a number and its half-width in the unit shown."""
        factor = 1.0 if field == "change_pct" else self.unit.factor
        found = (number(self.summary, policy, self.name, key) for key in (field, HALVES[field]))
        value, half = (factor * each for each in found)
        return value, half

    def text(self, policy: str, field: str = "mean", *, is_signed: bool | None = None) -> str:
        """Return a number with its half-width and unit, as a sentence has it."""
        value, half = self.numbers(policy, field)
        unit = Readable(unit="%") if field == "change_pct" else self.unit
        sign = field != "mean" if is_signed is None else is_signed
        shown, width = texts(value, half, is_signed=sign)
        if not width:
            return with_unit(shown, unit)
        behind = f"\xa0{unit.unit}" if unit.unit else ""
        return f"{with_unit(shown, Readable(prefix=unit.prefix))}\xa0±\xa0{width}{behind}"

    def cells(self, policies: Sequence[str], field: str = "mean") -> list[Number]:
        """Return the column of a table."""
        unit = Readable(unit="%") if field == "change_pct" else self.unit
        return [
            cell(
                number(self.summary, policy, self.name, field),
                number(self.summary, policy, self.name, HALVES[field]),
                unit,
                is_signed=field != "mean",
                mark=mark(self.summary, self.name, policy, field),
            )
            for policy in policies
        ]
