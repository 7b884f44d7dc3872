"""Trace-driven, discrete-event simulation of LLM text streaming shared between devices and servers.

The names below are loaded on first use, so that importing the package (and ``discosim --help``) stays instant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from discosim.config import load_scenario
    from discosim.policies import Policy
    from discosim.report.plots import plot
    from discosim.runs.simulate import simulate
    from discosim.sweep import load_results

__version__ = "0.2.0"

__all__ = ["Policy", "__version__", "load_results", "load_scenario", "plot", "simulate"]

_HOME = {
    "load_results": "discosim.sweep",
    "load_scenario": "discosim.config",
    "Policy": "discosim.policies",
    "plot": "discosim.report.plots",
    "simulate": "discosim.runs",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'discosim' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
