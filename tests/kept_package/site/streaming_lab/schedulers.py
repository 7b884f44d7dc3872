"""A scheduler of an engine.

Kept as it is: part of a package of somebody else, written against the documentation of version 0.1. Never edit it.

Whoever wrote such a package does not follow our moves. If it no longer runs, what moved has to be made good, or be said
to break other packages; the test beside it also compares the bytes of these files.
"""

from typing import ClassVar

from discosim.world.engine.schedulers.base import Orders, Scheduler


class ShortestPrompt(Scheduler):
    """Prefill the shortest prompt that waits; else decode, and preempt the newest where memory runs out."""

    kind: ClassVar[str] = "lab_shortest"
    source: ClassVar[str] = "Our choice."

    def schedule(self, replica):
        job = min(replica.waiting, key=lambda waiting: waiting.prefill_left_tok, default=None)
        if job is not None and replica.fits(job):
            replica.admit(job)
            return Orders([(job, job.prefill_left_tok)], decode=False)
        while replica.decode_shortfall() > 0:
            replica.preempt(next(reversed(replica.decoding)))
        return Orders()
