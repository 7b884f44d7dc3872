"""The picture of the rooms is the one its script draws, and shows the rooms that there are."""

from __future__ import annotations

import re
import runpy

from pages import ROOT

SCRIPT = ROOT / "docs" / "img" / "rooms.py"


def test_the_committed_picture_is_the_drawn_one() -> None:
    drawn = runpy.run_path(str(SCRIPT))["svg"]()
    assert SCRIPT.with_suffix(".svg").read_text(encoding="utf-8") == drawn, "run `python docs/img/rooms.py`"


def test_its_rooms_are_those_of_the_page_in_that_order() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z]+)[/.][^|]*\|", page[: page.index("## Five contracts")], re.MULTILINE)
    held = runpy.run_path(str(SCRIPT))
    assert list(held["ROOMS"]) == rows
    assert {room for room, *_ in held["WAY"]} <= set(rows)
