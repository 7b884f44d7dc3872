"""Claims of a paper on the page: the tally, all at a glance, and a card for each, with links to its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from discosim.report.cases import counted, listed
from discosim.report.html.markup import Group, Html, badge, details, facts, join, table, tag, tagged
from discosim.report.html.pictures import anchor
from discosim.report.rule import RULE

Rows = Sequence[Mapping[str, str]]

ROLES = {
    "paper": "",
    "derived": "What we derive from the paper",
    "check": "Checks of our own code, which hold by construction",
}
ORDER = (
    "reproduced",
    "partly",
    "in few cells",
    "too few runs",
    "not reproduced",
    "not testable here",
    "cannot be decided",
)
"""Verdicts from best to none; on assumed inputs comes after the same word without."""
VERDICTS = {"reproduced": "firm", "not reproduced": "against"}
"""How verdicts look; all others are amber."""


def rank(verdict: str) -> tuple[int, str]:
    """Return the place of a verdict among all.

    Examples
    --------
    >>> sorted(["not reproduced", "partly, on assumed inputs", "partly", "reproduced"], key=rank)
    ['reproduced', 'partly', 'partly, on assumed inputs', 'not reproduced']
    """
    word = word_of(verdict)
    return (ORDER.index(word) if word in ORDER else len(ORDER), verdict)


def word_of(verdict: str) -> str:
    """Return the word of a verdict, without how many cells agree and what it rests on.

    Examples
    --------
    >>> word_of("partly (15 of 18), on assumed inputs"), word_of("reproduced")
    ('partly', 'reproduced')
    """
    return verdict.partition(",")[0].partition("(")[0].strip()


def tally(verdicts: Rows) -> dict[str, list[Mapping[str, str]]]:
    """Return word of a verdict -> its claims, the best first."""
    found: dict[str, list[Mapping[str, str]]] = {}
    for row in sorted(verdicts, key=lambda row: rank(row["verdict"])):
        found.setdefault(word_of(row["verdict"]), []).append(row)
    return found


def answer(verdicts: Rows) -> str:
    """Return the tally in a sentence."""
    papers = [row for row in verdicts if row.get("role", "paper") == "paper"] or list(verdicts)
    if not papers:
        return "There are no claims."
    parts = []
    for k, (word, rows) in enumerate(tally(papers).items()):
        verb = ("is " if len(rows) == 1 else "are ") if k == 0 else ""
        parts.append(f"{len(rows)} {verb}{SAYS.get(word, word)}")
    n_weak = sum("on assumed inputs" in row["verdict"] for row in papers)
    weak = f"; {n_weak} of these verdicts {'rests' if n_weak == 1 else 'rest'} on assumed inputs" if n_weak else ""
    return f"Of {counted(len(papers), 'claim')} of the paper {listed(parts)}{weak}."


SAYS = {
    "partly": "reproduced in part",
    "in few cells": "reproduced in few cells",
    "too few runs": "undecided for too few runs",
    "cannot be decided": "undecided",
}
"""Verdicts as a sentence has them, where that is another word."""


def badge_of(verdict: str) -> Html:
    """Return a verdict as a badge."""
    return badge(verdict, VERDICTS.get(verdict, "weak"))


def tally_list(verdicts: Rows) -> Html:
    """Return the tally as badges, each a link to the first claim of its verdict."""
    items = [
        tag(
            "li",
            tag(
                "a",
                badge(f"{len(rows)} {word}", VERDICTS.get(word, "weak")),
                href=f"#{anchor('claim', rows[0]['claim'])}",
            ),
        )
        for word, rows in tally(verdicts).items()
    ]
    return tag("ul", *items, class_="tally", aria_label="Verdicts of all claims")


def glance(verdicts: Rows, figures: Mapping[str, Sequence[str]]) -> Html:
    """Return all claims in one table, sorted by verdict inside what they are of."""
    groups = []
    for role, heading in ROLES.items():
        mine = [row for row in verdicts if row.get("role", "paper") == role]
        rows = [_line(row, figures.get(row["claim"], ())) for row in sorted(mine, key=lambda row: rank(row["verdict"]))]
        if rows:
            groups.append(Group(heading or ("What the paper says" if len(verdicts) > len(mine) else ""), rows))
    head = ("claim", "verdict", "the paper's figure", "ours", "figures")
    return tag("div", table(head, groups, "Claims", first={0, 1}), class_="glance")


def _line(row: Mapping[str, str], figures: Sequence[str]) -> list[object]:
    links = join(*(join(", " if k else "", figure_link(name)) for k, name in enumerate(figures)))
    what = tag("a", row.get("says") or row["claim"], href=f"#{anchor('claim', row['claim'])}")
    return [what, badge_of(row["verdict"]), join(row["published"]), join(row["ours"].partition(";")[0]), links]


def figure_link(name: str) -> Html:
    """Return a link to a figure."""
    return tag("a", name.replace("_", " "), href=f"#{anchor('figure', name)}")


def claim_link(claim: str) -> Html:
    """Return a link to a claim."""
    return tag("a", claim, href=f"#{anchor('claim', claim)}")


def cards(verdicts: Rows, figures: Mapping[str, Sequence[str]]) -> Html:
    """Return each claim as a card, in the order of the paper, and the rule of all verdicts."""
    rule = f"{RULE} “On assumed inputs” says that the numbers rest on something nobody can look up."
    parts: list[Html] = [
        tag("p", "A verdict is computed from intervals, by one rule for all claims."),
        details("The rule", tag("p", rule)),
    ]
    for role, head in ROLES.items():
        mine = [row for row in verdicts if row.get("role", "paper") == role]
        if mine and head:
            parts.append(tag("h3", head))
        parts += [_card(row, figures.get(row["claim"], ()), below=bool(head)) for row in mine]
    return join(*parts)


def _card(row: Mapping[str, str], figures: Sequence[str], *, below: bool) -> Html:
    """Return one claim: verdict, the two figures side by side, and what both rest on."""
    rests = row.get("rests_on", "") or ("assumed or recollected: " + row["weak_inputs"] if row["weak_inputs"] else "")
    notes: list[tuple[object, str]] = [
        (tagged(rests) if rests else "", "rests on"),
        (row.get("scenario", ""), "what was simulated"),
        (row.get("reason", "") or row.get("lacking", ""), "not testable because"),
        (row["turned_by"], "another verdict under"),
        (row.get("would_change", ""), "would change it"),
        (join(*(join(", " if k else "", figure_link(name)) for k, name in enumerate(figures))), "shown in"),
    ]
    return tag(
        "article",
        tag("h4" if below else "h3", tag("code", row["claim"]), tag("strong", badge_of(row["verdict"]))),
        *([tag("p", row["says"], class_="says")] if row.get("says") else []),
        facts(
            [
                ("ours", row["ours"]),
                ("the paper's figure", join(row["published"], " ", badge(row["known_from"]))),
                ("bounds", row.get("bounds", "")),
                ("could be", row.get("could_be", "")),
                ("intervals", row.get("intervals", "")),
            ]
        ),
        *(tag("p", tag("span", f"{head}: ", class_="about"), words) for words, head in notes if words),
        class_="claim",
        id=anchor("claim", row["claim"]),
    )
