"""Runs: from a scenario to tables, in memory or as a result folder."""

from discosim.runs.result import RunResult
from discosim.runs.simulate import simulate
from discosim.runs.store import execute_to_folder

__all__ = ["RunResult", "execute_to_folder", "simulate"]
