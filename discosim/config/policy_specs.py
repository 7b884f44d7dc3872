"""Policies and schedulers in a configuration: their options are the fields of their own classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from discosim.config.shape import Key, keys_of
from discosim.core.errors import DiscosimError, InvariantError
from discosim.core.plugins import construct
from discosim.core.scenario import PolicySpec, SchedulerSpec

if TYPE_CHECKING:
    from discosim.policies import Policy
    from discosim.world.engine.schedulers.base import Scheduler

POLICY_KEYS: dict[str, Key] = {
    "kind": Key("kind", str, False, None, "Which policy (`discosim explain policy`).", {}),
    "name": Key("name", str, True, "", "Name in tables and figures; the kind where left out.", {"min_length": 1}),
}


SCHEDULER_KEYS: dict[str, Key] = {
    "kind": Key("kind", str, False, None, "Which scheduler (`discosim explain scheduler`).", {}),
}


def scheduler_options(scheduler: type[Scheduler]) -> Mapping[str, Key]:
    """Return the options of a scheduler class."""
    return keys_of(scheduler)


def build_scheduler(spec: SchedulerSpec) -> Scheduler:
    """Return a fresh scheduler object; errors as of `build_policy`."""
    from discosim.world.engine.schedulers.registry import maker_of

    return maker_of(spec)()


def options_of(policy: type[Policy]) -> Mapping[str, Key]:
    """Return the options of a policy class.

    Raises
    ------
    InvariantError
        If the class takes an option by the name of a key that every policy has.
    """
    options = keys_of(policy)
    if taken := sorted(POLICY_KEYS.keys() & options.keys()):
        raise InvariantError(f"policy '{policy.kind}' must not have options named {', '.join(taken)}")
    return options


def usable(known: Mapping[str, type], options: Callable[[Any], Mapping[str, Key]]) -> Iterator[tuple[str, Any]]:
    """Yield kind and class of those whose options can be read: what describes them all must not fail over one."""
    for kind, held in known.items():
        try:
            options(held)
        except DiscosimError:
            continue
        yield kind, held


def build_policy(spec: PolicySpec) -> Policy:
    """Return a fresh policy object.

    Raises
    ------
    UserError
        If the kind is unknown, or the policy itself refuses the combination of its options, or fails over it.
    """
    from discosim.policies import policy_class

    return construct(policy_class(spec.kind), spec.options, f"policy {spec.name}")
