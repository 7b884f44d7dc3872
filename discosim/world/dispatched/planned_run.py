"""One run of planned requests over an engine, compiled where that is possible, and what is known of it afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import simpy

from discosim.kernel.engine_loop import NotHereError
from discosim.kernel.planned_loop import CompiledPlan
from discosim.world.dispatched.compiled import compiled_fields
from discosim.world.dispatched.desk import Desk
from discosim.world.dispatched.following import follow
from discosim.world.dispatched.over import Over
from discosim.world.dispatched.planned import Planned
from discosim.world.engine.compiled import compiled_plan
from discosim.world.engine.engine import Engine
from discosim.world.engine.engine_run import EngineRun
from discosim.world.engine.series import SeriesRecorder
from discosim.world.engine.unattended import Arrivals
from discosim.world.link import Link

AT_ONCE_TOK = 1 << 19
"""Tokens that the compiled library holds at a time: 4 MB."""


class PlannedRun(EngineRun[CompiledPlan]):
    """Planned requests over an engine in which nothing has happened yet.

    Parameters
    ----------
    env : simpy.Environment
        The clock of the world.
    engine : Engine
        Its engine.
    link : Link
        Its last hop.
    planned : Planned
        What is known of the requests beforehand.
    recorder : SeriesRecorder or None
        Who writes down what the engine does.
    most_s : float
        The series ends there at the latest.
    """

    def __init__(
        self,
        env: simpy.Environment,
        engine: Engine,
        link: Link,
        planned: Planned,
        recorder: SeriesRecorder | None,
        most_s: float,
    ) -> None:
        fields = compiled_fields(planned, engine.model, link)
        super().__init__(engine.model, compiled_plan(engine.model, _all_jobs(planned), most_s, fields))
        self._env = env
        self._engine = engine
        self._link = link
        self._planned = planned
        self._recorder = recorder

    def over(self, size: int, n_at_once: int) -> Iterator[Over]:
        """Yield requests as their records come out, about ``n_at_once``; all but the last a multiple of ``size``."""
        n_given = 0
        if self._compiled is not None:
            try:
                for part in _whole(self._compiled, size, n_at_once):
                    n_given += len(part)
                    yield part
            except NotHereError:
                self._compiled = None  # what it has given is right; the engine itself goes over it again
            else:
                self._close_compiled(self._compiled)
                if self._compiled.last_s > self._env.now:  # an edge tier reckons with time
                    self._env.run(until=self._compiled.last_s)
                return
        for pendings in follow(Desk(self._env, self._engine, self._link, self._planned), size, n_at_once):
            n_again = min(n_given, len(pendings))
            n_given -= n_again
            if n_again < len(pendings):
                yield Over.of(pendings[n_again:])
        self._close(self._engine, self._recorder)


def _whole(run: CompiledPlan, size: int, n_at_once: int) -> Iterator[Over]:
    """Yield what the compiled library says, in multiples of ``size`` until the end."""
    held: list[Over] = []
    for columns in run.records(n_at_once, AT_ONCE_TOK):
        held.append(Over.read(columns))
        n = sum(map(len, held))
        if n >= size:
            over, n_whole = Over.joined(held), n - n % size
            yield over.part(0, n_whole)
            held = [over.part(n_whole, n)]
    rest = Over.joined(held) if held else None
    if rest is not None and len(rest):
        yield rest


def _all_jobs(planned: Planned) -> Arrivals:
    """Return all requests as jobs of the engine, row by row, whenever they come and whoever they ask."""
    table = planned.table
    rows = np.arange(len(table))
    return Arrivals(
        at_s=table.arrival_s,
        job_id=rows,
        prompt_tok=table.prompt_tok,
        answer_tok=table.output_tok,
        reader_tok_per_s=table.reader_tok_per_s,
        ttft_target_s=table.ttft_target_s,
        hashes=table.prefix_hashes,
    )
