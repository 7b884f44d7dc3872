"""run.json: what made a run, and size and sha256 of every file of its folder, by which a damaged one is known."""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

import discosim
from discosim.core.errors import UserError
from discosim.core.printable import unicode_text
from discosim.core.scenario import Scenario
from discosim.runs.identity import LIBRARIES, SCHEMA_VERSION, code_facts, commit, run_id
from discosim.runs.provenance import fingerprints
from discosim.runs.shapes import FileName, Sha256, Shape, check_shape, read_object

FACTS = "run.json"
"""Written last: a folder without it holds no finished run."""


class FileFacts(Shape):
    """What a file was when the run wrote it."""

    bytes: int = Field(ge=0)
    sha256: Sha256


class RunFacts(Shape):
    """What other rooms rely on in run.json."""

    run_id: Sha256
    seed: int
    discosim: str
    code: Mapping[str, str]
    inputs_sha256: Mapping[str, str]
    files: Mapping[FileName, FileFacts]
    libraries: Mapping[str, str] = {}
    commit: str | None = None
    command: str = ""
    python: str = ""
    platform: str = ""
    wall_s: float | None = None
    peak_memory_mib: float | None = None
    kernels: Mapping[str, Mapping[str, int]] = {}


def run_facts(scenario: Scenario, command: str, wall_s: float | None) -> dict[str, Any]:
    """Return what only this execution knows: the one place for wall-clock facts; no time where nobody took it."""
    inputs = fingerprints(scenario)
    code = code_facts()
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": run_id(scenario, inputs),
        "discosim": discosim.__version__,
        "commit": commit(),
        "code": code,
        "command": unicode_text(command),
        "seed": scenario.seed,
        "python": platform.python_version(),
        "libraries": {name: code[name] for name in LIBRARIES},
        "platform": platform.platform(),
        "wall_s": None if wall_s is None else round(wall_s, 3),
        "peak_memory_mib": peak_memory_mib(),
        "inputs_sha256": inputs,
    }


def file_facts(path: Path) -> dict[str, Any]:
    """Return size and sha256 of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def read_facts(folder: Path) -> dict[str, Any]:
    """Return run.json of a result folder.

    Raises
    ------
    UserError
        If it is missing, cannot be read, or is not what a run writes.
    """
    path = folder / FACTS
    try:
        content = read_object(path)
    except UserError as error:
        if error.message.startswith("does not hold"):
            raise UserError(error.message.replace("is written", "a run writes"), where=error.where) from None
        raise
    facts = check_shape(RunFacts, content, path, "a run")
    if facts.discosim != facts.code.get("discosim", facts.discosim):
        raise UserError("does not hold what a run writes there (two versions of discosim)", where=str(path))
    return content


def peak_memory_mib(*, with_children: bool = False) -> float | None:
    """Return the most memory that this process, or the largest of its children, has held; None where nobody counts.

    Windows has no such count in Python. Others count in KiB, but macOS in bytes.
    """
    try:
        import resource
    except ImportError:
        return None
    whose = [resource.RUSAGE_SELF, *([resource.RUSAGE_CHILDREN] if with_children else [])]
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return round(max(resource.getrusage(who).ru_maxrss for who in whose) / unit, 1)
