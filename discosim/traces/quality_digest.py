"""Which of two models answers the questions of a benchmark right, as counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from discosim.core.joint_quality import JointTable, LengthBand
from discosim.traces.digest import Card


@dataclass(frozen=True, kw_only=True)
class QualityDigest:
    """Right answers of a weak and a strong model to the same questions.

    Parameters
    ----------
    name : str
        Name of the digest.
    card : Card
        Origin.
    n : int
        Questions.
    weak, strong : str
        The models.
    table : JointTable
        All questions.
    bands : tuple of LengthBand
        The same questions by the length of their prompts, short to long.
    moments : mapping of str to float
        Figures of the raw rows.
    """

    name: str
    card: Card
    n: int
    weak: str
    strong: str
    table: JointTable
    bands: tuple[LengthBand, ...]
    moments: Mapping[str, float]

    def __post_init__(self) -> None:
        lengths = [band.longest_chars for band in self.bands]
        if not lengths or sorted(set(lengths)) != lengths:
            raise ValueError("bands of lengths must be there, and go from short to long")
        together = tuple(sum(held) for held in zip(*(band.table.counts for band in self.bands), strict=True))
        if together != self.table.counts or self.n != self.table.n:
            raise ValueError("the bands must add up to the table, and the table to n")
