"""Where the runs of a sweep stand, as its folder tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from discosim.runs.shapes import Shape
from discosim.sweep.plan import Run


@dataclass(frozen=True)
class State:
    """Where each run of a plan stands.

    Parameters
    ----------
    finished, failed, missing : tuple of Run
        In the order of the plan.
    failures : mapping of str to mapping
        Folder name -> what is known about a failed run.
    strangers : tuple of str
        Folders of finished runs that belong to no point of the plan.
    damaged : mapping of str to str
        Folder name -> what is wrong with it, for runs that have a folder and are not finished.
    """

    finished: tuple[Run, ...]
    failed: tuple[Run, ...]
    missing: tuple[Run, ...]
    failures: Mapping[str, Mapping[str, Any]]
    strangers: tuple[str, ...]
    damaged: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether every run is finished."""
        return not self.failed and not self.missing


class Failure(Shape):
    """What other rooms rely on in a kept error."""

    error: str
    tries: int = 1
    traceback: str = ""
