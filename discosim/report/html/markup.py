"""HTML that is escaped by construction: whatever is not markup already becomes text."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from discosim.core.printable import printable

VOID = frozenset({"br", "img", "input", "link", "meta"})
STATUS_WORDS = {
    "measured": "firm",
    "published-figure": "firm",
    "paper": "firm",
    "abstract": "firm",
    "derived": "firm",
    "secondary": "weak",
    "secondary source": "weak",
    "recollection": "weak",
    "assumption": "weak",
    "assumed": "weak",
    "chosen in the scenario": "weak",
    "source not given": "weak",
}
"""How a number is known, and whether somebody can look it up."""

DIGITS = 6
_LINE_ENDS = "\u2028\u2029"
_JSON_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in f"<>&{_LINE_ENDS}"}
_WORDS = re.compile(r"(?<![\w-])(" + "|".join(sorted(STATUS_WORDS, key=len, reverse=True)) + r")(?![\w-])")


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def text(value: object) -> Html:
    """Return a value as markup: markup as it is, everything else escaped, and what is not seen as well."""
    return value if isinstance(value, Html) else Html(html.escape(printable(str(value))))


def tag(name: str, *children: object, **attributes: object) -> Html:
    """Return one element.

    Parameters
    ----------
    name : str
        Element.
    *children : object
        Content; what is no markup is escaped.
    **attributes : object
        Attributes, escaped; ``class_`` is ``class``, other underscores become hyphens. None leaves one out, True
        writes the bare name.

    Examples
    --------
    >>> str(tag("p", "a < b", class_="x", hidden=True, id=None))
    '<p class="x" hidden>a &lt; b</p>'
    """
    parts = [name]
    for key, value in attributes.items():
        if value is not None:
            word = key.rstrip("_").replace("_", "-")
            parts.append(word if value is True else f'{word}="{html.escape(printable(str(value)))}"')
    opening = f"<{' '.join(parts)}>"
    return Html(opening if name in VOID else f"{opening}{join(*children)}</{name}>")


def join(*children: object) -> Html:
    """Return elements one after the other."""
    return Html("".join(text(child) for child in children))


class Number(Html):
    """Markup of a number; a table sets it to the right, and its heading above it."""

    __slots__ = ()


@dataclass(frozen=True)
class Group:
    """Rows of a table that belong together, under a heading of their own."""

    title: str
    rows: Sequence[Sequence[object]]


def table(
    head: Sequence[object],
    rows: Sequence[Sequence[object] | Group],
    label: str,
    *,
    flows_on_phones: bool = False,
    first: Collection[int] = (),
) -> Html:
    """Return a table that scrolls inside itself where the screen is narrow; the first cell of a row names it.

    Parameters
    ----------
    head : sequence of object
        Headings.
    rows : sequence
        Rows, or groups of rows.
    label : str
        What the table is, for those who hear it.
    flows_on_phones : bool
        Where columns are not there to be compared: each row flows on a narrow screen as names and values, so that
        nothing is out of sight.
    first : collection of int
        Columns that a narrow screen shows; the others come with a box to tick. All where omitted.
    """
    groups = [row if isinstance(row, Group) else Group("", [row]) for row in rows]
    plain = [row for group in groups for row in group.rows]
    is_number = [all(_side(row[k]) for row in plain if row[k] != "") and bool(plain) for k in range(len(head))]
    looks = [" ".join(_looks(k, k > 0 and is_number[k], first)) or None for k in range(len(head))]
    top = tag("tr", *(tag("th", cell, scope="col", class_=look) for cell, look in zip(head, looks, strict=True)))
    names = head if flows_on_phones else [None] * len(head)
    bodies, loose = [], []
    for group in groups:
        found = [_row(row, names, looks) for row in group.rows]
        if not group.title:
            loose += found
            continue
        title = tag("th", group.title, scope="rowgroup", colspan=len(head))
        bodies.append(tag("tbody", tag("tr", title, class_="group"), *found))
    inner = tag("table", tag("thead", top), *([tag("tbody", *loose)] if loose else []), *bodies)
    look = "scroll flows" if flows_on_phones else "scroll"
    scrolled = tag("div", inner, class_=look, role="region", tabindex="0", aria_label=label)
    if not first or len(first) >= len(head):
        return scrolled
    box = tag("label", tag("input", type="checkbox", class_="every"), " all columns", class_="every-label")
    return tag("div", box, scrolled, class_="columns")


def _looks(k: int, is_number: bool, first: Collection[int]) -> list[str]:
    return [word for word, is_so in (("num", is_number), ("extra", bool(first) and k not in first)) if is_so]


def _row(row: Sequence[object], names: Sequence[object], looks: Sequence[str | None]) -> Html:
    """Return one row; a number stands to the right even where others of its column are words."""
    cells = []
    for cell, name, look in zip(row[1:], names[1:], looks[1:], strict=True):
        words = [*(look or "").split(), *([_side(cell)] if _side(cell) else [])]
        cells.append(tag("td", cell, class_=" ".join(dict.fromkeys(map(str, words))) or None, data_head=name))
    return tag("tr", tag("th", row[0], scope="row", data_head=names[0]), *cells)


def _side(cell: object) -> str | None:
    """Set numbers to the right."""
    if isinstance(cell, Number):
        return "num"
    is_plain = not isinstance(cell, Html) and re.fullmatch(
        r"[\[\]\d\s,.+\-−±<%*]*\d[\[\]\d\s,.+\-−±<%*]*|n/a", str(cell)
    )
    return "num" if is_plain else None


def facts(pairs: Sequence[tuple[str, object]]) -> Html:
    """Return names and values as a list; empty values are left out."""
    kept = [(name, value) for name, value in pairs if value not in ("", None)]
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in kept), class_="facts")


def details(summary: object, *children: object) -> Html:
    """Return what is folded away behind a line."""
    return tag("details", tag("summary", summary), *children)


def link(address: str) -> Html:
    """Return a web address as a link, and anything else as text."""
    if not re.match(r"https?://[^\s]+$", address):
        return text(address)
    return tag("a", address, href=address, rel="noopener noreferrer")


def badge(words: str, strength: str | None = None) -> Html:
    """Return words as a badge: how something is known, or a verdict.

    Parameters
    ----------
    words : str
        What it says.
    strength : str, optional
        ``firm``, ``weak`` or ``against``; where omitted, whether the words name something that can be looked up.
    """
    return tag("span", words, class_=f"badge {strength or STATUS_WORDS.get(words, 'weak')}")


def tagged(sentence: str) -> Html:
    """Return a sentence in which the words that say how something is known are badges.

    Examples
    --------
    >>> str(tagged("price: assumed"))
    'price: <span class="badge weak">assumed</span>'
    """
    parts: list[object] = []
    for i, part in enumerate(_WORDS.split(sentence)):
        if i % 2:
            parts.append(badge(part))
        elif i and part.startswith(":"):  # no line ends between a badge and its colon
            parts[-1:] = [tag("span", parts[-1], ":", class_="whole"), part[1:]]
        else:
            parts.append(part)
    return join(*parts)


def json_block(data: Any) -> Html:
    """Return data as JSON that no HTML parser can mistake for markup; NaN and infinities become null."""
    plain = json.dumps(rounded(data), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Html(plain.translate(_JSON_ESCAPES))


def rounded(data: Any) -> Any:
    """Return data with six digits, more than a screen shows and half the size, and with text that can be shown."""
    if isinstance(data, float):
        return _short(data)
    if isinstance(data, str):
        return printable(data, kept=_LINE_ENDS)
    if isinstance(data, dict):
        return {printable(str(key), kept=_LINE_ENDS): rounded(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [rounded(value) for value in data]
    return data


def _short(value: float) -> float | int | None:
    if not math.isfinite(value):
        return None
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short
