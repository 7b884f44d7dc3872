"""A timeline of everything an engine did, for Perfetto and chrome://tracing.

Format: the trace event format of Chrome (JSON array of events, microseconds). Each replica is a process: its
iterations are slices of one thread, batch, queue and memory are counters. Requests are asynchronous slices of a
process of their own, one per stay at a server; hand-overs between endpoints are instants.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discosim.core.files import write_whole
from discosim.core.request import RequestRecord

if TYPE_CHECKING:
    from discosim.world.engine.plan import Plan
    from discosim.world.engine.replica import Replica
    from discosim.world.engine.schedulers.base import Orders

US = 1e6
REQUESTS = 1_000_000  # process number of the requests, beyond every replica
MAX_EVENTS = 5_000_000


class EventLog:
    """Writes down iterations while an engine runs; an `Observer`."""

    def __init__(self) -> None:
        self._events: list[dict[str, Any]] = []
        self._replicas: set[int] = set()
        self.n_left_out = 0

    def iterations(self, replica: Replica, plan: Plan, orders: Orders) -> None:
        """Take a finished run of iterations: one slice each, and the counters at its end."""
        if len(self._events) + plan.m > MAX_EVENTS:
            self.n_left_out += plan.m
            return
        pid = replica.index
        self._replicas.add(pid)
        kind = ("mixed" if plan.n_decode else "prefill") if orders.prefill else "decode"
        about = {
            "batch": plan.n_decode,
            "prefill": {str(job.job_id): tok for job, tok in orders.prefill},
            "context_tok": replica.context_tok,
        }
        if plan.start_s > plan.begin_s:
            self._slice("swap", pid, plan.begin_s, plan.start_s, {})
        begin_s = plan.start_s
        for i in range(1, plan.m + 1):
            end_s = plan.end_s(i)
            self._slice(kind, pid, begin_s, end_s, about)
            begin_s = end_s
        counts = {
            "batch": {"decoding": len(replica.decoding), "prefilling": len(replica.prefilling)},
            "queue": {"waiting": replica.n_waiting, "swapped": len(replica.swapped)},
            "KV blocks": {"used": replica.memory.total_blocks - replica.memory.free_blocks},
        }
        for name, values in counts.items():
            self._events.append({"name": name, "ph": "C", "pid": pid, "ts": plan.begin_s * US, "args": values})

    def requests(self, records: Sequence[RequestRecord]) -> None:
        """Take requests when they are over: one asynchronous slice each, and its hand-overs."""
        for record in records:
            if record.delivered_s.size == 0:
                continue
            about = {
                "prompt_tok": record.prompt_tok,
                "output_tok": record.output_tok,
                "first_endpoint": record.first_endpoint,
                "n_preemptions": record.n_preemptions,
            }
            first_s, last_s = float(record.delivered_s[0]), float(record.delivered_s[-1])
            name = f"request {record.request_id}"
            self._asynchronous(name, "waiting", record.request_id, record.arrival_s, first_s, about)
            self._asynchronous(name, "streaming", record.request_id, first_s, last_s, about)
            for segment in record.segments[1:]:
                at_s = float(record.generated_s[segment.first_token - 1])
                instant = {"name": f"hand-over to {segment.endpoint}", "ph": "n", "cat": "request"}
                self._events.append({**instant, "id": record.request_id, "pid": REQUESTS, "tid": 0, "ts": at_s * US})

    def _slice(self, name: str, pid: int, begin_s: float, end_s: float, about: dict[str, Any]) -> None:
        place = {"name": name, "ph": "X", "cat": "iteration", "pid": pid, "tid": 0}
        self._events.append({**place, "ts": begin_s * US, "dur": (end_s - begin_s) * US, "args": about})

    def _asynchronous(
        self, name: str, phase: str, key: int, begin_s: float, end_s: float, about: dict[str, Any]
    ) -> None:
        place = {"name": f"{name}: {phase}", "cat": "request", "id": key, "pid": REQUESTS, "tid": 0}
        self._events.append({**place, "ph": "b", "ts": begin_s * US, "args": about})
        self._events.append({**place, "ph": "e", "ts": end_s * US})

    def _names(self) -> Iterator[dict[str, Any]]:
        for pid in sorted(self._replicas):
            yield {"name": "process_name", "ph": "M", "pid": pid, "args": {"name": f"replica {pid}"}}
        yield {"name": "process_name", "ph": "M", "pid": REQUESTS, "args": {"name": "requests"}}

    def write(self, path: Path) -> None:
        """Write the file as a whole.

        Raises
        ------
        UserError
            If it cannot be written.
        """
        content = {"traceEvents": [*self._names(), *self._events], "displayTimeUnit": "ms"}
        write_whole(path, json.dumps(content))
