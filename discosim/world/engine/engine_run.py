"""What is known of a run of an engine without sessions: who does it, its figures, and its seconds."""

from __future__ import annotations

from typing import Generic, TypeVar

from discosim.kernel.engine_loop import CompiledEngine
from discosim.kernel.planned_loop import CompiledPlan
from discosim.world.engine.compiled import figures_of, series_of
from discosim.world.engine.engine import Engine, EngineModel
from discosim.world.engine.series import EngineSeries, SeriesRecorder

Compiled = TypeVar("Compiled", CompiledEngine, CompiledPlan)


class EngineRun(Generic[Compiled]):
    """A run, compiled where that is possible.

    Parameters
    ----------
    model : EngineModel
        The engine.
    compiled : CompiledEngine or CompiledPlan, optional
        The compiled library's way of doing it, where there is one.

    Attributes
    ----------
    figures : dict of str to float
        What the engine did as a whole, once all is over.
    """

    def __init__(self, model: EngineModel, compiled: Compiled | None) -> None:
        self._model = model
        self._compiled: Compiled | None = compiled
        self._series: tuple[EngineSeries, bool] | None = None
        self.figures: dict[str, float] = {}

    @property
    def is_compiled(self) -> bool:
        """Whether the compiled library does it; it may turn out that it cannot."""
        return self._compiled is not None

    @property
    def is_cut(self) -> bool:
        """Whether the engine was at work beyond the last second that is told."""
        return self._series is not None and self._series[1]

    def series(self) -> EngineSeries:
        """Return the engine by the second, once all is over and where somebody has written it down."""
        assert self._series is not None
        return self._series[0]

    def _close_compiled(self, run: Compiled) -> None:
        self.figures = figures_of(run.replicas, self._model.replica)
        self._series = series_of(run.replicas, self._model)

    def _close(self, engine: Engine, recorder: SeriesRecorder | None) -> None:
        self.figures = engine.figures()
        if recorder is not None:
            self._series = recorder.series(), recorder.is_cut
