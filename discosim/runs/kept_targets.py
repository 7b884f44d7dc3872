"""Targets for requests, kept beside the results that somebody asked them of, so that later tables hold them too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from discosim.core.errors import UserError
from discosim.core.files import write_whole
from discosim.core.json_text import read_json
from discosim.metrics.targets import checked_targets
from discosim.runs.folder import TARGETS


def keep_targets(folder: Path, targets: Mapping[str, float]) -> None:
    """Write targets into the folder of a run or a sweep, in place of those that it has.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    write_whole(folder / TARGETS, json.dumps(dict(targets), indent=1) + "\n")


def kept_targets(folder: Path) -> dict[str, float]:
    """Return the targets that a folder keeps; none where it keeps none.

    Raises
    ------
    UserError
        If the file is not what was written.
    """
    path = folder / TARGETS
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror or error})", where=str(path)) from None
    try:
        held = read_json(content)
        if not isinstance(held, dict):
            raise UserError("expected targets by column")
        return checked_targets(held)
    except UserError as error:
        raise UserError(f"holds no targets ({error.message}); remove it", where=str(path)) from None
