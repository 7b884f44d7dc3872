"""Reading what a real server showed once a second: a table, or the lines that vLLM logs of itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from types import MappingProxyType

import numpy as np

from discosim.core.errors import UserError, close_match
from discosim.traces.mapping import NO_NAMES
from discosim.traces.readers.base import Floats, Ints
from discosim.traces.readers.foreign import PARQUET
from discosim.traces.readers.outcomes import plain_name
from discosim.traces.readers.server_seems import refuse_no_table
from discosim.traces.readers.source import read_bytes, read_head
from discosim.traces.readers.table import Table, names_in_order, names_of_table, read_table
from discosim.traces.readers.table_base import nearest
from discosim.traces.server_log import ServerSeries

NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "t_s": ("t_s", "t", "time_s", "time", "elapsed_s", "elapsed", "seconds", "timestamp", "ts"),
        "running": ("running", "num_requests_running", "num_running", "n_running", "running_reqs", "running_requests"),
        "waiting": ("waiting", "num_requests_waiting", "num_waiting", "n_waiting", "waiting_reqs", "waiting_requests"),
        "prompt_tok_per_s": (
            *("prompt_tok_per_s", "prompt_throughput", "avg_prompt_throughput", "prompt_tokens_per_s"),
            "prompt_throughput_tok_per_s",
        ),
        "output_tok_per_s": (
            *("output_tok_per_s", "gen_throughput", "generation_throughput", "avg_generation_throughput"),
            *("output_throughput", "generation_tokens_per_s", "output_tokens_per_s", "generation_throughput_tok_per_s"),
        ),
        "kv_share": (
            *(
                "kv_share",
                "kv_cache_pct",
                "kv_pct",
                "kv_cache_usage",
                "kv_usage",
                "gpu_kv_cache_usage",
                "kv_cache_percent",
            ),
            *("kv_cache_usage_perc", "gpu_cache_usage_perc", "kv_cache_share", "kv_percent"),
        ),
    }
)
"""Fields by our name, with the names that other tools give them."""
_PERCENT = re.compile(r"pct|percent(?!ile)")
_FAR_S = 3600.0
"""Times that begin later are stamps of a clock, and no seconds of a run. Source: our choice."""
_LINE = re.compile(
    r"(?:Engine (?P<engine>\d+): )?Avg prompt throughput: (?P<prompt>\d+(?:\.\d+)?) tokens/s, "
    r"Avg generation throughput: (?P<output>\d+(?:\.\d+)?) tokens/s, Running: (?P<running>\d+) reqs, "
    r"(?:Swapped: \d+ reqs, )?(?:Waiting|Pending): (?P<waiting>\d+) reqs"
    r"(?:, Preemptions: \d+)?(?:.*?(?:GPU )?KV cache usage: (?P<kv>\d+(?:\.\d+)?)%)?"
)
_STAMP = re.compile(
    r"(?:(?P<year>\d{4})-)?(?P<month>\d\d)-(?P<day>\d\d)[T ](?P<clock>\d\d:\d\d:\d\d)(?P<part>[.,]\d+)?"
)


def read_server_series(path: str | PathLike[str], *, mapping: Mapping[str, str] = NO_NAMES) -> ServerSeries:
    """Read a series of a server's state: JSON lines, CSV or Parquet, or a log file of vLLM.

    Parameters
    ----------
    path : path-like
        File, plain or packed.
    mapping : mapping of str to str
        Our names (`NAMES`) to those of the file, where these are not known (``--map``).

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
    if not head.startswith(PARQUET) and not mapping and _LINE.search(head.decode(errors="replace")):
        return _of_vllm(place)
    is_json = not head.startswith(PARQUET) and head.lstrip()[:1] in {b"{", b"["}
    names = sorted(names_of_table(head, place)) if is_json else names_in_order(head, place)
    refuse_no_table(head, names, place, "a moment, or a log file of vLLM")
    columns = _columns(names, mapping, str(place))
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
    return _of_table(table, columns, place)


def _columns(names: Iterable[str], mapping: Mapping[str, str], where: str) -> dict[str, str]:
    present = list(names)
    found: dict[str, str] = {}
    for ours, theirs in mapping.items():
        field = next((field for field, known in NAMES.items() if plain_name(ours) in known), None)
        if field is None:
            raise UserError(f"--map names an unknown field {ours!r}; {close_match(ours, NAMES)}", where=where)
        if theirs not in present:
            raise UserError(
                f"no column {theirs!r}, which --map gives to {ours}; {nearest(theirs, present)}", where=where
            )
        found[field] = theirs
    plain = {plain_name(name).rpartition(":")[2]: name for name in reversed(present)}
    for field, known in NAMES.items():
        name = next((plain[word] for word in known if word in plain), None)
        if name is not None and name not in found.values():
            found.setdefault(field, name)
    return found


def _of_table(table: Table, columns: Mapping[str, str], place: Path) -> ServerSeries:
    ticks = table.ticks(columns["t_s"])
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
    t_s, told = _seconds(ticks[order], columns["t_s"], str(place))
    kv, doubts = _share(values["kv_share"], columns.get("kv_share", ""), table)
    return ServerSeries(
        t_s=t_s,
        **{name: values[name][order] for name in ("running", "waiting", "prompt_tok_per_s", "output_tok_per_s")},
        kv_share=kv[order],
        name=str(place),
        warnings=(*warnings, *told, *doubts),
    )


def _seconds(ticks: Ints | Floats, name: str, where: str) -> tuple[Floats, list[str]]:
    """Return times in s; those of a clock from the first row on. Their unit is s where rows are a few s apart."""
    if ticks.size < 2:
        return np.asarray(ticks - ticks[0] if ticks[0] > _FAR_S else ticks, dtype=np.float64), []
    step = float(np.median(np.diff(ticks)))
    unit = next((per_s for per_s in (1, 10**3, 10**6, 10**9) if 0.05 <= step / per_s < 50.0), None)
    if unit is None:
        raise UserError(
            f"the rows of {name} are {step:g} apart, which is no step of a series in s, ms, us or ns", where=where
        )
    told = [] if unit == 1 else [f"{name} was read with {unit:,} units a second: its rows are {step:g} apart."]
    if ticks[0] / unit <= _FAR_S:
        return np.asarray(ticks / unit, dtype=np.float64), told
    return np.asarray((ticks - ticks[0]) / unit, dtype=np.float64), [
        *told,
        f"{name} holds stamps of a clock; time counts from the first row.",
    ]


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
    return values / 100.0 if is_percent else values, []


def _of_vllm(place: Path) -> ServerSeries:
    """Read the lines that vLLM logs every ten seconds; of several engines, those of one moment add up."""
    rows: dict[float, dict[str, tuple[float, float, float, float, float]]] = {}
    text = read_bytes(place).decode(errors="replace")
    for number, line in enumerate(text.split("\n"), start=1):
        found = _LINE.search(line)
        if found is None:
            continue
        stamp = _STAMP.search(line)
        if stamp is None:
            raise UserError("has no time (month-day hour:minute:second)", where=f"{place} row {number}")
        # a leap year, where the line names none: every day of a year is one
        day = f"{stamp['year'] or '2024'}-{stamp['month']}-{stamp['day']}T{stamp['clock']}"
        try:
            at_s = datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() + float(
                (stamp["part"] or ".0").replace(",", ".")
            )
        except ValueError:
            raise UserError(f"{day} is no moment", where=f"{place} row {number}") from None
        at_s += float((stamp["part"] or ".0").replace(",", "."))
        kv = float(found["kv"]) / 100.0 if found["kv"] else np.nan
        cells = (float(found["running"]), float(found["waiting"]), float(found["prompt"]), float(found["output"]), kv)
        rows.setdefault(at_s, {})[found["engine"] or ""] = cells
    engines = {engine for held in rows.values() for engine in held}
    whole = {at_s: held for at_s, held in sorted(rows.items()) if len(held) == len(engines)}
    if not whole:
        raise UserError(
            "its engines never log at one moment, so that their figures cannot be added up", where=str(place)
        )
    stamps = np.array(list(whole), dtype=np.float64)
    table = np.array([list(held.values()) for held in whole.values()])
    running, waiting, prompt, output = (table[:, :, i].sum(axis=1) for i in range(4))
    kv_share = table[:, :, 4].mean(axis=1)
    warnings = ["The stamps of the log count from its first line; throughputs are means since the line before."]
    if len(whole) < len(rows):
        warnings.append(
            f"{len(rows) - len(whole):,} moments lack a line of one of the {len(engines)} engines; left out."
        )
    if not (kv_share > 0).any():
        kv_share = np.full(stamps.shape, np.nan)
        warnings.append("The KV cache usage is 0 throughout: it was not recorded.")
    return ServerSeries(
        t_s=stamps - stamps[0],
        running=running,
        waiting=waiting,
        prompt_tok_per_s=prompt,
        output_tok_per_s=output,
        kv_share=kv_share,
        name=str(place),
        warnings=tuple(warnings),
    )
