"""The requests whose tokens a run keeps, as the explorer of single requests shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discosim.core.errors import UserError
from discosim.metrics.definitions import DEFINITIONS
from discosim.metrics.words import in_words, readable
from discosim.report.figures.timeline import REQUEST_COLUMNS, TOKEN_COLUMNS, timeline_table
from discosim.report.figures.timeline_work import ROLES, WORK_COLUMNS, wasted
from discosim.report.tables import read_columns

if TYPE_CHECKING:
    import pandas as pd

MAX_TOKENS = 30_000
"""Token rows that a page may carry; about 25 characters each."""

MAX_RUNS = 24
"""Runs of a sweep whose requests a page may carry."""

FILES = ("requests.parquet", "example_tokens.parquet")

FACTS = (
    "ttft_s", "e2e_s", "tbt_max_s", "tbt_displayed_max_s", "stall_s", "n_tok_late", "n_migrations", "qoe_andes",
    "n_tok_device", "n_tok_server", "n_tok_edge", "n_tok_wasted", "server_cost_usd", "device_energy_j",
    "unified_cost_usd", "quality_assumed",
)  # fmt: skip
"""Columns of requests.parquet that stand beside a timeline, where the file has them."""


def examples_data(runs: Mapping[str, Path], policies: Sequence[str]) -> dict[str, Any] | None:
    """Return the kept requests of each run, or None if there are none.

    Parameters
    ----------
    runs : mapping of str to Path
        What a run is called on the page -> its result folder; a folder without the two files is left out.
    policies : sequence of str
        In the order of the page.
    """
    whole = {name: folder for name, folder in runs.items() if all((folder / file).is_file() for file in FILES)}
    names = list(whole)
    if len(names) > MAX_RUNS:  # as evenly as can be, the first and the last among them
        names = [names[k * (len(names) - 1) // (MAX_RUNS - 1)] for k in range(MAX_RUNS)]
    found = [{"name": name, **example_data(whole[name], policies, MAX_TOKENS // len(names))} for name in names]
    found = [run for run in found if run["requests"]]
    return {"runs": found, "nRunsLeftOut": len(whole) - len(names)} if found else None


def example_data(folder: Path, policies: Sequence[str], most_tok: int = MAX_TOKENS) -> dict[str, Any]:
    """Return the kept requests with the tokens of every policy, in seconds since the request.

    Parameters
    ----------
    folder : Path
        A result folder with requests.parquet and example_tokens.parquet.
    policies : sequence of str
        In the order of the page.
    most_tok : int
        Token rows to return, but for those of the first request, which always comes.

    Raises
    ------
    UserError
        If a file cannot be read.
    """
    tokens = read_columns(folder / "example_tokens.parquet", TOKEN_COLUMNS)
    known = [name for name in (*FACTS, *WORK_COLUMNS) if _has(folder / "requests.parquet", name)]
    requests = read_columns(folder / "requests.parquet", list(dict.fromkeys([*REQUEST_COLUMNS, *known])))
    # the picture draws one replication, and so does the explorer
    requests = requests[requests["replication"] == (tokens["replication"].min() if len(tokens) else 0)]
    found: list[dict[str, Any]] = []
    n_tokens, n_left_out = 0, 0
    for request_id, rows in tokens.groupby("request_id", sort=False):
        if found and n_tokens + len(rows) > most_tok:
            n_left_out += 1
            continue
        n_tokens += len(rows)
        found.append(_request(tokens, requests, int(str(request_id)), policies))
    shown = [name for name in FACTS if name in requests.columns]
    about = []
    for k, name in enumerate(shown):
        answers = [answer for request in found for answer in request["answers"] if answer]
        unit = readable(name, DEFINITIONS[name].unit, [answer["facts"][k] for answer in answers])
        for answer in answers:
            answer["facts"][k] *= unit.factor
        per = "per 1,000 like it" if unit.per else ""
        label, text = in_words(name), DEFINITIONS[name].description
        about.append({"label": label, "unit": unit.unit, "prefix": unit.prefix, "per": per, "about": text})
    return {"requests": found, "facts": about, "nLeftOut": n_left_out}


def _has(path: Path, column: str) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as file:
            return column in pq.read_schema(file).names
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UserError(f"not a readable Parquet file ({' '.join(str(error).split())})", where=str(path)) from None


def _request(tokens: pd.DataFrame, requests: pd.DataFrame, request_id: int, policies: Sequence[str]) -> dict[str, Any]:
    known = [policy for policy in policies if policy in set(requests["policy"])]
    rows = timeline_table(tokens, requests, request_id, known)
    first = rows.iloc[0]
    mine = requests[requests["request_id"] == request_id]
    return {
        "id": request_id,
        "replication": int(first["replication"]),
        "arrival_s": float(mine["arrival_s"].iloc[0]),
        "prompt_tok": int(first["prompt_tok"]),
        "output_tok": int(first["output_tok"]),
        "reader_tok_per_s": float(first["reader_tok_per_s"]),
        "ttft_target_s": float(first["ttft_target_s"]),
        "answers": [_answer(rows[rows["policy"] == policy], mine[mine["policy"] == policy]) for policy in policies],
    }


def _answer(rows: pd.DataFrame, request: pd.DataFrame) -> dict[str, Any] | None:
    if rows.empty or request.empty:
        return None
    facts = request.iloc[0]
    shown = rows[rows["token_index"] > 0]
    return {
        "status": str(facts["status"]),
        "device": bool(facts["is_device_dispatched"]),
        "server": bool(facts["is_server_dispatched"]),
        "facts": [float(facts[name]) for name in FACTS if name in request.columns],
        "by": shown["endpoint"].tolist(),
        "made": shown["generated_s"].tolist(),
        "came": shown["delivered_s"].tolist(),
        "shown": shown["displayed_s"].tolist(),
        "late": shown["is_late"].astype(int).tolist(),
        "vain": [] if shown.empty else _in_vain(rows),
    }


def _in_vain(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return what each role worked and nobody saw: prompt tokens and tokens."""
    found = [(role, *wasted(rows, role)) for role in ROLES]
    return [{"by": role, "prompt": round(prompt), "tok": round(tok)} for role, prompt, tok in found if prompt or tok]
