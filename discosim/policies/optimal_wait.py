"""The best wait rule: what DiSCo's two-step rules approximate, found by the dual of the budget."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from math import expm1
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from discosim.core.spec import spec
from discosim.policies.account import Account, held_back
from discosim.policies.base import Policy
from discosim.policies.budget import Constraint, Side, resolve_constraint
from discosim.policies.migration import OTHER, Migration, ServerEstimate
from discosim.policies.view import View
from discosim.policies.wait_tables import (
    CostTable,
    LengthGroups,
    candidate_waits,
    joining_device,
    joining_server,
    law_edges,
    laws_of,
    solve_price,
)
from discosim.world.batch.dispatch import Arriving, Coins, Dispatch
from discosim.world.device_profile import DeviceProfile
from discosim.world.link import Payload
from discosim.world.session import Loser

if TYPE_CHECKING:
    from discosim.world.session import Session
    from discosim.world.stream import Stream

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class WaitRule:
    """For one kind of device: waits by prompt length at the budget's price, and at a price just below it.

    ``lean_s`` and ``rich_s`` hold one wait per length; a request follows ``rich_s`` with probability ``mix``, so that
    the budget is met exactly where the optimal cost jumps. A wait is ``inf`` where the limited endpoint only answers
    for one that refuses, and NaN where it does not even then.
    """

    lengths_tok: NDArray[np.int64]
    lean_s: Floats
    rich_s: Floats

    def wait_s(self, prompt_tok: int, *, is_rich: bool) -> float:
        """Return the wait for the nearest tabulated length at or above ``prompt_tok``, in s."""
        at = min(int(np.searchsorted(self.lengths_tok, prompt_tok)), self.lengths_tok.size - 1)
        return float((self.rich_s if is_rich else self.lean_s)[at])

    def waits_s(self, prompt_tok: NDArray[np.int64], is_rich: NDArray[np.bool_]) -> Floats:
        """Return `wait_s` of many requests."""
        at = np.minimum(np.searchsorted(self.lengths_tok, prompt_tok), self.lengths_tok.size - 1)
        return np.where(is_rich, self.rich_s[at], self.lean_s[at])


@dataclass(kw_only=True)
class OptimalWait(Policy):
    """Know only distributions; start the limited endpoint after the wait that minimises mean TTFT in the budget.

    The other endpoint starts at once. For each prompt length l the wait w minimises
    ``E[min(T, w + X_l) | l] + mu * l * P(T > w | l)``: T the TTFT of the free endpoint, X_l that of the limited one, mu
    the price of the budget, found by bisection so that the use is b. As the problem is linear in the distribution over
    wait rules, a mixture of two rules at one price is optimal among all wait rules. Of equal costs the stricter rule
    wins; a budget of 0 is never, also for requests that the other endpoint refuses: those fail.

    The use is counted over past pairs of length and TTFT, ``sum l 1(T > w_l) / sum l``, so it is b whatever the TTFT
    depends on; only which waits are best rests on the laws by length.
    """

    kind: ClassVar[str] = "optimal_wait"
    paper: ClassVar[str] = (
        "Our choice: the optimum of the problem DiSCo states (arXiv 2502.11417, sections known second-hand)."
    )
    departures: ClassVar[str] = (
        "Waits are searched on the quantiles of past TTFTs and lengths on a grid of their quantiles; device queueing "
        "is not foreseen. Where TTFTs depend on length there is a law for every 500 past requests, 32 at most, else "
        "one for all (`law_edges`). Where the server is limited the device's TTFT is certain, so only waiting 0 or for "
        "ever matters. Relearning while running is off by default."
    )

    constraint: Constraint = spec("auto", doc="Which endpoint the budget limits.")
    budget: float = spec(0.5, doc="Share of prompt tokens the limited endpoint may process.", ge=0, le=1)
    migration: bool = spec(False, doc="Hand answers over to the cheaper decoder, as DiSCo does.")
    losers: Loser = spec("cancel", doc="Fate of the endpoint that loses a race.")
    payload: Payload = spec("text", doc="What a hand-over sends up to the server: text or token_ids.")
    server_estimate: ServerEstimate = spec(
        "mean", doc="Statistic of past TTFTs that estimates a hand-over to the server."
    )
    n_lengths: int = spec(400, doc="Grid size over prompt lengths.", ge=2)
    n_waits: int = spec(400, doc="Grid size over waits.", ge=2)
    relearn: bool = spec(
        False,
        doc="Go on learning while running: a share of tokens above the budget raises its price, one below lowers it.",
        since="0.2",
    )

    _side: Side = field(init=False, repr=False, default="server")
    _tables: dict[str, CostTable] = field(init=False, repr=False, default_factory=dict)
    _rules: dict[str, WaitRule] = field(init=False, repr=False, default_factory=dict)
    _mix: float = field(init=False, repr=False, default=0.0)
    _price: float = field(init=False, repr=False, default=0.0)
    _usual_s: float = field(init=False, repr=False, default=0.0)
    _account: Account | None = field(init=False, repr=False, default=None)
    _migration: Migration | None = field(init=False, repr=False, default=None)

    def prepare(self, view: View) -> None:
        """Solve the dual for every kind of device with one common price."""
        self._side = resolve_constraint(self.constraint, view)
        self._migration = Migration(view, self.server_estimate, self.payload) if self.migration else None
        tables = self._make_tables(view)
        low, high = solve_price(tables, self.budget)
        lean, rich = [t.at(high) for t in tables], [t.at(low) for t in tables]
        if self.budget == 0.0:  # what the past did not use at a finite wait, the future may
            lean = rich = [t.never() for t in tables]
        lean_use = sum(t.use(choice) for t, choice in zip(tables, lean, strict=True))
        rich_use = sum(t.use(choice) for t, choice in zip(tables, rich, strict=True))
        gap = rich_use - lean_use
        self._mix = 0.0 if gap <= 0.0 else float(np.clip((self.budget - lean_use) / gap, 0.0, 1.0))
        names = [profile.name for profile, _ in view.fleet]
        self._rules = {
            name: WaitRule(t.lengths_tok, t.waits_s[a], t.waits_s[b])
            for name, t, a, b in zip(names, tables, lean, rich, strict=True)
        }
        self._tables = dict(zip(names, tables, strict=True))
        if self.relearn and self.budget > 0.0:
            self._price = high
            answered_s = view.server_ttft_s[np.isfinite(view.server_ttft_s)]
            self._usual_s = float(answered_s.mean()) if answered_s.size else 1.0
            self._account = Account.of(self.budget, view)

    def _make_tables(self, view: View) -> list[CostTable]:
        past, groups = view.past_ttfts, LengthGroups.of(view.prompt_tok, self.n_lengths)
        edges = law_edges(past)
        laws = laws_of(past, edges)
        is_device = self._side == "device"
        waits_s = candidate_waits(laws, self.n_waits) if is_device else np.array([0.0, np.inf])
        law_of = np.searchsorted(edges, groups.upper_tok)
        total = sum(share for _, share in view.fleet)
        tables = []
        for profile, share in view.fleet:
            device_s = profile.prefill_array_s(groups.mean_tok)
            fits = _fits(profile, groups.upper_tok)
            device_s = np.where(fits, device_s, np.inf)
            ttft_s, start = np.empty((2, device_s.size, waits_s.size + 1))
            for k, ranked_s in enumerate(laws):
                mine = law_of == k
                ttft_s[mine], start[mine] = (
                    joining_device(ranked_s, device_s[mine], waits_s)
                    if is_device
                    else joining_server(ranked_s, device_s[mine])
                )
            can_refuse = not np.isfinite(past.ttft_s).all() if is_device else not fits.all()
            # never, not even for one that is refused: only where that was to be seen, or the budget allows nothing
            columns = slice(None, None if can_refuse or self.budget == 0.0 else -1)
            if is_device:
                counted = _counted(view, profile, groups, edges, waits_s)
            else:  # asked at once, or for a prompt that does not fit the device
                counted = groups.token_share[:, None] * np.column_stack(
                    [np.ones_like(fits), ~fits, np.zeros_like(fits)]
                )
            part = share / total
            tables.append(
                CostTable(
                    groups.upper_tok,
                    np.append(waits_s, np.nan)[columns],
                    (groups.weight[:, None] * part * ttft_s)[:, columns],
                    (groups.token_share[:, None] * part * start)[:, columns],
                    (counted * part)[:, columns],
                )
            )
        return tables

    @property
    def rules(self) -> Mapping[str, WaitRule]:
        """Wait rule by name of the device, once prepared."""
        return self._rules

    def _wait_s(self, session: Session) -> float:
        """Return how long to wait as things stand, in s."""
        name, length = session.profile.name, session.prompt_tok
        if self._account is None:
            return self._rules[name].wait_s(length, is_rich=session.coin() < self._mix)
        level = self._account.level
        # a budget that did not bind has no price yet, so the price of a usual wait is put beside it
        price = self._price * self._account.factor + self._usual_s * max(0.0, expm1(level))
        return self._tables[name].wait_s(length, price)

    def plan(self, view: View, requests: Arriving, coins: Coins) -> Dispatch | None:
        """Say for all requests how long the limited endpoint is held back; not while it relearns."""
        if self._account is not None:
            return None
        wait_s, is_rich = np.empty(len(requests)), coins() < self._mix
        for kind, (profile, _) in enumerate(view.fleet):
            mine = requests.kind == kind
            wait_s[mine] = self._rules[profile.name].waits_s(requests.prompt_tok[mine], is_rich[mine])
        falls_back = ~np.isnan(wait_s)
        limited_s, at_once = np.where(falls_back, wait_s, np.inf), np.zeros(len(requests))
        server_s, device_s = (limited_s, at_once) if self._side == "server" else (at_once, limited_s)
        return Dispatch(
            server_s,
            device_s,
            falls_back,
            losers=self.losers,
            hand_overs=self._migration,
            server_is_first=self._side == "device",
        )

    def serve(self, session: Session) -> Generator[Any, Any, None]:
        """Start the free endpoint, wait, join with the limited one."""
        if self._account is not None:
            self._account.arrive(session.prompt_tok)
        first = session.start(OTHER[self._side])
        wait_s = self._wait_s(session)
        if np.isnan(wait_s):
            winner = yield session.first_token_of(first)
        else:
            winner = yield from self._join(session, first, wait_s)
        if winner is None:
            session.fail()
            return
        session.keep(winner, losers=self.losers)
        if self._migration is not None:
            yield from self._migration.run(session)
        yield session.finished()

    def _join(self, session: Session, first: Stream, wait_s: float) -> Generator[Any, Any, Any]:
        account = self._account
        if account is None:
            winner = yield from held_back(session, first, lambda: wait_s, look_again=False)
        else:
            winner = yield from held_back(session, first, lambda: _or_endless(self._wait_s(session)), look_again=True)
        if winner is not None:
            return winner
        limited = session.start(self._side)
        if account is not None and not (self._side == "device" and limited.failure):
            account.use(session.prompt_tok)
        return (yield session.first_token_of(first, limited))


def _or_endless(wait_s: float) -> float:
    return np.inf if np.isnan(wait_s) else wait_s


def _fits(profile: DeviceProfile, prompt_tok: NDArray[np.int64]) -> NDArray[np.bool_]:
    limit = profile.max_context_tok
    return np.ones(prompt_tok.size, dtype=np.bool_) if limit is None else prompt_tok <= limit


def _counted(view: View, profile: DeviceProfile, groups: LengthGroups, edges: Floats, waits_s: Floats) -> Floats:
    """Return the share of the tokens of past pairs for which the device would have started, shape (g, w + 1).

    Pairs are weighted so that their lengths have the law of all past prompts, of which there are many more where the
    TTFTs come from a pilot.
    """
    past = view.past_ttfts
    stratum = np.searchsorted(edges, past.prompt_tok)
    tokens = past.prompt_tok.astype(float)
    pairs_tok = np.bincount(stratum, tokens, edges.size)
    all_tok = np.bincount(np.searchsorted(edges, view.prompt_tok), view.prompt_tok, edges.size)
    weight = tokens * (all_tok / pairs_tok)[stratum] / all_tok.sum() * _fits(profile, past.prompt_tok)
    # how many of the waits, from the first on, are shorter than the TTFT; a refused request outlasts ``inf`` too
    n_shorter = np.searchsorted(waits_s[:-1], past.ttft_s, side="left") + ~np.isfinite(past.ttft_s)
    n_waits, n_groups = waits_s.size + 1, groups.upper_tok.size
    cell = groups.of_each(past.prompt_tok) * (n_waits + 1) + n_shorter
    sums = np.bincount(cell, weight, n_groups * (n_waits + 1)).reshape(n_groups, n_waits + 1)
    outlasting: Floats = sums[:, ::-1].cumsum(axis=1)[:, ::-1]
    return outlasting[:, 1:]
