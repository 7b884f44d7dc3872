"""Policies, one per file; see docs/policies.md for the table generated from their headers."""

from discosim.policies.base import Policy
from discosim.policies.registry import known_policies, policy_class

__all__ = ["Policy", "known_policies", "policy_class"]
