"""PICE: a sketch from the cloud, written out by small models at the edge, side by side."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from discosim.core.spec import spec
from discosim.policies.sketching import Forecast, Forecaster, Sketching, from_server
from discosim.policies.view import View

if TYPE_CHECKING:
    from discosim.world.session import Session


@dataclass(kw_only=True)
class Pice(Sketching):
    """Decide for each request whether to sketch it, and how long the sketch is, from the queues of the moment.

    A question that suits parts and whose expected answer is long enough may be sketched. Of a grid of sketch lengths,
    those count that are no slower than the server alone and good enough; the best by the objective is compared with
    the server alone. With the sketch at hand the edge is looked at again.
    """

    kind: ClassVar[str] = "pice"
    paper: ClassVar[str] = (
        "PICE, arXiv 2501.09367 (abstract): sketch in the cloud, parallel expansion at the edge, dynamic scheduling, "
        "ensemble. Secondary source: who decides (expected complexity and length), sketch length adapted to the state "
        "of the system, small error against high throughput, even lengths inside a batch, pick by perplexity and "
        "similarity."
    )
    departures: ClassVar[str] = (
        "No equation, algorithm or setting of the paper could be read. Completion times, the objective, the forecast "
        "of queues, rounds, job lists and the quality model are our reconstruction. Candidates of a part have one "
        "length and share a batch; the sketch passes through the client; the choice among edge models and their "
        "fine-tuning are left out."
    )

    min_tok: float = spec(100.0, doc="Shorter expected answers come from the server (our choice).", unit="tok", ge=0)
    rho_max: float = spec(0.6, doc="Longest sketch of the grid, as a share of the answer.", gt=0, le=1)
    n_rho: int = spec(6, doc="Grid points, at equal distances up to rho_max.", ge=1)
    rule: Literal["objective", "smallest"] = spec(
        "objective", doc="Best by the objective, or the shortest sketch that is allowed (largest cloud saving)."
    )
    throughput_weight: float = spec(
        1.0, doc="Weight of the delay that the request causes to others (our choice).", ge=0
    )
    error_weight: float = spec(4.0, doc="Weight of the assumed loss of quality (our choice).", ge=0)
    q_min: float = spec(0.7, doc="Least assumed quality of a sketched answer (our choice).", ge=0, le=1)
    recheck: bool = spec(
        True, doc="Look at the edge again when the sketch is there; the server writes if it is faster."
    )

    _forecaster: Forecaster | None = field(init=False, repr=False, default=None)

    def prepare(self, view: View) -> None:
        """Look at the edge tier and at the past of the server."""
        super().prepare(view)
        self._forecaster = Forecaster(view)

    @property
    def grid(self) -> list[float]:
        """Sketch lengths to choose from, as shares of the answer."""
        return [self.rho_max * i / self.n_rho for i in range(1, self.n_rho + 1)]

    def serve(self, session: Session) -> Generator[Any, Any, None]:
        """Decide, and serve."""
        assert self._forecaster is not None
        guess_tok = session.predicted_tok(self.length_error)
        rho = None
        if session.seems_suitable(self.class_error) and guess_tok >= self.min_tok:
            rho = self.choose(self._forecast(session, guess_tok))
        self._forecaster.ask(guess_tok if rho is None else rho * guess_tok)
        if rho is None:
            yield from from_server(session)
        else:
            yield from self.sketch_then_write(session, rho)

    def choose(self, forecast: Forecast) -> float | None:
        """Return the sketch length as a share of the answer, or None for an answer by the server.

        Source: our reconstruction of "small error and high throughput" (secondary source). With T the completion time,
        D the delay caused to others in the two queues, and T_0 = L tau_c, the best option has the least
        (T + w_throughput D)/T_0 + w_error (1 - q/q_cloud).
        """
        allowed = [rho for rho in self.grid if self.is_allowed(forecast, rho)]
        if not allowed:
            return None
        if self.rule == "smallest":
            return allowed[0]
        scores: dict[float | None, float] = {rho: self.score(forecast, rho) for rho in allowed}
        scores[None] = self.score(forecast, None)
        return min(scores, key=lambda option: scores[option])

    def is_allowed(self, forecast: Forecast, rho: float) -> bool:
        """Tell whether a sketch is no slower than the server alone, and good enough."""
        return forecast.progressive_s(rho) <= forecast.cloud_s and self.quality_of(rho) >= self.q_min

    def score(self, forecast: Forecast, rho: float | None) -> float:
        """Return the objective of one option, a sketch length or None for the server alone; less is better."""
        server_tok = forecast.answer_tok * (1.0 if rho is None else rho)
        delay_s = server_tok * forecast.queue_s_per_tok
        if rho is None:
            time_s, error = forecast.cloud_s, 0.0
        else:
            time_s = forecast.progressive_s(rho)
            delay_s += forecast.edge_queue_s
            error = 1.0 - self.quality_of(rho) / self._quality.cloud if self._quality.cloud else 0.0
        alone_s = max(forecast.answer_tok * forecast.server_token_s, 1e-9)
        return (time_s + self.throughput_weight * delay_s) / alone_s + self.error_weight * error

    def is_edge_worth_it(self, session: Session, guess_tok: float, rho: float) -> bool:  # noqa: ARG002 - as in base
        """Compare what is left with an answer by the server, asked for now."""
        if not self.recheck:
            return True
        now = self._forecast(session, guess_tok)
        return now.way_s + now.edge_wait_s + now.edge_write_s <= now.cloud_s

    def _forecast(self, session: Session, guess_tok: float) -> Forecast:
        assert self._forecaster is not None
        return self._forecaster.of(session, guess_tok, self.n_parts(guess_tok), self.width, self._edge)
