"""An executor, and how it is used."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from discosim.sweep.entry import enter


@dataclass(frozen=True)
class Engine:
    """An executor, and how it is used.

    Parameters
    ----------
    executor : Executor
        Takes module-level functions with plain arguments.
    n_at_once : int
        Tasks to hand over before one comes back.
    has_own_process : bool
        Whether a run may end its process, as a time limit does.
    code : str
        Whose it is, with version and fingerprint, where it is not ours. It stands in each run.json and is no part of a
        run's identity: where a run is computed changes no number of it, which the fingerprints of the results show.
    is_remote : bool
        Whether workers may see other disks than the driver: each is asked, and what it cannot write to the sweep's
        folder comes back through the executor.
    batch_s : float
        Length in s of the tasks that runs are put together for, where workers are remote; 0 is one run a task. To hand
        over a task takes a cluster some milliseconds.
    entry : callable
        What remote workers are given: bytes in, bytes out.
    n_workers : callable, optional
        How many there are at this moment, where they may all go while their tasks are kept for those that come.
    """

    executor: Executor
    n_at_once: int
    has_own_process: bool = True
    code: str = ""
    is_remote: bool = True
    batch_s: float = 0.0
    entry: Callable[[bytes], bytes] = enter
    n_workers: Callable[[], int] | None = None
