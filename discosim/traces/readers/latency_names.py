"""Names of the columns of somebody's own latency rows: which figure each holds, and in which unit of time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from discosim.core.errors import UserError
from discosim.traces.readers.outcomes import plain_name
from discosim.traces.readers.server_names import NAMES, split_unit
from discosim.traces.readers.table_base import printable
from discosim.traces.readers.units import UNITS_S

TIMES = ("ttft", "tpot", "whole")
_OURS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "ttft": tuple(f"ttft_{unit}" for unit in UNITS_S),
        "tpot": tuple(f"tpot_{unit}" for unit in UNITS_S),
        "whole": tuple(f"{word}_{unit}" for word in ("e2e", "total") for unit in UNITS_S),
        "prompt_tok": ("prompt_tok",),
        "output_tok": ("output_tok",),
        "at": ("at_s", "at_ms", "at_us", "at_ns", "at"),
        "service": ("service",),
    }
)
OURS = tuple(name for names in _OURS.values() for name in names)
"""The names that the documentation gives."""
_OTHERS: tuple[Mapping[str, tuple[str, ...]], ...] = (
    {
        "ttft": (*NAMES["ttft"], "first_token", "first_token_time", "time_to_first", "time_first_token"),
        "tpot": (*NAMES["tpot"], "time_per_token", "mean_time_per_token"),
        "whole": (*NAMES["e2e"], "end_to_end", "total", "total_time", "total_duration"),
        "prompt_tok": NAMES["prompt_tok"],
        "output_tok": NAMES["output_tok"],
        "at": ("sent_at", "sent", "send_time", "request_time", "start_time", "started_at", "timestamp", "created_at"),
        "service": ("model", "provider"),
    },
    {
        "tpot": ("inter_token_latency", "mean_inter_token_latency", "itl", "mean_itl"),
        "whole": ("latency", "duration", "response_time", "elapsed", "elapsed_time"),
        "output_tok": ("tokens", "n_tok", "n_tokens", "num_tokens", "token_count"),
        "at": (*NAMES["arrival"], "time", "ts", "date", "datetime", "created", "when"),
    },
)
"""Names that other tools give, the plainer first; a later one counts where no earlier is there."""
_SPEEDS = frozenset(
    {
        *("tokens_per_second", "tokens_per_sec", "tok_per_s", "tok_per_sec", "tokens_per_s", "tokens/s", "tok/s"),
        *("tokens_s", "tok_s", "tps", "output_tok_per_s", "output_tokens_per_second", "decode_tok_per_s"),
    }
)
_IN_BRACKETS = re.compile(r"\s*[(\[]\s*([A-Za-z]+)\s*[)\]]\s*$")
_MANY = 40
_SHOWN = 40


@dataclass(frozen=True)
class Found:
    """The column of one figure.

    Parameters
    ----------
    name : str
        As in the file.
    unit : str or None
        Unit of time that its name says.
    is_ours : bool
        Whether it bears the name that the documentation gives.
    """

    name: str
    unit: str | None = None
    is_ours: bool = True


def split(name: str) -> tuple[str, str | None]:
    """Return a plain name and the unit of time at its end, as ``TTFT (ms)``, ``ttft_ms`` or ``ttftMs`` have it."""
    bracket = _IN_BRACKETS.search(name)
    text = name if bracket is None else f"{name[: bracket.start()]}_{bracket[1]}"
    return split_unit(text)


def columns_of(names: Iterable[str], where: str) -> dict[str, Found]:
    """Return the column of each figure that a table has: `TIMES`, ``prompt_tok, output_tok, at, speed, service``.

    Parameters
    ----------
    names : iterable of str
        Columns or keys of the file.
    where : str
        File, for errors.

    Raises
    ------
    UserError
        If two columns are one figure, and neither is plainer.
    """
    present = dict.fromkeys(names)
    found: dict[str, Found] = {}
    for field, ours in _OURS.items():
        _choose(field, [Found(name, split_unit(name)[1]) for name in ours if name in present], found, where)
    speeds = [name for name in present if plain_name(name) in _SPEEDS]
    by_word: dict[str, list[Found]] = {}  # a table may have ten thousand columns: each name is taken apart once
    for name in present:
        plain, unit = split(name)
        if name not in speeds:
            by_word.setdefault(plain, []).append(Found(name, unit, is_ours=False))
    for known in _OTHERS:
        for field in known:
            if field not in found:
                _choose(field, _under(known[field], field, by_word), found, where)
    if speeds:
        found["speed"] = Found(speeds[0], None, is_ours=False)
    return found


def services_in(names: Iterable[str]) -> list[str]:
    """Return the columns that together name the service of a row: ours, or provider and model."""
    present = list(names)
    if "service" in present:
        return ["service"]
    return [name for word in ("provider", "model") for name in present if plain_name(name) == word][:2]


def _under(words: tuple[str, ...], field: str, by_word: Mapping[str, list[Found]]) -> list[Found]:
    """Return the columns that bear one of the names, in the order of the names; counts have no unit of time."""

    def may_have_unit(word: str) -> bool:
        return field in TIMES or (field == "at" and word not in {"time", "date"})

    return [column for word in words for column in by_word.get(word, ()) if column.unit is None or may_have_unit(word)]


def _choose(field: str, held: list[Found], found: dict[str, Found], where: str) -> None:
    if len(held) > 1 and field not in {"at", "service"}:
        raise UserError(f"has both {held[0].name} and {held[1].name}; leave one", where=f"{where} row 1")
    if held:
        found[field] = held[0]


def is_surely_moments(column: Found) -> bool:
    """Tell whether a column's name says when a call was sent, and cannot be a duration or half a date."""
    return plain_name(column.name) not in {"time", "date", "when"}


def is_enough(found: Mapping[str, Found]) -> bool:
    """Tell whether a table has a TTFT and what gives a time per token."""
    return "ttft" in found and ("tpot" in found or "speed" in found or {"whole", "output_tok"} <= set(found))


def is_plainly_ours(names: Iterable[str]) -> bool:
    """Tell whether the names of the documentation alone are enough."""
    held = set(names)

    def has(field: str) -> bool:
        return any(name in held for name in _OURS[field])

    return has("ttft") and (has("tpot") or (has("whole") and "output_tok" in held))


def lacking(names: Iterable[str], found: Mapping[str, Found]) -> str:
    """Return what a table lacks to be one of latencies, with what may be meant for it, as the rest of a sentence."""
    from difflib import get_close_matches

    present = list(dict.fromkeys(names))
    # a quote that nobody closes makes a name of many lines
    listed = ", ".join(" ".join(printable(name).split())[:_SHOWN] for name in present[:_MANY]) or "none of these"
    taken = {held.name for held in found.values()}
    free = {plain_name(name): name for name in present if name not in taken and len(name) <= _SHOWN}
    wanted = ["ttft_s"] if "ttft" not in found else []
    if "ttft" in found and "whole" in found:
        wanted = ["output_tok"]
    elif not {"tpot", "speed"} & set(found):
        wanted += ["tpot_s", "e2e_s", "total_s"]
    near = ((ours, get_close_matches(ours, free, n=1, cutoff=0.7)) for ours in wanted)
    hints = "".join(f"; is {printable(free[hit[0]])} {ours}?" for ours, hit in near if hit)
    needs = "needs ttft_s with tpot_s, or with e2e_s and output_tok (also in ms, us or ns)"
    return f"{needs}{hints}; its columns are: {listed}"


def is_near(names: Iterable[str], found: Mapping[str, Found]) -> bool:
    """Tell whether a table that is not enough was meant as one of latencies: it has a TTFT, or nearly."""
    from difflib import get_close_matches

    near = get_close_matches("ttft_s", [plain_name(name) for name in names if len(name) <= _SHOWN], n=1, cutoff=0.7)
    return "ttft" in found or (bool(near) and bool({"tpot", "whole", "speed"} & set(found)))
