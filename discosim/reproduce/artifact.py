"""The claims table of ARTIFACT.md, so that it cannot go stale: a test compares the page with it."""

from __future__ import annotations

from pathlib import Path

from discosim.reproduce.experiment import load_experiments
from discosim.reproduce.run import judge_all
from discosim.reproduce.tables import read_csv


def claims_table(root: Path) -> str:
    """Return one Markdown row per claim: command, cost, acceptance rule, verdict of the committed quick tables."""
    lines = ["| Claim | Command | Cost | Accepted by | Verdict |", "| --- | --- | --- | --- | --- |"]
    for experiment in load_experiments(root):
        tables = {name: read_csv(experiment.committed("quick", name)) for name in experiment.file.tables}
        for verdict in judge_all(experiment, tables):
            accept = verdict.claim.acceptance
            if accept is None:
                command, cost, rule = "-", "-", "-"
            else:
                command, cost = f"`discosim figures {experiment.name} --check`", experiment.file.cost["quick"]
                rule = accept.rule
                if accept.rule == "interval":
                    bounds = ("any" if bound is None else f"{bound:g}" for bound in (accept.low, accept.high))
                    rule = f"interval: {' to '.join(bounds)} {verdict.claim.unit}".rstrip()
            lines.append(f"| `{verdict.claim.id}` | {command} | {cost} | {rule} | {verdict.text} |")
    return "\n".join(lines)
