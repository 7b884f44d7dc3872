"""Where things of the repository lie in the site, and links that lead there; on GitHub the same links lead to files."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"(^```.*?^```$|``[^`\n]+``|`[^`\n]*`)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?P<path>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")


def place_of(path: str) -> str:
    """Return where a file or folder of the repository lies in the site.

    Pages of docs keep their place; README, ARTIFACT and CHANGELOG are pages, notebooks become pages, and whatever else
    is linked becomes a page that shows it.
    """
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path.startswith("notebooks/") and path.endswith((".py", ".png")):
        return path.removesuffix(".py") + ("" if path.endswith(".png") else ".md")
    if path in {"README.md", "ARTIFACT.md", "CHANGELOG.md"}:
        return {"README.md": "readme-first.md"}.get(path, path.lower())
    return f"files/{path}/listing.md" if (ROOT / path).is_dir() else f"files/{path}.md"


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """Change a page's text, but not its code."""
    parts = CODE.split(text)
    return "".join(part if i % 2 else change(part) for i, part in enumerate(parts))


def targets(text: str, page: str) -> Iterator[str]:
    """Yield the paths in the repository that a page links to."""
    for part in CODE.split(text)[::2]:
        for match in LINK.finditer(part):
            if not re.match(r"[a-z]+:", match["path"]):
                yield _resolved(page, match["path"])


def relinked(text: str, page: str) -> str:
    """Return a page's text with links that hold in the site.

    Parameters
    ----------
    text : str
        Markdown.
    page : str
        Path of the page in the repository.
    """
    here = os.path.dirname(place_of(page))  # noqa: PTH120 - places are text, not files

    def new(match: re.Match[str]) -> str:
        if re.match(r"[a-z]+:", match["path"]):
            return match[0]
        target = os.path.relpath(place_of(_resolved(page, match["path"])), here or ".")
        return f"]({target}{match['anchor'] or ''})"

    return outside_code(text, lambda part: LINK.sub(new, part))


def _resolved(page: str, link: str) -> str:
    return os.path.normpath(os.path.join(os.path.dirname(page), link)).removeprefix("./")  # noqa: PTH118, PTH120
