"""The site from the pages: navigation from docs/index.md, what lies outside docs, Markdown as GitHub reads it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parent))

from generated import api_pages, command_line_page, file_page
from links import ROOT, outside_code, place_of, relinked, targets
from notebook_pages import notebook_page

BESIDE = ("README.md", "ARTIFACT.md", "CHANGELOG.md")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Give headings GitHub's anchors, and the site the navigation that docs/index.md has."""
    config.mdx_configs["toc"]["slugify"] = anchor
    config.nav = navigation((ROOT / "docs" / "index.md").read_text(encoding="utf-8"))
    return config


def anchor(heading: str, _: str = "-") -> str:
    """Return the anchor of a heading by GitHub's rule."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def navigation(index: str) -> list[Any]:
    """Return the navigation: a section per heading of second order, with the links of its list."""
    nav: list[Any] = [{"Home": "index.md"}]
    for section in re.split(r"^## ", index, flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        found = re.findall(r"\[([^\]]+)\]\(([^)#]+)\)", body)
        pages = [{label.strip("`"): place_of(_in_repository(path))} for label, path in found]
        nav.append({title.strip(): pages})
    nav.append({"API": [{title: place} for title, place, _ in [*api_pages(), command_line_page()]]})
    return nav


def notebooks() -> list[str]:
    """Return the paths of the notebooks in the repository."""
    return sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "notebooks").glob("*.py"))


def _in_repository(link: str) -> str:
    return (ROOT / "docs" / link).resolve().relative_to(ROOT).as_posix()


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs: those of the repository, notebooks, files that are linked, and the API."""
    pages = {
        file.abs_src_path and Path(file.abs_src_path).relative_to(ROOT).as_posix()
        for file in files
        if file.is_documentation_page()
    }
    texts = {path: (ROOT / path).read_text(encoding="utf-8") for path in sorted({*BESIDE, *filter(None, pages)})}
    linked = {target for path, text in texts.items() for target in targets(text, path)}
    for path in BESIDE:
        files.append(File.generated(config, place_of(path), content=texts[path]))
    for name in notebooks():
        text, pictures = notebook_page(ROOT / name)
        files.append(File.generated(config, place_of(name), content=text))
        for picture, content in pictures.items():
            files.append(File.generated(config, f"notebooks/{picture}", content=content))
    shown = linked | {
        p.relative_to(ROOT).as_posix() for f in linked if (ROOT / f).is_dir() for p in (ROOT / f).glob("*.yaml")
    }
    for path in sorted(shown):
        if place_of(path).startswith("files/"):
            files.append(File.generated(config, place_of(path), content=file_page(path, shown)))
    for _, place, text in [*api_pages(), command_line_page()]:
        files.append(File.generated(config, place, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - their names
    """Let links lead to pages of the site, and read Markdown as GitHub does."""
    place = page.file.src_uri
    path = next((path for path in (*BESIDE, *notebooks()) if place_of(path) == place), f"docs/{place}")
    if (ROOT / path).is_file():
        markdown = relinked(markdown, path)
    markdown = re.sub(r"^```(\w+)[ \t]+(?:\S*[ \t]+)*?(\w+\.\w+)$", r'```\1 title="\2"', markdown, flags=re.MULTILINE)
    markdown = re.sub(r"^(```\w+)[ \t]+[^\n`{=]+$", r"\1", markdown, flags=re.MULTILINE)  # words for the tests
    markdown = outside_code(markdown, lambda text: re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL))
    markdown = re.sub(r"^(!\[[^\]]*\]\(([^)\s]+)\))$", r"[\1](\2)", markdown, flags=re.MULTILINE)  # a click enlarges
    return outside_code(markdown, _lists)


def _lists(text: str) -> str:
    """Put the empty line before a list that GitHub does without."""
    return re.sub(
        r"^(?P<before>(?![-*|] |\d+\. |\s|#|\|).*\S.*)\n(?=[-*] |1\. )", r"\g<before>\n\n", text, flags=re.MULTILINE
    )
