"""Sweeps: many runs of one scenario, planned, kept by content, resumed, and compared pair by pair."""

from discosim.sweep.plan import load_plan
from discosim.sweep.results import load_results
from discosim.sweep.run import run_sweep

__all__ = ["load_plan", "load_results", "run_sweep"]
