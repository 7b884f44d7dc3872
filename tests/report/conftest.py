"""One folder of each kind, and its report, for all tests of this family."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_folders import engine_folder, figures_folder, run_folder, sweep_folder

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
    }


@pytest.fixture(scope="session")
def reports(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the report of each kind, outside its folder."""
    root = tmp_path_factory.mktemp("pages")
    return {kind: write_report(folder, root / f"{kind}.html") for kind, folder in folders.items()}
