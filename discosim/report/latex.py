"""Results as LaTeX tables for a paper: booktabs, chosen columns and policies, digits by each cell's own interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from discosim.metrics.labels import factor_of, metric_label
from discosim.report.cells import cell, few_replications, lone
from discosim.report.frames import (
    axis_text,
    blocks_of,
    chosen_metrics,
    chosen_policies,
    headings_of_axes,
    sweep_frame,
)
from discosim.report.input_rows import by_what
from discosim.report.tables import PlainSummary, number

if TYPE_CHECKING:
    import pandas as pd

    from discosim.report.plots.inputs import Inputs

DEFAULT = ("ttft_mean_s", "ttft_p99_s", "qoe_andes_mean", "unified_cost_mean_usd")
_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "±": r"$\pm$", "≥": r"$\geq$", "·": r"$\cdot$",
}  # fmt: skip


def escaped(text: str) -> str:
    r"""Return text in which LaTeX reads every character as itself.

    Examples
    --------
    >>> print(escaped("DiSCo-D & 50%_a"))
    DiSCo-D \& 50\%\_a
    """
    return "".join(_SPECIAL.get(character, character) for character in " ".join(text.split()))


def run_latex(
    summary: PlainSummary,
    columns: Sequence[str] | None = None,
    policies: Sequence[str] | None = None,
    *,
    caption: str = "",
    label: str = "",
) -> str:
    r"""Return the table of a run: a row per policy, a column per metric.

    Parameters
    ----------
    summary : mapping
        The content of summary.json.
    columns, policies : sequence of str, optional
        Which metrics (four headline numbers by default) and policies (all), in this order.
    caption, label : str
        With either, the tabular stands in a ``table`` environment.

    Notes
    -----
    Needs ``\usepackage{booktabs}`` alone. Half-widths follow a plus-minus sign; each number has the digits that its
    own interval supports, and one that is the same in every replication has no interval.
    """
    names = chosen_metrics(list(summary["metrics"]), DEFAULT if columns is None else columns)
    kept = chosen_policies(list(summary["policies"]), policies)
    rows = []
    for policy in kept:
        cells = [
            _cell(
                number(summary, policy, name),
                number(summary, policy, name, "half_width"),
                factor_of(name),
            )
            for name in names
        ]
        rows.append([escaped(policy), *cells])
    few = few_replications(int(summary["n_replications"]))
    return _table(["policy", *map(_head, names)], rows, "l" + "r" * len(names), few, caption, label)


def sweep_latex(
    table: pd.DataFrame,
    columns: Sequence[str] | None = None,
    policies: Sequence[str] | None = None,
    *,
    caption: str = "",
    label: str = "",
    inputs: Inputs | None = None,
) -> str:
    """Return the table of a sweep: a row per point and policy, the axes first; `inputs` as of `sweep_frame`."""
    tidy = sweep_frame(table, list(DEFAULT if columns is None else columns), policies, inputs=inputs)
    names = list(tidy.attrs["units"])
    rows = []
    axes = headings_of_axes(table)
    for values, policy, records in blocks_of(tidy, list(axes)):
        cells = [_cell(r["value"], r["high"] - r["value"], factor_of(r["metric"])) for r in records]
        rows.append([*(escaped(axis_text(value)) for value in values), escaped(policy), *cells])
    heads = [*(escaped(axis) for axis in axes.values()), "policy", *map(_head, names)]
    few = few_replications(int(tidy["n"].max()) if len(tidy) else 0)
    if inputs is not None and len(tidy):
        by = by_what(inputs.rows_text(), is_partly=bool((tidy["is_by_luck"] & tidy["value"].notna()).any()))
        few = f"intervals {by}" + (f"; {few}" if few else "")
    return _table(heads, rows, "l" * (len(axes) + 1) + "r" * len(names), few, caption, label)


def _cell(value: float, half: float, factor: float) -> str:
    value, half = factor * value, factor * half
    mean, beside = cell(value, half, 3)
    if not beside:
        mean = lone(value) if mean not in {"0", "n/a"} else mean
        return "--" if mean == "n/a" else f"${_math(mean)}$"
    return f"${_math(mean)} \\pm {_math(beside)}$"


def _math(text: str) -> str:
    return text.replace(",", "{,}")


def _head(name: str) -> str:
    return escaped(metric_label(name))


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], form: str, few: str, caption: str, label: str) -> str:
    lines = [
        f"\\begin{{tabular}}{{{form}}}",
        "\\toprule",
        f"{' & '.join(heads)} \\\\",
        "\\midrule",
        *(f"{' & '.join(row)} \\\\" for row in rows),
        "\\bottomrule",
        "\\end{tabular}",
    ]
    if caption or label:
        head = [f"\\caption{{{escaped(caption)}}}"] if caption else []
        head += [f"\\label{{{label}}}"] if label else []
        lines = ["\\begin{table}", "\\centering", *head, *lines, "\\end{table}"]
    first = [
        "% requires \\usepackage{booktabs}; without \\pm: the same in every replication, or its interval is not known"
    ]
    first += [f"% {few}"] if few else []
    return "\n".join([*first, *lines]) + "\n"
