"""What tables and figures say of the rows behind inputs: which intervals these are, which numbers no row holds."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from discosim.metrics.influence import LEVELS
from discosim.report.columns import Column, lay_out
from discosim.report.tables import PlainSummary, number

if TYPE_CHECKING:
    import pandas as pd

WIDTH = 120
MARK = "*"
BEYOND = "What lies beyond the outermost row is not known, and no interval holds it."
PER_REQUESTS = 1000.0
HEADLINE = (
    ("mean TTFT", "s", "ttft_mean_s", 1.0),
    ("p99 TTFT", "s", "ttft_p99_s", 1.0),
    ("QoE", "1", "qoe_andes_mean", 1.0),
    ("unified cost per 1,000", "USD", "unified_cost_mean_usd", PER_REQUESTS),
)


def counted_inputs(summary: PlainSummary) -> list[dict[str, Any]]:
    """Return the inputs whose rows the intervals of a summary take into account; none where there is no inputs.json."""
    return [given for given in summary.get("inputs", {}).get("inputs", ()) if given["in_intervals"]]


def few_rows(summary: PlainSummary) -> str:
    """Return the inputs behind the intervals with their rows, the fewest first, in one line."""
    found = sorted(counted_inputs(summary), key=lambda given: int(given["n_rows"]))
    return ", ".join(f"{given['role']} {given['n_rows']:,} {given['unit']}" for given in found)


def with_inputs(summary: PlainSummary) -> str:
    """Return what a heading adds where intervals are those with inputs; '' where they are those of luck."""
    rows = few_rows(summary)
    return f", by luck and inputs ({rows})" if rows else ""


def by_what(rows: str, *, is_partly: bool) -> str:
    """Return what the intervals over several runs hold, by the inputs of few rows behind them.

    ``is_partly`` where some of them hold luck alone.
    """
    if not rows:
        return "by luck alone"
    return f"by luck and inputs ({rows})" + (", by luck alone where more is not known" if is_partly else "")


def mark(summary: PlainSummary, metric: str, policy: str, field: str = "mean") -> str:
    """Return the mark of a number that is a quantile beyond the rows of an input; of a change also the baseline's."""
    beyond = summary.get("inputs", {}).get("beyond", {})
    whose = {policy} if field == "mean" else {policy, str(summary["baseline"])}
    return MARK if any(metric in beyond.get(name, ()) for name in whose) else ""


def rests_on_no_row(table: pd.DataFrame, column: str) -> bool:
    """Say whether a column of a drawn table marks any row; a table without the column marks none."""
    return column in table and bool(table[column].any())


def caption(table: pd.DataFrame) -> str:
    """Return the second line of a figure's title: whose few rows its intervals take into account, and what * marks.

    Parameters
    ----------
    table : DataFrame
        What is drawn; columns ``few_rows`` and, where there is a p99, ``p99_rests_on_no_row``.
    """
    rows = str(table["few_rows"].iloc[0]) if "few_rows" in table else ""
    if not rows:
        return ""
    star = f"; {MARK} too few for a p99" if rests_on_no_row(table, "p99_rests_on_no_row") else ""
    return f"\nintervals by luck and inputs ({rows}){star}"


def tail_note(summary: PlainSummary) -> str:
    """Return what a picture of whole distributions says where an input has few rows; '' where none has."""
    found = counted_inputs(summary)
    if not found:
        return ""
    least = min(int(given["n_rows"]) for given in found)
    return f"bands by luck alone; no row lies beyond 1/{least:,} of a tail ({few_rows(summary)})"


def beyond_text(summary: PlainSummary) -> str:
    """Return the legend of the mark, where a table bears one."""
    sentence = beyond_sentence(summary)
    return "" if not sentence else "\n".join(textwrap.wrap(f"{MARK} {sentence}", WIDTH, subsequent_indent="  "))


def beyond_sentence(summary: PlainSummary) -> str:
    """Return what is to be said of quantiles beyond the rows; '' where there are none."""
    beyond = summary.get("inputs", {}).get("beyond", {})
    levels = sorted({LEVELS[name] for names in beyond.values() for name in names if name in LEVELS})
    if not levels:
        return ""
    first = levels[0] if levels[0] > 0.5 else levels[-1]
    needed = round(1.0 / min(first, 1.0 - first))
    thin = [given for given in summary["inputs"]["inputs"] if given["n_rows"] < needed]
    which = ", ".join(f"{given['role']} {given['n_rows']:,}" for given in thin)
    return (
        f"a p{100 * first:g} asks for {needed:,} rows of each input that feeds it, and there are fewer ({which}): what "
        "lies beyond the outermost row is not known, and no interval holds it"
    )


def luck_text(summary: PlainSummary) -> str:
    """Return the half-widths by luck alone, beside those with inputs in the tables above; '' where these are they."""
    if not counted_inputs(summary) or int(summary["n_replications"]) < 2:
        return ""
    policies, baseline = list(summary["policies"]), summary["baseline"]
    others = [policy for policy in policies if policy != baseline]
    blocks = [_halves(summary, policies, "half_width", "half-widths by luck alone, the rows taken for the truth")]
    if others:
        what = f"half-widths of the change against {baseline} by luck alone"
        blocks.append(_halves(summary, others, "diff_half_width", what))
    return "\n\n".join(blocks)


def _halves(summary: PlainSummary, policies: Sequence[str], key: str, what: str) -> str:
    columns = []
    for head, unit, metric, factor in HEADLINE:
        luck, wide = (
            tuple(factor * number(summary, policy, metric, name) for policy in policies)
            for name in (f"luck_{key}", key)
        )
        nothing = (float("nan"),) * len(policies)
        columns += [
            Column(group=head, head=said, unit=unit, values=values, half_widths=nothing, worth=0, is_half_width=True)
            for said, values in (("luck", luck), ("with inputs", wide))
        ]
    return "\n".join([what, "", *lay_out("policy", list(policies), columns, WIDTH)])
