"""Reading the project's pages: fenced blocks, what they print, links and headings.

Run as a script in an empty folder, it writes into the pages what their examples print now.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from discosim import load_scenario, simulate
from discosim.report.text import render

ROOT = Path(__file__).parents[2]
PAGES = [*(ROOT / f"{name}.md" for name in ("README", "ARTIFACT", "CHANGELOG")), *sorted((ROOT / "docs").rglob("*.md"))]
"""The pages a reader is sent to."""

FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, the words after the language, its text and the line it starts at."""

    language: str
    tags: tuple[str, ...]
    code: str
    line: int


def name_of(page: Path) -> str:
    """Return the path of a page as a reader would name it."""
    return page.relative_to(ROOT).as_posix()


def blocks_of(page: Path) -> list[Block]:
    """Return all fenced blocks of a page in their order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        language, *tags = match["info"].split() or [""]
        found.append(Block(language, tuple(tags), match["code"], text.count("\n", 0, match.start("code")) + 1))
    return found


def outputs_of(page: Path) -> Iterator[tuple[Block, str]]:
    """Run the Python blocks of a page in one namespace; yield each block of output with what was printed.

    A ``text output`` block shows what the Python block before it prints, ``text quickstart`` the quickstart's table,
    ``text quickstart change`` its comparison.
    """
    module = types.ModuleType("page")
    sys.modules["page"] = module  # where dataclasses look up the names in their annotations
    printed = ""
    for block in blocks_of(page):
        if block.language == "python" and "no-run" not in block.tags:
            printed = _run(block, page, module)
        elif "output" in block.tags:
            yield block, printed
        elif "quickstart" in block.tags:
            values, _, rest = _quickstart().partition("\n\nchange against")
            change = "change against" + rest.partition("\n\nhalf-widths")[0]
            yield block, change if "change" in block.tags else values


@cache
def _quickstart() -> str:
    return render(simulate(load_scenario("quickstart")))


def _run(block: Block, page: Path, module: types.ModuleType) -> str:
    """Execute one block; its lines keep their numbers, so that a traceback names the line of the page."""
    code = compile("\n" * (block.line - 1) + block.code, str(page), "exec", dont_inherit=True)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, vars(module))
    return printed.getvalue()


def refresh(page: Path) -> None:
    """Write into a page what its examples print now."""
    lines = page.read_text(encoding="utf-8").splitlines()
    for block, printed in reversed(list(outputs_of(page))):
        start = block.line - 1
        lines[start : start + len(block.code.splitlines())] = printed.rstrip().splitlines()
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")


def links_of(page: Path) -> Iterator[str]:
    """Yield the targets of all links and pictures outside code."""
    prose = re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text(encoding="utf-8")))
    yield from (match["target"] for match in LINK.finditer(prose))


def anchors_of(page: Path) -> set[str]:
    """Return the anchors of a page's headings, by GitHub's rule."""
    prose = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ +(.+?) *$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def shell_lines(page: Path) -> list[str]:
    """Return every command line of the page's ``sh`` blocks."""
    code = "".join(block.code for block in blocks_of(page) if block.language == "sh")
    return [line for line in code.splitlines() if line.strip() and not line.startswith("#")]


if __name__ == "__main__":
    for each in PAGES:
        refresh(each)
