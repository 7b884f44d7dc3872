"""Every tour can be followed literally from an empty folder, and its commands print what the page shows."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from pages import ROOT, blocks_of, name_of
from tours import TOURS, file_of, follow

import discosim


def test_there_is_a_tour_for_each_kind_of_user() -> None:
    assert [page.stem for page in TOURS] == ["engineer", "researcher", "reviewer"]


WITH_MINUTES = [page for page in TOURS if any("minutes" in block.tags for block in blocks_of(page))]
WHOLE = [pytest.param(page, True, id=f"{page.stem}, whole", marks=pytest.mark.exhaustive) for page in WITH_MINUTES]
BUT_MINUTES = [pytest.param(page, False, id=page.stem) for page in TOURS]
"""What takes minutes are figures of papers, which the continuous integration makes in a step of its own."""


@pytest.mark.long
@pytest.mark.parametrize(("page", "is_whole"), [*BUT_MINUTES, *WHOLE])
def test_a_tour_can_be_followed(page: Path, is_whole: bool, tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = os.environ | {"PATH": path, "PYTHONPATH": str(Path(discosim.__file__).parents[1])}
    steps = 0
    for step in follow(page, tmp_path, env, is_whole=is_whole):
        where = f"{name_of(page)}:{step.commands.line}\n{step.printed}{step.errors}"
        assert (step.status != 0) == ("fails" in step.commands.tags), where
        assert "Traceback" not in step.errors, where
        if step.shown is not None:
            assert step.shown.code.strip() in step.printed, where
        steps += 1
    assert steps >= 5


def test_what_a_tour_says_to_save_is_used() -> None:
    for page in TOURS:
        text = page.read_text(encoding="utf-8")
        for name in filter(None, map(file_of, blocks_of(page))):
            assert text.count(name) >= 2, f"{page.relative_to(ROOT)}: {name}"
