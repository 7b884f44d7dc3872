"""The verdict table as text and as Markdown."""

from __future__ import annotations

import math
import shutil
import textwrap
from collections.abc import Sequence
from typing import get_args

from discosim.reproduce.estimates import Cell
from discosim.reproduce.verdict import RULE, Verdict, Word

WIDEST, NARROWEST = 118, 60


def terminal_width() -> int:
    """Return how many characters a line may have: as many as the terminal, within reason, or the most without one."""
    columns = shutil.get_terminal_size((WIDEST + 2, 24)).columns
    return min(WIDEST, max(NARROWEST, columns - 2))


def ours_text(verdict: Verdict) -> str:
    """Return our numbers in one line: one cell with its interval, or the least and largest of many and how all fall."""
    cells = [cell for cell in verdict.cells if not math.isnan(cell.mean)]
    if not cells:
        return "-"
    unit = f" {verdict.claim.unit}" if verdict.claim.unit not in {"", "1"} else ""
    if len(cells) == 1:
        return _interval(cells[0], unit)
    low, high = min(cells, key=lambda c: c.mean), max(cells, key=lambda c: c.mean)
    parts = [
        f"{n} {word}"
        for n, word in ((verdict.n_agree, "agree"), (verdict.n_disagree, "disagree"), (verdict.n_unclear, "unclear"))
        if n
    ]
    least, most = (f"{_short(cell.mean)}{_bounds(cell)}" for cell in (low, high))
    return f"{least} to {most}{unit}; of {len(verdict.cells)} cells {', '.join(parts)}"


def _short(value: float) -> str:
    """Return a number to three figures, without an exponent where it is large."""
    return f"{value:,.0f}" if 999.5 <= abs(value) < 1e9 else f"{value:.3g}"


def _interval(cell: Cell, unit: str) -> str:
    bounds = " (exact)" if cell.low == cell.high else _bounds(cell)
    return f"{_short(cell.mean)}{unit}{bounds}" + (f" ({cell.name})" if cell.name else "")


def _bounds(cell: Cell) -> str:
    if math.isnan(cell.low) or cell.low == cell.high:
        return ""
    return f" [{_short(cell.low)}, {_short(cell.high)}]"


def inputs_text(verdict: Verdict) -> str:
    """Return what the numbers rest on, kind by kind."""
    kinds: dict[str, list[str]] = {}
    for name, given in verdict.inputs:
        kinds.setdefault(given.kind, []).append(name)
    return "; ".join(f"{kind}: {', '.join(names)}" for kind, names in kinds.items()) or "-"


def few_rows_text(verdict: Verdict) -> str:
    """Return which inputs have too few rows for the quantile that the claim reads."""
    found = [f"{quantile} is beyond the {rows:,} rows of {name}" for name, rows, quantile in verdict.too_few_rows]
    return f"{'; '.join(found)}: no interval here holds what lies there"


def variants_text(verdict: Verdict) -> str:
    """Return how far the verdict depends on what is open."""
    first, word = next(iter(verdict.variants.items()))
    n_others = len(verdict.variants) - 1
    same = f"{first}: {word}; the same in {n_others - len(verdict.turned_by)} of {n_others} others"
    return "; ".join([same, *(f"{name}: {verdict.variants[name]}" for name in verdict.turned_by)])


def render_claims(paper: str, title: str, source: str, verdicts: Sequence[Verdict], width: int = WIDEST) -> str:
    """Return the verdicts of one paper as text: a block per claim, verdict first; ``width`` in characters."""
    lines = [*_wrapped(title, f"{paper}: ", width), f"from {source}", ""]
    for verdict in verdicts:
        claim = verdict.claim
        lines.append(f"  {claim.id}: {verdict.text}")
        rows = [
            ("says", claim.says),
            ("paper", f"{claim.published}   (known from: {claim.known_from})"),
            ("ours", ours_text(verdict)),
            ("simulated", claim.scenario),
            ("rests on", inputs_text(verdict)),
        ]
        if verdict.too_few_rows:
            rows.append(("too few rows", few_rows_text(verdict)))
        if claim.lacking:
            rows.append(("lacking", claim.lacking))
        if verdict.variants:
            rows.append(("variants", variants_text(verdict)))
        rows.append(("would change", claim.would_change))
        for head, text in rows:
            lines += _wrapped(text, f"    {head:<13}", width)
        lines.append("")
    return "\n".join(lines)


def _wrapped(text: str, head: str, width: int) -> list[str]:
    margin = " " * len(head)
    return textwrap.wrap(
        text, width, initial_indent=head, subsequent_indent=margin, break_long_words=False, break_on_hyphens=False
    )


def render_rule(width: int = WIDEST) -> str:
    """Return the rule of all verdicts."""
    return "\n".join(textwrap.wrap(RULE, width))


def render_tally(verdicts: Sequence[Verdict]) -> str:
    """Return how many verdicts there are of each word, and how many of the positive ones rest on assumed inputs."""
    words = [verdict.word for verdict in verdicts]
    counts = []
    for word in get_args(Word):
        assumed = sum(verdict.word == word != verdict.text for verdict in verdicts)
        if n := words.count(word):
            counts.append(f"{n} {word}" + (f" ({assumed} on assumed inputs)" if assumed else ""))
    return f"{len(words)} claims: {', '.join(counts)}"


def markdown(verdicts: Sequence[Verdict]) -> str:
    """Return the verdicts as one Markdown table."""
    lines = ["| claim | paper's figure (known from) | ours | verdict | rests on |", "| --- | --- | --- | --- | --- |"]
    for verdict in verdicts:
        claim = verdict.claim
        cells = (
            f"`{claim.id}`: {claim.says}",
            f"{claim.published} ({claim.known_from})",
            ours_text(verdict),
            f"**{verdict.text}**",
            inputs_text(verdict) + (f"; **{few_rows_text(verdict)}**" if verdict.too_few_rows else ""),
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)
