"""One folder of each kind, and its report, for all tests of this family."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import Visit
from parsed_page import Parsed
from report_folders import engine_folder, figures_folder, run_folder, sweep_folder, validate_folder

from discosim.report.html import write_report


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a result folder of each kind."""
    root = tmp_path_factory.mktemp("report")
    return {
        "run": run_folder(root),
        "sweep": sweep_folder(root),
        "figures": figures_folder(root),
        "engine": engine_folder(root),
        "validate": validate_folder(root),
    }


@pytest.fixture(scope="session")
def reports(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the report of each kind, outside its folder."""
    root = tmp_path_factory.mktemp("pages")
    return {kind: write_report(folder, root / f"{kind}.html") for kind, folder in folders.items()}


@pytest.fixture(scope="session")
def parsed(reports: dict[str, Path]) -> dict[str, Parsed]:
    """Return the report of each kind, taken apart."""
    return {kind: Parsed(path.read_text(encoding="utf-8")) for kind, path in reports.items()}


@pytest.fixture
def visit(browser: Any, reports: dict[str, Path]) -> Iterator[Any]:
    """Open reports; at the end there must have been no trouble with any."""
    visits: list[Visit] = []

    def start(kind: str, width: int = 1280, scheme: str = "light") -> Visit:
        visits.append(Visit(browser, reports[kind], width, scheme))
        return visits[-1]

    yield start
    for each in visits:
        assert each.page.locator("img[src=x]").count() == 0
        each.page.close()
        assert each.troubles == []
