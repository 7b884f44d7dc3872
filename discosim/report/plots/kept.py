"""The rows that were asked for: policies by name, and what was varied by value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from discosim.core.errors import UserError, close_match
from discosim.report.plots.names import Names
from discosim.report.plots.source import Dim, Source, text_of

Kept = dict[str, tuple[Any, ...]]
"""Column -> the values that stay, in the order in which they are drawn."""


def only(source: Source, policies: Sequence[str] | None, where: Mapping[str, Any]) -> tuple[Source, Kept]:
    """Return a source with the policies and values that were asked for alone, and what they are.

    Raises
    ------
    UserError
        For a policy or a value that is not there, with the nearest that is; and where no run has all of them.
    """
    kept: Kept = {}
    if policies is not None:
        known = [str(name) for name in source.dims[0].values]
        for name in policies:
            if name not in known:
                raise UserError(f"unknown policy '{name}'; {close_match(name, known)}", where="--policies")
        kept["policy"] = tuple(dict.fromkeys(policies))
        if not kept["policy"]:
            raise UserError("names no policy", where="--policies")
    names = Names(source)
    for name, value in where.items():
        dim = names.dim(name, "where")
        wanted = value if isinstance(value, list | tuple) else (value,)
        kept[dim.name] = tuple(dict.fromkeys(_value(dim, one, name) for one in wanted))
    rows = source.rows
    for column, values in kept.items():
        rows = rows[rows[column].isin(list(values))]
    if rows.empty and not source.rows.empty:
        raise UserError("no run has all these values", where="--where")
    dims = tuple(_narrowed(dim, kept) for dim in source.dims)
    return replace(source, rows=rows, dims=dims), kept


def _narrowed(dim: Dim, kept: Kept) -> Dim:
    """Return a dim with the values that stay, seen from the key that was meant."""
    path = next((path for path in dim.paths if path in kept), None)
    if path is None:
        return dim
    return replace(dim, paths=(path, *(other for other in dim.paths if other != path)), values=kept[path])


def _value(dim: Dim, wanted: Any, name: str) -> Any:
    """Return the value of a dim that a word or number means: itself, or the one of which it is a part."""
    texts = {value: text_of(value) for value in dim.values}
    for value in dim.values:
        if value == wanted or str(wanted) in (str(value), texts[value]):
            return value
    if dim.is_number:
        try:
            number = float(wanted)
        except (TypeError, ValueError):
            number = None
        if number in dim.values:
            return number
    else:
        parts = [value for value in dim.values if str(wanted) and str(wanted) in texts[value]]
        if len(parts) == 1:
            return parts[0]
        if parts:
            both = ", ".join(texts[value] for value in parts)
            raise UserError(f"'{name}={wanted}' may be {both}; write more of it", where="--where")
    raise UserError(f"'{name}' never was '{wanted}'; {close_match(str(wanted), texts.values())}", where="--where")
