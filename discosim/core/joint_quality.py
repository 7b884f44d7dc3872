"""Which of two models answers a question right, as counted: plain data, shared by digests and the world."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class JointTable:
    """Questions by which of two models is right.

    Parameters
    ----------
    both, only_strong, only_weak, neither : int
        Questions, >= 0, not all 0.
    """

    both: int
    only_strong: int
    only_weak: int
    neither: int

    def __post_init__(self) -> None:
        if min(self.counts) < 0 or self.n == 0:
            raise ValueError("a joint table needs counts >= 0, not all zero")

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """The four counts: both, only strong, only weak, neither."""
        return self.both, self.only_strong, self.only_weak, self.neither

    @property
    def n(self) -> int:
        """All questions."""
        return sum(self.counts)

    @property
    def only_strong_share(self) -> float:
        """Share of the questions that only the strong model answers right."""
        return self.only_strong / self.n


@dataclass(frozen=True, kw_only=True)
class LengthBand:
    """Questions up to a length, and longer than the band before.

    Parameters
    ----------
    longest_chars : int
        Longest prompt, in characters, >= 1; what is longer than the last band belongs to that one.
    table : JointTable
        Its questions.
    """

    longest_chars: int
    table: JointTable

    def __post_init__(self) -> None:
        if self.longest_chars < 1:
            raise ValueError("a band of lengths needs a longest prompt of at least one character")
