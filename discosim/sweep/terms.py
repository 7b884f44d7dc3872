"""How the runs of a sweep are treated."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Terms:
    """How runs are treated.

    Parameters
    ----------
    retries : int
        How often a run is tried again whose worker died, hung, or met an error that may pass.
    limit_s : float or None
        Time after which a run counts as hung, in s of wall-clock time.
    command : str
        The command line, kept with every run.
    most_bytes : int
        Size of the largest folder of a run that comes back from a node with no folder in common, in bytes.
    """

    retries: int = 2
    limit_s: float | None = None
    command: str = ""
    most_bytes: int = 256 << 20
