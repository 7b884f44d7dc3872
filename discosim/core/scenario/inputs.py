"""What is known of the measured inputs, and what their number of rows leaves open."""

from __future__ import annotations

from dataclasses import dataclass

from discosim.core.spec import spec


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """How a run treats the rows behind its measured inputs."""

    resample: bool = spec(
        False,
        doc="Let each replication draw its own version of every measured input, so that its numbers say how little "
        "was measured; false takes what was measured for the truth.",
    )
