"""The verdict table as text and as Markdown."""

from __future__ import annotations

import math
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from typing import get_args

from discosim.report.rule import RULE
from discosim.reproduce.estimates import Cell
from discosim.reproduce.files import Role
from discosim.reproduce.reach import telling
from discosim.reproduce.verdict import Side, Verdict, Word, turned

WIDEST, NARROWEST = 118, 60


def terminal_width() -> int:
    """Return how many characters a line may have: as many as the terminal, within reason, or the most without one."""
    columns = shutil.get_terminal_size((WIDEST + 2, 24)).columns
    return min(WIDEST, max(NARROWEST, columns - 2))


SAID: dict[Side, str] = {
    "agrees": "agree",
    "disagrees": "disagree",
    "unclear": "unclear",
    "idle": "in which nothing happened",
    "beyond": "out of reach",
    "certain": "that could not fail",
}
DECIDED_BY_REACH: set[Side] = {"beyond", "certain"}
"""Cells that what could be decides, before anything runs."""
HEADS: dict[Role, str] = {
    "paper": "What the paper says",
    "derived": "What we derive from it",
    "check": "Checks of our own code, which hold by construction",
}


def ours_text(verdict: Verdict) -> str:
    """Return our numbers in one line: one cell with its interval, or the least and largest of many and how all fall."""
    cells = [cell for cell in verdict.cells if not math.isnan(cell.mean)]
    if not cells:
        return "-"
    unit = _unit(verdict)
    if len(cells) == 1:
        return _interval(cells[0], unit)
    low, high = min(cells, key=lambda c: c.mean), max(cells, key=lambda c: c.mean)
    counts = [(verdict.sides.count(side), word) for side, word in SAID.items()]
    parts = [f"{n} {word}" for n, word in counts if n]
    least, most = (f"{short(cell.mean)}{_bounds(cell)}" for cell in (low, high))
    return f"{least} to {most}{unit}; of {len(verdict.cells)} cells {', '.join(parts)}"


def bounds_text(verdict: Verdict) -> str:
    """Return what a cell has to be, and how that came from the paper's words."""
    expect = verdict.claim.expect
    if expect is None:
        return "-"
    rule = f" ({expect.rule})" if expect.rule else ""
    return f"{_range(*expect.bounds)}{_unit(verdict)}{rule}"


def reach_text(verdict: Verdict) -> str:
    """Return what our statistic could be at all in this scenario; empty where no limit is known that tells anything.

    One that each statistic of its kind has (no ratio is below 0) is said only where it decides a cell.
    """
    low, high = verdict.reach
    statistic = verdict.claim.statistic
    if statistic is not None and not DECIDED_BY_REACH & set(verdict.sides):
        low, high = telling(statistic, verdict.claim.unit, low, high)
    return "" if math.isinf(low) and math.isinf(high) else f"{_range(low, high)}{_unit(verdict)}"


def _range(low: float, high: float) -> str:
    if math.isinf(low):
        return f"at most {short(high)}"
    return f"at least {short(low)}" if math.isinf(high) else f"{short(low)} to {short(high)}"


def _unit(verdict: Verdict) -> str:
    return f" {verdict.claim.unit}" if verdict.claim.unit not in {"", "1"} else ""


def short(value: float) -> str:
    """Return a number to three figures, without an exponent where it is large."""
    return f"{value:,.0f}" if 999.5 <= abs(value) < 1e9 else f"{value:.3g}"


def _interval(cell: Cell, unit: str) -> str:
    bounds = " (exact)" if cell.low == cell.high else _bounds(cell)
    luck = f" (by luck alone [{short(cell.luck_low)}, {short(cell.luck_high)}])" if cell.few_rows else ""
    return f"{short(cell.mean)}{unit}{bounds}{luck}" + (f" ({cell.name})" if cell.name else "")


def _bounds(cell: Cell) -> str:
    if math.isnan(cell.low) or cell.low == cell.high:
        return ""
    return f" [{short(cell.low)}, {short(cell.high)}]"


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


def intervals_text(verdict: Verdict) -> str:
    """Return what the intervals hold, where an input has few rows; '' where none has."""
    cells = [cell for cell in verdict.cells if cell.low < cell.high]
    held = [cell for cell in cells if cell.few_rows]
    thin = "; ".join(f"input of {rows:,} rows ({name})" for name, rows in verdict.few_rows)
    if held:
        rest = f"; {len(cells) - len(held)} of {len(cells)} cells by luck alone" if len(held) < len(cells) else ""
        other = verdict.word_by_luck
        alone = f"; by luck alone: {other}, and more runs would not decide it" if other != verdict.word else ""
        return f"by luck and what few rows leave open ({held[0].few_rows}){rest}{alone}"
    return f"luck alone: {thin}" if thin and cells else ""


def variants_text(variants: Mapping[str, Word]) -> str:
    """Return how far a verdict depends on what is open."""
    first, word = next(iter(variants.items()))
    others, changed = len(variants) - 1, turned(variants)
    same = f"{first}: {word}; the same in {others - len(changed)} of {others} others"
    return "; ".join([same, *(f"{name}: {variants[name]}" for name in changed)])


def energy_text(verdict: Verdict) -> str:
    """Return how far a verdict depends on joules that are assumed; empty where it reads none."""
    return f"in the measured range of joules per token: {variants_text(verdict.energy)}" if verdict.energy else ""


def render_claims(paper: str, title: str, source: str, verdicts: Sequence[Verdict], width: int = WIDEST) -> str:
    """Return the verdicts of one paper as text: a block per claim, verdict first; ``width`` in characters."""
    lines = [*_wrapped(title, f"{paper}: ", width), f"from {source}", ""]
    for role, head in HEADS.items():
        mine = [verdict for verdict in verdicts if verdict.claim.role == role]
        if mine and role != "paper":
            lines += [f"{head}:", ""]
        for verdict in mine:
            lines += [*_block(verdict, width), ""]
    return "\n".join(lines)


def _block(verdict: Verdict, width: int) -> list[str]:
    claim = verdict.claim
    rows = [
        ("says", claim.says),
        ("paper", f"{claim.published}   (known from: {claim.known_from})"),
        ("bounds", bounds_text(verdict)),
        ("ours", ours_text(verdict)),
        ("intervals", intervals_text(verdict)),
        ("could be", reach_text(verdict)),
        ("because", verdict.reason),
        ("simulated", claim.scenario),
        ("rests on", inputs_text(verdict)),
        ("variants", variants_text(verdict.variants) if verdict.variants else ""),
        ("energy", energy_text(verdict)),
        ("too few rows", few_rows_text(verdict) if verdict.too_few_rows else ""),
        ("would change", claim.would_change),
    ]
    lines = [f"  {claim.id}: {verdict.text}"]
    for head, text in rows:
        lines += _wrapped(text, f"    {head:<13}", width)
    return lines


def render_summary(paper: str, verdicts: Sequence[Verdict], width: int = WIDEST) -> str:
    """Return one line per claim, cut to ``width`` characters."""
    longest = max((len(verdict.claim.id) for verdict in verdicts), default=0)
    lines = [paper]
    for verdict in verdicts:
        line = (
            f"  {verdict.claim.id:<{longest}}  {verdict.text}; bounds {bounds_text(verdict)}; ours {ours_text(verdict)}"
        )
        lines.append(line if len(line) <= width else line[: width - 3].rstrip() + "...")
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
    """Return how many verdicts there are of each word, and how many of them rest on assumed inputs."""
    papers = [verdict for verdict in verdicts if verdict.claim.role == "paper"]
    counts = []
    for word in get_args(Word):
        mine = [verdict for verdict in papers if verdict.word == word]
        assumed = sum(verdict.text.endswith("on assumed inputs") for verdict in mine)
        if mine:
            counts.append(f"{len(mine)} {word}" + (f" ({assumed} on assumed inputs)" if assumed else ""))
    text = f"{len(papers)} claims of papers" + (f": {', '.join(counts)}" if counts else "")
    for role, name in (("derived", "derived by us"), ("check", "checks of our own code")):
        mine = [verdict for verdict in verdicts if verdict.claim.role == role]
        if mine:
            text += f"; {len(mine)} {name}: {sum(verdict.word == 'reproduced' for verdict in mine)} hold"
    return text


def markdown(verdicts: Sequence[Verdict]) -> str:
    """Return the verdicts as one Markdown table."""
    heads = ("claim", "paper's figure (known from)", "bounds", "ours", "verdict", "rests on")
    lines = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    for verdict in verdicts:
        claim = verdict.claim
        cells = (
            f"`{claim.id}`: {claim.says}",
            f"{claim.published} ({claim.known_from})",
            bounds_text(verdict),
            ours_text(verdict),
            f"**{verdict.text}**",
            inputs_text(verdict) + (f"; **{few_rows_text(verdict)}**" if verdict.too_few_rows else ""),
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)
