"""The verdict table as text and as Markdown."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

from discosim.reproduce.estimates import Cell
from discosim.reproduce.verdict import RULE, Verdict

WIDTH = 118


def ours_text(verdict: Verdict) -> str:
    """Return our numbers in one line: the interval of one cell, or the range of many and how they fall."""
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
    return f"{_short(low.mean)} to {_short(high.mean)}{unit}; of {len(verdict.cells)} cells {', '.join(parts)}"


def _interval(cell: Cell, unit: str) -> str:
    if math.isnan(cell.low):
        bounds = ""
    elif cell.low == cell.high:
        bounds = " (exact)"
    else:
        bounds = f" [{_short(cell.low)}, {_short(cell.high)}]"
    return f"{_short(cell.mean)}{unit}{bounds}" + (f" ({cell.name})" if cell.name else "")


def _short(value: float) -> str:
    """Return a number to three figures, without an exponent where it is large."""
    return f"{value:,.0f}" if 999.5 <= abs(value) < 1e9 else f"{value:.3g}"


def inputs_text(verdict: Verdict) -> str:
    """Return what the numbers rest on, kind by kind."""
    kinds: dict[str, list[str]] = {}
    for name, given in verdict.inputs:
        kinds.setdefault(given.kind, []).append(name)
    return "; ".join(f"{kind}: {', '.join(names)}" for kind, names in kinds.items()) or "-"


def variants_text(verdict: Verdict) -> str:
    """Return how far the verdict depends on what is open."""
    first, word = next(iter(verdict.variants.items()))
    n_others = len(verdict.variants) - 1
    same = f"{first}: {word}; the same in {n_others - len(verdict.turned_by)} of {n_others} others"
    return "; ".join([same, *(f"{name}: {verdict.variants[name]}" for name in verdict.turned_by)])


def render_claims(paper: str, title: str, source: str, verdicts: Sequence[Verdict]) -> str:
    """Return the verdicts of one paper as text: a block per claim, verdict first."""
    lines = [f"{paper}: {title}", f"from {source}", ""]
    for verdict in verdicts:
        claim = verdict.claim
        lines.append(f"  {claim.id}: {verdict.text}")
        rows = [
            ("says", claim.says),
            ("paper", f"{claim.published}   (known from: {claim.known_from})"),
            ("ours", f"{ours_text(verdict)}   ({claim.scenario})"),
            ("rests on", inputs_text(verdict)),
        ]
        if claim.lacking:
            rows.append(("lacking", claim.lacking))
        if verdict.variants:
            rows.append(("variants", variants_text(verdict)))
        rows.append(("would change", claim.would_change))
        for head, text in rows:
            lines += _wrapped(text, f"    {head:<13}")
        lines.append("")
    return "\n".join(lines)


def _wrapped(text: str, head: str) -> list[str]:
    margin = " " * len(head)
    return textwrap.wrap(
        text, WIDTH, initial_indent=head, subsequent_indent=margin, break_long_words=False, break_on_hyphens=False
    )


def render_rule() -> str:
    """Return the rule of all verdicts."""
    return "\n".join(textwrap.wrap(RULE, WIDTH))


def render_tally(verdicts: Sequence[Verdict]) -> str:
    """Return how many verdicts there are of each word."""
    words = [verdict.text for verdict in verdicts]
    counts = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
    return f"{len(words)} claims: {counts}"


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
            inputs_text(verdict),
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)
