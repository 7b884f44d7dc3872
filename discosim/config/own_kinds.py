"""Kinds that name a class in a file of the user's: found relative to what wrote them, imported, or left alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from discosim.config.named_files import find_file
from discosim.config.plain import plain_data
from discosim.config.shape import keys_of
from discosim.core.errors import UserError, close_match
from discosim.core.own_code import is_own, load_own, own_class, split_kind
from discosim.core.scenario import EngineServer, PluginIterations, Scenario

PATTERN = r"\.py:[A-Za-z_]\w*$"
"""Of a kind that names a class in a file, for editors."""


def names_file(kind: object) -> bool:
    """Tell whether a kind names a file, well or badly."""
    try:
        return isinstance(kind, str) and split_kind(kind) is not None
    except UserError:
        return True


def found_kind(kind: str, folders: tuple[Path, ...], base: type) -> tuple[str, type]:
    """Return a kind with the absolute path of its file, and the class, which is imported for that.

    Raises
    ------
    UserError
        If there is no such file or class, or the file cannot be imported; without a place.
    """
    named = split_kind(kind)
    assert named is not None
    absolute = f"{find_file(named[0], folders)}:{named[1]}"
    return absolute, load_own(absolute, base)


def unread(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a part whose code is not to be run, as they were written.

    Raises
    ------
    UserError
        If one is nothing that a file can hold; without a place.
    """
    held: dict[str, Any] = plain_data(raw)
    return held


def import_own(scenario: Scenario) -> None:
    """Import what a scenario names in files, anew where it has changed since; who simulates it asks for that.

    Raises
    ------
    UserError
        If any of it cannot be had any more.
    """
    for where, kind, base in _named(scenario):
        if is_own(kind):
            try:
                load_own(kind, base)
            except UserError as error:
                raise UserError(error.message, where=where) from None


def _named(scenario: Scenario) -> list[tuple[str, str, type]]:
    from discosim.policies import Policy

    policies: list[tuple[str, str, type]] = [(f"policy {spec.name}", spec.kind, Policy) for spec in scenario.policies]
    return [*policies, *_inside_servers(scenario)]


def own_kinds_of(scenario: Scenario) -> list[str]:
    """Return the kinds of a scenario that name code in files, each once."""
    return list(dict.fromkeys(kind for _, kind, _ in _named(scenario) if is_own(kind)))


def _inside_servers(scenario: Scenario) -> list[tuple[str, str, type]]:
    from discosim.world.engine.costs.registry import OwnCost
    from discosim.world.engine.schedulers.base import Scheduler

    named: list[tuple[str, str, type]] = []
    for server in (scenario.server, *scenario.services.values()):
        if isinstance(server, EngineServer):
            named.append(("server.scheduler", server.scheduler.kind, Scheduler))
            if isinstance(server.iterations, PluginIterations):
                named.append(("server.iterations", server.iterations.cost, OwnCost))
    return named


def own_classes(scenario: Scenario) -> list[type[Any]]:
    """Return the schedulers and cost models of a scenario that are classes in files, as they were imported."""
    return [own_class(kind, base) for _, kind, base in _inside_servers(scenario) if is_own(kind)]


def check_cost(iterations: PluginIterations, held: type) -> None:
    """Refuse options that a cost model of the user's does not have.

    Raises
    ------
    UserError
        With a close match; without a place.
    """
    known = keys_of(held)
    for name in iterations.options if is_dataclass(held) else ():
        if name not in known:
            raise UserError(f"options.{name}: unknown option; {close_match(name, known)}")
