"""Digits of a number follow its own interval; expected texts are rounded by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discosim.report.cells import aligned, alone, cell, decimals_of, few_replications, half_width, lone
from discosim.report.columns import Column, lay_out

NAN = math.nan


@pytest.mark.parametrize(
    ("value", "half", "texts"),
    [
        (1.7468, 0.3498, ("1.75", "0.35")),
        (0.0304159, 0.000341, ("0.03042", "0.00034")),
        (12345.0, 678.0, ("12,340", "680")),  # round half to even, as Python does
        (12346.0, 678.0, ("12,350", "680")),
        (0.5, 0.0996, ("0.50", "0.10")),  # 0.0996 has two digits as 0.10
        (213.0, 143.0, ("210", "140")),
        (-0.0004, 0.05, ("0.000", "0.050")),  # no minus before a zero
        (0.123456789, 1e-9, ("0.123457", "<0.000001")),
        (0.0, 0.0, ("0", "")),
        (100.0, 0.0, ("100.0", "")),
        (0.7, 1e-17, ("0.7", "")),  # rounding of floats is no luck
        (2.5, NAN, ("2.5", "")),
        (NAN, 0.5, ("n/a", "")),
    ],
)
def test_a_cell_has_the_digits_of_its_interval(value, half, texts):
    assert cell(value, half, 1) == texts


def test_signs_and_single_numbers():
    assert cell(0.804, 0.351, 1, is_signed=True) == ("+0.80", "0.35")
    assert cell(0.0, 0.0, 1, is_signed=True) == ("0", "")
    assert [half_width(x) for x in (0.3498, 678.0, 0.0, NAN)] == ["0.35", "680", "0", "n/a"]
    assert [lone(x) for x in (0.0304159, 98765.4, 0.0, NAN)] == ["0.0304", "98,765", "0", "n/a"]
    assert (alone(1.7468, 0.3498, 3), alone(0.0304159, 0.00034, 3)) == ("1.75", "0.030")
    assert alone(0.001, 0.0001, 2) == "<0.01"


@given(
    st.floats(-1e9, 1e9).filter(lambda x: abs(x) > 1e-6 or x == 0.0),
    st.floats(1e-9, 1e9),
)
def test_no_cell_says_that_an_interval_is_nothing(value, half):
    """Whatever is printed: a half-width that is not zero is not printed as zero, and the number keeps to it."""
    number, beside = cell(value, half, 2)
    if decimals_of(value, half) is None:
        assert beside == ""  # too narrow to be luck
        return
    assert float(beside.replace(",", "").strip("<")) > 0.0
    supported = 0.051 * max(half, abs(value) * 1e-4)  # two digits of the half-width, or six of the number
    assert abs(float(number.replace(",", "")) - value) <= max(supported, 0.51e-9)


def test_points_stand_below_one_another():
    assert aligned(["1.75", "12", "0.943*", "n/a"]) == ["  1.75  ", " 12     ", "  0.943*", "n/a     "]
    column = Column(group="", head="x", unit="s", values=(1.7468, 0.943), half_widths=(0.3498, 0.0268), worth=1)
    assert column.cells() == ["1.75 ±0.35 ", "0.943±0.027"]
    assert [line.rstrip() for line in lay_out("p", ["a", "b"], [column], 80)][-2:] == [
        "a   1.75 ±0.35",
        "b   0.943±0.027",
    ]


def test_two_are_called_two():
    assert "one degree of freedom" in few_replications(2)
    assert (few_replications(1), few_replications(3)) == ("", "")
