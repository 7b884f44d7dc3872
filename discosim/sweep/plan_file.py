"""plan.json: everything that was decided before the first run, with a hash by which a change by hand is known."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from discosim.core.errors import UserError
from discosim.runs.identity import SCHEMA_VERSION, code_facts
from discosim.runs.shapes import Sha256, Shape, check_shape, read_object
from discosim.sweep.compare import compares_of
from discosim.sweep.plan import Plan, Run

PLAN = "plan.json"
HASH = "content_sha256"
_AGAIN = "the command that made the sweep writes it anew"


class _Axis(Shape):
    paths: Sequence[str] = Field(min_length=1)
    values: Sequence[Mapping[str, Any]]


class _Point(Shape):
    values: Mapping[str, Any]
    inputs_sha256: Mapping[str, str]


class _Run(Shape):
    folder: str
    point: int = Field(ge=0)
    seed: int
    run_id: Sha256


class _Compare(Shape):
    name: str
    metric: str
    policy: str
    baseline: str
    at: Mapping[str, Any]
    against: Mapping[str, Any]
    interval: Literal["t", "bootstrap"]
    level: float
    margin: float | None


class PlanFile(Shape):
    """What other rooms rely on in plan.json."""

    name: str
    profile: str
    seeds: Sequence[int]
    axes: Sequence[_Axis]
    points: Sequence[_Point]
    runs: Sequence[_Run]
    code: Mapping[str, str]
    compare: Sequence[_Compare] | None = None


def plan_text(plan: Plan, seeds: Sequence[int]) -> str:
    """Return plan.json of a plan with the seeds that are to be run."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "name": plan.file.name,
        "profile": plan.profile,
        "seeds": list(seeds),
        "axes": [
            {
                "paths": list(axis.paths),
                "values": [{setting.path: setting.value for setting in step} for step in axis.steps],
            }
            for axis in plan.axes
        ],
        "points": [{"values": dict(p.values), "inputs_sha256": dict(p.inputs_sha256)} for p in plan.points],
        "runs": [
            {"folder": run.folder, "point": run.point, "seed": run.seed, "run_id": run.id} for run in plan.runs(seeds)
        ],
        "compare": [asdict(compare) for compare in compares_of(plan)],
        "code": code_facts(),
    }
    return json.dumps({**content, HASH: _hash(content)}, indent=1, ensure_ascii=False) + "\n"


def read_plan(folder: Path) -> dict[str, Any]:
    """Return plan.json of a sweep's folder.

    Raises
    ------
    UserError
        If the folder holds no sweep, or the file is not as it was written.
    """
    path = folder / PLAN
    try:
        content = read_object(path)
        plan = check_shape(PlanFile, content, path, "a sweep")
        _check_whole(content, plan, path)
    except UserError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise UserError("no such file; expected the folder of a sweep", where=str(path)) from None
        raise UserError(f"{error.message}; {_AGAIN}", where=error.where) from None
    return content


def _check_whole(content: Mapping[str, Any], plan: PlanFile, path: Path) -> None:
    """Refuse a plan that was changed; those of earlier versions have no hash, but their parts must fit together."""
    if HASH in content and content[HASH] != _hash({key: value for key, value in content.items() if key != HASH}):
        raise UserError(f"has changed since it was written (its {HASH} is another)", where=str(path))
    for run in plan.runs:
        if run.point >= len(plan.points) or run.folder != Run(run.point, run.seed, run.run_id).folder:
            raise UserError(f"does not hold what a sweep writes there (run {run.folder!r})", where=str(path))
    paths = {path for axis in plan.axes for path in axis.paths}
    for values in (*(step for axis in plan.axes for step in axis.values), *(point.values for point in plan.points)):
        if not values.keys() <= paths:
            raise UserError("does not hold what a sweep writes there (values of no axis)", where=str(path))
    if any(step.keys() != set(axis.paths) for axis in plan.axes for step in axis.values):
        raise UserError("does not hold what a sweep writes there (an axis without some of its values)", where=str(path))


def _hash(content: Mapping[str, Any]) -> str:
    """Return the sha256 of plain data, whatever the order and layout of the file."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
