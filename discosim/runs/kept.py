"""What policies came to, kept one by one: a run whose policy has changed takes the others over."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from discosim.core.errors import UserError
from discosim.core.files import replacing
from discosim.core.scenario import Scenario
from discosim.runs.collect import Columns
from discosim.runs.identity import code_facts, policy_ids
from discosim.runs.outcomes import Compute, own_errors
from discosim.runs.packed import packed, unpacked
from discosim.runs.replicate import Entrant, Outcome

TABLES = ("columns", "tokens", "endpoints", "series")
_MAGIC = b"discosim outcome 2\n"


@dataclass
class Kept:
    """Outcomes in a folder, a file for each policy and replication; those of another version of the code do not count.

    Parameters
    ----------
    folder : Path
        Where they lie; it need not be there.
    ids : mapping of str to str
        Name of a policy -> its identity, for the policies that are kept.
    code : mapping of str to str
        Version of the code, as `code_facts` gives it.
    """

    folder: Path
    ids: Mapping[str, str]
    code: Mapping[str, str]
    taken: set[str] = field(default_factory=set)
    """Policies that were not run again."""
    run: set[str] = field(default_factory=set)
    """Policies that were run."""
    is_apart = True

    @classmethod
    def of_scenario(
        cls, folder: Path, scenario: Scenario, names: Collection[str], inputs_sha256: Mapping[str, str] | None = None
    ) -> Kept:
        """Return what is kept of the named policies of a scenario; fingerprints of its inputs where they are known."""
        return cls(folder, policy_ids(scenario, names, inputs_sha256), code_facts())

    def of(self, entrant: Entrant, replication: int, compute: Compute) -> Outcome:
        """Return what was kept; else run the world, and keep it where a policy is to be kept."""
        path = self._path(entrant.name, replication)
        found = None if path is None else read_outcome(path, self.code)
        if found is not None:
            self.taken.add(entrant.name)
            return found
        self.run.add(entrant.name)
        outcome = own_errors(entrant, compute)
        if path is not None and self.folder.parent.is_dir():  # else this machine does not see the driver's folders
            write_outcome(path, outcome, self.code)
        return outcome

    def _path(self, name: str, replication: int) -> Path | None:
        return self.folder / file_name(self.ids[name], replication) if name in self.ids else None


def file_name(identity: str, replication: int = 0) -> str:
    """Return the name of the file of an outcome."""
    return f"{identity[:24]}-r{replication}.outcome"


def write_outcome(path: Path, outcome: Outcome, code: Mapping[str, str]) -> None:
    """Write an outcome in one step; a folder that cannot be written keeps nothing, which costs only time."""
    tables = {name: packed(getattr(outcome, name)) for name in TABLES}
    about = {
        "code": dict(code),
        "tables": {name: {"bytes": len(content), "columns": columns} for name, (content, columns) in tables.items()},
        "summary": {name: _scalar(value) for name, value in outcome.summary.items()},
        "tally": {name: _scalar(value) for name, value in outcome.tally.items()},
        "is_cut": outcome.is_cut,
        "asked": sorted(outcome.asked),
        "kernels": dict(outcome.kernels),
        "changed": sorted(outcome.changed),
    }
    body = json.dumps(about).encode() + b"\n" + b"".join(content for content, _ in tables.values())
    seal = hashlib.sha256(body).hexdigest().encode() + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, is_flushed=False) as part:  # one that is torn is not of its seal, and is run again
            part.write_bytes(_MAGIC + seal + body)
    except (OSError, UserError):
        return


def read_outcome(path: Path, code: Mapping[str, str]) -> Outcome | None:
    """Return an outcome as it was written; None where there is none, it is damaged, or other code made it."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    seal, body = content[len(_MAGIC) :][:64], memoryview(content)[len(_MAGIC) + 65 :]
    if not content.startswith(_MAGIC) or hashlib.sha256(body).hexdigest().encode() != seal:
        return None
    end = content.index(b"\n", len(_MAGIC) + 65)
    about, rest = json.loads(content[len(_MAGIC) + 65 : end]), memoryview(content)[end + 1 :]
    if about["code"] != dict(code):
        return None
    held: dict[str, Columns] = {}
    for name in TABLES:
        size = about["tables"][name]["bytes"]
        held[name], rest = unpacked(rest[:size], about["tables"][name]["columns"]), rest[size:]
    return Outcome(
        **held,
        summary={name: _of_scalar(value) for name, value in about["summary"].items()},
        tally={name: _of_scalar(value) for name, value in about["tally"].items()},
        is_cut=about["is_cut"],
        asked=frozenset(about["asked"]),
        kernels=about["kernels"],
        changed=frozenset(about.get("changed", ())),
    )


def _scalar(value: Any) -> list[Any]:
    """Return a number with its type: what a policy makes of its counts may go by it."""
    return [value.item(), value.dtype.str] if isinstance(value, np.generic) else [value, ""]


def _of_scalar(held: list[Any]) -> Any:
    value, kind = held
    return np.dtype(kind).type(value) if kind else value
