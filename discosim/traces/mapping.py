"""Names of columns that a user gives: ``--map OURS=THEIRS``, as a mapping."""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType

from discosim.core.errors import UserError

OPTION = "--map"
NO_NAMES: MappingProxyType[str, str] = MappingProxyType({})
"""No other names: what the readers take where nothing is mapped."""


def parse_mapping(items: Iterable[str]) -> dict[str, str]:
    """Return what ``--map OURS=THEIRS``, given once or more, says; the readers check the names themselves.

    Raises
    ------
    UserError
        If an item is no pair, or gives two columns to one name.

    Examples
    --------
    >>> parse_mapping(["prompt_tok=n_in", "arrival=t0"])
    {'prompt_tok': 'n_in', 'arrival': 't0'}
    """
    found: dict[str, str] = {}
    for item in items:
        ours, sign, theirs = item.partition("=")
        ours, theirs = ours.strip(), theirs.strip()
        if not (sign and ours and theirs):
            raise UserError(
                f"expected OURS=THEIRS, our name of a field and the file's, for instance prompt_tok=n_in; got {item!r}",
                where=OPTION,
            )
        if found.get(ours, theirs) != theirs:
            raise UserError(f"{ours} is given both {found[ours]!r} and {theirs!r}; leave one", where=OPTION)
        found[ours] = theirs
    return found
