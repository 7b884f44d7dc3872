"""The way out of whoever repeats what SimPy does, where it cannot be told what SimPy would do."""

from __future__ import annotations


class UndecidedError(Exception):
    """What was to be done without SimPy depends on an order that only SimPy knows; the world has to do all."""
