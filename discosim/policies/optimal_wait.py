"""The best wait rule: what DiSCo's two-step rules approximate, found by the dual of the budget."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from discosim.core.spec import spec
from discosim.policies.base import Policy
from discosim.policies.budget import Constraint, Side, resolve_constraint
from discosim.policies.migration import OTHER, Migration, ServerEstimate
from discosim.policies.view import View
from discosim.world.link import Payload
from discosim.world.session import Loser

if TYPE_CHECKING:
    from discosim.world.session import Session

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class WaitRule:
    """For one kind of device: waits by prompt length at the budget's price, and at a price just below it.

    ``lean_s`` and ``rich_s`` hold one wait per length; a request follows ``rich_s`` with probability ``mix``, so that
    the budget is met exactly where the optimal cost jumps.
    """

    lengths_tok: NDArray[np.int64]
    lean_s: Floats
    rich_s: Floats

    def wait_s(self, prompt_tok: int, *, is_rich: bool) -> float:
        """Return the wait for the nearest tabulated length at or above ``prompt_tok``, in s; ``inf`` for never."""
        at = min(int(np.searchsorted(self.lengths_tok, prompt_tok)), self.lengths_tok.size - 1)
        return float((self.rich_s if is_rich else self.lean_s)[at])


@dataclass(kw_only=True)
class OptimalWait(Policy):
    """Know only distributions; start the limited endpoint after the wait that minimises mean TTFT in the budget.

    The other endpoint starts at once. For each prompt length l the wait w minimises
    ``E[min(T, w + X_l)] + mu * l * P(T > w)``: T the TTFT of the free endpoint, X_l that of the limited one, mu the
    price of the budget, found by bisection so that the expected use is b. As the problem is linear in the
    distribution over wait rules, a mixture of two rules at one price is optimal among all wait rules.
    """

    kind: ClassVar[str] = "optimal_wait"
    paper: ClassVar[str] = (
        "Our choice: the optimum of the problem DiSCo states (arXiv 2502.11417, sections known second-hand)."
    )
    departures: ClassVar[str] = (
        "Waits are searched on the quantiles of past TTFTs and lengths on a grid of their quantiles; device queueing "
        "is not foreseen. Where the server is limited the device's TTFT is certain, so only waiting 0 or for ever "
        "matters."
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

    _side: Side = field(init=False, repr=False, default="server")
    _rules: dict[str, WaitRule] = field(init=False, repr=False, default_factory=dict)
    _mix: float = field(init=False, repr=False, default=0.0)
    _migration: Migration | None = field(init=False, repr=False, default=None)

    def prepare(self, view: View) -> None:
        """Solve the dual for every kind of device with one common price."""
        self._side = resolve_constraint(self.constraint, view)
        self._migration = Migration(view, self.server_estimate, self.payload) if self.migration else None
        tables = [self._table(view, index) for index in range(len(view.fleet))]
        low, high = solve_price(tables, self.budget)
        lean, rich = [t.at(high) for t in tables], [t.at(low) for t in tables]
        lean_use = sum(t.use(choice) for t, choice in zip(tables, lean, strict=True))
        rich_use = sum(t.use(choice) for t, choice in zip(tables, rich, strict=True))
        gap = rich_use - lean_use
        self._mix = 0.0 if gap <= 0.0 else float(np.clip((self.budget - lean_use) / gap, 0.0, 1.0))
        self._rules = {
            profile.name: WaitRule(t.lengths_tok, t.waits_s[a], t.waits_s[b])
            for (profile, _), t, a, b in zip(view.fleet, tables, lean, rich, strict=True)
        }

    def _table(self, view: View, index: int) -> CostTable:
        profile, share = view.fleet[index]
        total = sum(s for _, s in view.fleet)
        ranked = np.sort(view.prompt_tok)
        at_quantile = ranked[np.linspace(0, ranked.size, self.n_lengths, endpoint=False).astype(int)]
        edges = np.unique(np.searchsorted(ranked, at_quantile))  # all prompts of one length belong to one group
        groups = np.split(ranked, edges[1:])
        upper = np.array([group[-1] for group in groups])
        tokens = np.array([group.sum() for group in groups], dtype=float)
        weight = np.array([group.size for group in groups], dtype=float) / ranked.size * share / total
        mean_tok = np.array([group.mean() for group in groups])
        device_s = profile.prefill_array_s(mean_tok)
        if profile.max_context_tok is not None:
            device_s = np.where(mean_tok > profile.max_context_tok, np.inf, device_s)
        if self._side == "device":
            waits, ttft, start = joining_device(view.sorted_ttft_s, device_s, self.n_waits)
        else:
            waits, ttft, start = joining_server(view.sorted_ttft_s, device_s)
        return CostTable(upper, waits, weight[:, None] * ttft, tokens[:, None] / tokens.sum() * share / total * start)

    @property
    def rules(self) -> Mapping[str, WaitRule]:
        """Wait rule by name of the device, once prepared."""
        return self._rules

    def serve(self, session: Session) -> Generator[Any, Any, None]:
        """Start the free endpoint, wait, join with the limited one."""
        first = session.start(OTHER[self._side])
        rule = self._rules[session.profile.name]
        wait_s = rule.wait_s(session.prompt_tok, is_rich=session.coin() < self._mix)
        winner = None
        if wait_s > 0.0 and not first.failure:
            winner = yield session.first_token_of(first, within_s=None if wait_s == np.inf else wait_s)
        if winner is None:
            winner = yield session.first_token_of(first, session.start(self._side))
        if winner is None:
            session.fail()
            return
        session.keep(winner, losers=self.losers)
        if self._migration is not None:
            yield from self._migration.run(session)
        yield session.finished()


@dataclass(frozen=True)
class CostTable:
    """Expected TTFT and expected budget use for every (length group, wait).

    Parameters
    ----------
    lengths_tok : array of int, shape (g,)
        Upper length of each group, rising.
    waits_s : array of float, shape (w,)
        Candidate waits; the last is ``inf``.
    ttft_s, used : array of float, shape (g, w)
        Contribution of the group to the mean TTFT, and to the share of prompt tokens used.
    """

    lengths_tok: NDArray[np.int64]
    waits_s: Floats
    ttft_s: Floats
    used: Floats

    def at(self, price: float) -> NDArray[np.int64]:
        """Return the best wait's index for each group at this price of the budget."""
        best: NDArray[np.int64] = np.argmin(self.ttft_s + price * self.used, axis=1)
        return best

    def use(self, choice: NDArray[np.int64]) -> float:
        """Return the share of prompt tokens the limited endpoint gets under these waits."""
        return float(self.used[np.arange(choice.size), choice].sum())


def joining_device(ranked_s: Floats, device_s: Floats, n_waits: int) -> tuple[Floats, Floats, Floats]:
    """Tabulate ``E[min(T, w + d)]`` and ``P(T > w)`` for device TTFTs d and waits w.

    Parameters
    ----------
    ranked_s : array of float, shape (m,)
        Past server TTFTs, rising, ``inf`` where refused (a refusal is learned at once here: the device then starts).
    device_s : array of float, shape (g,)
        Device TTFT of each length group, in s; ``inf`` where the prompt does not fit.
    n_waits : int
        Number of candidate waits.

    Returns
    -------
    waits_s : array, shape (w,)
    ttft_s, start : array, shape (g, w)
    """
    finite = ranked_s[np.isfinite(ranked_s)]
    waits = np.zeros(1)
    if finite.size:
        levels = np.linspace(0.0, 1.0, n_waits)
        waits = np.unique(np.concatenate((waits, np.quantile(finite, levels, method="inverted_cdf"))))
    mass = np.concatenate(([0.0], np.cumsum(finite)))
    below_wait = np.searchsorted(finite, waits, side="right")
    start = 1.0 - below_wait / ranked_s.size
    end = waits[None, :] + np.minimum(device_s, 1e9)[:, None]
    below_end = np.maximum(np.searchsorted(finite, end, side="right"), below_wait[None, :])
    ttft = (mass[below_end] + (ranked_s.size - below_end) * end) / ranked_s.size
    never_s = finite.sum() / ranked_s.size + (ranked_s.size - finite.size) / ranked_s.size * 1e9
    waits = np.append(waits, np.inf)
    ttft = np.column_stack([ttft, np.full(device_s.size, never_s)])
    return waits, ttft, np.broadcast_to(np.append(start, 0.0), ttft.shape)


def joining_server(ranked_s: Floats, device_s: Floats) -> tuple[Floats, Floats, Floats]:
    """Tabulate ``E[min(d, T)]`` against ``d``: the server joins at once or never.

    Waiting longer only delays a certain need, as the device's TTFT is known when the request arrives.
    Arguments and returns are those of :func:`joining_device`.
    """
    finite = ranked_s[np.isfinite(ranked_s)]
    mass = np.concatenate(([0.0], np.cumsum(finite)))
    device_s = np.minimum(device_s, 1e9)
    below = np.searchsorted(finite, device_s, side="right")
    both = (mass[below] + (ranked_s.size - below) * device_s) / ranked_s.size
    start = np.broadcast_to(np.array([1.0, 0.0]), (device_s.size, 2))
    return np.array([0.0, np.inf]), np.column_stack([both, device_s]), start


def solve_price(tables: list[CostTable], budget: float) -> tuple[float, float]:
    """Return prices just below and at the point where the expected use falls to the budget.

    Bisection on the dual variable: the use at a price never rises with the price.
    """

    def used(price: float) -> float:
        return sum(table.use(table.at(price)) for table in tables)

    low, high = 0.0, 1.0
    if used(low) <= budget:
        return low, low
    while used(high) > budget:
        high *= 4.0
    for _ in range(80):
        middle = (low + high) / 2
        if used(middle) > budget:
            low = middle
        else:
            high = middle
    return low, high
