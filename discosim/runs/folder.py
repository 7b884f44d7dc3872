"""What the folder of a run consists of, where it lies, and which one may be replaced by another."""

from __future__ import annotations

from pathlib import Path

from discosim.core.errors import UserError
from discosim.core.files import real_path
from discosim.core.places import Judge, Kind
from discosim.core.scenario import Scenario
from discosim.runs.facts import FACTS
from discosim.runs.whole import NEEDED

CONFIG = "config.yaml"
SERIES = "series.parquet"
"""A white-box server by the second; a run without one has no such file."""

INPUTS = "inputs.json"
"""Intervals with what the rows behind the inputs leave open; where all inputs have plenty there is no such file."""

ENDPOINTS = "endpoints.parquet"
"""What each endpoint did for each request; a run without `services` has no such file."""

CODE = "code"
"""Code in files of the user's, and text of policies that were given as objects."""

TARGETS = "targets.json"
"""Targets for requests, where somebody gave any to the run or to its report."""

_AT_TIMES = (CODE, TARGETS, SERIES, INPUTS, ENDPOINTS, "tokens.parquet", "figures", "report.html")
RUN = Kind(own=frozenset({*NEEDED, FACTS, *_AT_TIMES}), last=FACTS)
"""What a run writes, and what was made of it: both are replaced with it."""
_ENOUGH = 3
"""Files of a run by which a folder is taken for a damaged one, whose run.json is gone."""


def default_folder(scenario: Scenario) -> Path:
    """Return where a run is written if nobody says where."""
    return Path("results") / scenario.name


def check_apart(path: Path | None, target: Path) -> None:
    """Refuse a file that is written after a run and would replace one of the run's own, or the run's folder.

    Raises
    ------
    UserError
        If it would.
    """
    if path is None:
        return
    place, folder = real_path(path), real_path(target)
    if place == folder or folder.is_relative_to(place):
        raise UserError("is the place of the run's folder; give another name", where=str(path))
    if place.parent == folder and path.name in RUN.own:
        raise UserError("would replace what the run writes; give another name", where=str(path))


def same_run(
    target: Path, resolved: bytes, *, force: bool, elsewhere: str = " with --out", forced: str = "--force"
) -> Judge:
    """Return a judge that lets a run be replaced by itself, by another one only if forced, and nothing else at all.

    ``elsewhere`` and ``forced`` say how whoever asks names another folder, and replaces what is there.
    """

    def judge(found: Path) -> bool:
        try:
            here = {entry.name for entry in found.iterdir()} if found.is_dir() else set()
            config = (found / CONFIG).read_bytes() if (found / CONFIG).is_file() else b""
        except OSError as error:
            raise UserError(f"cannot be read ({error.strerror or error})", where=str(target)) from error
        is_run = {FACTS, CONFIG} <= here or len(here & {*NEEDED, FACTS}) >= _ENOUGH
        if not is_run:
            raise UserError(f"is not empty and holds no run; name another folder{elsewhere}", where=str(target))
        if not force and config != resolved:
            raise UserError(
                f"holds another run; name another folder{elsewhere} or replace it with {forced}", where=str(target)
            )
        return True

    return judge
