"""All figures of a result folder, from its files alone."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from discosim.core.folders import fill
from discosim.core.places import Kind, place_of
from discosim.report.figures.cost_ttft import cost_ttft_table, draw_cost_ttft
from discosim.report.figures.server_series import COLUMNS as SERIES_COLUMNS
from discosim.report.figures.server_series import draw_server_series, server_series_table
from discosim.report.figures.timeline import REQUEST_COLUMNS, TOKEN_COLUMNS, draw_timeline, timeline_table
from discosim.report.figures.timeline_work import WORK_COLUMNS
from discosim.report.figures.ttft_cdf import COLUMNS, draw_ttft_cdf, ttft_cdf_table
from discosim.report.input_rows import tail_note
from discosim.report.style import message_figure, save
from discosim.report.tables import known_columns, read_columns, read_summary
from discosim.runs.facts import FACTS
from discosim.runs.folder import SERIES
from discosim.runs.whole import checked_facts


def draw_all(folder: Path) -> list[Path]:
    """Draw the figures of a run into ``figures/``, each beside the table it is drawn from.

    Parameters
    ----------
    folder : Path
        A result folder with requests.parquet, example_tokens.parquet and summary.json, and of a white-box server
        series.parquet.

    Returns
    -------
    list of Path
        The files written: a CSV and a PNG for each figure.

    Raises
    ------
    UserError
        If a file is missing or not as the run wrote it, or ``figures/`` cannot be written; then it stays as it was.
    """
    if (folder / FACTS).exists():
        checked_facts(folder)
    summary = read_summary(folder / "summary.json")
    policies = list(summary["policies"])
    work = known_columns(folder / "requests.parquet", WORK_COLUMNS)
    columns = list(dict.fromkeys((*COLUMNS, *REQUEST_COLUMNS, *work)))
    requests = read_columns(folder / "requests.parquet", columns)
    tokens = read_columns(folder / "example_tokens.parquet", TOKEN_COLUMNS)

    cdf = ttft_cdf_table(requests, policies)
    cost = cost_ttft_table(summary)
    drawn: list[tuple[str, pd.DataFrame, Figure]] = [
        ("ttft_cdf", cdf, draw_ttft_cdf(cdf, tail_note(summary))),
        ("cost_ttft", cost, draw_cost_ttft(cost)),
    ]
    if len(tokens):
        request = timeline_table(tokens, requests, policies=policies)
        drawn.append(("timeline", request, draw_timeline(request)))
    else:
        nothing = message_figure("Timeline of one request", "No example request was answered.")
        drawn.append(("timeline", tokens, nothing))

    if (folder / SERIES).is_file():
        seconds = read_columns(folder / SERIES, SERIES_COLUMNS)
        asked = set(seconds["policy"].unique())  # a policy may ask the server for nothing
        series = server_series_table(seconds, [policy for policy in policies if policy in asked])
        drawn.append(("server_series", series, draw_server_series(series)))

    target = folder / "figures"
    names = [f"{name}.{suffix}" for name, _, _ in drawn for suffix in ("csv", "png")]

    def write(place: Path) -> None:
        for name, table, figure in drawn:
            table.to_csv(place / f"{name}.csv", index=False, float_format="%.9g", lineterminator="\n")
            save(figure, place / name)

    fill(place_of(target), Kind(own=frozenset(names), last=names[-1]), write, judge=lambda _: True)
    return [target / name for name in names]
