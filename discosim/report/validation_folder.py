"""The folder of a comparison with a real server: figures and tables, of which `discosim report` makes a page."""

from __future__ import annotations

import json
from pathlib import Path

from discosim.calibrate.validate import CHECKED, Validation, states_at, to_page, write_requests
from discosim.core.errors import UserError
from discosim.core.files import check_folder, write_whole
from discosim.report.figures.overlaid import over_time, overlaid, request_errors
from discosim.report.html.validate_folder import FILE
from discosim.report.style import save


def check_validation_folder(folder: Path) -> None:
    """Refuse a folder that cannot be written, or that holds anything but an older comparison.

    Raises
    ------
    UserError
        With what stands in the way.
    """
    check_folder(folder)
    if folder.is_dir() and any(folder.iterdir()) and not (folder / FILE).is_file():
        raise UserError("holds something else; name another folder with --out", where=str(folder))


def write_validation(found: Validation, engine: str, folder: Path) -> None:
    """Write a comparison: requests.csv, curves, and last validation.json, by which the folder is known.

    Parameters
    ----------
    found : Validation
        The comparison.
    engine : str
        Name of the scenario.
    folder : Path
        Made where it is missing; an older comparison in it is replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_requests(found, folder / "requests.csv")
    n = len(found.log)
    real = {name: getattr(found.log, name) for name in CHECKED}
    simulated = {name: getattr(found.played, name)[:n] for name in CHECKED}
    save(overlaid(real, simulated), folder / "overlaid")
    save(request_errors(found.log.arrival_s, real, simulated), folder / "request_errors")
    if (series := found.series) is None:
        (folder / "over_time.png").unlink(missing_ok=True)  # of an older comparison, which the page would show
    else:
        running, waiting = states_at(found.played, series.t_s)
        seen = {"running": series.running, "waiting": series.waiting}
        save(over_time(series.t_s, seen, {"running": running, "waiting": waiting}), folder / "over_time")
    write_whole(folder / FILE, json.dumps(to_page(found, engine), indent=2) + "\n")
