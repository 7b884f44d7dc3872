"""What a run is, and what made it: the hash of everything that decides a result, and the version of the code."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache, lru_cache
from importlib.metadata import entry_points, version
from itertools import takewhile
from pathlib import Path
from typing import Any

import discosim
from discosim.config.checks import FILES
from discosim.config.plain import plain
from discosim.config.shape import item_type, keys_of, mapping_value, members_of, without_none
from discosim.core import source_code
from discosim.core.own_code import is_own, without_folder
from discosim.core.plugins import distribution_of, points
from discosim.core.same import Same
from discosim.core.scenario import EngineServer, PolicySpec, Scenario, SchedulerSpec
from discosim.policies.registry import ENTRY_POINT_GROUP as POLICIES
from discosim.policies.registry import policy_class
from discosim.runs.provenance import POLICY_CODE, code_fingerprints, fingerprints
from discosim.world.engine.costs.registry import ENTRY_POINT_GROUP as COSTS
from discosim.world.engine.schedulers.registry import ENTRY_POINT_GROUP as SCHEDULERS
from discosim.world.engine.schedulers.registry import scheduler_class

SCHEMA_VERSION = 1
LIBRARIES = source_code.LIBRARIES
COST = "cost"
"""The key by which iterations name a cost model."""
_MAY_CHANGE = (Scenario, EngineServer)
"""Sections in which a scheduler may be named that is code of the user's: its options are read anew each time."""
RESULT_ROOMS = ("core", "traces", "world", "policies", "metrics", "config", "runs")
"""Rooms whose code decides what stands in a result file."""


def run_id(scenario: Scenario, inputs_sha256: Mapping[str, str] | None = None) -> str:
    """Return the sha256 of everything that decides a result.

    Parameters
    ----------
    scenario : Scenario
        Resolved; its seed and replications count.
    inputs_sha256 : mapping of str to str, optional
        Fingerprints of its inputs, if they are known already.

    Notes
    -----
    It covers the resolved scenario with its seed, the content of every input, the source of every policy and scheduler
    that comes from another package (an input like any other: the version of ours says nothing of it), and the version
    of the result files. Keys that were added to a section later (``spec(..., since=...)``) leave no trace while they
    hold their default, so that a new key renames no stored run. Files count by name and content, not by place, so that
    two machines agree. The version of this package is not part of it: :func:`code_facts` is recorded beside each run
    and compared. Nor is the executor: where a run is computed changes no number of it.
    """
    return run_ids(scenario, (scenario.seed,), inputs_sha256)[0]


def run_ids(
    scenario: Scenario, seeds: Iterable[int], inputs_sha256: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Return :func:`run_id` of the scenario with each of these seeds; what they have in common is put together once."""
    form = hashed_form(scenario)
    facts = {
        "schema_version": SCHEMA_VERSION,
        "inputs_sha256": dict(fingerprints(scenario) if inputs_sha256 is None else inputs_sha256),
    }
    return tuple(_sha256({**facts, "scenario": _text({**form, "seed": hashed_form(seed, int)})}) for seed in seeds)


def _text(form: Mapping[str, Any]) -> str:
    return json.dumps(form, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _sha256(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def policy_id(scenario: Scenario, name: str, inputs_sha256: Mapping[str, str] | None = None) -> str:
    """Return the sha256 of everything that decides what one policy of a scenario comes to.

    It is the identity of a run of this policy alone: policies do not see each other, so another one beside it, or
    another source of that one, changes nothing of it. The parameters are those of :func:`run_id`.
    """
    return policy_ids(scenario, (name,), inputs_sha256)[name]


def policy_ids(
    scenario: Scenario, names: Iterable[str], inputs_sha256: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return :func:`policy_id` of some policies; what they have in common is put together once."""
    form = {**hashed_form(replace(scenario, policies=(), baseline=None)), "seed": hashed_form(scenario.seed, int)}
    found: dict[str, str] = {}
    for name in names:
        alone = replace(scenario, policies=tuple(s for s in scenario.policies if s.name == name), baseline=None)
        if inputs_sha256 is None:
            inputs = fingerprints(alone)
        else:
            inputs = {key: held for key, held in inputs_sha256.items() if not key.startswith(POLICY_CODE)}
            inputs |= {key: held for key, held in code_fingerprints(alone).items() if key.startswith(POLICY_CODE)}
        facts = {"schema_version": SCHEMA_VERSION, "inputs_sha256": inputs}
        policies = [hashed_form(spec) for spec in alone.policies]
        found[name] = _sha256({**facts, "scenario": _text({**form, "policies": policies})})
    return found


def hashed_form(value: Any, annotation: Any = None) -> Any:
    """Return a scenario, or a part of it, as plain data without the later keys that hold their default.

    It is the same for a scenario that was loaded and for an equal one that was put together in Python: options that are
    left out count with their defaults, and a whole number where a number is meant counts as one.
    """
    if isinstance(value, PolicySpec | SchedulerSpec):
        return _named(value) if is_own(value.kind) else _named_once(Same(value))
    if is_dataclass(value) and not isinstance(value, type):
        return _fields(value) if isinstance(value, _MAY_CHANGE) else _fields_once(Same(value))
    inner, _ = without_none(annotation)
    if isinstance(value, Mapping):
        return {key: hashed_form(item, mapping_value(inner)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [hashed_form(item, item_type(inner)) for item in value]
    value = plain(value)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if is_number and float in (kinds := members_of(inner)) and int not in kinds else value


def _named(value: PolicySpec | SchedulerSpec) -> dict[str, Any]:
    if isinstance(value, PolicySpec):
        options = _options(policy_class(value.kind), value.options)
        return {"kind": without_folder(value.kind), "name": value.name, **options}
    options = _options(scheduler_class(value.kind), value.options)
    return {"kind": without_folder(value.kind), **options}


@lru_cache(maxsize=512)
def _named_once(spec: Same) -> dict[str, Any]:
    """Return the form of a policy or scheduler whose class stands while the process lives, made once."""
    return _named(spec.held)


def _fields(value: Any) -> dict[str, Any]:
    return _options(type(value), {f.name: getattr(value, f.name) for f in fields(value) if f.init})


@lru_cache(maxsize=512)
def _fields_once(section: Same) -> dict[str, Any]:
    """Return the form of a section, made once: the runs of a sweep have most of theirs in common."""
    return _fields(section.held)


def _options(section: type, values: Mapping[str, Any]) -> dict[str, Any]:
    keys, files = keys_of(section), FILES.get(section, ())
    left_out = {key.name: key.default for key in keys.values() if key.has_default and key.name not in values}
    hashed: dict[str, Any] = {}
    for name, item in {**values, **left_out}.items():
        key = keys.get(name)
        form = hashed_form(item, None if key is None else key.type)
        if key is not None and key.is_later and key.has_default and form == hashed_form(key.default, key.type):
            continue
        if isinstance(form, str):
            form = Path(form).name if name in files else without_folder(form) if name == COST else form
        hashed[name] = form
    return hashed


@cache
def code_facts() -> dict[str, str]:
    """Return what must agree between two runs that are compared: package, its source, libraries, plug-ins.

    The source is hashed as it lies on disk, without the rooms that decide no result; so a change of the command
    line or of a figure is no other version, and a checkout needs no commit.
    """
    root = Path(discosim.__file__).parent
    source = hashlib.sha256()
    for room in RESULT_ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            source.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    facts = {"discosim": discosim.__version__, "source_sha256": source.hexdigest()}
    facts |= {name: version(name) for name in LIBRARIES}
    groups = (POLICIES, SCHEDULERS, COSTS)
    for point in (point for group in groups for point in points(group, entry_points)):
        package, held = distribution_of(point)
        if package not in {"", "discosim"}:
            facts[package] = held
    return facts


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return one phrase for every fact that differs, for example ``numpy 2.3.1 -> 2.4.6``."""
    changed = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return [f"{name} {' -> '.join(_short(old.get(name), new.get(name)))}" for name in changed]


def _short(old: Any, new: Any) -> tuple[str, str]:
    """Return texts of values that differ; of fingerprints as many digits as tell them apart, at least ten."""
    one, other = ("none" if value is None else str(value) for value in (old, new))
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
    kept = max(10, same + 1)
    return (one[:kept] if len(one) == 64 else one), (other[:kept] if len(other) == 64 else other)


@cache
def commit() -> str | None:
    """Return the commit of a source checkout, marked when files differ from it; None for an installed package."""
    root = Path(discosim.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        git = ["git", "-C", str(root)]
        head, state = (
            subprocess.run([*git, *ask], capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603 - ours
            for ask in (("rev-parse", "HEAD"), ("status", "--porcelain"))
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+changes" if state else "")
