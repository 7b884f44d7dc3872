"""What a scheduler that decides one iteration ahead does not know yet.

It decides on an iteration while the one before is still running, so it knows what had happened when that one began:
what came later (arrivals, cancels, the memory and the places of those who finished) it learns one boundary late.
Nothing else changes, so the engine keeps deciding at the boundary where an iteration begins, on older news.

Source: vLLM, asynchronous scheduling (``vllm/v1/core/sched/async_scheduler.py`` and the engine core's queue of two
batches, default since 0.16): a request that will end by its length is not scheduled once more, but its blocks and its
place are free only when its last output has been seen. That of a cancelled request the iteration is computed which
was decided already is vLLM's, too. It has no say in when the engine is idle: nothing is decided ahead of nothing.
"""

from __future__ import annotations

from discosim.world.engine.job import Job


class Unseen:
    """News since the newest decision, in two parts: what the next decision may know, and what it may not.

    Attributes
    ----------
    jobs : list of Job
        Jobs that have come and that the scheduler has not seen.
    left : list of (Job, int)
        Jobs that have finished, and the blocks they held: neither place nor blocks are free yet.
    """

    __slots__ = ("_came_s", "_n_known", "cancelled", "jobs", "left")

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self._came_s: list[float] = []
        self._n_known = 0  # of the jobs, those whom the next decision may know
        self.cancelled: list[Job] = []
        self.left: list[tuple[Job, int]] = []

    def __bool__(self) -> bool:
        return bool(self.jobs or self.cancelled or self.left)

    def arrive(self, job: Job, at_s: float) -> None:
        """Take up a job that has come."""
        self.jobs.append(job)
        self._came_s.append(at_s)

    def seen(self, until_s: float) -> list[Job]:
        """Return and forget the jobs that were noticed at the boundary before, or came until ``until_s``.

        What has come since is noticed now.
        """
        n, came_s = self._n_known, self._came_s
        while n < len(came_s) and came_s[n] <= until_s:
            n += 1
        jobs = self.jobs[:n]
        del self.jobs[:n], came_s[:n]
        self._n_known = len(came_s)
        return jobs
