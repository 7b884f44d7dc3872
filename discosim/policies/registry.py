"""Which policies exist: one module each in this package, plus the entry points of other packages."""

from __future__ import annotations

import inspect
import pkgutil
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from discosim.core.errors import UserError, close_match
from discosim.policies.base import Policy

ENTRY_POINT_GROUP = "discosim.policies"
_HELPERS = {
    *("account", "base", "budget", "catch_up", "clairvoyance", "describe", "migration", "past_ttfts", "phone_queue"),
    *("refinement", "registry", "view", "wait_tables"),
}


def _is_policy(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, Policy) and bool(value.kind)


@cache
def known_policies() -> dict[str, type[Policy]]:
    """Return every policy class by its ``kind``, sorted by name.

    Raises
    ------
    UserError
        If two packages claim the same kind.
    """
    package = import_module("discosim.policies")
    found: dict[str, type[Policy]] = {}
    for info in pkgutil.iter_modules(package.__path__):
        if info.name in _HELPERS:
            continue
        module = import_module(f"discosim.policies.{info.name}")
        for _, value in inspect.getmembers(module, _is_policy):
            if value.__module__ == module.__name__:
                found[value.kind] = value
    for point in entry_points(group=ENTRY_POINT_GROUP):
        value = point.load()
        if not _is_policy(value):
            raise UserError(
                f"entry point '{point.name}' of group {ENTRY_POINT_GROUP} is not a Policy class with a kind"
            )
        if value.kind in found:
            raise UserError(f"two packages define the policy '{value.kind}'", where=f"entry point {point.name}")
        found[value.kind] = value
    return dict(sorted(found.items()))


def policy_class(kind: str) -> type[Policy]:
    """Return the policy class of this kind, or say which kinds exist."""
    known = known_policies()
    if kind not in known:
        raise UserError(f"unknown policy '{kind}'; {close_match(kind, known)}")
    return known[kind]
