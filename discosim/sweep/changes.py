"""What has changed since the runs in a folder were made: their inputs, each beside its own point, and the code."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from discosim.config import load_scenario
from discosim.core.errors import UserError
from discosim.core.own_code import is_own
from discosim.runs.identity import code_facts, differences
from discosim.runs.provenance import fingerprints
from discosim.sweep.axes import key_of
from discosim.sweep.plan import Plan


def changes(plan: Plan, made: Iterable[tuple[str, Mapping[str, Any]]], old: Mapping[str, Any] | None) -> list[str]:
    """Return one sentence for every input that has changed, and one for another version of the code.

    Parameters
    ----------
    plan : Plan
        What is to be run now.
    made : iterable of (str, mapping)
        Folder name and run.json of the runs that are there.
    old : mapping or None
        plan.json as the last sweep left it, which says which point each run is of; None where it is lost.

    Notes
    -----
    An input goes by its role and the name of its file, and two points may use files of one name in different folders.
    So a run is compared with the point that has its values now. A run of a point that is no more concerns nobody. Where
    plan.json is lost, a run's input counts as changed when no point at all has it. Code in a file of the user's is
    there to be edited: runs of other code have other names, and nobody has to be asked.
    """
    held = list(made)
    wanted = _by_point(plan, old) if old is not None else _by_key(plan)
    inputs = {
        key
        for name, facts in held
        for key, sha256 in facts["inputs_sha256"].items()
        if sha256 not in wanted(name, key, sha256) and not is_own(key)
    }
    notes = [f"the input '{key}' has changed" for key in sorted(inputs)]
    now = code_facts()
    others = [facts["code"] for _, facts in held if facts["code"] != now]
    if others:
        changed = sorted({text for code in others for text in differences(dict(code), now)})
        notes.append(f"{len(others)} of {len(held)} runs were made by another version ({', '.join(changed)})")
    return notes


def inputs_today(run: Path) -> dict[str, str] | None:
    """Return the sha256 of what a run of now would read, from the run's own config.yaml; None where that is gone."""
    try:
        return fingerprints(load_scenario(run / "config.yaml", runs_own=False))
    except (UserError, OSError):
        return None


_Wanted = Callable[[str, str, str], Collection[str]]
"""Folder of a run, key of an input, its sha256 then -> what it may be now."""


def _by_point(plan: Plan, old: Mapping[str, Any]) -> _Wanted:
    values = [key_of(dict(point["values"])) for point in old["points"]]
    values_of = {run["folder"]: values[run["point"]] for run in old["runs"]}
    inputs_of = {key_of(dict(point.values)): point.inputs_sha256 for point in plan.points}

    def wanted(name: str, key: str, sha256: str) -> Collection[str]:
        return {inputs_of.get(values_of.get(name, ""), {}).get(key, sha256)}

    return wanted


def _by_key(plan: Plan) -> _Wanted:
    known: dict[str, set[str]] = {}
    for point in plan.points:
        for key, sha256 in point.inputs_sha256.items():
            known.setdefault(key, set()).add(sha256)

    def wanted(_: str, key: str, sha256: str) -> Collection[str]:
        return known.get(key, {sha256})

    return wanted
