"""A number beside its half-width, printed to the digits that its own interval supports."""

from __future__ import annotations

import math
from collections.abc import Sequence

HALF_DIGITS = 2
"""Significant digits of a half-width: with one, 0.14 and 0.06 would be printed alike. Source: our choice."""
MOST_DIGITS = 6
"""Significant digits of a number, however narrow its interval."""
FEWEST = 3
"""Digits of a number that has no interval, or none that is wider than nothing."""
MOST_DECIMALS = 9
NOTHING = 1e-12
"""Half-widths below this share of the number are rounding of floats, not luck."""


def decimals_of(value: float, half: float) -> int | None:
    """Return the decimals that an interval supports: two digits of its half-width; below 0 tens, hundreds and so on.

    None where there is no interval, or nothing varies.

    Examples
    --------
    >>> decimals_of(1.747, 0.350), decimals_of(12345.0, 678.0), decimals_of(100.0, 0.0)
    (2, -1, None)
    """
    if not (math.isfinite(half) and math.isfinite(value)) or half <= NOTHING * max(abs(value), 1e-300):
        return None
    supported = HALF_DIGITS - 1 - int(f"{half:.{HALF_DIGITS - 1}e}".partition("e")[2])
    most = MOST_DECIMALS if value == 0.0 else MOST_DIGITS - 1 - math.floor(math.log10(abs(value)))
    return min(supported, max(most, 0), MOST_DECIMALS)


def cell(value: float, half: float, decimals: int, *, is_signed: bool = False) -> tuple[str, str]:
    """Return a number and its half-width as texts of equal decimals; '' for a half-width that is none.

    Parameters
    ----------
    value, half : float
        NaN where undefined.
    decimals : int
        Decimals where there is no interval that says.
    is_signed : bool
        Whether positive numbers carry a sign.

    Examples
    --------
    >>> cell(1.747, 0.350, 3), cell(12346.0, 678.0, 0), cell(0.0, 0.0, 2), cell(100.0, 0.0, 1)
    (('1.75', '0.35'), ('12,350', '680'), ('0', ''), ('100.0', ''))
    >>> cell(0.5, math.nan, 2), cell(math.nan, math.nan, 2), cell(0.4, 1e-9, 2)
    (('0.50', ''), ('n/a', ''), ('0.400000', '<0.000001'))
    """
    if not math.isfinite(value):
        return "n/a", ""
    own = decimals_of(value, half)
    if own is None:
        return ("0" if value == 0.0 and half == 0.0 else number(value, decimals, is_signed=is_signed)), ""
    return _fixed(value, own, is_signed=is_signed), number(half, own)


def alone(value: float, half: float, decimals: int, *, is_signed: bool = False) -> str:
    """Return a number whose half-width is not printed: ``decimals``, or fewer where its interval supports fewer.

    Examples
    --------
    >>> alone(1.747, 0.350, 3), alone(0.030416, 0.00034, 3)
    ('1.75', '0.030')
    """
    own = decimals_of(value, half)
    if own is None or own >= decimals or not math.isfinite(value):
        return cell(value, 0.0 if half == 0.0 else math.nan, decimals, is_signed=is_signed)[0]
    return cell(value, half, decimals, is_signed=is_signed)[0]


def half_width(half: float) -> str:
    """Return a half-width that stands alone: two digits, ``0`` for none at all, ``n/a`` where undefined.

    Examples
    --------
    >>> half_width(0.0266), half_width(437.0), half_width(0.0), half_width(math.nan)
    ('0.027', '440', '0', 'n/a')
    """
    if not math.isfinite(half):
        return "n/a"
    own = decimals_of(0.0, half)
    return "0" if own is None else number(half, own)


def lone(value: float, *, is_signed: bool = False) -> str:
    """Return a number without an interval, to three digits.

    Examples
    --------
    >>> lone(0.0304159), lone(12345.6), lone(0.0)
    ('0.0304', '12,346', '0')
    """
    if not math.isfinite(value):
        return "n/a"
    if value == 0.0:
        return "0"
    decimals = min(MOST_DECIMALS, max(0, FEWEST - 1 - math.floor(math.log10(abs(value)))))
    return number(value, decimals, is_signed=is_signed)


def number(value: float, decimals: int, *, is_signed: bool = False) -> str:
    """Return a number, ``n/a`` for NaN, and ``<`` the last digit's unit for what would be rounded to zero."""
    if math.isnan(value):
        return "n/a"
    if round(value, decimals) == 0.0:
        is_lost = value > 0.0 and not is_signed
        return f"<{10.0**-decimals:.{max(0, decimals)}f}" if is_lost else f"{0.0:.{max(0, decimals)}f}"
    return _fixed(value, decimals, is_signed=is_signed)


def _fixed(value: float, decimals: int, *, is_signed: bool) -> str:
    rounded = round(value, decimals) + 0.0  # no minus before a zero
    sign = "+" if is_signed and rounded else ""
    return f"{rounded:{sign},.{max(0, decimals)}f}"


def aligned(texts: Sequence[str]) -> list[str]:
    """Return texts equally wide, their points below one another; what has no point ends before it.

    Examples
    --------
    >>> aligned(["1.75", "12", "n/a", "0.943*"])
    ['  1.75  ', ' 12     ', 'n/a     ', '  0.943*']
    """
    parts = [text.partition(".") for text in texts]
    before = max((len(whole) for whole, _, _ in parts), default=0)
    after = max((len(point + rest) for _, point, rest in parts), default=0)
    return [f"{whole:>{before}}{point + rest:<{after}}" for whole, point, rest in parts]


def few_replications(n: int) -> str:
    """Return what a reader must know of intervals over two replications; '' where there are more, or one.

    Source: Student's t with one degree of freedom, whose 97.5 % quantile is 12.7; five as advice is our choice.
    """
    if n != 2:
        return ""
    return (
        "two only: an interval rests on one degree of freedom (t = 12.7 at 95 %), and its width on luck; take 5 or more"
    )
