"""The numbers of a picture as a LaTeX table (package ``booktabs``), with intervals and digits that follow them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from discosim.metrics.labels import metric_label
from discosim.report.plots.cells import quantiles_of
from discosim.report.plots.choice import NOTHING
from discosim.report.plots.panels import dim_label
from discosim.report.plots.plan import Plan
from discosim.report.plots.source import Dim, text_of

_ESCAPES = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "≥": r"$\geq$", "·": r"$\cdot$", "±": r"$\pm$", "*": r"*",
}  # fmt: skip
FOR_NOTHING = "--"


def latex_table(plan: Plan) -> str:
    """Return a ``tabular`` with the cells of a picture: a row for each line, a column for each value along x.

    Means with the half-width of their 95 % interval, both to two digits of the interval; three digits where there is
    none. Of distributions it holds p50, p90, p95 and p99.
    """
    choice, table = plan.choice, plan.table
    if choice.kind == "cdf":
        table = quantiles_of(plan.source, choice)
    is_best = "best" in table
    lead = _lead(plan)
    across = "x" if _is_across(plan) else ""
    heads = list(dict.fromkeys(table[across])) if across else [""]
    metrics = list(dict.fromkeys(table["metric"])) if "metric" in table else [choice.z]
    rows = list(dict.fromkeys(table[[name for name, _ in lead]].itertuples(index=False, name=None)))
    held: dict[tuple[Any, ...], str] = {}
    for _, cell in table.iterrows():
        key = (*(cell[name] for name, _ in lead), cell[across] if across else "", cell.get("metric", choice.z))
        held[key] = _best(cell) if is_best else number_text(float(cell["mean"]), float(cell["high"] - cell["mean"]))
    lines = [*_comments(plan), rf"\begin{{tabular}}{{{'l' * len(lead)}{'r' * len(heads) * len(metrics)}}}", r"\toprule"]
    lines += _heading(plan, lead, heads, metrics)
    lines.append(r"\midrule")
    before: tuple[Any, ...] = ()
    for row in rows:
        # what stands above is not said again, and blocks are parted
        if before and len(row) > 1 and row[0] != before[0]:
            lines.append(r"\addlinespace")
        same = [i for i in range(len(row)) if before and row[: i + 1] == before[: i + 1]]
        said = ["" if i in same else escaped(text_of(value)) for i, value in enumerate(row)]
        numbers = [held.get((*row, head, metric), FOR_NOTHING) for metric in metrics for head in heads]
        lines.append(" & ".join([*said, *numbers]) + r" \\")
        before = row
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def number_text(mean: float, half: float) -> str:
    r"""Return a mean and its half-width with two digits of the latter.

    Examples
    --------
    >>> number_text(1.7468, 0.3498), number_text(0.04312, float("nan")), number_text(1234.56, 78.9)
    ('$1.75 \\pm 0.35$', '$0.0431$', '$1235 \\pm 79$')
    >>> number_text(0.0, 0.0), number_text(float("nan"), 1.0)
    ('$0$', '--')
    """
    if not math.isfinite(mean):
        return FOR_NOTHING
    if not math.isfinite(half) or half == 0.0:
        if mean == 0.0:
            return "$0$"
        decimals = max(0, 2 - math.floor(math.log10(abs(mean))))
        text = f"{mean:.{decimals}f}"
        return f"${text.rstrip('0').rstrip('.') if half == 0.0 and '.' in text else text}$"
    decimals = max(0, 1 - math.floor(math.log10(half)))
    return rf"${mean:.{decimals}f} \pm {half:.{decimals}f}$"


def escaped(text: str) -> str:
    r"""Return a text that LaTeX prints as it is.

    Examples
    --------
    >>> escaped("server_only & 95 %")
    'server\\_only \\& 95 \\%'
    """
    return "".join(_ESCAPES.get(character, character) for character in text)


def _best(cell: pd.Series) -> str:
    star = "" if bool(cell["is_clear"]) else r"$^{*}$"
    return f"{escaped(text_of(cell['best']))}{star}"


def _is_across(plan: Plan) -> bool:
    """Tell whether values along x are columns of the table; policies are rows, and so are points of a front."""
    choice = plan.choice
    if choice.kind in ("cdf", "heat"):
        return True
    return choice.kind != "pareto" and isinstance(choice.x, Dim) and choice.x.name != "policy"


def _lead(plan: Plan) -> list[tuple[str, str]]:
    """Return the columns that say what a row is: name in the table of numbers, and heading."""
    choice = plan.choice
    dims = [("row", choice.rows), ("column", choice.columns)]
    if choice.kind == "heat":
        dims.append(("y", choice.y_dim))
    elif choice.series is not NOTHING:
        dims.append(("series", choice.series))
    if choice.kind == "pareto" and choice.path is not NOTHING:
        dims.append(("x", choice.path))
    elif not _is_across(plan) and isinstance(choice.x, Dim):
        dims.append(("x", choice.x))
    found = [(name, dim_label(dim) or "policy") for name, dim in dims if dim is not NOTHING]
    return found or [("series", "")]


def _heading(plan: Plan, lead: Sequence[tuple[str, str]], heads: Sequence[Any], metrics: Sequence[str]) -> list[str]:
    """Return the lines above the numbers: metrics, and below them the values along x where they are columns."""
    x = plan.choice.x
    names = [escaped(label) for _, label in lead]
    labels = [escaped(metric_label(metric)) for metric in metrics]
    if len(heads) == 1 and heads[0] == "":
        return [" & ".join([*names, *labels]) + r" \\"]
    along = escaped(dim_label(x)) if isinstance(x, Dim) else ""
    n, first = len(heads), len(lead)
    spans = [rf"\multicolumn{{{n}}}{{c}}{{{label}{f' by {along}' if along else ''}}}" for label in labels]
    rules = [rf"\cmidrule(lr){{{first + 1 + i * n}-{first + (i + 1) * n}}}" for i in range(len(labels))]
    values = [escaped(text_of(value)) for _ in metrics for value in heads]
    return [" & ".join([*[""] * first, *spans]) + r" \\", " ".join(rules), " & ".join([*names, *values]) + r" \\"]


def _comments(plan: Plan) -> list[str]:
    text = plan.caption.replace("\n", " ")
    if plan.choice.kind == "cdf":
        text = f"Quantiles by replication, mean and 95 % interval. {text}"
    note = [r"% * the paired 95 % interval of its gain over some other one holds 0."] if "best" in plan.table else []
    return [f"% {text}", *note, f"% from {plan.source.name}; needs \\usepackage{{booktabs}}"]
