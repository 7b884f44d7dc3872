"""The site says what the pages say, its links hold, and it needs no network: pages, styles, scripts, search are files.

`DISCOSIM_SITE` names a site that was built already, as the continuous integration does; else the long tests build one.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt
from pages import PAGES, ROOT, name_of

sys.path.insert(0, str(ROOT / "docs" / "site"))
from links import place_of
from notebook_pages import as_markdown

COUNTED = ("li", "tr", "pre", "h1", "h2", "h3", "img", "code", "em", "strong")
LOADS = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}
NOT_LOADED = {"canonical", "alternate", "next", "prev"}
GIVEN = os.environ.get("DISCOSIM_SITE")


class Html(HTMLParser):
    """What a page holds: its elements, the addresses that it loads, its links, and the names one can jump to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.counts[tag] += 1
        self.ids.add(given.get("id") or "")
        if tag == "a" and given.get("href"):
            self.links.append(str(given["href"]))
        if tag in LOADS and given.get(LOADS[tag]) and not NOT_LOADED & set((given.get("rel") or "").split()):
            self.loads.append(str(given[LOADS[tag]]))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if GIVEN:
        return Path(GIVEN).resolve()
    if find_spec("mkdocs") is None:
        pytest.skip("needs the extra docs, or DISCOSIM_SITE")
    folder = tmp_path_factory.mktemp("site")
    options = ["--strict", "-q", "-f", "docs/site/mkdocs.yml", "--site-dir", str(folder)]
    command = [sys.executable, "-m", "mkdocs", "build", *options]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, text=True, check=False)
    assert done.returncode == 0
    return folder


pytestmark = [] if GIVEN else [pytest.mark.long]


@cache
def html(path: Path) -> Html:
    return Html(path.read_text(encoding="utf-8"))


def test_a_page_reads_as_on_github(site: Path) -> None:
    """Lists, tables, code and emphasis: two readers of Markdown agree on what is one."""
    github = MarkdownIt("commonmark").enable("table")
    wrong = []
    for page in PAGES:
        text = (site / place_of(name_of(page))).with_suffix(".html").read_text(encoding="utf-8")
        article = text[text.index("<article") : text.index("</article>")]
        here, there = Html(article).counts, Html(github.render(page.read_text(encoding="utf-8"))).counts
        differ = [tag for tag in COUNTED if here[tag] != there[tag]]
        wrong += [f"{name_of(page)}: {here[tag]} {tag}, {there[tag]} on GitHub" for tag in differ]
    assert wrong == []


def test_links_of_the_site_lead_somewhere(site: Path) -> None:
    wrong = []
    for path in site.rglob("*.html"):
        for link in html(path).links:
            if re.match(r"[a-z]+:", link) or path.name == "404.html":
                continue
            place, _, anchor = unquote(link).partition("#")
            target = (path.parent / place).resolve() if place else path
            if not target.is_file() or (anchor and target.suffix == ".html" and anchor not in html(target).ids):
                wrong.append(f"{path.relative_to(site)}: {link}")
    assert wrong == []


def test_no_page_or_style_loads_anything_from_elsewhere(site: Path) -> None:
    loads = [f"{path.relative_to(site)}: {each}" for path in site.rglob("*.html") for each in html(path).loads]
    assert len(loads) > 100
    for path in site.rglob("*.css"):
        addresses = re.findall(r"url\(([^)]*)\)", path.read_text(encoding="utf-8"))
        loads += [f"{path.relative_to(site)}: {each}" for each in addresses]
    elsewhere = re.compile(r": [\"']?(?:https?:)?//")
    assert [each for each in loads if elsewhere.search(each)] == []


def test_every_page_and_every_public_name_is_there(site: Path) -> None:
    api = set().union(*(html(path).ids for path in (site / "api").glob("*.html")))
    for name in (
        *("discosim.config.load.load_scenario", "discosim.runs.simulate.simulate", "discosim.sweep.run.run_sweep"),
        *("discosim.runs.result.RunResult.compare", "discosim.policies.base.Policy.serve"),
        *("discosim.world.session.Session.hand_over", "discosim.world.engine.schedulers.base.Scheduler"),
        "discosim.traces.readers.registry.read_requests",
    ):
        assert name in api
    index = html(site / "index.html").links
    for page in PAGES:
        place = place_of(name_of(page)).removesuffix(".md") + ".html"
        assert page.name == "index.md" or place in index, f"docs/index.md does not name {name_of(page)}"


def test_search_answers_from_files_without_a_network(site: Path, browser) -> None:
    asked: list[str] = []
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.on("request", lambda request: asked.append(request.url))
    page.goto((site / "how-to" / "sweeps.html").as_uri())
    page.click("input.md-search__input")
    page.keyboard.type("hand_over")
    page.wait_for_selector(".md-search-result__item a", timeout=20_000)
    found = page.inner_text(".md-search-result__list")
    assert "Policies and sessions" in found
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    page.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_is_wider_than_the_screen(width: int, site: Path, browser) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    for name in ("index", "metrics", "artifact", "api/simulate", "notebooks/01-quickstart", "tours/engineer"):
        page.goto((site / f"{name}.html").as_uri())
        root = "document.documentElement"
        assert page.evaluate(f"{root}.scrollWidth - {root}.clientWidth") <= 0, name
    page.close()


def test_a_notebook_becomes_a_page_with_its_outputs() -> None:
    import nbformat
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

    picture = new_output("display_data", data={"image/png": "aGk=", "text/plain": "<Figure>"})
    table = new_output(
        "execute_result", data={"text/html": "<table>\n\n<tr><td>1</td></tr></table>", "text/plain": "1"}
    )
    printed = new_output("stream", name="stdout", text="3\n")
    noise = new_output("stream", name="stderr", text="a warning")
    cells = [new_markdown_cell("# Title\n\nWords."), new_code_cell("1 + 2", outputs=[printed, noise, picture, table])]
    notebook = new_notebook(cells=cells)
    nbformat.validate(notebook)
    text, pictures = as_markdown(notebook, "nb")
    assert text.startswith("# Title\n\n\nWords.\n\n```python\n1 + 2\n```")
    assert "````text\n3\n````" in text
    assert "a warning" not in text
    assert "(nb-1.png)" in text
    assert pictures == {"nb-1.png": b"hi"}
    assert "<table>\n<tr><td>1</td></tr></table>" in text
    without, _ = as_markdown(notebook, "nb", has_outputs=False)
    assert "made without the outputs" in without
