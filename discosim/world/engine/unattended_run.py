"""One run of an unattended engine, compiled where that is possible, and what is known of it afterwards."""

from __future__ import annotations

from collections.abc import Iterator

from discosim.kernel.engine_loop import NotHereError
from discosim.world.engine.compiled import compiled, figures_of, series_of, serve_compiled
from discosim.world.engine.engine import Engine, EngineModel
from discosim.world.engine.series import EngineSeries, SeriesRecorder
from discosim.world.engine.unattended import Arrivals, Clock, Served, serve


class UnattendedRun:
    """An engine that serves known arrivals.

    Parameters
    ----------
    model : EngineModel
        The engine, without a prefill pool.
    arrivals : Arrivals
        Who comes.
    most_s : float
        The series ends there at the latest.

    Attributes
    ----------
    is_compiled : bool
        Whether the compiled library does it; it may turn out that it cannot.
    figures : dict of str to float
        What the engine did as a whole, once all answers are there.
    """

    def __init__(self, model: EngineModel, arrivals: Arrivals, most_s: float) -> None:
        self._model = model
        self._arrivals = arrivals
        self._most_s = most_s
        self._compiled = compiled(model, arrivals, most_s)
        self.figures: dict[str, float] = {}
        self._series: tuple[EngineSeries, bool] | None = None

    @property
    def is_compiled(self) -> bool:
        """Whether the compiled library does it."""
        return self._compiled is not None

    @property
    def is_cut(self) -> bool:
        """Whether the engine was at work beyond the last second that is told."""
        return self._series is not None and self._series[1]

    def series(self) -> EngineSeries:
        """Return the engine by the second, once all answers are there."""
        assert self._series is not None
        return self._series[0]

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
                found = self._compiled.replicas
                self.figures = figures_of(found, self._model.replica)
                self._series = series_of(found, self._model)
                return
        recorder, env = SeriesRecorder.of(self._model, self._most_s), Clock()
        engine = Engine(env, self._model, recorder)
        for block in serve(env, engine, self._arrivals):
            n_again = min(n_given, block.row.size)
            n_given -= n_again
            yield block.after(n_again)
        self.figures = engine.figures()
        self._series = recorder.series(), recorder.is_cut
