"""Reading results back: a run or a sweep as one tidy table."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from discosim.config.yaml_loader import read_file
from discosim.core.addresses import place_of_text
from discosim.core.errors import UserError
from discosim.runs.facts import FACTS
from discosim.runs.whole import checked_facts
from discosim.sweep.index import read_index
from discosim.sweep.mirror import mirrored
from discosim.sweep.store import INDEX, PLAN, Store
from discosim.sweep.table import collect
from discosim.sweep.views import with_units

if TYPE_CHECKING:
    import pandas as pd

TABLE = "replications.parquet"


def load_results(folder: str | os.PathLike[str]) -> pd.DataFrame:
    """Return a result folder as one tidy table.

    Parameters
    ----------
    folder : path
        Folder of a run or of a sweep.

    Returns
    -------
    pandas.DataFrame
        Of a run: ``policy, replication``, every summary metric, and ``seed``. Of a sweep: one row per run and
        policy with ``point``, ``seed``, ``status``, one column per path that was varied, ``policy`` and every
        summary metric; runs that failed or are missing have one row each, so that nothing is lost silently.
        ``attrs["units"]`` holds the unit of each metric.

    Raises
    ------
    UserError
        If the folder holds neither, or a file of it is not as it was written.
    """
    place = place_of_text(folder) if isinstance(folder, str) else Path(folder)
    if isinstance(place, str):
        with mirrored(place, only=(PLAN, INDEX), is_read=True) as mirror:
            if (table := _whole_index(mirror.folder)) is not None:
                return table
        with mirrored(place, is_read=True) as mirror:
            return load_results(mirror.folder)
    path = place
    if is_sweep(path):
        return _sweep(path)
    if not any((path / name).exists() for name in (FACTS, TABLE)):
        raise UserError("holds neither a run nor a sweep", where=str(path))
    checked_facts(path, needed=(TABLE, "config.yaml"))
    import pandas as pd

    with (path / TABLE).open("rb") as file:
        table = pd.read_parquet(file)
    table["policy"] = table["policy"].astype("string")
    return with_units(table.assign(seed=int(read_file(path / "config.yaml").data["seed"])))


def is_sweep(folder: Path) -> bool:
    """Tell whether a folder holds a sweep."""
    return (folder / PLAN).exists()


def _sweep(folder: Path) -> pd.DataFrame:
    """Read the index if it is complete and as it was written, else the runs themselves."""
    table = _whole_index(folder)
    return collect(Store(folder)) if table is None else table


def _whole_index(folder: Path) -> pd.DataFrame | None:
    """Return the index if it is complete and as it was written."""
    if not is_sweep(folder):
        return None
    planned = {run.folder for run in Store(folder).planned()}
    table = read_index(folder)
    is_whole = table is not None and set(table["run"]) == planned and (table["status"] == "finished").all()
    return with_units(table) if table is not None and is_whole else None
