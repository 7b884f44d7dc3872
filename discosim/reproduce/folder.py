"""The folder of a paper's results: run.json says what is in it and of which bytes, and readers compare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from discosim.core.errors import UserError
from discosim.core.files import check_target, real_path, unwritable
from discosim.core.owners import is_abandoned, temporary
from discosim.core.places import remove
from discosim.runs.facts import FACTS, file_facts
from discosim.runs.figure_facts import read_figure_facts
from discosim.runs.whole import Seen, damage

FOLDERS = ("tables", "figures", "tasks", "sweeps")
"""What is made before anything is computed, so that it cannot turn out later that there is no place."""


def make_ready(folder: Path, files: Iterable[Path]) -> None:
    """Make the folder of a paper's results and try whether it, and the files that will lie in it, can be written.

    Raises
    ------
    UserError
        If not.
    """
    real = real_path(folder)
    for name in FOLDERS:
        try:
            (real / name).mkdir(parents=True, exist_ok=True)
            probe = temporary(real / name / "probe")
            probe.touch()
            probe.unlink()
            for left in [path for path in (real / name).iterdir() if is_abandoned(path)]:
                remove(left)
        except OSError as error:
            raise unwritable(folder / name, error) from error
    for path in files:
        check_target(path)


def recorded(folder: Path, paths: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """Return size and sha256 of files, by their place in the folder."""
    return {path.relative_to(folder).as_posix(): file_facts(path) for path in sorted(paths)}


def check_tables(folder: Path, names: Iterable[str]) -> None:
    """Compare the tables of a folder with what its run.json says of them; without one there is nothing to compare.

    Raises
    ------
    UserError
        Naming the table that is not as it was written.
    """
    if not (folder / FACTS).exists():
        return
    files: Mapping[str, Any] = read_figure_facts(folder).get("files", {})
    wanted = {place: files[place] for place in (f"tables/{name}.csv" for name in names) if place in files}
    if found := damage(folder, wanted, Seen()):
        raise UserError(f"is damaged: it {found[1]}; `discosim figures` makes it anew", where=str(folder / found[0]))
