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
from discosim.world.engine.compiled import compiled_plan, figures_of, series_of
from discosim.world.engine.engine import Engine
from discosim.world.engine.series import EngineSeries, SeriesRecorder
from discosim.world.engine.unattended import Arrivals
from discosim.world.link import Link

AT_ONCE_TOK = 1 << 19
"""Tokens that the compiled library holds at a time: 4 MB."""


class PlannedRun:
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

    Attributes
    ----------
    is_compiled : bool
        Whether the compiled library does it; it may turn out that it cannot.
    figures : dict of str to float
        What the engine did as a whole, once all requests are over.
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
        self._env = env
        self._engine = engine
        self._link = link
        self._planned = planned
        self._recorder = recorder
        self._compiled = compiled_plan(
            engine.model, _all_jobs(planned), most_s, compiled_fields(planned, engine.model, link)
        )
        self._series: tuple[EngineSeries, bool] | None = None
        self.figures: dict[str, float] = {}

    @property
    def is_compiled(self) -> bool:
        """Whether the compiled library does it."""
        return self._compiled is not None

    @property
    def is_cut(self) -> bool:
        """Whether the engine was at work beyond the last second that is told."""
        return self._series is not None and self._series[1]

    def series(self) -> EngineSeries:
        """Return the engine by the second, once all requests are over and where somebody has written it down."""
        assert self._series is not None
        return self._series[0]

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
                self._close(self._compiled)
                return
        for pendings in follow(Desk(self._env, self._engine, self._link, self._planned), size, n_at_once):
            n_again = min(n_given, len(pendings))
            n_given -= n_again
            if n_again < len(pendings):
                yield Over.of(pendings[n_again:])
        self.figures = self._engine.figures()
        if self._recorder is not None:
            self._series = self._recorder.series(), self._recorder.is_cut

    def _close(self, run: CompiledPlan) -> None:
        model = self._engine.model
        self.figures = figures_of(run.replicas, model.replica)
        self._series = series_of(run.replicas, model)
        if run.last_s > self._env.now:  # an edge tier reckons with time
            self._env.run(until=run.last_s)


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
