"""Figure: one request, token by token: who prefilled, who decoded, what was buffered, what was on screen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from discosim.core.errors import UserError
from discosim.report.figures.timeline_lanes import EDGE_LANES, LANES, draw_lanes, segments, timeline_legend
from discosim.report.figures.timeline_work import ROLES, WORK_COLUMNS, wasted, work_facts, work_text
from discosim.report.style import (
    ENDPOINT_COLOURS,
    LATE_COLOUR,
    MUTED,
    PAGE_IN,
    PALE,
    Picture,
    house_style,
    message_figure,
    role_of,
)
from discosim.report.tables import need_columns, policy_names

TOKEN_COLUMNS = (
    "policy", "replication", "request_id", "token_index", "endpoint", "generated_s", "delivered_s", "displayed_s",
)  # fmt: skip
REQUEST_COLUMNS = (
    "policy", "replication", "request_id", "arrival_s", "prompt_tok", "output_tok", "reader_tok_per_s",
    "ttft_target_s", "is_device_dispatched", "is_server_dispatched", "n_migrations", "status",
)  # fmt: skip
TOLERANCE_S = 1e-9
MAX_LATE_MARKS = 30
LONGEST_NAME = 24
AFTER_ARRIVAL = 1.25


def timeline(
    tokens: pd.DataFrame,
    requests: pd.DataFrame,
    request_id: int | None = None,
    policies: Sequence[str] | None = None,
) -> Figure:
    """Draw the timeline of one request under several policies; arguments and errors as in :func:`timeline_table`."""
    return draw_timeline(timeline_table(tokens, requests, request_id, policies))


def timeline_table(
    tokens: pd.DataFrame,
    requests: pd.DataFrame,
    request_id: int | None = None,
    policies: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Collect one request's tokens under several policies, in seconds since the request.

    Parameters
    ----------
    tokens : DataFrame
        Rows of example_tokens.parquet or tokens.parquet.
    requests : DataFrame
        Rows of requests.parquet.
    request_id : int, optional
        Which request; where omitted, the one that migrates under most policies and is neither very short nor long.
        Of several replications the first that holds it is taken.
    policies : sequence of str, optional
        Which policies, in which order; all, in the order of ``requests``, where omitted.

    Returns
    -------
    DataFrame
        One row per policy and token: ``policy, replication, request_id, status, prompt_tok, output_tok,
        reader_tok_per_s, ttft_target_s, is_device_dispatched, is_server_dispatched``; ``token_index``, ``endpoint``,
        ``generated_s, delivered_s, displayed_s``; ``ideal_s``, the slot of the token for a reader who gets the first
        one at the TTFT target; ``is_late``, whether it came after its slot in the reading schedule that began with
        the first token; ``is_handed_over``, whether another endpoint produced the token before. Where ``requests``
        say what was billed, also what was thrown away and what it all took (`timeline_work.work_facts`). A policy
        under which the request was not answered has one row, with token index 0.

    Raises
    ------
    UserError
        If a column is missing, a policy is unknown, or there are no tokens of the request.
    """
    tokens = need_columns(tokens, TOKEN_COLUMNS, "tokens")
    known = [name for name in WORK_COLUMNS if name in requests]
    requests = need_columns(requests, (*REQUEST_COLUMNS, *known), "requests")
    names = policy_names(requests, policies)
    wanted, replication = _choose(tokens, requests, names, request_id)
    blocks = []
    for policy in names:
        request = _rows_of(requests, policy, wanted, replication)
        if request.empty:
            continue
        answer = _rows_of(tokens, policy, wanted, replication).sort_values("token_index")
        blocks.append(_block(policy, request.iloc[0], answer))
    return pd.concat(blocks, ignore_index=True)


def _rows_of(frame: pd.DataFrame, policy: str, request_id: int, replication: int) -> pd.DataFrame:
    is_wanted = (frame["request_id"] == request_id) & (frame["replication"] == replication)
    return frame[is_wanted & (frame["policy"] == policy)]


def _choose(
    tokens: pd.DataFrame, requests: pd.DataFrame, names: Sequence[str], request_id: int | None
) -> tuple[int, int]:
    """Return the request and the replication to draw."""
    held = tokens[tokens["policy"].isin(names)][["replication", "request_id"]].drop_duplicates()
    if request_id is not None:
        replications = held.loc[held["request_id"] == request_id, "replication"]
        if replications.empty:
            some = ", ".join(str(i) for i in sorted(held["request_id"].unique())[:8])
            raise UserError(
                f"there are no tokens of request {request_id}; there are of {some or 'none'} "
                "(a run with --tokens keeps all)",
                where="request_id",
            )
        return request_id, int(replications.min())
    if held.empty:
        raise UserError("there are no tokens of any of the policies", where="tokens")
    facts = requests[requests["policy"].isin(names)].merge(held, on=["replication", "request_id"])
    by_request = facts.groupby(["replication", "request_id"]).agg(
        n_migrations=("n_migrations", "sum"), output_tok=("output_tok", "first")
    )
    # an answer of about 120 tokens shows both single tokens and the whole
    by_request["awkward"] = (np.log(by_request["output_tok"] / 120.0)).abs()
    ranked = by_request.sort_values(["n_migrations", "awkward"], ascending=[False, True], kind="stable")
    replication, chosen = ranked.index[0]
    return int(chosen), int(replication)


def _block(policy: str, request: pd.Series, answer: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of one policy."""
    kept = ("replication", "request_id", "status", "prompt_tok", "output_tok", "reader_tok_per_s", "ttft_target_s")
    facts = {"policy": policy} | {name: request[name] for name in kept}
    facts |= {name: bool(request[name]) for name in ("is_device_dispatched", "is_server_dispatched")}
    if any(name in request for name in WORK_COLUMNS):
        facts |= work_facts({str(name): value for name, value in request.items()}, answer)
    if answer.empty:
        nothing = {"token_index": 0, "endpoint": "", "is_late": False, "is_handed_over": False}
        times = dict.fromkeys(("generated_s", "delivered_s", "displayed_s", "ideal_s"), np.nan)
        return pd.DataFrame([facts | nothing | times])
    rows = answer[["token_index", "endpoint", "generated_s", "delivered_s", "displayed_s"]].reset_index(drop=True)
    rows["endpoint"] = rows["endpoint"].astype(str)
    for name in ("generated_s", "delivered_s", "displayed_s"):
        rows[name] -= float(request["arrival_s"])
    slot_s = (rows["token_index"] - 1) / float(request["reader_tok_per_s"])
    rows["ideal_s"] = float(request["ttft_target_s"]) + slot_s
    rows["is_late"] = rows["delivered_s"] > rows["delivered_s"].iloc[0] + slot_s + TOLERANCE_S
    rows["is_handed_over"] = rows["endpoint"].ne(rows["endpoint"].shift(fill_value=rows["endpoint"].iloc[0]))
    for place, (name, value) in enumerate(facts.items()):
        rows.insert(place, name, value)
    return rows


def draw_timeline(table: pd.DataFrame) -> Figure:
    """Draw the table of :func:`timeline_table`: one panel per policy, on one time axis.

    The axis ends soon after the last token arrived under the slowest policy; reading may go on beyond it.
    """
    groups = [(str(policy), rows) for policy, rows in table.groupby("policy", sort=False)]
    first = table.iloc[0]
    title = (
        f"Request {first['request_id']} of replication {first['replication']}: {first['prompt_tok']:,} prompt tokens, "
        f"answer of {first['output_tok']:,} tokens, reader at {first['reader_tok_per_s']:g} tokens/s"
    )
    arrived_s, shown_s = table["delivered_s"].max(), table["displayed_s"].max()
    if np.isnan(arrived_s):
        return message_figure(title, "The request was not answered under any policy.")
    end_s = min(shown_s, AFTER_ARRIVAL * arrived_s)
    n_columns = 1 if len(groups) <= 2 else 2
    n_rows = -(-len(groups) // n_columns)
    names = EDGE_LANES if (table["endpoint"] == "edge").any() else LANES
    is_full = len(groups) % n_columns == 0
    legend = timeline_legend(names, has_thrown=any(sum(wasted(rows, role)) > 0 for _, rows in groups for role in ROLES))
    with house_style():
        figure = Picture(figsize=(PAGE_IN, (0.9 if is_full else 0.5) + 1.85 * n_rows), layout="constrained")
        grid = figure.add_gridspec(2 * n_rows, n_columns, height_ratios=[0.3, 1.0] * n_rows)
        for i, (policy, rows) in enumerate(groups):
            row, column = divmod(i, n_columns)
            lanes = figure.add_subplot(grid[2 * row, column])
            main = figure.add_subplot(grid[2 * row + 1, column], sharex=lanes)
            lanes.set_xlim(-0.01 * end_s, 1.02 * end_s)
            lanes.set_title(_shortened(policy), fontweight="bold")
            lanes.set_title("\n".join(filter(None, (work_text(rows), _facts(rows)))), loc="right", fontsize=6.5)
            draw_lanes(lanes, rows, names)
            _draw_curves(main, rows, end_s)
            if column == 0:
                main.set_ylabel("tokens")
            if i + n_columns >= len(groups):
                main.set_xlabel("time since the request [s]")
        figure.suptitle(title)
        if is_full:
            figure.legend(handles=legend, loc="outside lower center", ncols=4, handlelength=1.6, columnspacing=1.2)
        else:
            spare = figure.add_subplot(grid[-2:, -1])
            spare.set_axis_off()
            spare.legend(handles=legend, loc="center", labelspacing=0.7)
    return figure


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _facts(rows: pd.DataFrame) -> str:
    if rows["token_index"].iloc[0] == 0:
        return str(rows["status"].iloc[0])
    parts = [f"TTFT {rows['delivered_s'].iloc[0]:.2f} s"]
    parts += [f"{rows['endpoint'][i]} from token {rows['token_index'][i]}" for i in _hand_overs(rows)]
    parts.append(f"{int(rows['is_late'].sum())} late")
    return ", ".join(parts)


def _hand_overs(rows: pd.DataFrame) -> list[int]:
    """Return the index labels of the first tokens after each change of the endpoint."""
    return [int(i) for i in rows.index[rows["is_handed_over"]]]


def _draw_curves(axes: Axes, rows: pd.DataFrame, end_s: float) -> None:
    """Draw tokens at the client and on the screen against time, up to about ``end_s``."""
    axes.set_ylim(0, 1.05 * int(rows["output_tok"].iloc[0]))
    if rows["token_index"].iloc[0] == 0:
        axes.text(0.5, 0.5, "no answer", transform=axes.transAxes, ha="center", va="center", color=MUTED)
        return
    index, delivered = rows["token_index"].to_numpy(), rows["delivered_s"].to_numpy()
    displayed = rows["displayed_s"].to_numpy()
    moments = np.sort(np.concatenate([delivered, displayed]))
    on_screen, arrived = (np.searchsorted(np.sort(times), moments, side="right") for times in (displayed, delivered))
    axes.fill_between(moments, on_screen, arrived, step="post", color=PALE, linewidth=0)
    axes.plot(rows["ideal_s"], index, color=MUTED, linestyle=(0, (4, 2)), linewidth=0.9)
    for part in segments(rows):
        at = slice(int(part.index[0] - rows.index[0]), int(part.index[-1] - rows.index[0]) + 1)
        axes.plot(
            delivered[at],
            index[at],
            color=ENDPOINT_COLOURS[role_of(str(part["endpoint"].iloc[0]))],
            linewidth=2.2,
            drawstyle="steps-post",
        )
    axes.plot(displayed, index, color="black", linewidth=0.9, drawstyle="steps-post")
    read_s = float(displayed[-1])
    if read_s > 1.02 * end_s:
        axes.text(
            0.99, 0.03, f"reading ends at {read_s:.1f} s", transform=axes.transAxes, ha="right", fontsize=6, color=MUTED
        )
    late = rows[rows["is_late"]]
    if len(late):
        every = -(-len(late) // MAX_LATE_MARKS)
        axes.plot(
            late["delivered_s"],
            late["token_index"],
            linewidth=0,
            marker="x",
            markersize=3.5,
            color=LATE_COLOUR,
            markeredgewidth=0.9,
            markevery=every,
        )
    for i in _hand_overs(rows):
        axes.axvline(rows["delivered_s"][i - 1], color="black", linestyle=(0, (1, 1.5)), linewidth=0.9)
