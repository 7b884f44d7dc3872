"""Figure: what offloading does to the server itself: its own tail TTFT against the share that devices take over."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from discosim.metrics.stats import t_interval
from discosim.report.style import PAGE_IN, Picture, house_style, look, marker, message_figure
from discosim.report.tables import need_columns

COLUMNS = ("load", "setting", "replication", "first_endpoint", "is_server_dispatched", "ttft_s", "status")
TITLE = "The server's own p99 TTFT against the share of requests that devices answer"
TAIL = 0.99

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def server_relief(requests: pd.DataFrame) -> Figure:
    """Draw the server's tail by load; arguments and errors as in :func:`server_relief_table`."""
    return draw_server_relief(server_relief_table(requests))


def server_relief_table(requests: pd.DataFrame) -> pd.DataFrame:
    """Compute the server's own p99 TTFT for every load and setting.

    Parameters
    ----------
    requests : DataFrame
        Rows of requests.parquet of one policy under several scenarios: ``load``, requests/s offered; ``setting``,
        whatever makes the policy offload more (a budget); ``replication``, ``first_endpoint``,
        ``is_server_dispatched``, ``ttft_s``, ``status``.

    Returns
    -------
    DataFrame
        One row per load and setting: ``load``, ``setting``; ``offloaded_share``, the part of the served requests
        whose first token came from a device; ``p99_s``, the geometric mean over replications, with ``p99_low_s`` and
        ``p99_high_s``, its 95 % interval (t of the logarithms; NaN with fewer than two); ``n_replications``.

    Raises
    ------
    UserError
        If a column is missing.

    Notes
    -----
    Where a device answers first, the server is cancelled before anybody sees its first token: its TTFT is known to
    be longer than the device's and nothing more. Leaving these requests out would make the server look better the
    more of them there are, so the quantile is Kaplan and Meier's, with these as censored.

    Source: Kaplan and Meier (1958), as ``scipy.stats.ecdf``; cancels count as independent of the server's wait at
    that moment (our assumption: the wait does not ask for the length of the prompt, by which devices are quick or
    slow). Tails near saturation differ by factors between replications, hence logarithms (our choice).
    """
    served = need_columns(requests, COLUMNS, "requests")
    served = served[served["status"] == "finished"]
    rows = []
    for (load, setting), group in served.groupby(["load", "setting"], sort=True):
        offloaded = group["first_endpoint"] == "device"
        tails = [server_tail_s(part) for _, part in group.groupby("replication")]
        interval = t_interval(np.log(tails))
        rows.append(
            {
                "load": load,
                "setting": setting,
                "offloaded_share": float(offloaded.mean()),
                "p99_s": float(np.exp(interval.mean)),
                "p99_low_s": float(np.exp(interval.mean - interval.half_width)),
                "p99_high_s": float(np.exp(interval.mean + interval.half_width)),
                "n_replications": len(tails),
            }
        )
    return pd.DataFrame(rows)


def server_tail_s(served: pd.DataFrame) -> float:
    """Return the server's own p99 TTFT over served requests of one replication; NaN where it is never reached.

    Requests that a device answered first are known only to have taken longer, see :func:`server_relief_table`.
    """
    asked = served[served["is_server_dispatched"].astype(bool)]
    is_seen = (asked["first_endpoint"] == "server").to_numpy(dtype=bool)
    return censored_quantile(asked["ttft_s"].to_numpy(dtype=float), is_seen, TAIL)


def censored_quantile(time_s: Floats, is_seen: Bools, q: float) -> float:
    """Return the quantile of times of which some are known only to be longer than the given value.

    Parameters
    ----------
    time_s : array of float, shape (n,)
        When the event was seen, or until when it was not.
    is_seen : array of bool, shape (n,)
        False where the time is only a lower bound.
    q : float
        In (0, 1).

    Returns
    -------
    float
        The first time by which the share ``q`` has been seen, by Kaplan and Meier; NaN if that never happens.

    Examples
    --------
    >>> import numpy as np
    >>> censored_quantile(np.array([1.0, 2.0, 3.0, 4.0]), np.array([True, True, True, True]), 0.5)
    2.0
    >>> censored_quantile(np.array([1.0, 2.0, 3.0, 4.0]), np.array([False, True, True, True]), 0.5)
    3.0
    """
    from scipy import stats

    if not is_seen.any():
        return float("nan")
    curve = stats.ecdf(stats.CensoredData.right_censored(time_s, ~is_seen)).sf
    reached = np.flatnonzero(curve.probabilities <= 1.0 - q + 1e-12)
    return float(curve.quantiles[reached[0]]) if reached.size else float("nan")


def draw_server_relief(table: pd.DataFrame) -> Figure:
    """Draw the table of :func:`server_relief_table`: one curve per load, with its intervals."""
    if table.empty or table["p99_s"].isna().all():
        return message_figure(TITLE, "The server answered no request.")
    with house_style():
        figure = Picture(figsize=(PAGE_IN, 3.2), layout="constrained")
        axes = figure.subplots()
        for i, (load, rows) in enumerate(table.groupby("load", sort=True)):
            ordered = rows.sort_values("offloaded_share")
            p99 = ordered["p99_s"].to_numpy()
            bars = np.nan_to_num([p99 - ordered["p99_low_s"].to_numpy(), ordered["p99_high_s"].to_numpy() - p99])
            axes.errorbar(
                100.0 * ordered["offloaded_share"].to_numpy(),
                p99,
                yerr=bars,
                label=f"{load:g} requests/s",
                marker=marker(i),
                capsize=2,
                elinewidth=0.8,
                **look(i),
            )
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_xlabel("requests answered by a device [%]")
        axes.set_ylabel("p99 TTFT of the server [s]")
        axes.legend(title="offered load", title_fontsize=7)
        n = int(table["n_replications"].max())
        figure.suptitle(TITLE if n == 1 else f"{TITLE}\n{n} replications, bars: 95 % interval")
    return figure
