"""A user's own rows of a device (CSV, JSON lines, a JSON array, Parquet), under any usual names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from discosim.core.errors import UserError, close_match
from discosim.traces.readers.azure import ticks_of
from discosim.traces.readers.base import Bools, Floats, Ints, Words
from discosim.traces.readers.columns import ArrowColumn
from discosim.traces.readers.device_lengths import lengths_of
from discosim.traces.readers.device_names import ENERGY_J, MOMENTS, SETTINGS, TIMES, fields_in, missing
from discosim.traces.readers.device_rows import DeviceRows, device_rows
from discosim.traces.readers.energy_doubts import energy_notes, require_no_meter
from discosim.traces.readers.foreign import PARQUET
from discosim.traces.readers.outcomes import KNOWN, outcome_columns, outcomes_of
from discosim.traces.readers.runs import rows_by_name
from discosim.traces.readers.server_names import Named
from discosim.traces.readers.source import read_head, stem
from discosim.traces.readers.table import Table, names_in_order, names_of_table, read_table
from discosim.traces.readers.units import AUTO, LONG_TTFT_S, LONGEST_TTFT_S, SHORTEST_TTFT_S, UNITS_S

LONGEST_GAP_S = 10.0
"""Median time per token that is refused: a tenth of a token a second; ms taken for s reach it at 100 tok/s."""
SHORTEST_GAP_S = 1e-5
"""Median time per token that is refused: a hundred thousand tokens a second, of one request, no machine makes."""
MOST_PREFILL_TOK_PER_S = 1e6
"""Prompt tokens a second beyond what any device reads: s taken for ms."""
_UNIX_S = (1e9, 4.1e9)
_TRUE, _FALSE = {"true", "1", "yes", "y", "t"}, {"false", "0", "no", "n", "f", ""}
_DATE_PER_S = 1e7


def read_device_table(
    path: Path, mapping: Mapping[str, str], unit: str, chars_per_tok: float | None
) -> dict[str, DeviceRows]:
    """Read a user's own rows, by device and model in the order of the file.

    Parameters
    ----------
    path : Path
        The file.
    mapping : mapping of str to str
        Our names (`device_names.NAMES`) to the file's.
    unit : str
        Of times whose columns do not say it; ``auto`` looks.
    chars_per_tok : float, optional
        Characters of a token where the file counts characters.

    Raises
    ------
    UserError
        If a column is missing, a cell is wrong, or the unit is not to be told.
    """
    if unit != AUTO and unit not in UNITS_S:
        raise UserError(f"unknown unit of time {unit!r}; {close_match(unit, (AUTO, *UNITS_S))}", where=str(path))
    head = read_head(path)
    is_json = not head.startswith(PARQUET) and head.lstrip()[:1] in {b"{", b"["}
    names = sorted(names_of_table(head, path)) if is_json else names_in_order(head, path)
    fields = fields_in(names, mapping, str(path))
    _require(fields, names, str(path))
    said = [*outcome_columns(names), *(KNOWN if is_json else ())]
    table = read_table(path, (), list(dict.fromkeys([*(named.name for named in fields.values()), *said])))
    fields = {field: named for field, named in fields.items() if table.has(named.name)}
    _require(fields, names, str(path))
    return _groups(table, fields, unit, path, chars_per_tok)


def _require(fields: Mapping[str, Named], names: list[str], where: str) -> None:
    has_time = {"ttft", "total", "prefill_tok_per_s"} & set(fields)
    has_decode = {"decode", "tpot", "decode_tok_per_s"} & set(fields)
    if not has_time and not has_decode:
        raise missing("ttft", "a time", names, where)
    if has_time and not {"prompt_tok", "prompt_chars"} & set(fields):
        raise missing("prompt_tok", "the length of the prompt", names, where)
    if not has_time and not {"start", "end"} & set(fields):
        raise missing("ttft", "the time to the first token, or beside decode speeds the moment of each,", names, where)


def _groups(
    table: Table, fields: Mapping[str, Named], unit: str, path: Path, chars_per_tok: float | None
) -> dict[str, DeviceRows]:
    failed = _failed(table)
    kept = ~failed
    if not kept.any():
        raise UserError(f"all {len(table)} rows failed", where=str(path))
    notes: list[str] = []
    n_failed = int(failed.sum())
    if n_failed:
        notes.append(f"{n_failed:,} of {len(table):,} rows failed, and are left out.")
    times = {field: _numbers(table, named.name, kept) for field, named in fields.items() if field in TIMES}
    prompt, output, said = lengths_of(table, fields, kept, chars_per_tok)
    notes += said
    times, said = _in_s(times, fields, output, unit, path)
    notes += said
    columns = _columns(table, fields, times, prompt, output, kept)
    start_s = _starts(table, fields, columns, kept, unit)
    columns["start_s"] = start_s
    zero = kept & ((columns["ttft_s"] <= 0) | (columns["total_s"] <= 0))
    if zero.any():
        if zero[kept].all():
            raise table.error(int(np.argmax(zero)), _first(fields), "is 0, as in all rows: no time was measured")
        notes.append(f"{int(zero.sum()):,} rows have a time of 0, which is none: left out.")
        kept &= ~zero
    _check_sizes({name: values[kept] for name, values in columns.items()}, fields, unit, path)
    _refuse_shorter(table, fields, columns, kept)
    says_first = "is_first" in fields
    first = _truths(table, fields["is_first"].name, kept) if says_first else np.zeros(len(table), dtype=np.bool_)
    labels = _labels(table, fields)
    found: dict[str, DeviceRows] = {}
    for group, all_rows in rows_by_name(labels.tolist()).items():
        rows = all_rows[kept[all_rows]]
        if not rows.size:
            continue
        said = _energies(columns, rows, fields, path)
        if np.isfinite(start_s[rows]).all():
            rows = rows[np.argsort(start_s[rows], kind="stable")]
        held: dict[str, Floats | Bools | Words | Ints] = {name: values[rows] for name, values in columns.items()}
        held["start_s"] = (
            start_s[rows] - np.nanmin(start_s[rows]) if np.isfinite(start_s[rows]).any() else start_s[rows]
        )
        held |= {"is_first": first[rows], "source_row": table.lines[rows], "run": _words(table, fields, "run")[rows]}
        found[group or stem(path)] = device_rows(
            group or stem(path),
            rows.size,
            held,
            says_first=says_first,
            device=_one(_words(table, fields, "device")[rows]),
            model=_one(_words(table, fields, "model")[rows]),
            n_failed=n_failed,
            warnings=(*notes, *said),
        )
    return found


def _energies(columns: Mapping[str, Floats], rows: Ints, fields: Mapping[str, Named], path: Path) -> list[str]:
    """Return what to say of the energies of a group's rows; a meter that runs on is refused."""
    if "energy" not in fields:
        return []
    named = fields["energy"]
    whole_s = np.where(np.isfinite(columns["total_s"]), columns["total_s"], columns["ttft_s"])[rows]
    energy_j = columns["energy_j"][rows]
    require_no_meter(energy_j, whole_s, named.name, str(path))
    has_unit = named.unit is not None or "joule" in named.name.lower()
    return energy_notes(energy_j, whole_s, named.name, has_unit=has_unit)


def _failed(table: Table) -> Bools:
    outcomes = outcomes_of(table)
    if outcomes.unclear:
        i, name = outcomes.unclear[0]
        raise table.error(i, name, f"{table.shown(name, i)} says neither that the request succeeded nor that it failed")
    return outcomes.is_failed


def _numbers(table: Table, name: str, kept: Bools, *, lowest: float | None = 0.0) -> Floats:
    values = table.numbers(name, lowest=lowest, only=kept, blank_ok=True)
    return np.where(kept & ~table.columns[name].blank(), values, np.nan)


def _in_s(
    times: Mapping[str, Floats], fields: Mapping[str, Named], output: Floats, unit: str, path: Path
) -> tuple[dict[str, Floats], list[str]]:
    """Return all times in s: by the unit in a column's name, by what the user says, or by what a device can be."""
    open_ = [field for field in times if fields[field].unit is None]
    settled = {field: values * UNITS_S[fields[field].unit or "s"] for field, values in times.items()}
    if not open_:
        if unit != AUTO:
            raise UserError(
                f"names its units itself, so they cannot be said to be {unit}; leave the unit at auto", where=str(path)
            )
        return settled, []
    if unit != AUTO:
        return {**settled, **{field: times[field] * UNITS_S[unit] for field in open_}}, []
    fits = [u for u, size_s in UNITS_S.items() if all(_fits(field, times[field] * size_s, output) for field in open_)]
    if len(fits) != 1:
        middle = ", ".join(f"{fields[field].name} {np.nanmedian(times[field]):g}" for field in open_)
        why = f"{' or '.join(fits)} would both do" if fits else "no device is like that in any unit"
        raise UserError(
            f"the medians are {middle} in the file's unit, and {why}; say it with --unit (s, ms, us, ns)",
            where=str(path),
        )
    said = [] if fits == ["s"] else [f"Times without a unit in their name were read in {fits[0]}."]
    return {**settled, **{field: times[field] * UNITS_S[fits[0]] for field in open_}}, said


def _fits(field: str, values_s: Floats, output: Floats) -> bool:
    seen = values_s[np.isfinite(values_s) & (values_s > 0)]
    if not seen.size or field == "load":
        return True
    middle_s = float(np.median(seen))
    if field == "tpot":
        return SHORTEST_GAP_S * 10 <= middle_s <= LONGEST_GAP_S / 10
    tok = float(np.nanmedian(output)) if np.isfinite(output).any() else 1.0
    longest_s = LONG_TTFT_S if field == "ttft" else LONG_TTFT_S + tok
    return SHORTEST_TTFT_S * 5 <= middle_s <= longest_s


def _columns(
    table: Table, fields: Mapping[str, Named], times: Mapping[str, Floats], prompt: Floats, output: Floats, kept: Bools
) -> dict[str, Floats]:
    """Return the columns of the record, each made from whichever the file has."""
    none = np.full(len(table), np.nan)

    def rate(field: str) -> Floats:
        held = _numbers(table, fields[field].name, kept) if field in fields else none
        return np.where(held > 0, held, np.nan)

    later = np.where(output >= 1, output - 1, np.nan)
    ttft_s, total_s = times.get("ttft", none), times.get("total", none)
    if "ttft" not in times and "prefill_tok_per_s" in fields:
        ttft_s = prompt / rate("prefill_tok_per_s")
    decode_s = times.get("decode", none)
    gap_s = times.get("tpot", 1.0 / rate("decode_tok_per_s"))
    if "decode" not in times:
        known = np.isfinite(later)
        by_gap = np.where(known, later * gap_s, gap_s)
        if "tpot" in times or "decode_tok_per_s" in fields:
            decode_s = by_gap
            later = np.where(known | ~np.isfinite(gap_s), later, 1.0)  # one token stands for the speed
    if "decode" not in times and not np.isfinite(decode_s).any():
        decode_s = np.where(later > 0, total_s - ttft_s, np.nan)
    energy_j = none
    if "energy" in fields:
        energy_j = _numbers(table, fields["energy"].name, kept) * ENERGY_J[fields["energy"].unit or "j"]
    total_s = np.where(np.isfinite(total_s), total_s, np.where(np.isfinite(output), ttft_s + decode_s, np.nan))
    held_temperature = (
        _numbers(table, fields["temperature"].name, kept, lowest=None) if "temperature" in fields else none
    )
    return {
        "prompt_tok": prompt,
        "ttft_s": ttft_s,
        "total_s": total_s,
        "decode_s": np.where(later > 0, decode_s, np.nan),
        "later_tok": later,
        "energy_j": energy_j,
        "temperature": held_temperature,
        "load_s": times.get("load", none),
    }


def _check_sizes(columns: Mapping[str, Floats], fields: Mapping[str, Named], unit: str, path: Path) -> None:
    """Raise UserError where no device is like that: a unit was misread."""
    first = columns["ttft_s"] if np.isfinite(columns["ttft_s"]).any() else columns["total_s"]
    middle_s = _median(first)
    gap_s = _median(columns["decode_s"] / columns["later_tok"])
    prompt_rate = _median(columns["prompt_tok"] / first)
    fault = ""
    if middle_s > LONGEST_TTFT_S and np.isfinite(columns["ttft_s"]).any():
        fault = f"the median TTFT would be {middle_s:g} s"
    elif middle_s < SHORTEST_TTFT_S:
        fault = f"the median time would be {middle_s:g} s"
    elif gap_s > LONGEST_GAP_S or gap_s < SHORTEST_GAP_S:
        fault = f"the median time per decoded token would be {gap_s:g} s"
    elif prompt_rate > MOST_PREFILL_TOK_PER_S:
        fault = f"the prompt would be read at {prompt_rate:,.0f} tokens a second"
    elif middle_s > LONGEST_TTFT_S and not np.isfinite(gap_s):
        fault = f"the median time would be {middle_s:g} s"
    if not fault:
        return
    name = _first(fields)
    how = "--unit (s, ms, us, ns) after renaming them without one" if unit == AUTO else "another --unit"
    raise UserError(
        f"{fault} by column {name}: no device is like that; is it in the unit that it says? Rename the column, or say "
        f"{how}",
        where=str(path),
    )


def _first(fields: Mapping[str, Named]) -> str:
    order = ("ttft", "total", "prefill_tok_per_s", "decode", "tpot", "decode_tok_per_s")
    return next(fields[field].name for field in order if field in fields)


def _median(values: Floats) -> float:
    seen = values[np.isfinite(values)]
    return float(np.median(seen)) if seen.size else float("nan")


def _refuse_shorter(table: Table, fields: Mapping[str, Named], columns: Mapping[str, Floats], kept: Bools) -> None:
    if "ttft" not in fields or "total" not in fields:
        return
    shorter = kept & (columns["total_s"] < columns["ttft_s"] * (1 - 1e-9))
    if shorter.any():
        i = int(np.argmax(shorter))
        name, first = fields["total"].name, fields["ttft"].name
        raise table.error(i, name, f"is below {first}: are they in the unit that their names say?")


def _starts(table: Table, fields: Mapping[str, Named], columns: Mapping[str, Floats], kept: Bools, unit: str) -> Floats:
    """Return when each request began, in s, by its own column or by that of the end."""
    none = np.full(len(table), np.nan)
    field = next((name for name in MOMENTS if name in fields), None)
    if field is None:
        return none
    named = fields[field]
    moments, per_s = _moments(table, named, kept)
    if per_s is None:
        per_s = _unit_of_moments(moments, columns, unit)
    at_s = moments / per_s
    if field == "end":
        whole_s = np.where(np.isfinite(columns["total_s"]), columns["total_s"], columns["ttft_s"])
        whole_s = np.where(np.isfinite(whole_s), whole_s, columns["decode_s"])
        at_s = at_s - whole_s
    return at_s - np.nanmin(at_s) if np.isfinite(at_s).any() else none


def _moments(table: Table, named: Named, kept: Bools) -> tuple[Floats, float | None]:
    column = table.columns[named.name]
    seen = kept & ~column.blank()
    words = table.words(named.name)[seen].tolist()
    is_date = isinstance(column, ArrowColumn) and column.moments_ns() is not None
    is_date |= bool(words) and all("-" in word[1:] and ":" in word for word in words)
    rows = np.flatnonzero(seen)
    found = np.full(len(table), np.nan)
    if is_date:
        ticks = np.asarray(ticks_of(table.take(rows), named.name))
        found[rows] = ticks - ticks.min()
        return found, _DATE_PER_S
    values = table.numbers(named.name, only=seen)
    found[rows] = values[rows] - values[rows].min()  # far from 0 a float would lose the fraction
    if named.unit is not None:
        return found, 1.0 / UNITS_S[named.unit]
    middle = float(np.median(values[rows])) if rows.size else 0.0
    unix = next((1.0 / size_s for size_s in UNITS_S.values() if _UNIX_S[0] <= middle * size_s <= _UNIX_S[1]), None)
    return found, unix


def _unit_of_moments(moments: Floats, columns: Mapping[str, Floats], unit: str) -> float:
    """Return how many units of a clock make a second: as said, or as the times of the requests fit into its span."""
    if unit != AUTO:
        return 1.0 / UNITS_S[unit]
    whole_s = columns["total_s"] if np.isfinite(columns["total_s"]).any() else columns["ttft_s"]
    worked_s = float(np.nansum(whole_s)) or 1.0
    span = float(np.nanmax(moments)) if np.isfinite(moments).any() else 0.0
    for size_s in (1.0, 1e-3, 1e-6, 1e-9):
        if span * size_s <= 300.0 * max(worked_s, 60.0):
            return 1.0 / size_s
    return 1.0


def _truths(table: Table, name: str, kept: Bools) -> Bools:
    words = [word.lower() for word in table.words(name).tolist()]
    for i, word in enumerate(words):
        if kept[i] and word not in _TRUE and word not in _FALSE:
            raise table.error(i, name, f"expected true or false, got {table.shown(name, i)}")
    return np.array([word in _TRUE for word in words], dtype=np.bool_)


def _words(table: Table, fields: Mapping[str, Named], field: str) -> Words:
    if field not in fields:
        return np.full(len(table), "", dtype=np.object_)
    return table.words(fields[field].name)


def _labels(table: Table, fields: Mapping[str, Named]) -> Words:
    columns = [_words(table, fields, field).tolist() for field in ("device", "model")]
    for field in SETTINGS:  # what changes the speed of a device and a model is named only where it varies
        words = _words(table, fields, field).tolist()
        if len(set(words)) > 1:
            columns.append([f"{fields[field].name}={word}" for word in words])
    return np.array([" / ".join(part for part in row if part) for row in zip(*columns, strict=True)], dtype=np.object_)


def _one(words: Words) -> str:
    held = {word for word in words.tolist() if word}
    return held.pop() if len(held) == 1 else ""
