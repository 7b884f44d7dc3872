"""Sweeps: many runs of one scenario, planned, kept by content, resumed, and compared pair by pair."""

from discosim.sweep.results import load_results

__all__ = ["load_results"]
