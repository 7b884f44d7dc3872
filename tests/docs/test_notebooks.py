"""Every notebook runs from top to bottom in a fresh kernel, quietly, and shows its figures."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jupytext
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.py"))
ENDS_WITH_FIGURE = re.compile(r"(\.plot_\w+\(.*\)|sweep_lines\(.*\)|figure)\s*$", re.DOTALL)


def shows_a_figure(cell: dict[str, Any]) -> bool:
    """Tell whether the last statement of a code cell is a figure."""
    last = re.split(r"\n(?=\S)(?!\))", "".join(cell["source"]).rstrip())[-1]
    return cell["cell_type"] == "code" and ENDS_WITH_FIGURE.match(last.partition("result")[1] + last) is not None


def test_there_are_notebooks() -> None:
    assert [path.stem[:2] for path in NOTEBOOKS] == [f"{i:02}" for i in range(1, len(NOTEBOOKS) + 1)]
    assert len(NOTEBOOKS) >= 5


@pytest.mark.parametrize("source", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(source: Path, tmp_path: Path) -> None:
    notebook = tmp_path / f"{source.stem}.ipynb"
    jupytext.write(jupytext.read(source), notebook)
    pytest_nbmake = [sys.executable, "-m", "pytest", "--nbmake", "--overwrite", "-p", "no:cacheprovider", "-q"]
    done = subprocess.run([*pytest_nbmake, notebook.name], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
