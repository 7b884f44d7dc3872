"""Several plain replicas: one that prefills before one that decodes, and ranks that step together."""

from __future__ import annotations

import math

from stepping_engine import SteppingReplica

from discosim.world.engine.job import State


class SteppingPrefiller(SteppingReplica):
    """A replica that only prefills; a KV cache keeps its blocks here until it has gone over the link."""

    def __init__(self, model, scheduler, asks, s_per_tok, latency_s):
        super().__init__(model, scheduler, asks)
        self.s_per_tok, self.latency_s = s_per_tok, latency_s
        self.link_free_s = -math.inf
        self.leaving = []  # (when its blocks are free, job)
        self.sent = []  # (when its cache arrives, job)

    def _prefilled(self, job):
        if job.ask.answer_tok == 1:
            self._finish(job)
            return
        job.state = State.GONE
        start_s = max(self.now_s, self.link_free_s)
        if job.ask.cancel_s < start_s:  # cancelled in its prefill or in the queue: it is not sent
            job.end_s = free_s = max(self.now_s, job.ask.cancel_s)
        else:
            self.link_free_s = start_s + job.prompt_tok * self.s_per_tok
            free_s = self.link_free_s + self.latency_s
            if job.ask.cancel_s < free_s:
                job.end_s = free_s
            else:
                self.sent.append((free_s, job))
        self.leaving.append((free_s, job))
        self.n_held += 1

    def _take_arrivals(self, until_s):
        super()._take_arrivals(until_s)
        for free_s, job in [left for left in self.leaving if left[0] <= self.now_s]:
            self.leaving.remove((free_s, job))
            self.memory.drop(job, 0)
            self.n_held -= 1

    def _wait_for_memory(self):
        """Go on where something changes: a cache has left, somebody comes, or a job that waits is cancelled."""
        moments = [free_s for free_s, _ in self.leaving] + [job.reach_s for job in self.jobs[self.n_submitted :]]
        moments += [job.ask.cancel_s for job in self.waiting]
        self.now_s = self.before_s = min(at_s for at_s in moments if at_s > self.now_s)


def run_pools(prefill_model, decode_model, schedulers, s_per_tok, latency_s, asks):
    """Serve the asks by one replica that prefills, a link, and one that decodes; return both replicas."""
    first = SteppingPrefiller(prefill_model, schedulers[0], asks, s_per_tok, latency_s).run()
    jobs = []
    for arrives_s, job in sorted(first.sent, key=lambda pair: pair[0]):
        job.reach_s, job.state, job.has_kv, job.blocks = arrives_s, State.WAITING, True, 0
        job.table, job.n_shared = [], 0
        jobs.append(job)
    return first, SteppingReplica(decode_model, schedulers[1], asks, jobs).run()


def run_ranks(model, schedulers, asks):
    """Serve the asks by ranks that step together, in turns; return the ranks."""
    shares = [asks[i :: len(schedulers)] for i in range(len(schedulers))]
    ranks = [SteppingReplica(model, scheduler, share) for scheduler, share in zip(schedulers, shares, strict=True)]
    ran = set()
    for rank in ranks:
        rank.n_submitted = 0
    while True:
        for rank in ranks:
            rank._note_queue()
            rank._learn(rank.before_s if model.decides_ahead and rank in ran else rank.now_s)
            if not rank._is_busy():
                rank._learn(rank.now_s)
        ran = {rank: orders for rank in ranks if rank._is_busy() and (orders := rank._orders()) is not None}
        if not ran:
            coming = [rank.jobs[rank.n_submitted].reach_s for rank in ranks if rank.n_submitted < len(rank.jobs)]
            if not coming:
                return ranks
            for rank in ranks:
                rank.now_s = rank.before_s = min(coming)
            continue
        tok = {rank: sum(chunk for _, chunk in o.prefill) + len(rank.decoding) * o.decode for rank, o in ran.items()}
        spent = []
        decoders = {rank: rank._grown(orders) for rank, orders in ran.items()}
        for rank, orders in ran.items():
            if hasattr(model.cost, "beside"):
                rank.cost = model.cost.beside(sum(tok.values()) - tok[rank])
            spent.append(rank._spent(orders, decoders[rank]))
        whole = max(rank.stall_s for rank in ran) + max(spent)
        now_s = ranks[0].now_s + whole
        for rank in ranks:
            if rank in ran:
                rank._advance(ran[rank], decoders[rank], whole)
            rank.now_s = now_s
