"""Which policies exist: one module each in this package, plus the entry points of other packages."""

from __future__ import annotations

import inspect
import pkgutil
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from discosim.core.errors import UserError
from discosim.core.own_code import is_own, own_class
from discosim.core.plugins import Plugins, classes_of, points
from discosim.policies.base import Policy

ENTRY_POINT_GROUP = "discosim.policies"
_HELPERS = {
    *("account", "base", "budget", "catch_up", "clairvoyance", "describe", "migration", "past_ttfts", "phone_queue"),
    *("going_on", "refinement", "registry", "view", "wait_tables"),
}


def _is_policy(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, Policy) and bool(value.kind)


@cache
def known_policies() -> dict[str, type[Policy]]:
    """Return every policy class by its ``kind``, sorted by name; plug-ins that cannot be used are left out."""
    others = {kind: plugin.value for kind, plugin in policy_plugins().found.items()}
    return dict(sorted({**_own_policies(), **others}.items()))


@cache
def policy_plugins() -> Plugins:
    """Return what other packages add, and what they would add if it worked."""
    return classes_of(points(ENTRY_POINT_GROUP, entry_points), Policy, _own_policies())


@cache
def _own_policies() -> dict[str, type[Policy]]:
    package = import_module("discosim.policies")
    found: dict[str, type[Policy]] = {}
    for info in pkgutil.iter_modules(package.__path__):
        if info.name in _HELPERS:
            continue
        module = import_module(f"discosim.policies.{info.name}")
        for _, value in inspect.getmembers(module, _is_policy):
            if value.__module__ == module.__name__:
                found[value.kind] = value
    return found


def policy_class(kind: str) -> type[Policy]:
    """Return the policy class of this kind, or say which kinds exist, or why its plug-in cannot be used.

    That of a kind `file.py:Class` must have been imported by whoever loaded the scenario.
    """
    if is_own(kind):
        return own_class(kind, Policy)
    known = known_policies()
    if kind not in known:
        raise UserError(f"unknown policy '{kind}'; {policy_plugins().why_missing(kind, known)}")
    return known[kind]
