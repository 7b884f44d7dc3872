"""A number inside a sentence of a page, from a committed table: a statistic as a claim has it, without a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

from discosim.core.spec import spec
from discosim.reproduce.estimates import cells_of
from discosim.reproduce.files import Statistic
from discosim.reproduce.quoted_table import SIGNED, said

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class QuotedNumber(Statistic):
    """What a sentence says of a table, whose name has its folder before it: all/systems.

    One cell is its mean and half-width, several are the least and the largest of their means.
    """

    scale: float = spec(1.0, doc="Factor, for a unit that people use.", gt=0)
    is_signed: bool = spec(False, doc="Write a plus before what is above 0; differences and changes have it anyway.")


def quoted_number(quote: QuotedNumber, table: pd.DataFrame, code: ModuleType | None = None) -> str:
    """Return the text of the number.

    Parameters
    ----------
    quote : QuotedNumber
        What is said.
    table : DataFrame
        One row per replication (``seed``) and ``policy``.
    code : module, optional
        estimators.py, where the statistic is a function of it.

    Raises
    ------
    UserError
        If the table lacks a column, policy or row.
    """
    return said(cells_of(quote, table, code), quote.scale, is_signed=quote.is_signed or quote.kind in SIGNED)
