"""Notebooks as pages: code and words from notebooks/*.py, outputs from an execution that is kept.

``python docs/site/notebook_pages.py`` executes the notebooks whose outputs are not kept yet, two minutes in all. What
is kept lies in build/notebooks under a hash of the notebook and of the package, so that no page shows what another
version printed. A page without outputs says so.
"""

from __future__ import annotations

import base64
import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "build" / "notebooks"
WITHOUT = (
    "!!! note\n\n    This build was made without the outputs of the notebooks; "
    "`python docs/site/notebook_pages.py` computes them.\n\n"
)


def kept_path(source: Path) -> Path:
    """Return where the outputs of a notebook are kept."""
    from discosim.runs.identity import code_facts

    text = source.read_bytes() + json.dumps(code_facts(), sort_keys=True).encode()
    return KEPT / f"{source.stem}-{hashlib.sha256(text).hexdigest()[:16]}.ipynb"


def notebook_page(source: Path) -> tuple[str, dict[str, bytes]]:
    """Return the Markdown of a notebook, and its pictures by name."""
    import jupytext
    import nbformat

    kept = kept_path(source)
    notebook = nbformat.read(kept, as_version=4) if kept.is_file() else jupytext.read(source)
    return as_markdown(notebook, source.stem, has_outputs=kept.is_file())


def as_markdown(notebook: Any, name: str, *, has_outputs: bool = True) -> tuple[str, dict[str, bytes]]:
    """Return a notebook as Markdown, and its pictures by name."""
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        elif cell.cell_type == "code" and cell.source.strip():
            parts.append(f"```python\n{cell.source}\n```")
            parts += [_output(output, name, pictures) for output in cell.get("outputs", [])]
    title, _, rest = "\n\n".join(part for part in parts if part).partition("\n")
    return f"{title}\n\n{'' if has_outputs else WITHOUT}{rest}\n", pictures


def _output(output: Any, name: str, pictures: dict[str, bytes]) -> str:
    if output.output_type == "stream":
        return _text(output.text) if output.name == "stdout" else ""
    data = output.get("data", {})
    if "image/png" in data:
        pictures[f"{name}-{len(pictures) + 1}.png"] = base64.b64decode(data["image/png"])
        return f"![Output of the cell above]({name}-{len(pictures)}.png)"
    if "text/html" in data:
        return f'<div class="output">\n{data["text/html"].replace(chr(10) * 2, chr(10))}\n</div>'
    return _text(data.get("text/plain", ""))


def _text(text: str) -> str:
    return f'<div class="output" markdown>\n\n````text\n{text.rstrip()}\n````\n\n</div>' if text.strip() else ""


def execute(source: Path) -> Path:
    """Execute a notebook in an empty folder, keep it with its outputs, and return where."""
    import jupytext
    import nbformat
    from nbclient import NotebookClient

    notebook = jupytext.read(source)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=600, kernel_name="python3").execute(cwd=folder)
    kept = kept_path(source)
    kept.parent.mkdir(parents=True, exist_ok=True)
    for old in kept.parent.glob(f"{source.stem}-*.ipynb"):
        old.unlink()
    nbformat.write(notebook, kept)
    return kept


if __name__ == "__main__":
    for each in sorted((ROOT / "notebooks").glob("*.py")):
        if not kept_path(each).is_file():
            print(execute(each).relative_to(ROOT))
