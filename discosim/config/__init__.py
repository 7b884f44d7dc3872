"""Configuration: strict YAML in, one frozen scenario out, and what is generated from its fields."""

from discosim.config.dump import dump_scenario
from discosim.config.load import load_scenario
from discosim.config.policy_specs import build_policy

__all__ = ["build_policy", "dump_scenario", "load_scenario"]
