"""The result of a run as fixed-width text: a row per policy, the paired changes, and where it all comes from."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from discosim import __version__
from discosim.core.errors import UserError
from discosim.core.scenario import Scenario
from discosim.report.cells import few_replications
from discosim.report.chosen import run_table
from discosim.report.columns import Column, decimals_for, lay_out
from discosim.report.input_rows import beyond_text, luck_text, mark, with_inputs
from discosim.report.tables import PlainSummary, number, readable, summary_metrics
from discosim.runs.provenance import WARNING
from discosim.runs.shapes import read_object

WIDTH = 120
PER_REQUESTS = 1000.0
KILO = 1e-3
TTFT, TBT, READING, COST, BUDGET = "TTFT", "TBT", "reading", "per 1,000 requests", "budget used"


class Result(Protocol):
    """What the text needs to know of a run."""

    @property
    def scenario(self) -> Scenario:
        """What was run."""
        ...

    @property
    def printed_summary(self) -> PlainSummary:
        """What came out, its intervals those with inputs where any input has few rows."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """How the inputs are known, one sentence each."""
        ...

    @property
    def folder(self) -> Path | None:
        """Where the files are, if they were written."""
        ...


def render(result: Result, columns: Sequence[str] | None = None) -> str:
    """Return the text that a run prints, at most 120 columns wide (unbreakable words apart).

    Parameters
    ----------
    result : Result
        A run; of its folder, if it has one, run.json is read for the command that made it.
    columns : sequence of str, optional
        Numbers of the summary to print; the usual tables where omitted.
    """
    summary = result.printed_summary
    if columns is None:
        tables = [table_text(summary, title=result.scenario.name), changes_text(summary), luck_text(summary)]
    else:
        tables = [run_table(summary, columns, title=result.scenario.name)]
    blocks = [
        *tables,
        beyond_text(summary),
        counts_text(summary),
        _inputs_text(result.notes),
        _files_text(result.scenario, result.folder),
    ]
    return "\n\n".join(block for block in blocks if block)


def table_text(summary: PlainSummary, title: str = "") -> str:
    """Return the table of a summary, one row per policy.

    Parameters
    ----------
    summary : mapping
        The content of summary.json.
    title : str
        Name that begins the first line.

    Notes
    -----
    Half-widths of the 95 % interval over replications follow a ``±``; where they do not all fit, those of the less
    telling columns are left out (summary.json has all). Each number has the digits that its own interval supports; one
    that is the same in every replication has no ``±``. Undefined numbers are ``n/a``.
    """
    policies = list(summary["policies"])
    decimals = decimals_for([number(summary, policy, "ttft_mean_s") for policy in policies])
    columns = [
        _column(summary, TTFT, "mean", "s", "ttft_mean_s", worth=9, decimals=decimals),
        _column(summary, TTFT, "p50", "s", "ttft_p50_s", worth=1, decimals=decimals),
        _column(summary, TTFT, "p99", "s", "ttft_p99_s", worth=7),
        _column(summary, TBT, "p99", "s", "tbt_pooled_p99_s", worth=2, decimals=3),
        _column(summary, READING, "QoE", "1", "qoe_andes_mean", worth=6, decimals=3),
        _column(summary, READING, "late", "tok", "n_tok_late_mean", worth=3, decimals=2),
        _column(summary, COST, "server", "USD", "server_cost_mean_usd", factor=PER_REQUESTS, worth=4),
        _column(summary, COST, "device", "kJ", "device_energy_mean_j", factor=PER_REQUESTS * KILO, worth=1),
        _column(summary, COST, "unified", "USD", "unified_cost_mean_usd", factor=PER_REQUESTS, worth=8),
        _column(summary, BUDGET, "device", "%", "budget_used_device", factor=100.0, worth=0, decimals=1),
        _column(summary, BUDGET, "server", "%", "budget_used_server", factor=100.0, worth=0, decimals=1),
    ]
    if "accuracy" in summary["metrics"]:
        right = _column(summary, "quality", "right", "%", "accuracy", factor=100.0, worth=8, decimals=1)
        columns.insert(6, right)  # beside what readers feel
    n = int(summary["n_replications"])
    what = f"mean ± half-width of the {_level(summary)} interval over {n} replications"
    first = f"{title}: " if title else ""
    first += f"{what}{with_inputs(summary)}" if n > 1 else "one replication, so there are no intervals (n/a)"
    first += f" ({few})" if (few := few_replications(n)) else ""
    return "\n".join([*textwrap.wrap(first, WIDTH), "", *lay_out("policy", policies, columns, WIDTH)])


def changes_text(summary: PlainSummary) -> str:
    """Return the paired differences of a summary to its baseline; empty if the baseline is alone."""
    baseline = summary["baseline"]
    others = [policy for policy in summary["policies"] if policy != baseline]
    if not others:
        return ""
    columns = []
    for name, unit, metric, factor, worth, decimals in (
        ("mean TTFT", "s", "ttft_mean_s", 1.0, 9, None),
        ("p99 TTFT", "s", "ttft_p99_s", 1.0, 7, None),
        ("QoE", "1", "qoe_andes_mean", 1.0, 6, 3),
        ("unified cost per 1,000", "USD", "unified_cost_mean_usd", PER_REQUESTS, 8, None),
    ):
        columns += [
            _column(
                summary, name, "", unit, metric, "diff",
                factor=factor, worth=worth, decimals=decimals, policies=others,
            ),
            _column(summary, name, "", "%", metric, "change_pct", worth=worth - 4, decimals=1, policies=others),
        ]  # fmt: skip
    first = f"change against {baseline}"
    first += _paired(summary)
    return "\n".join([*textwrap.wrap(first, WIDTH), "", *lay_out("policy", others, columns, WIDTH)])


def comparison_text(summary: PlainSummary, metrics: Sequence[str]) -> str:
    """Return a table of chosen metrics: each policy's mean, and its change against the baseline in per cent.

    Raises
    ------
    UserError
        For an unknown metric, or none.

    Notes
    -----
    Both with half-widths of the interval over replications; those of the change come from pairs with the same luck.
    Dollars are shown in thousandths (mUSD): a mean per request then reads as USD per 1,000 requests.
    """
    policies, baseline = list(summary["policies"]), summary["baseline"]
    columns = []
    for metric in summary_metrics(metrics):
        name, (factor, unit) = metric.name, readable(metric)
        change = _column(summary, name, "change", "%", name, "change_pct", worth=2, decimals=1)
        columns += [_column(summary, name, "mean", unit, name, factor=factor, worth=1), change]
    first = f"mean, and change against {baseline}"
    first += _paired(summary)
    return "\n".join([*textwrap.wrap(first, WIDTH), "", *lay_out("policy", policies, columns, WIDTH)])


def counts_text(summary: PlainSummary) -> str:
    """Return how many requests there were, and how many of them were not answered."""
    n = int(summary["n_replications"])
    first = next(iter(summary["policies"]))
    each = number(summary, first, "n_requests")
    if math.isnan(each):
        return ""
    total_failed = sum(number(summary, policy, "n_failed") for policy in summary["policies"])
    lines = [f"requests   {n} x {each:,.0f} per policy" if n > 1 else f"requests   {each:,.0f} per policy"]
    for metric, word in (("n_failed", "failed"), ("n_rejected", "rejected")):
        totals = {policy: n * number(summary, policy, metric) for policy in summary["policies"]}
        if len(set(totals.values())) == 1:
            lines[0] += f"; {word}: {_count(totals[first], n * each)}" + (" under each" if totals[first] else "")
        else:
            some = ", ".join(f"{policy} {_count(total, n * each)}" for policy, total in totals.items() if total)
            lines += _wrapped(f"  {word}", some)
    if total_failed > 0.0:
        lines += _wrapped("", "TTFT and TBT are of finished requests; QoE counts a failed one as 0")
    return "\n".join(lines)


def _count(total: float, whole: float) -> str:
    return f"{total:,.0f} ({total / whole:.2%})" if total else "none"


def _column(
    summary: PlainSummary,
    group: str,
    head: str,
    unit: str,
    metric: str,
    field: str = "mean",
    *,
    worth: int,
    factor: float = 1.0,
    decimals: int | None = None,
    policies: Sequence[str] | None = None,
) -> Column:
    """Collect one column; a change carries its sign."""
    halves = {"mean": "half_width", "diff": "diff_half_width", "change_pct": "change_half_width_pct"}
    names = list(summary["policies"]) if policies is None else policies
    return Column(
        group=group,
        head=head,
        unit=unit,
        values=tuple(factor * number(summary, policy, metric, field) for policy in names),
        half_widths=tuple(factor * number(summary, policy, metric, halves[field]) for policy in names),
        worth=worth,
        decimals=decimals,
        is_signed=field != "mean",
        marks=tuple(mark(summary, metric, policy, field) for policy in names),
    )


def _paired(summary: PlainSummary) -> str:
    """Return how the changes of a table were computed; '' where there is nothing to pair."""
    n = int(summary["n_replications"])
    if n < 2:
        return ""
    few = " (one degree of freedom)" if few_replications(n) else ""
    return f", paired over {n} replications{few} with the same luck, {_level(summary)} intervals"


def _level(summary: PlainSummary) -> str:
    return f"{100 * float(summary.get('level', 0.95)):g} %"


def _inputs_text(notes: Sequence[str]) -> str:
    doubts = [note.removeprefix(WARNING) for note in notes if note.startswith(WARNING)]
    others = [note for note in notes if not note.startswith(WARNING)]
    lines = [line for doubt in doubts for line in _wrapped(WARNING.strip(" :"), doubt)]
    for i, note in enumerate(others):
        lines += _wrapped("inputs" if i == 0 else "", note)
    return "\n".join(lines)


def _files_text(scenario: Scenario, folder: Path | None) -> str:
    """Say where the files are and how to make them again."""
    facts = _run_facts(folder)
    command = facts.get("command") or f"simulate(scenario) with seed {scenario.seed}"
    lines = [] if folder is None else _wrapped("written", f"{folder}{'' if str(folder).endswith('/') else '/'}")
    commit = f" at commit {facts['commit'][:10]}" if facts.get("commit") else ""
    seed = f"seed {scenario.seed}, discosim {facts.get('discosim', __version__)}{commit}"
    return "\n".join([*lines, *_wrapped("again", command), *_wrapped("", seed)])


def _run_facts(folder: Path | None) -> dict[str, str]:
    """Return run.json, or nothing where there is none."""
    if folder is None:
        return {}
    try:
        facts = read_object(folder / "run.json")
    except UserError:
        return {}
    return {key: value for key, value in facts.items() if isinstance(value, str)}


def _wrapped(label: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=f"{label:<11}",
        subsequent_indent=" " * 13,
        break_long_words=False,
        break_on_hyphens=False,
    )
