"""The clairvoyant bound: spend the budget where the true draws say that it saves the most waiting."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from discosim.core.errors import InvariantError
from discosim.core.spec import spec
from discosim.policies.base import Policy
from discosim.policies.budget import Constraint, Side, resolve_constraint
from discosim.policies.clairvoyance import Foresight
from discosim.policies.migration import OTHER
from discosim.policies.view import View
from discosim.world.batch.dispatch import Arriving, Coins, Dispatch, only
from discosim.world.verbs.battery import is_battery_low

if TYPE_CHECKING:
    from discosim.world.session import Session

SAME_S = 1e-6
"""TTFTs closer than this are the same; event times are rounded."""


@dataclass(kw_only=True)
class Oracle(Policy):
    """Know every draw beforehand; use the limited endpoint for the best savings per prompt token.

    The best choice inside a budget is a knapsack: requests are taken in the order of seconds saved per prompt token. A
    device that is busy with an earlier answer keeps its user waiting, so requests that could meet on one device are
    planned together (`Foresight`). What is missed is less than the saving of one request, or of one such group.

    It is a bound on the mean TTFT while devices are idle: then nobody can answer a request sooner than the draws say.
    Where a request finds its device busy, loading or throttled, a rule that does what this one never does (hand an
    answer over so that the device is free again) may be faster. The run says how many did, and the mean that idle
    devices would allow, which is a bound in any case.
    """

    kind: ClassVar[str] = "oracle"
    paper: ClassVar[str] = "Our choice: no paper of the field reports the distance to a clairvoyant bound."
    departures: ClassVar[str] = (
        "Every answer stays with the endpoint that began it, and is asked for on arrival; a race would gain nothing, "
        "as its winner is known. The knapsack is solved to within the saving of one request."
    )
    needs: ClassVar[frozenset[str]] = frozenset({"oracle"})

    constraint: Constraint = spec("auto", doc="Which endpoint the budget limits.")
    budget: float = spec(0.5, doc="Share of prompt tokens the limited endpoint may process.", ge=0, le=1)

    _side: Side = field(init=False, repr=False, default="server")
    _plan: Foresight | None = field(init=False, repr=False, default=None)
    _uses_limited: list[bool] = field(init=False, repr=False, default_factory=list)
    _found_busy: set[int] = field(init=False, repr=False, default_factory=set)
    _n_low: int = field(init=False, repr=False, default=0)

    def prepare(self, view: View) -> None:
        """Choose the requests that get the limited endpoint."""
        if view.draws is None:
            raise InvariantError("the oracle policy was given no draws")
        self._side = resolve_constraint(self.constraint, view)
        self._plan = Foresight(view.draws, self._side, self.budget)
        self._uses_limited = self._plan.uses().tolist()

    def serve(self, session: Session) -> Generator[Any, Any, None]:
        """Use the endpoint that is known to be better."""
        i = session.request_id
        if session.is_device_busy:
            self._found_busy.add(i)
        endpoint = self._side if self._uses_limited[i] else OTHER[self._side]
        if endpoint == "device" and is_battery_low(session):
            self._n_low += 1
        stream = session.start(endpoint)
        winner = yield session.first_token_of(stream)
        if winner is None:
            session.fail()
            return
        session.keep(winner)
        yield session.finished()

    def plan(self, view: View, requests: Arriving, coins: Coins) -> Dispatch:  # noqa: ARG002 - as every policy
        """Return the choice; a device that nobody else uses is never found busy."""
        is_limited = np.array(self._uses_limited, dtype=np.bool_)
        chosen = only(is_limited if self._side == "server" else ~is_limited)
        return replace(chosen, looks_at_device=True)

    def tally(self, columns: Mapping[str, NDArray[Any]]) -> dict[str, float]:
        """Count the requests for which the draws were not what was met."""
        assert self._plan is not None
        draws = self._plan.draws
        could_gain = draws.device_ttft_s < draws.server_ttft_s
        found_busy = np.zeros(could_gain.size, dtype=np.bool_)
        found_busy[sorted(self._found_busy)] = True
        was_slow = (columns["first_endpoint"] == "device") & (columns["ttft_s"] > draws.device_ttft_s + SAME_S)
        return {
            "n_low": float(self._n_low),
            "n_busy": float(((found_busy & could_gain) | was_slow).sum()),
            "n_served": float((columns["status"] != "rejected").sum()),
            "least_s": self._plan.least_mean_s(),
            "n_replications": 1.0,
        }

    def remarks(self, tally: Mapping[str, float]) -> Sequence[str]:
        """Say where this is no bound."""
        n_busy, n = round(tally["n_busy"]), round(tally["n_served"])
        if n_low := round(tally["n_low"]):
            return (f"no bound here: the batteries of {n_low:,} of {n:,} requests were low, which no draw tells",)
        if not n_busy:
            return ()
        least_s = tally["least_s"] / tally["n_replications"]
        idle = "" if np.isnan(least_s) else f" (with idle ones the bound is a mean TTFT of {least_s:.4g} s)"
        return (f"no bound here: devices were busy for {n_busy:,} of {n:,} requests{idle}",)
