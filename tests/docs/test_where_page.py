"""The page "where do I put it?" leaves no part out, and says all four things of each."""

from __future__ import annotations

import re

from pages import ROOT

PAGE = (ROOT / "docs" / "where-do-i-put-it.md").read_text(encoding="utf-8")
THINGS = ("policy", "scheduler", "endpoint", "metric", "trace format", "digest", "figure", "claim", "page")


def test_every_part_says_file_duty_test_and_page() -> None:
    sections = dict(re.findall(r"^## An? ([\w ]+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
    assert tuple(sections) == THINGS
    for name, text in sections.items():
        for word in ("**File**", "**Must provide**", "**Test**", "**Page**"):
            assert word in text, f"{name}: {word}"
