"""One page from its parts: sections, data, style and script, all in one file that loads nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from string import Template
from typing import Any

from discosim.report.html.markup import Html, join, json_block, tag, text

SCRIPTS = ("chart.js", "views.js", "requests.js", "differences.js", "page.js")


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page: its anchor, its heading, its content."""

    name: str
    title: str
    body: Html


@dataclass(frozen=True, kw_only=True)
class Page:
    """What a report shows.

    Parameters
    ----------
    title : str
        Heading, and name of the browser's tab.
    lead : Html
        What was asked, and the answer; see :func:`opening`.
    sections : sequence of Section
        In their order.
    data : mapping
        What the charts draw; see ``views.js``.
    """

    title: str
    lead: Html
    sections: Sequence[Section]
    data: Mapping[str, Any] = field(default_factory=dict)


def assemble(page: Page) -> str:
    """Return the text of the HTML file.

    Notes
    -----
    The content security policy names the one style sheet and the one script by their hashes and forbids every load,
    so that markup smuggled in through a name could neither run nor call home, were it not escaped already.
    """
    style = _part("report.css")
    script = "\n".join(_part(name) for name in SCRIPTS)
    policy = (
        f"default-src 'none'; script-src 'sha256-{_hash(script)}'; style-src 'sha256-{_hash(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    entries = [tag("li", tag("a", section.title, href=f"#{section.name}")) for section in page.sections]
    parts = [
        tag("header", tag("h1", page.title), page.lead),
        tag("nav", tag("ul", *entries), aria_label="Contents"),
        *(tag("section", tag("h2", s.title), s.body, id=s.name) for s in page.sections),
    ]
    return Template(_part("page.html")).substitute(
        title=text(page.title),
        policy=policy,
        style=style,
        body=join(*parts),
        data=json_block(page.data),
        script=script,
    )


def opening(question: object, answer: object, rest: Sequence[object] = (), minds: Sequence[object] = ()) -> Html:
    """Return what a reader meets first: what was asked, the answer in a sentence, and what else belongs to it.

    Parameters
    ----------
    question : object
        What is compared.
    answer : object
        The answer.
    rest : sequence of object
        Further sentences, of what it costs and how sure it is.
    minds : sequence of object
        Doubts that must not be overlooked.
    """
    parts = [tag("p", question, class_="question"), tag("p", answer, class_="answer")]
    if rest:
        parts.append(tag("p", *(part for k, each in enumerate(rest) for part in ((" ", each) if k else (each,)))))
    parts += [tag("p", tag("strong", "Mind: "), each, class_="mind") for each in minds]
    return join(*parts)


def chart_host(view: str) -> Html:
    """Return the place where the script draws a view."""
    return tag("div", data_view=view, class_="view")


def _part(name: str) -> str:
    return (files("discosim.report.html") / name).read_text(encoding="utf-8")


def _hash(part: str) -> str:
    return base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
