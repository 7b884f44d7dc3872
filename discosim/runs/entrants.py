"""Who runs: the policies of a scenario, and those that were given as objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from discosim.config import build_policy
from discosim.config.checks import why_nobody
from discosim.config.leaf import read_leaf
from discosim.config.own_kinds import import_own
from discosim.config.shape import keys_of
from discosim.core.errors import UserError
from discosim.core.scenario import Scenario
from discosim.policies.base import Policy
from discosim.runs.replicate import Entrant

Given = Mapping[str, Policy] | Sequence[Policy] | Policy


def named_policies(given: Given) -> Mapping[str, Policy]:
    """Return policies that were given as objects by their names.

    Raises
    ------
    UserError
        If one is none, or two would have one name.
    """
    listed = [given] if isinstance(given, Policy) else given
    for policy in listed.values() if isinstance(listed, Mapping) else listed:
        _check_policy(policy)
    if isinstance(listed, Mapping):
        return listed
    named = {policy.kind or type(policy).__name__: policy for policy in listed}
    if len(named) < len(listed):
        raise UserError("two of the given policies have the same name; pass a mapping of names to policies")
    return named


def entrants_of(scenario: Scenario, extra: Given) -> list[Entrant]:
    """Return the policies of a scenario, and those that run beside them; what it names in files is imported.

    Raises
    ------
    UserError
        If two share a name, or one asks for somebody whom the scenario does not have.
    """
    import_own(scenario)
    named = named_policies(extra)
    entrants = [Entrant(spec.name, build_policy(spec), spec) for spec in scenario.policies]
    taken = {entrant.name for entrant in entrants}
    for name, policy in named.items():
        if name in taken:
            raise UserError(f"the scenario has a policy '{name}' already; pass a mapping with another name")
        _check_options(name, policy)
        for endpoint in policy.asks_for():
            if reason := why_nobody(endpoint, scenario.services, has_edge=scenario.edge is not None):
                raise UserError(reason, where=f"policy {name}")
        entrants.append(Entrant(name, policy))
    return entrants


def _check_policy(policy: object) -> None:
    if isinstance(policy, type) and issubclass(policy, Policy):
        raise UserError(f"expected a policy object, not its class: {policy.__name__}()", where="policies")
    if not isinstance(policy, Policy):
        raise UserError(f"expected a policy object (got {type(policy).__name__})", where="policies")


def _check_options(name: str, policy: Policy) -> None:
    """Hold an object to the bounds that its class declares, as a configuration would be."""
    try:
        keys = keys_of(type(policy))
    except UserError:  # of a type that its module does not know: it is no configuration's
        return
    for key in keys.values():
        value = getattr(policy, key.name, None)
        if not key.limits or not isinstance(value, int | float | str):
            continue
        try:
            read_leaf(key.type, key.limits, value)
        except UserError as error:
            raise UserError(error.message, where=f"policy {name}.{key.name}") from None
