"""Which kind of folder it is, and the file that comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from discosim.core.errors import UserError
from discosim.core.files import check_folder, check_target, real_path, unwritable, write_whole
from discosim.report.html.page import assemble
from discosim.runs.kept_targets import keep_targets

DEFAULT_NAME = "report.html"
SUFFIXES = {".html", ".htm"}


def write_report(folder: Path, out: Path | None = None, targets: Mapping[str, float] | None = None) -> Path:
    """Write the report of a folder, and return its path.

    Parameters
    ----------
    folder : Path
        Folder of a run, of a sweep, of a paper's figures, or of `discosim engine validate --out`.
    out : Path, optional
        The file; ``report.html`` inside the folder where omitted. It takes its name when it is complete. Equal
        folders give equal bytes.
    targets : mapping of str to float, optional
        Column of requests.parquet -> the most that it may be; kept in the folder of a run or a sweep, where they hold
        until others are given.

    Raises
    ------
    UserError
        If the folder holds none of the four, a file in it cannot be read, or the report cannot be written.
    """
    target = folder / DEFAULT_NAME if out is None else out
    if target.suffix.lower() not in SUFFIXES:
        raise UserError("the name of a report must end in .html", where=str(target))
    if target.parent.is_dir():
        check_target(target)
    elif out is not None:
        check_folder(target.parent)
    content = report_text(folder, targets)
    if targets:
        keep_targets(folder, targets)
    try:
        real_path(target.parent).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(target, error) from error
    write_whole(target, content)
    return target


def report_text(folder: Path, targets: Mapping[str, float] | None = None) -> str:
    """Return the HTML of a folder; folder and errors as in :func:`write_report`."""
    if not folder.is_dir():
        raise UserError(
            "no such folder; expected that of a run, a sweep, a paper's figures, or `engine validate --out`",
            where=str(folder),
        )
    if (folder / "plan.json").is_file():
        from discosim.report.html.sweep_folder import sweep_page

        return assemble(sweep_page(folder, targets))
    if targets and not ((folder / "run.json").is_file() and (folder / "summary.json").is_file()):
        raise UserError(
            "targets are for the requests of a run or a sweep, and this folder holds neither", where="--slo"
        )
    if (folder / "verdicts.csv").is_file():
        from discosim.report.html.figures_folder import figures_page

        return assemble(figures_page(folder))
    if (folder / "run.json").is_file() and (folder / "summary.json").is_file():
        from discosim.report.html.run_folder import run_page

        return assemble(run_page(folder, targets))
    if (folder / "validation.json").is_file():
        from discosim.report.html.validate_folder import validate_page

        return assemble(validate_page(folder))
    raise UserError(
        "holds no results to report: expected run.json and summary.json (a run), plan.json (a sweep), "
        "verdicts.csv (a paper's figures) or validation.json (an engine beside a real server)",
        where=str(folder),
    )
