"""Pictures and tables for a paper, of any run or sweep; matplotlib's settings are the user's."""

from discosim.report.plots.twin import plot

__all__ = ["plot"]
