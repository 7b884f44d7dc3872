"""DiSCo: device-server collaborative dispatch under a budget, with token-level migration."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from discosim.core.spec import spec
from discosim.policies.base import Policy
from discosim.policies.budget import Constraint, resolve_constraint
from discosim.policies.migration import Migration, ServerEstimate
from discosim.policies.view import View
from discosim.world.link import Payload
from discosim.world.session import Loser

if TYPE_CHECKING:
    from discosim.world.session import Session


@dataclass(kw_only=True)
class Disco(Policy):
    """Race both endpoints where the budget allows it, then let the cheaper one decode the rest.

    Server budget (DiSCo-S): the device always starts; prompts above a length threshold also go to the server.
    Device budget (DiSCo-D): the server always starts; the device joins after a wait that depends on prompt length:
    a share alpha of the budget covers the server's tail for every prompt, the rest lets short prompts start at once.
    """

    kind: ClassVar[str] = "disco"
    paper: ClassVar[str] = (
        "DiSCo, arXiv 2502.11417 (ACL Findings 2025), dispatch and migration controllers; "
        "reconstructed from secondary sources."
    )
    departures: ClassVar[str] = (
        "Boundary prompts of DiSCo-S are split by a coin so that the budget is met exactly; the rest of an answer is "
        "estimated by the mean residual of past outputs; when the server refuses a request the device starts at once. "
        "alpha, the loser's fate and the server's migration estimate are open in the paper and are options here."
    )

    constraint: Constraint = spec("auto", doc="Which endpoint the budget limits; auto applies the paper's regime test.")
    budget: float = spec(0.5, doc="Share of prompt tokens the limited endpoint may process.", ge=0, le=1)
    alpha: float = spec(
        0.05, doc="Share of the device budget reserved for the server's tail (recollected).", ge=0, le=1
    )
    migration: bool = spec(True, doc="Hand answers over to the cheaper decoder.")
    losers: Loser = spec("cancel", doc="Fate of the endpoint that loses a race: cancel, finish_prefill or run_on.")
    payload: Payload = spec("text", doc="What a hand-over sends up to the server: text or token_ids.")
    server_estimate: ServerEstimate = spec(
        "mean", doc="Statistic of past TTFTs that estimates a hand-over to the server."
    )

    _side: Literal["server", "device"] = field(init=False, repr=False, default="server")
    _threshold_tok: float = field(init=False, repr=False, default=0.0)
    _part: float = field(init=False, repr=False, default=0.0)
    _tail_wait_s: float = field(init=False, repr=False, default=0.0)
    _edge_wait_s: float = field(init=False, repr=False, default=0.0)
    _migration: Migration | None = field(init=False, repr=False, default=None)

    def prepare(self, view: View) -> None:
        """Set the thresholds from past prompts and past server TTFTs.

        Source: DiSCo, secondary source for both rules. Server budget: the prompts below the threshold hold the share
        1 - b of all prompt tokens. Device budget: w_tail = F^-1(1 - min(alpha, b)); the prompts below the threshold
        hold (b - alpha) / (1 - alpha) of the tokens (derived from the budget).
        """
        self._side = resolve_constraint(self.constraint, view)
        if self._side == "server":
            self._threshold_tok, self._part = view.prompt_law.split(1.0 - self.budget)
        else:
            alpha = min(self.alpha, self.budget)
            short_share = (self.budget - alpha) / (1.0 - alpha) if alpha < 1.0 else 0.0
            self._threshold_tok, self._part = view.prompt_law.split(short_share)
            self._tail_wait_s = view.server_ttft_quantile_s(1.0 - alpha) if alpha > 0.0 else np.inf
            # the one length on the boundary starts with a probability between alpha and 1
            edge = self._part + (1.0 - self._part) * alpha
            self._edge_wait_s = view.server_ttft_quantile_s(1.0 - edge) if edge > 0.0 else np.inf
        self._migration = Migration(view, self.server_estimate, self.payload) if self.migration else None

    @property
    def threshold_tok(self) -> float:
        """Prompt length that the rule splits at, once prepared: longer ones get the server, shorter ones the device."""
        return self._threshold_tok

    def wait_s(self, prompt_tok: int) -> float:
        """Return how long the device holds back for a prompt of this length, in s (device budget)."""
        if prompt_tok < self._threshold_tok:
            return 0.0
        return self._edge_wait_s if prompt_tok == self._threshold_tok else self._tail_wait_s

    def serve(self, session: Session) -> Generator[Any, Any, None]:
        """Dispatch, keep the first speaker, then migrate if that pays."""
        dispatch = self._dispatch_server_budget if self._side == "server" else self._dispatch_device_budget
        winner = yield from dispatch(session)
        if winner is None:
            session.fail()
            return
        session.keep(winner, losers=self.losers)
        if self._migration is not None:
            yield from self._migration.run(session)
        yield session.finished()

    def _dispatch_server_budget(self, session: Session) -> Generator[Any, Any, Any]:
        device = session.start("device")
        length = session.prompt_tok
        is_long = length > self._threshold_tok
        if length == self._threshold_tok:
            is_long = session.coin() >= self._part
        if not is_long and not device.failure:
            return (yield session.first_token_of(device))
        server = session.start("server")
        return (yield session.first_token_of(device, server))

    def _dispatch_device_budget(self, session: Session) -> Generator[Any, Any, Any]:
        server = session.start("server")
        wait_s = self.wait_s(session.prompt_tok)
        if wait_s > 0.0:
            within_s = None if wait_s == np.inf else wait_s
            winner = yield session.first_token_of(server, within_s=within_s)
            if winner is not None:
                return winner
        device = session.start("device")
        return (yield session.first_token_of(server, device))
