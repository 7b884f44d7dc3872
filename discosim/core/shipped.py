"""The folders that travel with the package: digests, configurations and experiments."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from discosim.core.errors import UserError

SHIPPED = "_shipped"
"""Folder of the wheel that holds what lies beside the package in a checkout."""


def shipped_folder(name: str) -> Path:
    """Return the shipped folder ``traces``, ``configs`` or ``experiments``: of the wheel, else of the source checkout.

    Raises
    ------
    UserError
        Where the installation lacks it.
    """
    return _folder(_package_of(__file__), name)


@cache
def _folder(package: Path, name: str) -> Path:
    """Look for it once; what is not there is looked for again."""
    for folder in (package / SHIPPED / name, package.parent / name):
        if folder.is_dir():
            return folder
    raise UserError(f"this installation lacks its {name} folder; install the package again", where=str(package))


@cache
def _package_of(file: str) -> Path:
    return Path(file).resolve().parents[1]
