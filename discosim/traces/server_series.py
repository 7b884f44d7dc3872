"""Reading what a real server showed once a second: a table, or the lines that vLLM logs of itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path

import numpy as np

from discosim.core.errors import UserError, close_match
from discosim.traces.mapping import NO_NAMES
from discosim.traces.readers.base import Floats
from discosim.traces.readers.foreign import PARQUET
from discosim.traces.readers.outcomes import plain_name
from discosim.traces.readers.series_names import LINE, NAMES, field_names
from discosim.traces.readers.server_doubts import wall_clock_doubts
from discosim.traces.readers.server_names import split_unit
from discosim.traces.readers.server_seems import refuse_no_table
from discosim.traces.readers.source import read_bytes, read_head
from discosim.traces.readers.table import Table, names_in_order, names_of_table, read_table
from discosim.traces.readers.table_base import nearest
from discosim.traces.server_log import ServerSeries
from discosim.traces.server_series_time import dates_in, seconds
from discosim.traces.server_series_vllm import read_vllm_lines

_PERCENT = re.compile(r"pct|percent(?!ile)")
_LITTLE_PERCENT = 2.0
"""Figures above 1 that are, throughout, as near to shares that are wrong as to percent. Source: our choice."""


def read_server_series(path: str | PathLike[str], *, mapping: Mapping[str, str] = NO_NAMES) -> ServerSeries:
    """Read a series of a server's state: JSON lines, CSV or Parquet, or a log file of vLLM.

    Parameters
    ----------
    path : path-like
        File, plain or packed.
    mapping : mapping of str to str
        Our names (`readers.series_names.NAMES`) to those of the file, where these are not known (``--map``); ``t_ms``
        says the unit, too.

    Raises
    ------
    UserError
        If a column is missing, a cell is wrong, or two rows are of one moment.

    Notes
    -----
    Rows are sorted by time. Stamps of a clock are counted from the first row. A KV column that is 0 throughout was not
    recorded.
    """
    place = Path(path)
    head = read_head(place)
    is_text = not place.is_dir() and not head.startswith(PARQUET)
    if is_text and not mapping and LINE.search(head.decode(errors="replace")):
        return read_vllm_lines(place)
    is_json = is_text and head.lstrip()[:1] in {b"{", b"["}
    names = sorted(names_of_table(head, place)) if is_json else names_in_order(head, place)
    if is_text and not mapping and not field_names(names) and LINE.search(read_bytes(place).decode(errors="replace")):
        return read_vllm_lines(place)  # behind a long start
    refuse_no_table(head, names, place, "a moment, or a log file of vLLM")
    columns, unit = _columns(names, mapping, str(place))
    if not is_json and not head.startswith(PARQUET) and "\n" not in head.decode(errors="replace").strip():
        raise UserError("holds no rows, or is no series of a server", where=str(place))
    for need in ("t_s", "running", "output_tok_per_s"):
        if need not in columns:
            raise UserError(
                f"no column with {need} ({', '.join(NAMES[need][:4])}, ...); name it with --map {need}=COLUMN; "
                f"{nearest(need, names)}",
                where=str(place),
            )
    table = read_table(place, list(columns.values()))
    return _of_table(table, columns, unit, place)


def _columns(names: Iterable[str], mapping: Mapping[str, str], where: str) -> tuple[dict[str, str], str | None]:
    """Return the column of each field, and the unit of time that the mapping says."""
    present = list(names)
    found: dict[str, str] = {}
    unit = None
    for ours, theirs in mapping.items():
        word, said = split_unit(ours)
        field = next((f for f, known in NAMES.items() if plain_name(ours) in {f, *known}), None)
        if field is None and word in NAMES["t_s"]:
            field, unit = "t_s", said
        if field is None:
            raise UserError(f"--map names an unknown field {ours!r}; {close_match(ours, NAMES)}", where=where)
        if theirs not in present:
            raise UserError(
                f"no column {theirs!r}, which --map gives to {ours}; {nearest(theirs, present)}", where=where
            )
        found[field] = theirs
    for field, name in field_names(present).items():
        if name not in found.values():
            found.setdefault(field, name)
    return found, unit


def _of_table(table: Table, columns: Mapping[str, str], unit: str | None, place: Path) -> ServerSeries:
    dates = dates_in(table, columns["t_s"])
    ticks = table.ticks(columns["t_s"]) if dates is None else dates.ticks
    values = {
        field: table.numbers(columns[field], lowest=0.0, blank_ok=True)
        if field in columns
        else np.full(len(table), np.nan)
        for field in NAMES
        if field != "t_s"
    }
    warnings = [f"It has no column with {field}." for field in NAMES if field not in columns and field != "kv_share"]
    order = np.argsort(ticks, kind="stable")
    twice = np.flatnonzero(np.diff(ticks[order]) == 0)
    if twice.size:
        i = int(max(order[twice[0]], order[twice[0] + 1]))
        raise table.error(i, columns["t_s"], f"{table.shown(columns['t_s'], i)} stands twice; one row a moment")
    if dates is None:
        t_s, told = seconds(ticks[order], columns["t_s"], str(place), unit)
    else:
        t_s, told = dates.since(dates, int(order[0]))[order], wall_clock_doubts(table, dates)
    kv, doubts = _share(values["kv_share"], columns.get("kv_share", ""), table)
    return ServerSeries(
        t_s=t_s,
        **{name: values[name][order] for name in ("running", "waiting", "prompt_tok_per_s", "output_tok_per_s")},
        kv_share=kv[order],
        name=str(place),
        warnings=(*warnings, *told, *doubts),
    )


def _share(values: Floats, name: str, table: Table) -> tuple[Floats, list[str]]:
    """Return KV shares, and what to doubt: percent where the name or a value above 1 says so."""
    seen = np.isfinite(values)
    if not name or not seen.any():
        return np.full(values.shape, np.nan), ["The KV memory in use was not recorded."]
    if not values[seen].any():
        return np.full(values.shape, np.nan), [f"{name} is 0 throughout: the KV memory in use was not recorded."]
    highest = float(values[seen].max())
    is_percent = _PERCENT.search(plain_name(name)) is not None or highest > 1.0
    if highest > (100.0 if is_percent else 1.0):
        i = int(np.nanargmax(values))
        raise table.error(
            i, name, f"expected a share of at most {100 if is_percent else 1}, got {table.shown(name, i)}"
        )
    if is_percent and highest <= 1.0:
        return values / 100.0, [f"{name} is {highest:g} at most and was read in percent."]
    if 1.0 < highest <= _LITTLE_PERCENT and _PERCENT.search(plain_name(name)) is None:
        said = f"{name} is {highest:g} at most: no share is above 1, so it was read in percent, {highest:g} % of the KV"
        return values / 100.0, [
            f"{said} memory. If that is wrong, correct the file; if it is right, name it kv_percent."
        ]
    return values / 100.0 if is_percent else values, []
