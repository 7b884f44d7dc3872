"""DiSCo: device-server collaborative dispatch under a budget, with token-level migration."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from discosim.core.spec import spec
from discosim.policies.account import Account, held_back
from discosim.policies.base import Policy
from discosim.policies.budget import Constraint, resolve_constraint
from discosim.policies.migration import Migration, ServerEstimate
from discosim.policies.past_ttfts import IF_REFUSED, Wait
from discosim.policies.view import View
from discosim.world.batch.dispatch import Arriving, Coins, Dispatch
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
        "The tail wait is a quantile over prompt tokens, among the prompts that it applies to, because the budget "
        "counts tokens; a coin splits boundary prompts (DiSCo-S) and TTFTs that many requests share, so that the "
        "budget is met exactly. The rest of an answer is estimated by the mean residual of past outputs. When the "
        "server refuses a request the device starts at once, and a device that cannot hold a prompt leaves it to the "
        "server, whatever the budget. Relearning while running is our addition, off by default. "
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
    relearn: bool = spec(
        False,
        doc="Go on learning while running: a share of tokens above the budget makes waits longer, one below shorter.",
        since="0.2",
    )

    _side: Literal["server", "device"] = field(init=False, repr=False, default="server")
    _threshold_tok: float = field(init=False, repr=False, default=0.0)
    _part: float = field(init=False, repr=False, default=0.0)
    _tail_wait: Wait = field(init=False, repr=False, default=IF_REFUSED)
    _edge_wait: Wait = field(init=False, repr=False, default=IF_REFUSED)
    _account: Account | None = field(init=False, repr=False, default=None)
    _migration: Migration | None = field(init=False, repr=False, default=None)

    def prepare(self, view: View) -> None:
        """Set the thresholds from past prompts and past server TTFTs.

        Source: DiSCo, secondary source for both rules. Server budget b: the prompts below the threshold hold the share
        1 - b of all prompt tokens. Device budget b: a share alpha of it covers the server's tail, and the prompts below
        the threshold hold (b - alpha) / (1 - alpha) of the tokens.

        That the share used is then b (our derivation, for tokens): let s be the share of the tokens in prompts below
        the threshold. They start at once and use s. Of the rest the share alpha starts, as the tail wait w is the
        quantile with ``E[L 1(T > w); long] = alpha E[L; long]`` over past pairs of length and TTFT, whatever T depends
        on (`PastTtfts.wait`). Together s + (1 - s) alpha = b. The one length on the boundary, of which a part p would
        have to be short, waits for the quantile of p + (1 - p) alpha among prompts of that length.

        Tokens of prompts that a device cannot hold are none of the device's: the device budget is shared out over the
        others, and with a server budget they are the first that it is spent on.
        """
        self._side = resolve_constraint(self.constraint, view)
        held = view.held_law
        self._account = Account.of(self.budget, view) if self.relearn else None
        if self._side == "server":
            left = self.budget - (1.0 - held.counted_share)
            above = max(0.0, left / held.counted_share) if held.counted_share > 0.0 else 0.0
            self._threshold_tok, self._part = held.split(1.0 - above)
        else:
            budget = min(1.0, self.budget / held.counted_share) if held.counted_share > 0.0 else 1.0
            alpha = min(self.alpha, budget)
            short_share = (budget - alpha) / (1.0 - alpha) if alpha < 1.0 else 0.0
            self._threshold_tok, self._part = held.split(short_share)
            self._tail_wait = self._wait(view, alpha, view.past_ttfts.near(self._threshold_tok))
            # the one length on the boundary starts with a probability between alpha and 1
            edge = self._part + (1.0 - self._part) * alpha
            at_edge = view.past_ttfts.near(self._threshold_tok - 1.0, self._threshold_tok)
            self._edge_wait = self._wait(view, edge, at_edge)
        self._migration = Migration(view, self.server_estimate, self.payload) if self.migration else None

    def _wait(self, view: View, share: float, among: NDArray[np.bool_]) -> Wait:
        past = view.past_ttfts
        wait = past.wait(share, among, past.prompt_tok * view.held_share(past.prompt_tok))
        if self.relearn and 0.0 < share < 1.0 and wait.lean_s == np.inf:
            # a factor cannot shorten an endless wait, so the account begins with the longest that was seen
            answered_s = past.ttft_s[np.isfinite(past.ttft_s)]
            longest_s = float(answered_s.max()) if answered_s.size else 1.0
            return Wait(longest_s, longest_s, 0.0)
        return wait

    @property
    def threshold_tok(self) -> float:
        """Prompt length that the rule splits at, once prepared: longer ones get the server, shorter ones the device."""
        return self._threshold_tok

    def wait_s(self, prompt_tok: int, coin: float = 1.0) -> float:
        """Return how long the device holds back now for a prompt of this length, in s (device budget).

        ``coin``, uniform on [0, 1), decides where many past TTFTs were equal.
        """
        factor = 1.0 if self._account is None else self._account.factor
        if prompt_tok == self._threshold_tok:
            return self._edge_wait.after_s(coin) * factor
        if prompt_tok < self._threshold_tok / factor:
            return 0.0
        return self._tail_wait.after_s(coin) * factor

    def plan(self, view: View, requests: Arriving, coins: Coins) -> Dispatch | None:  # noqa: ARG002 - as every policy
        """Say for all requests which endpoint is held back, and for how long; not while it relearns."""
        if self._account is not None:
            return None
        length, at_once = requests.prompt_tok, np.zeros(len(requests))
        is_at_edge = length == self._threshold_tok
        if self._side == "server":
            is_long = np.where(is_at_edge, coins() >= self._part, length > self._threshold_tok)
            server_s, device_s = np.where(is_long, 0.0, np.inf), at_once
        else:
            coin = coins()
            tail_s, edge_s = (
                np.where(coin < wait.rich_share, wait.rich_s, wait.lean_s)
                for wait in (self._tail_wait, self._edge_wait)
            )
            device_s = np.where(is_at_edge, edge_s, np.where(length < self._threshold_tok, 0.0, tail_s))
            server_s = at_once
        return Dispatch(
            server_s,
            device_s,
            falls_back=True,
            losers=self.losers,
            hand_overs=self._migration,
            server_is_first=self._side == "device",
            sees_refusal=True,
        )

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
        if not self._is_long(session) and not device.failure:
            return (yield session.first_token_of(device))
        server = session.start("server")
        if self._account is not None:
            self._account.use(session.prompt_tok)
        return (yield session.first_token_of(device, server))

    def _is_long(self, session: Session) -> bool:
        """Return whether the server gets this prompt, by its length alone."""
        length = session.prompt_tok
        if self._account is not None:  # which lets the share of one length come and go
            self._account.arrive(length)
            return length > self._threshold_tok * self._account.factor
        if length == self._threshold_tok:
            return session.coin() >= self._part
        return length > self._threshold_tok

    def _dispatch_device_budget(self, session: Session) -> Generator[Any, Any, Any]:
        account, length = self._account, session.prompt_tok
        if account is not None:
            account.arrive(length)
        server = session.start("server")
        coin = session.coin()
        winner = yield from held_back(
            session, server, lambda: self.wait_s(length, coin), look_again=account is not None
        )
        if winner is not None:
            return winner
        device = session.start("device")
        if account is not None and not device.failure:
            account.use(length)
        return (yield session.first_token_of(server, device))
