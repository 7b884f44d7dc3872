"""The JSON Schema of a scenario, for editors; read off the same fields as the validation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from discosim.config.dump import as_plain
from discosim.config.leaf import adapter
from discosim.config.own_kinds import PATTERN
from discosim.config.plain import plain_data
from discosim.config.policy_specs import POLICY_KEYS, SCHEDULER_KEYS, options_of, scheduler_options, usable
from discosim.config.shape import Key, item_type, keys_of, kind_of, mapping_value, sections_of, without_none
from discosim.core.errors import UserError
from discosim.core.scenario import PluginIterations, PolicySpec, Scenario, SchedulerSpec

AXES = ("grid", "zip")
"""Keys of a sweep whose lists may stand in a mapping that names them."""
DRAFT = "http://json-schema.org/draft-07/schema#"


def scenario_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 07) of a scenario file, with the policies that are installed here.

    Rules that tie several keys together are beyond a schema; `load_scenario` checks them.
    """
    return schema_of(Scenario, "discosim scenario")


def schema_of(section: type, title: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 07) of a file whose outermost section is the given dataclass."""
    return {"$schema": DRAFT, "title": title, **_section(section)}


def _section(section: type, *, is_choice: bool = False) -> dict[str, Any]:
    keys = keys_of(section)
    about = (section.__doc__ or "").strip().partition("\n")[0]
    return _object(keys, about, kind_of(section) if is_choice else "")


def _object(keys: Mapping[str, Key], about: str, kind: str) -> dict[str, Any]:
    """Return the schema of a mapping; with ``kind`` given, one that only this kind selects."""
    properties = {key.name: _key(key) for key in keys.values()}
    required = [key.name for key in keys.values() if not key.has_default]
    if kind:
        properties["kind"] = {"const": kind, "description": properties["kind"].get("description", "")}
        if not keys["kind"].is_later:  # else it is meant where none is written
            required = ["kind", *(name for name in required if name != "kind")]
    return {
        "type": "object",
        "description": about,
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _key(key: Key) -> dict[str, Any]:
    schema = _value(key.type, key.limits)
    if key.name in AXES:
        lists = schema["additionalProperties"]
        named = {"as": {"type": "string", "minLength": 1}, "values": lists}
        axis = {"type": "object", "properties": named, "required": [*named], "additionalProperties": False}
        schema["additionalProperties"] = {"anyOf": [lists, axis]}
    if key.description:
        schema = {**schema, "description": key.description}
    return {**schema, **_default(key)} if key.has_default else schema


def _default(key: Key) -> dict[str, Any]:
    try:
        return {"default": plain_data(as_plain(key.default))}
    except UserError:
        return {}


def _value(annotation: Any, limits: Mapping[str, Any]) -> dict[str, Any]:
    inner, is_nullable = without_none(annotation)
    schemas: list[dict[str, Any]]
    if inner is Any:
        return {}
    if inner is PolicySpec:
        schemas = _policies()
    elif inner is SchedulerSpec:
        schemas = _schedulers()
    elif (named := mapping_value(inner)) is not None:
        schemas = [{"type": "object", "additionalProperties": _value(named, limits)}]
    elif sections := sections_of(inner):
        schemas = [_section(section, is_choice=len(sections) > 1) for section in sections]
        if PluginIterations in sections:
            schemas.append(
                _own("A cost model of yours, `file.py:Class`, the path relative to this file.", SCHEDULER_KEYS)
            )
    elif (item := item_type(inner)) is not None:
        schemas = [_list(item, limits)]
    else:
        return _leaf(annotation, limits)
    if is_nullable:
        schemas.append({"type": "null"})
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _leaf(annotation: Any, limits: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of one value; anything goes where the type is one that no schema can say."""
    from pydantic.errors import PydanticUserError

    try:
        return adapter(annotation, limits).json_schema()
    except PydanticUserError:
        return {}


def _list(item: Any, limits: Mapping[str, Any]) -> dict[str, Any]:
    inner = {name: limit for name, limit in limits.items() if not name.endswith("_length")}
    sizes = {"min_length": "minItems", "max_length": "maxItems"}
    bounds = {sizes[name]: limit for name, limit in limits.items() if name in sizes}
    return {"type": "array", "items": _value(item, inner), **bounds}


def _policies() -> list[dict[str, Any]]:
    from discosim.policies import known_policies

    known = [
        _object({**POLICY_KEYS, **options_of(policy)}, (policy.__doc__ or "").strip().partition("\n")[0], kind)
        for kind, policy in usable(known_policies(), options_of)
    ]
    return [*known, _own("A policy of yours, `file.py:Class`, the path relative to this file.", POLICY_KEYS)]


def _schedulers() -> list[dict[str, Any]]:
    from discosim.world.engine.schedulers.registry import known_schedulers

    known = [
        _object({**SCHEDULER_KEYS, **scheduler_options(held)}, (held.__doc__ or "").strip().partition("\n")[0], kind)
        for kind, held in usable(known_schedulers(), scheduler_options)
    ]
    return [*known, _own("A scheduler of yours, `file.py:Class`, the path relative to this file.", SCHEDULER_KEYS)]


def _own(description: str, keys: Mapping[str, Key]) -> dict[str, Any]:
    """Return the schema of a class in a file: its options are not known here."""
    held = _object(keys, description, "")
    held["properties"]["kind"] = {"type": "string", "pattern": PATTERN, "description": description}
    return {**held, "additionalProperties": True}


def schema_json(section: type = Scenario, title: str = "discosim scenario") -> str:
    """Return the schema as text, the same bytes for the same package."""
    return json.dumps(schema_of(section, title), indent=2, ensure_ascii=False) + "\n"
