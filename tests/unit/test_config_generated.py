"""What is generated from the scenario's fields: the JSON Schema and the reference configuration."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from config_samples import SCENARIO, small_world

from discosim.config import load_scenario
from discosim.config.reference import example, reference_yaml
from discosim.config.schema import scenario_schema, schema_json
from discosim.config.shape import kind_of, sections_of
from discosim.config.yaml_loader import read_text
from discosim.core import scenario as s
from discosim.core.errors import UserError

SERVICE = {
    "kind": "replay",
    "digest": "service",
    "prices": {"prompt_usd_per_mtok": 1, "output_usd_per_mtok": 2},
}
CONFIGS = Path(__file__).parents[2] / "configs"


def test_the_committed_schema_is_up_to_date() -> None:
    committed = (CONFIGS / "discosim.schema.json").read_text(encoding="utf-8")
    assert committed == schema_json(), "run: discosim schema > configs/discosim.schema.json"


def test_the_committed_reference_is_up_to_date() -> None:
    committed = (CONFIGS / "reference.yaml").read_text(encoding="utf-8")
    assert committed == reference_yaml(), "run: discosim schema --reference > configs/reference.yaml"


def test_the_schema_is_a_draft_07_schema_and_uses_nothing_newer() -> None:
    schema = scenario_schema()
    jsonschema.Draft7Validator.check_schema(schema)
    newer = {"prefixItems", "$defs", "unevaluatedProperties", "dependentRequired"}
    assert not newer & set(_words(schema))


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_configuration_loads_and_fits_the_schema(path: Path) -> None:
    load_scenario(path)
    document = read_text(path.read_text(encoding="utf-8"), path.name)
    jsonschema.Draft7Validator(scenario_schema()).validate(document.data)


def test_schema_and_validation_agree_on_the_sample(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each change below breaks (or keeps) both the schema and the validation."""
    small_world(monkeypatch, tmp_path)
    validator = jsonschema.Draft7Validator(scenario_schema())
    for path, value, is_good in [
        (("seed",), 3, True),
        (("seed",), 3.0, True),
        (("seed",), 3.5, False),
        (("seed",), "3", False),
        (("seed",), True, False),
        (("seed",), -1, False),
        (("sed",), 1, False),
        (("link",), {"kind": "none"}, True),
        (("link",), {"kind": "constant"}, False),
        (("link",), {"rtt_s": 1}, False),
        (("link",), {"kind": "constant", "rtt_s": 1, "up_share": 1.5}, False),
        (("reader",), {"tok_per_s": "reading"}, True),
        (("reader",), {"tok_per_s": "singing"}, False),
        (("devices",), [], False),
        (("devices", 0, "throttle"), None, True),
        (("devices", 0, "throttle"), {"onset_s": 1}, False),
        (("services",), {}, True),
        (("services",), {"fast": SERVICE, "own": SERVICE}, True),
        (("services",), {"fast": {**SERVICE, "prize": 1}}, False),
        (("services",), {"fast": {"kind": "replay", "digest": "service"}}, False),
        (("services",), {"fast": None}, False),
        (("services",), [SERVICE], False),
        (("policies", 1, "budget"), 0.7, True),
        (("policies", 1, "budget"), 7, False),
        (("policies", 1, "waits_s"), [1, 2.5], True),
        (("policies", 1, "waits_s"), [1, -2.5], False),
        (("policies", 1, "kind"), "dise", False),
        (("policies", 0, "budget"), 0.7, False),
        (("baseline",), None, True),
    ]:
        given: Any = read_text(SCENARIO, "sample").data
        inside = given
        for part in path[:-1]:
            inside = inside[part]
        inside[path[-1]] = value
        assert validator.is_valid(given) is is_good, (path, value)
        assert _loads(given) is is_good, (path, value)


def test_the_reference_shows_every_key_of_every_kind() -> None:
    text = reference_yaml()
    sections = [c for c in vars(s).values() if isinstance(c, type) and is_dataclass(c)]
    assert len(sections) > 15
    for section in sections:
        if section not in {s.PolicySpec, s.SchedulerSpec}:
            missing = [f.name for f in fields(section) if f"{f.name}:" not in text]
            assert not missing, (section, missing)
        if kind := kind_of(section):
            assert f"kind: {kind}" in text


def test_the_reference_explains_every_key() -> None:
    """Each line ``key: value`` has a comment right above it, save ``kind``, whose section has one."""
    lines = [line.strip() for line in reference_yaml().splitlines()]
    keys = [i for i, line in enumerate(lines) if line and not line.startswith(("#", "kind:", "- kind:"))]
    assert len(keys) > 40
    assert [lines[i] for i in keys if not lines[i - 1].startswith("#")] == []


@pytest.mark.parametrize(
    ("path", "union"),
    [
        (("workload",), s.Workload),
        (("workload", "arrivals"), s.Arrivals),
        (("workload", "lengths"), s.Lengths),
        (("link",), s.Link),
        (("server",), s.Server),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else "",
)
def test_every_commented_kind_of_the_reference_is_valid(
    path: tuple[str, ...], union: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my-trace.parquet").touch()
    Path("my-lengths.csv").touch()
    for section in sections_of(union):
        given = read_text(reference_yaml(), "reference").data
        inside = given
        for part in path[:-1]:
            inside = inside[part]
        inside[path[-1]] = example(section)
        load_scenario(given)


def test_the_schema_is_valid_json_with_descriptions() -> None:
    schema = json.loads(schema_json())
    assert schema["properties"]["seed"] == {
        "description": "Root seed.",
        "minimum": 0,
        "maximum": 2**63 - 1,
        "type": "integer",
        "default": 1,
    }


def _loads(given: Any) -> bool:
    try:
        load_scenario(given)
    except UserError:
        return False
    return True


def _words(schema: Any) -> list[str]:
    if isinstance(schema, dict):
        return [*schema, *(word for value in schema.values() for word in _words(value))]
    if isinstance(schema, list):
        return [word for value in schema for word in _words(value)]
    return []
