"""What papers there are, for those who look for one to run."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from discosim.reproduce.experiment import Experiment


def render_list(experiments: Sequence[Experiment], root: Path, width: int) -> str:
    """Return each folder with its title, what is in it and what each profile costs, in lines of at most this width."""
    indent = max(len(experiment.name) for experiment in experiments) + 2
    blocks = []
    for experiment in experiments:
        file = experiment.file
        counts = ((file.tables, "table"), (file.figures, "figure"), (experiment.claims.claims, "claim"))
        held = ", ".join(f"{len(things)} {word}{'' if len(things) == 1 else 's'}" for things, word in counts)
        title, *rest = textwrap.wrap(file.title, width - indent)
        costs = [f"{profile}: {file.cost[profile]}" for profile in file.cost]
        rest += [
            line for text in (held, *costs) for line in textwrap.wrap(text, width - indent, subsequent_indent="  ")
        ]
        blocks.append("\n".join([f"{experiment.name:{indent}}{title}", *(" " * indent + line for line in rest)]))
    return "\n\n".join([*blocks, f"folder     {root}"])


def list_records(experiments: Sequence[Experiment]) -> list[dict[str, Any]]:
    """Return the same as plain data."""
    return [
        {
            "paper": experiment.name,
            "title": experiment.file.title,
            "tables": list(experiment.file.tables),
            "figures": list(experiment.file.figures),
            "claims": [claim.id for claim in experiment.claims.claims],
            "cost": dict(experiment.file.cost),
        }
        for experiment in experiments
    ]
