"""The card of a digest that a user makes of their own file."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from discosim.traces.digest import Card

FEW = 50
"""Rows below which a digest says that its tails are not known. Source: our choice."""
LEAST = 2
"""Rows below which there is nothing to digest."""


def own_card(
    path: str | PathLike[str],
    sha256: str,
    *,
    title: str,
    method: str,
    quirks: tuple[str, ...],
    contains: tuple[str, ...] = (),
) -> Card:
    """Return a card of a file that nobody else has, whose licence is for its owner to say.

    Parameters
    ----------
    path : path
        The file; its name is kept, and not where it lies.
    sha256 : str
        Of its bytes, as they were read.
    title, method, quirks, contains
        As in `Card`.
    """
    return Card(
        title=title,
        origin="the user's own file",
        commit="",
        licence="not stated",
        citation="",
        raw_file=Path(path).name,
        raw_sha256=sha256,
        method=method,
        quirks=quirks,
        contains=contains,
    )
