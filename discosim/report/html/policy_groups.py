"""Policies in groups that a reader knows: baselines, systems of papers, bounds, and the reader's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

BASELINES, SYSTEMS, BOUNDS, OWN = (
    "Baselines",
    "Systems of papers and products",
    "Bounds",
    "Own policies",
)

_KINDS = {
    BASELINES: ("server_only", "device_only", "edge_only", "stochastic", "edge_router", "fixed_rho", "race"),
    SYSTEMS: (
        "disco", "pd_device", "pice", "skeleton_of_thought", "speculative", "kv_shipping", "hedge", "router",
    ),
    BOUNDS: ("oracle", "optimal_wait"),
}  # fmt: skip
GROUPS = {kind: group for group, kinds in _KINDS.items() for kind in kinds}
"""Kind of a policy -> its group. Kinds of other packages and files are somebody's own."""


def kinds_of(config: Mapping[str, object]) -> dict[str, str]:
    """Return name -> kind of the policies of a resolved scenario; {} where it does not say."""
    found = config.get("policies")
    entries = found if isinstance(found, list) else []
    named = [entry for entry in entries if isinstance(entry, dict) and entry.get("kind")]
    return {str(entry.get("name") or entry["kind"]): str(entry["kind"]) for entry in named}


def groups_of(policies: Sequence[str], kinds: Mapping[str, str], baseline: str = "") -> dict[str, list[str]]:
    """Return the policies by group, in the order of the groups; the baseline comes first of its group.

    Examples
    --------
    >>> found = groups_of(["mine", "disco", "device_only", "server_only"], {"mine": "m"}, "server_only")
    >>> found["Baselines"], found["Own policies"]
    (['server_only', 'device_only'], ['mine'])
    """
    found: dict[str, list[str]] = {group: [] for group in (BASELINES, SYSTEMS, BOUNDS, OWN)}
    for policy in policies:
        kind = kinds.get(policy, policy)
        group = BASELINES if policy == baseline else GROUPS.get(kind, OWN)
        found[group].insert(0 if policy == baseline else len(found[group]), policy)
    return {group: names for group, names in found.items() if names}


def is_bound(policy: str, kinds: Mapping[str, str]) -> bool:
    """Tell whether a policy is a bound: it knows draws or laws that a policy has to learn."""
    return GROUPS.get(kinds.get(policy, policy)) == BOUNDS
