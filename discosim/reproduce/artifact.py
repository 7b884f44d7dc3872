"""The claims table of ARTIFACT.md, so that it cannot go stale: a test compares the page with it."""

from __future__ import annotations

from pathlib import Path

from discosim.reproduce.experiment import load_experiments
from discosim.reproduce.run import judge_all
from discosim.reproduce.tables import read_csv


def claims_table(root: Path) -> str:
    """Return one Markdown row per claim: what it says, the paper's figure, command, table, cost, rule, verdict.

    The verdict is that of the committed quick tables.
    """
    heads = ("Claim", "The paper's figure", "Command", "Table", "Cost", "Accepted by", "Verdict")
    lines = [f"| {' | '.join(heads)} |", "| " + " | ".join("---" for _ in heads) + " |"]
    for experiment in load_experiments(root):
        tables = {name: read_csv(experiment.committed("quick", name)) for name in experiment.file.tables}
        for verdict in judge_all(experiment, tables):
            claim, accept, statistic = verdict.claim, verdict.claim.acceptance, verdict.claim.statistic
            if accept is None or statistic is None:
                command, table, cost, rule = "-", "-", "-", "-"
            else:
                table = f"`{statistic.table}.csv`"
                command, cost = f"`discosim figures {experiment.name} --check`", experiment.file.cost["quick"]
                rule = accept.rule
                if accept.rule == "interval":
                    bounds = ("any" if bound is None else f"{bound:g}" for bound in (accept.low, accept.high))
                    rule = f"interval: {' to '.join(bounds)} {claim.unit}".rstrip()
            says = f"`{claim.id}`: {claim.says}"
            paper = f"{claim.published} ({claim.known_from})"
            cells = (says, paper, command, table, cost, rule, verdict.text)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)
