"""Policies that were given as objects, as a scenario would name them: so they can go to workers and into files."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from discosim.config.dump import as_plain
from discosim.config.plain import plain_data
from discosim.core.cell_source import text_of
from discosim.core.errors import UserError
from discosim.core.files import replacing
from discosim.core.own_code import file_behind
from discosim.core.scenario import PolicySpec
from discosim.core.source_files import is_installed
from discosim.policies.base import Policy
from discosim.policies.registry import known_policies


def specs_of(policies: Mapping[str, Policy], folder: Path) -> tuple[PolicySpec, ...]:
    """Return what a scenario says to name these policies.

    A policy of ours or of a plug-in goes by its kind; one in a module of the user's by `file.py:Class`; one of a
    notebook, of the script that runs or of a package gets a file in `folder`, which holds the text of the class and of
    what it uses, or the import of it.

    Parameters
    ----------
    policies : mapping of str to Policy
        Name -> object.
    folder : Path
        Where files are written, under names that tell one text from another; made when it is needed.

    Raises
    ------
    UserError
        If an object holds what no option says, or its code cannot be written down.
    """
    specs = []
    for name, policy in policies.items():
        try:
            options = _options(policy)
            specs.append(PolicySpec(kind=_kind(type(policy), folder), name=name, options=options))
        except UserError as error:
            raise UserError(
                error.message, where=f"policy {name}" + (f" {error.where}" if error.where else "")
            ) from None
    return tuple(specs)


def _options(policy: Policy) -> dict[str, Any]:
    known = {f.name: f for f in fields(policy)}
    if more := sorted(vars(policy).keys() - known.keys()):
        said = f"holds {', '.join(more)}, which no option says"
        raise UserError(
            f"{said}; declare it as a field of a dataclass, with field(init=False) where `prepare` fills it"
        )
    options: dict[str, Any] = {}
    for option in (f for f in known.values() if f.init):
        try:
            options[option.name] = plain_data(as_plain(getattr(policy, option.name)))
        except UserError as error:
            raise UserError(f"its option {option.name} {error.message}") from None
    return options


def _kind(held: type[Policy], folder: Path) -> str:
    """Return the kind by which a scenario finds a class."""
    if known_policies().get(held.kind) is held:
        return held.kind
    if (file := file_behind(held)) is not None:
        return f"{file}:{held.__name__}"
    module = held.__module__
    file = Path(getattr(sys.modules.get(module), "__file__", None) or "")
    is_alone = module.isidentifier() and file.suffix == ".py" and not is_installed(file.resolve())
    if module == "__main__" or "<locals>" in held.__qualname__ or not file.is_file():
        return f"{_written(folder, held.__name__, text_of(held))}:{held.__name__}"
    if "." in held.__qualname__:
        raise UserError(f"'{held.__qualname__}' stands in another class; define it at the top")
    if is_alone:
        return f"{file.resolve()}:{held.__name__}"
    text = f"from {module} import {held.__name__}\n\n__all__ = [{held.__name__!r}]\n"
    return f"{_written(folder, held.__name__, text)}:{held.__name__}"


def _written(folder: Path, name: str, text: str) -> Path:
    content = text.encode()
    path = (folder / f"{name}_{hashlib.sha256(content).hexdigest()[:10]}.py").resolve()
    if not path.is_file() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            part.write_bytes(content)
    return path
