"""Every notebook runs from top to bottom in a fresh kernel, without a complaint, and shows its figures."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jupytext
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.py"))
FIGURES = ("plot_", "sweep_lines")


def ends_with_a_figure(code: str) -> bool:
    """Tell whether a cell's last line is a variable named `figure`, or calls one of discosim's figure functions."""
    body = ast.parse(code).body
    if not body or not isinstance(body[-1], ast.Expr):
        return False
    shown = body[-1].value
    if isinstance(shown, ast.Name):
        return shown.id == "figure"
    return isinstance(shown, ast.Call) and ast.unparse(shown.func).rpartition(".")[2].startswith(FIGURES)


def outputs_of(cell: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [output for output in cell["outputs"] if output["output_type"] == kind]


def test_the_notebooks_are_numbered_without_a_gap() -> None:
    assert [path.stem[:2] for path in NOTEBOOKS] == [f"{i:02}" for i in range(1, len(NOTEBOOKS) + 1)]
    assert len(NOTEBOOKS) >= 5


@pytest.mark.parametrize(
    "source",
    [NOTEBOOKS[0], *(pytest.param(path, marks=pytest.mark.long) for path in NOTEBOOKS[1:])],
    ids=lambda path: path.stem,
)
def test_a_notebook_runs(source: Path, tmp_path: Path) -> None:
    notebook = tmp_path / f"{source.stem}.ipynb"
    jupytext.write(jupytext.read(source), notebook)
    pytest_nbmake = [
        sys.executable,
        "-m",
        "pytest",
        "--nbmake",
        "--overwrite",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:benchmark",
        "-q",
    ]
    done = subprocess.run(
        [*pytest_nbmake, notebook.name],
        cwd=tmp_path,
        env={**os.environ, "TQDM_DISABLE": "1"},  # bars go to stderr
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    cells = [cell for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    n_figures = 0
    for cell in cells:
        code = "".join(cell["source"])
        assert not outputs_of(cell, "error"), code
        assert all(stream["name"] == "stdout" for stream in outputs_of(cell, "stream")), code
        pictures = [output for output in outputs_of(cell, "execute_result") if "image/png" in output["data"]]
        assert len(pictures) == ends_with_a_figure(code), code
        n_figures += len(pictures)
    assert n_figures, "no figure"
    left_behind = {path.name for path in tmp_path.iterdir()} - {notebook.name}
    assert not left_behind, "a notebook writes into a folder of its own"
