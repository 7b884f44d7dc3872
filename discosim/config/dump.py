"""Writing a scenario back as YAML, complete with every default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any

import yaml
from yaml.nodes import Node, ScalarNode

from discosim.config.plain import plain, plain_data
from discosim.config.yaml_loader import scalar_tag
from discosim.core.errors import UserError
from discosim.core.same import Same
from discosim.core.scenario import PolicySpec, Scenario, SchedulerSpec

_STR = "tag:yaml.org,2002:str"


class StrictDumper(yaml.SafeDumper):
    """Quotes every text that YAML 1.1 or 1.2 would read as something else, and writes no aliases."""

    def resolve(self, kind: type[Node], value: Any, implicit: Any) -> str:
        """Return what a plain scalar would be read as."""
        as_yaml_1_1: Callable[..., str] = super().resolve
        is_plain = kind is ScalarNode and implicit[0]
        tag = scalar_tag(value) if is_plain else _STR
        return tag if tag != _STR else as_yaml_1_1(kind, value, implicit)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - signature of the base class
        """Write equal objects out each time."""
        return True


def _text(dumper: StrictDumper, text: str) -> ScalarNode:
    """Quote texts with control characters: PyYAML writes rare line breaks (U+0085) as blanks otherwise."""
    return dumper.represent_scalar(_STR, text, style=None if text.isprintable() else '"')


StrictDumper.add_representer(str, _text)


def dump_scenario(scenario: Scenario) -> str:
    """Return the scenario as YAML; loading it gives an equal scenario back.

    Examples
    --------
    >>> from discosim.config import load_scenario
    >>> print(dump_scenario(load_scenario("reference")).splitlines()[0])
    name: reference
    """
    return dump_yaml(as_plain(scenario))


def dump_yaml(data: Any) -> str:
    """Return plain data as block-style YAML with the keys in their order."""
    return yaml.dump(data, Dumper=StrictDumper, sort_keys=False, allow_unicode=True, width=110)


def dump_whole(scenario: Scenario) -> str:
    """Return `dump_scenario`, section by section: what an earlier scenario of this process had is not made again.

    PyYAML takes longer for the 200 lines of a configuration than a small run does.
    """
    return "".join(_section(f.name, Same(getattr(scenario, f.name))) for f in fields(scenario) if f.init)


@lru_cache(maxsize=256)
def _section(name: str, held: Same) -> str:
    return dump_yaml({name: as_plain(held.held)})


def one_line(value: Any) -> str:
    """Return a value as it would stand behind a key in YAML; by its type where no file can hold it."""
    try:
        data = plain_data(as_plain(value))
        if isinstance(data, list | dict):
            return yaml.dump(data, Dumper=StrictDumper, sort_keys=False, default_flow_style=True, width=10**6).strip()
        return dump_yaml(data).removesuffix("\n").removesuffix("...").strip()
    except UserError:
        return f"a {type(value).__name__}"


def as_plain(value: Any) -> Any:
    """Turn a scenario, or any part of it, into mappings, lists and scalars as a config file holds them."""
    if isinstance(value, PolicySpec):
        return {"kind": value.kind, "name": value.name, **as_plain(value.options)}
    if isinstance(value, SchedulerSpec):
        return {"kind": value.kind, **as_plain(value.options)}
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: as_plain(getattr(value, f.name)) for f in fields(value) if f.init}
    if isinstance(value, Mapping):
        return {key: as_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain(item) for item in value]
    return plain(value)
