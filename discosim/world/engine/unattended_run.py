"""One run of an unattended engine, compiled where that is possible, and what is known of it afterwards."""

from __future__ import annotations

from collections.abc import Iterator

from discosim.kernel.engine_loop import CompiledEngine, NotHereError
from discosim.world.engine.compiled import compiled, serve_compiled
from discosim.world.engine.engine import Engine, EngineModel
from discosim.world.engine.engine_run import EngineRun
from discosim.world.engine.series import SeriesRecorder
from discosim.world.engine.unattended import Arrivals, Clock, Served, serve


class UnattendedRun(EngineRun[CompiledEngine]):
    """An engine that serves known arrivals.

    Parameters
    ----------
    model : EngineModel
        The engine, without a prefill pool.
    arrivals : Arrivals
        Who comes.
    most_s : float
        The series ends there at the latest.
    """

    def __init__(self, model: EngineModel, arrivals: Arrivals, most_s: float) -> None:
        super().__init__(model, compiled(model, arrivals, most_s))
        self._arrivals = arrivals
        self._most_s = most_s

    def served(self) -> Iterator[Served]:
        """Yield the answers in the order in which they end, some at a time."""
        n_given = 0
        if self._compiled is not None:
            try:
                for block in serve_compiled(self._compiled):
                    n_given += block.row.size
                    yield block
            except NotHereError:
                self._compiled = None  # what it has given is right; the engine itself goes over it again
            else:
                self._close_compiled(self._compiled)
                return
        recorder, env = SeriesRecorder.of(self._model, self._most_s), Clock()
        engine = Engine(env, self._model, recorder)
        for block in serve(env, engine, self._arrivals):
            n_again = min(n_given, block.row.size)
            n_given -= n_again
            yield block.after(n_again)
        self._close(engine, recorder)
