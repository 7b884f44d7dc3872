"""What each endpoint did for one request that nobody saw, from the bill and from what was shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from discosim.report.style import role_of

WORK_COLUMNS = (
    "device_prefill_tok", "device_decode_tok", "device_energy_j", "server_prompt_tok", "server_output_tok",
    "server_cost_usd", "edge_prefill_tok", "edge_decode_tok", "sketch_tok", "n_parts",
)  # fmt: skip
"""Columns of requests.parquet that say it; a table without them is drawn without it."""

LONGEST_LINE = 40
_TAKEN = (("device", "device_energy_j", "J", 1.0), ("server", "server_cost_usd", "mUSD", 1e3), ("edge", "", "", 1.0))
ROLES = ("device", "server", "edge")
_BILLED = {
    "device": ("device_prefill_tok", "device_decode_tok"),
    "server": ("server_prompt_tok", "server_output_tok"),
    "edge": ("edge_prefill_tok", "edge_decode_tok"),
}


def work_facts(request: Mapping[str, Any], answer: pd.DataFrame) -> dict[str, float]:
    """Return what was thrown away of one request, and what it all took.

    Parameters
    ----------
    request : mapping
        A row of requests.parquet.
    answer : DataFrame
        Its token rows, in their order; empty where it was not answered.

    Returns
    -------
    dict of str to float
        ``<role>_wasted_prefill_tok``: prompt tokens that a role processed beyond those of the streams whose tokens were
        shown (the prompt, and for a hand-over the answer so far); ``<role>_wasted_tok``: tokens it generated and
        nobody saw, sketches apart; ``device_energy_j`` and ``server_cost_usd``. NaN where the table does not say, and
        for prompt tokens of an answer that was sketched or written in parts, whose streams cannot be told from it.

    Notes
    -----
    Source: our choice. Streams themselves are not kept; what was billed and not needed is what was thrown away.
    """
    facts: dict[str, float] = {name: _number(request, name) for name in ("device_energy_j", "server_cost_usd")}
    needed, shown = dict.fromkeys(ROLES, 0.0), dict.fromkeys(ROLES, 0.0)
    if len(answer):
        runs = answer["endpoint"].astype(str).ne(answer["endpoint"].astype(str).shift()).cumsum()
        for _, part in answer.groupby(runs):
            role = role_of(str(part["endpoint"].iloc[0]))
            needed[role] += float(request["prompt_tok"]) + float(part["token_index"].iloc[0]) - 1.0
            shown[role] += len(part)
    shown["server"] += np.nan_to_num(_number(request, "sketch_tok"))
    is_plain = not (_number(request, "sketch_tok") > 0.0 or _number(request, "n_parts") > 0.0)
    for role, (prefill, decode) in _BILLED.items():
        spare = _number(request, prefill) - needed[role]
        # a prefill that was cut short ends within a token
        facts[f"{role}_wasted_prefill_tok"] = max(0.0, float(np.round(spare))) if is_plain else np.nan
        facts[f"{role}_wasted_tok"] = max(0.0, _number(request, decode) - shown[role])
    return facts


def wasted(rows: pd.DataFrame, role: str) -> tuple[float, float]:
    """Return prompt tokens and tokens that a role threw away, of a block of the timeline's table; 0 if unknown."""
    names = (f"{role}_wasted_prefill_tok", f"{role}_wasted_tok")
    prefill, decode = (float(np.nan_to_num(rows[name].iloc[0])) if name in rows else 0.0 for name in names)
    return prefill, decode


def work_text(rows: pd.DataFrame) -> str:
    """Return in a line or two what a request took, and what of it was thrown away; '' where it is not known."""
    parts = []
    for role, column, unit, factor in _TAKEN:
        amount = factor * float(rows[column].iloc[0]) if column in rows else np.nan
        thrown = _thrown(rows, role)
        if thrown or amount > 0.0:
            parts.append(f"{_three(amount)} {unit}{thrown}" if unit else f"{role}{thrown}")
    text = ", ".join(parts)
    return text if len(text) <= LONGEST_LINE else ",\n".join(parts)


def _thrown(rows: pd.DataFrame, role: str) -> str:
    prefill_tok, tok = wasted(rows, role)
    parts = [f"{prefill_tok:,.0f} prompt"] if prefill_tok else []
    parts += [f"{tok:,.0f} answer"] if tok else []
    return f" ({' and '.join(parts)} tokens thrown away)" if parts else ""


def _three(value: float) -> str:
    if value == 0.0:
        return "0"
    return f"{value:,.{max(0, 2 - int(np.floor(np.log10(abs(value)))))}f}"


def _number(request: Mapping[str, Any], name: str) -> float:
    return float(request[name]) if name in request else float("nan")
