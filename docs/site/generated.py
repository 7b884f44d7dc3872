"""Pages that no file of docs holds: the API by subject, the command line, files of the repository that are linked."""

from __future__ import annotations

import argparse
import ast
from pathlib import Path

import yaml
from links import ROOT, place_of

API = Path(__file__).with_name("api.yaml")
LANGUAGES = {".py": "python", ".yaml": "yaml", ".json": "json", ".cff": "yaml"}


def api_pages() -> list[tuple[str, str, str]]:
    """Return title, place and text of each page of api.yaml."""
    pages = []
    for name, page in yaml.safe_load(API.read_text(encoding="utf-8")).items():
        names = "\n\n".join(_entry(each) for each in page["names"])
        pages.append((page["title"], f"api/{name}.md", f"# {page['title']}\n\n{page['words']}\n\n{names}\n"))
    return pages


def _entry(name: str) -> str:
    options = "\n    options:\n      members: false" if name.endswith(" alone") else ""
    return f"::: {name.removesuffix(' alone')}{options}"


def command_line_page() -> tuple[str, str, str]:
    """Return title, place and text of the page that shows each verb's help."""
    from discosim.cli import build_parser

    blocks = []
    parsers = [(build_parser(), 2)]
    while parsers:
        parser, level = parsers.pop(0)
        blocks.append(f"{'#' * level} {parser.prog}\n\n```text\n{parser.format_help().rstrip()}\n```")
        for action in parser._actions:  # noqa: SLF001 - argparse offers no other way
            if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
                parsers[:0] = [(each, min(level + 1, 3)) for each in action.choices.values()]
    return "Command line", "api/command-line.md", "# Command line\n\n" + "\n\n".join(blocks) + "\n"


def file_page(path: str, shown: set[str]) -> str:
    """Return a page that shows a file of the repository, or what a folder holds.

    Parameters
    ----------
    path : str
        In the repository.
    shown : set of str
        Files and folders that have a page.
    """
    target = ROOT / path
    head = f"---\nsearch:\n  exclude: true\n---\n\n# {target.name}\n\n"
    if target.is_dir():
        rows = [_row(each, path, shown) for each in sorted(target.iterdir()) if not each.name.startswith(("__", "."))]
        return head + f"What the folder `{path}` of the repository holds.\n\n" + "\n".join(rows) + "\n"
    text = target.read_text(encoding="utf-8").rstrip()
    return head + f"`{path}` in the repository.\n\n````{LANGUAGES.get(target.suffix, 'text')}\n{text}\n````\n"


def _row(each: Path, folder: str, shown: set[str]) -> str:
    name = each.relative_to(ROOT).as_posix()
    label = each.name + ("/" if each.is_dir() else "")
    words = f": {_first_line(each)}" if _first_line(each) else ""
    if name not in shown:
        return f"- `{label}`{words}"
    up = "../" * (folder.count("/") + 2)
    return f"- [`{label}`]({up}{place_of(name)}){words}"


def _first_line(each: Path) -> str:
    """Return what a file says of itself in its first line."""
    source = each / "__init__.py" if each.is_dir() else each
    if source.suffix == ".py" and source.is_file():
        return (ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or "").partition("\n")[0]
    return ""
