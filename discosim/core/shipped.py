"""The folders that travel with the package: digests and configurations."""

from __future__ import annotations

from pathlib import Path

from discosim.core.errors import UserError


def shipped_folder(name: str) -> Path:
    """Return the shipped folder ``traces`` or ``configs``: of the wheel, else of the source checkout.

    Raises
    ------
    UserError
        Where the installation lacks it.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_shipped" / name, package.parent / name):
        if folder.is_dir():
            return folder
    raise UserError(f"this installation lacks its {name} folder; install the package again", where=str(package))
