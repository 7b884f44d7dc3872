"""The claims table of ARTIFACT.md, so that it cannot go stale: a test compares the page with it.

``python -m discosim.reproduce.artifact`` at the top of the repository writes it anew.
"""

from __future__ import annotations

from pathlib import Path

from discosim.reproduce.experiment import load_experiments
from discosim.reproduce.run import committed_tables, judge_all
from discosim.reproduce.text import bounds_text, ours_text


def claims_table(root: Path) -> str:
    """Return one Markdown row per claim: what it says, both figures, bounds, command, table, cost, rule, verdict.

    The verdict is that of the largest profile of which all tables are committed; its cost is the one shown.
    """
    heads = ("Claim", "The paper's figure", "Bounds", "Ours", "Command", "Table", "Cost", "Accepted by", "Verdict")
    lines = [f"| {' | '.join(heads)} |", "| " + " | ".join("---" for _ in heads) + " |"]
    for experiment in load_experiments(root):
        profile = experiment.largest_profile
        for verdict in judge_all(experiment, committed_tables(experiment, profile)):
            claim, accept, statistic = verdict.claim, verdict.claim.acceptance, verdict.claim.statistic
            if accept is None or statistic is None:
                command, table, cost, rule = "-", "-", "-", "-"
            else:
                table = f"`{statistic.table}.csv`"
                command = f"`discosim figures {experiment.name} --profile {profile} --check`"
                cost = experiment.file.cost[profile]
                rule = accept.rule
                if accept.rule == "interval":
                    limits = ("any" if bound is None else f"{bound:g}" for bound in (accept.low, accept.high))
                    rule = f"interval: {' to '.join(limits)} {claim.unit}".rstrip()
            says = f"`{claim.id}`: {claim.says}"
            paper = f"{claim.published} ({claim.known_from})"
            cells = (says, paper, bounds_text(verdict), ours_text(verdict), command, table, cost, rule, verdict.text)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def with_table(page: str, table: str) -> str:
    """Return the text of a page with its claims table replaced."""
    lines = page.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| Claim |"))
    end = next((i for i in range(start, len(lines)) if not lines[i].startswith("|")), len(lines))
    return "\n".join([*lines[:start], *table.splitlines(), *lines[end:]]) + "\n"


if __name__ == "__main__":
    artifact = Path("ARTIFACT.md")
    artifact.write_text(with_table(artifact.read_text(encoding="utf-8"), claims_table(Path("experiments"))), "utf-8")
