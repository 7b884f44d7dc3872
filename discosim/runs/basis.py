"""What a run in memory rests on, so that it is not written down beside other code or other files than made it."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from discosim.core.cell_source import text_of
from discosim.core.errors import UserError
from discosim.core.own_code import PACKAGE
from discosim.core.scenario import Scenario
from discosim.policies.base import Policy
from discosim.runs.facts import read_facts
from discosim.runs.provenance import fingerprints, foreign_parts, inputs_of


def basis_of(scenario: Scenario, given: Mapping[str, Policy]) -> dict[str, str]:
    """Return fingerprints of what may change under a run in memory: files of the user's own, and policies as objects.

    Parameters
    ----------
    scenario : Scenario
        What is simulated.
    given : mapping of str to Policy
        Name -> object; its class goes by its text and what that uses, or by its file.
    """
    has_files = any(kind == "file" for _, _, kind in inputs_of(scenario))
    has_code = any(part.package == PACKAGE for part in foreign_parts(scenario))
    found = fingerprints(scenario) if has_files or has_code else {}
    return found | {f"policy {name}": _policy(policy) for name, policy in given.items()}


def check_basis(scenario: Scenario, given: Mapping[str, Policy], basis: Mapping[str, str]) -> None:
    """Refuse to go on where something has changed since ``basis`` was taken.

    Raises
    ------
    UserError
        Naming what has changed.
    """
    now = basis_of(scenario, given)
    if changed := sorted(key for key in now.keys() | basis.keys() if now.get(key) != basis.get(key)):
        said = "has changed since this was simulated, so what came out is not its own; simulate it again"
        raise UserError(said, where=changed[0])


def changed_since(config: Path, scenario: Scenario) -> list[str]:
    """Return what of a finished run's files and code is another now, where ``config`` is the configuration it left.

    Parameters
    ----------
    config : Path
        A configuration; nothing is known where it lies beside no run.json that can be read.
    scenario : Scenario
        What it says.
    """
    try:
        before: Mapping[str, str] = read_facts(config.parent)["inputs_sha256"]
    except UserError:
        return []
    now = fingerprints(scenario)
    return sorted(key for key in before.keys() & now.keys() if before[key] != now[key])


def _policy(policy: Policy) -> str:
    held = type(policy)
    options = [(f.name, repr(getattr(policy, f.name))) for f in fields(policy) if f.init]
    return hashlib.sha256(f"{_text(held)}\n{options}".encode("utf-8", "surrogateescape")).hexdigest()


def _text(held: type[Policy]) -> str:
    """Return the text of a class with what it uses, else that of its file; '' where neither can be had."""
    try:
        if held.__module__ == "__main__" or "<locals>" in held.__qualname__:
            return text_of(held)
        file = getattr(sys.modules.get(held.__module__), "__file__", None)
        return Path(file).read_text(encoding="utf-8", errors="surrogateescape") if file else ""
    except (UserError, OSError):
        return ""
