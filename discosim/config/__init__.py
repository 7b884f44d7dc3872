"""Configuration: strict YAML in, one frozen scenario out, and what is generated from its fields."""

from discosim.config.dump import as_plain, dump_scenario
from discosim.config.load import load_scenario
from discosim.config.policy_specs import build_policy

__all__ = ["as_plain", "build_policy", "dump_scenario", "load_scenario"]
