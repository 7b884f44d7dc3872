"""The best use of a budget by one who knows every draw, phones that are busy with earlier answers included."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from discosim.policies.budget import Side
from discosim.policies.phone_queue import Phone
from discosim.world.world import Draws

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

UNANSWERED_S = 1e6
"""What a request without an answer counts as: a refused one comes before any saving of seconds."""

MOST_STATES = 64
"""Phones in different states that are kept side by side; more only differ where one phone is hopelessly overloaded."""

STEPS = 50


@dataclass(frozen=True)
class _Best:
    """Choices for the requests of one cluster, what they cost, and the tokens that they take."""

    uses: tuple[bool, ...]
    seconds: float
    tokens: int


class Foresight:
    """Plans the use of the limited endpoint with every draw known.

    Parameters
    ----------
    draws : Draws
        The true draws.
    side : str
        The limited endpoint.
    budget : float
        Share of all prompt tokens that it may process, in [0, 1].

    Notes
    -----
    Every request is answered by one endpoint, asked on arrival. The server's TTFT is drawn. The device's follows from
    which earlier requests of the same user it was given, as it serves them first in, first out, to their last token.
    So requests only matter to each other if they are of one user and the second arrives before the device could be
    done with all those before; such *clusters* are planned as a whole, all others are on their own.

    The budget is one price lambda per prompt token. At a price each cluster is solved exactly: from request to request,
    all states of the phone that could still be part of the best plan are carried along, namely those that are free
    earlier or have waited less in total than every other. Bisection finds the price at which the budget is met; what
    the jump there leaves over is filled up in the order of seconds saved per token. The optimum at a price is the
    optimum of the budget that it uses, so what is missed is less than the saving of one cluster; on its own a request
    is a cluster. (A phone that throttles or drops its model has more to its state than when it is free; there the plan
    is good, not best.)

    Source: our choice; Lagrangian relaxation of a knapsack (Everett 1963).
    """

    def __init__(self, draws: Draws, side: Side, budget: float) -> None:
        self.draws = draws
        self.side = side
        self.room = budget * float(np.where(draws.rejected, 0, draws.prompt_tok).sum()) + 1e-9
        self._server_s = np.minimum(draws.server_ttft_s, UNANSWERED_S)
        self._device_s = np.minimum(draws.device_ttft_s, UNANSWERED_S)
        self._fits = np.isfinite(draws.device_ttft_s)
        saved = self._server_s - self._device_s
        self._saved_s = np.where(draws.rejected, 0.0, saved if side == "device" else -saved)
        self._tokens = draws.prompt_tok.astype(float)

    # --- who meets whom ---------------------------------------------------------------------------------------

    @cached_property
    def clusters(self) -> list[list[int]]:
        """Requests that the device could delay, in groups of one user, in the order of arrival."""
        draws = self.draws
        found: list[list[int]] = []
        order = np.lexsort((np.arange(draws.user_id.size), draws.user_id))
        phone, open_user = Phone(), -1
        for i in order[(self._fits & ~draws.rejected)[order]].tolist():
            profile, user = draws.profiles[i], int(draws.user_id[i])
            at_s = float(draws.arrival_s[i])
            if user != open_user:
                phone, open_user = Phone(), user
                found.append([])
            elif not profile.has_memory and phone.end_s <= at_s:
                found.append([])
            found[-1].append(i)
            _, phone = phone.ask(profile, at_s, int(draws.prompt_tok[i]), int(draws.output_tok[i]), draws.noise_of(i))
        return [cluster for cluster in found if len(cluster) > 1 or draws.profiles[cluster[0]].has_memory]

    @cached_property
    def _is_alone(self) -> Bools:
        alone = np.ones(self._tokens.size, dtype=np.bool_)
        for cluster in self.clusters:
            alone[cluster] = False
        return alone

    # --- at a price -------------------------------------------------------------------------------------------

    def _at_price(self, cluster: list[int], price: float) -> _Best:
        """Return the best choices of a cluster; of equal ones, those that spare the limited endpoint."""
        draws, is_device = self.draws, self.side == "device"
        states: list[tuple[float, float, int, Phone, tuple[bool, ...]]] = [(0.0, 0.0, 0, Phone(), ())]
        for k, i in enumerate(cluster):
            at_s, prompt = float(draws.arrival_s[i]), int(draws.prompt_tok[i])
            server_s, toll, noise = float(self._server_s[i]), price * prompt, draws.noise_of(i)
            then_s = float(draws.arrival_s[cluster[k + 1]]) if k + 1 < len(cluster) else math.inf
            found = []
            for cost, seconds, tokens, phone, uses in states:
                first_s, busy = phone.ask(draws.profiles[i], at_s, prompt, int(draws.output_tok[i]), noise)
                device_s = first_s - at_s
                if is_device:
                    found.append((cost + server_s, seconds + server_s, tokens, phone, (*uses, False)))
                    if device_s < server_s:
                        found.append((cost + device_s + toll, seconds + device_s, tokens + prompt, busy, (*uses, True)))
                else:
                    found.append((cost + device_s, seconds + device_s, tokens, busy, (*uses, False)))
                    # also where the device is faster: it is free for the next request then
                    found.append((cost + server_s + toll, seconds + server_s, tokens + prompt, phone, (*uses, True)))
            states = _worth_keeping(found, then_s)
        _, seconds, tokens, _, uses = min(states, key=lambda state: (state[0], state[2]))
        return _Best(uses, seconds, tokens)

    def _on_their_own(self, price: float) -> Bools:
        chosen: Bools = self._is_alone & (self._saved_s > price * self._tokens) & (self._saved_s > 0.0)
        return chosen

    def _solve(self, price: float) -> tuple[Bools, list[_Best], float]:
        alone = self._on_their_own(price)
        best = [self._at_price(cluster, price) for cluster in self.clusters]
        return alone, best, float(self._tokens[alone].sum()) + sum(choice.tokens for choice in best)

    # --- within the budget ------------------------------------------------------------------------------------

    def uses(self) -> Bools:
        """Return which requests get the limited endpoint, shape (n,)."""
        chosen, best, used = self._solve(0.0)
        richer = best
        if used > self.room:
            low, high = 0.0, 2.0 * UNANSWERED_S
            for _ in range(STEPS):
                middle = math.sqrt(low * high) if low > 0.0 else high / 1024.0
                solved = self._solve(middle)
                if solved[2] > self.room:
                    low, richer = middle, solved[1]
                else:
                    high = middle
                    chosen, best, used = solved
                if high <= 1e-12 or (low > 0.0 and high / low < 1.0 + 1e-9):
                    break
            if used > self.room:  # not even at the highest price: nothing fits
                chosen, best, used = self._solve(high)
        return self._filled_up(chosen, best, richer, self.room - used)

    def _filled_up(self, chosen: Bools, best: list[_Best], richer: list[_Best], room: float) -> Bools:
        """Spend what is left on what saves most per token, whole clusters and single requests alike."""
        density = np.divide(self._saved_s, self._tokens, out=np.zeros_like(self._tokens), where=self._tokens > 0)
        left = np.flatnonzero(self._is_alone & ~chosen & (self._saved_s > 0.0)).tolist()
        # seconds saved per token, tokens, request or -1 - cluster
        offers = [(float(density[i]), int(self._tokens[i]), i) for i in left]
        for k, (lean, rich) in enumerate(zip(best, richer, strict=True)):
            if rich.tokens > lean.tokens and rich.seconds < lean.seconds:
                saved = (lean.seconds - rich.seconds) / (rich.tokens - lean.tokens)
                offers.append((saved, rich.tokens - lean.tokens, -1 - k))
        found, plans = chosen.copy(), list(best)
        for _, tokens, what in sorted(offers, key=lambda offer: (-offer[0], offer[2])):
            if tokens <= room:
                room -= tokens
                if what >= 0:
                    found[what] = True
                else:
                    plans[-1 - what] = richer[-1 - what]
        for cluster, plan in zip(self.clusters, plans, strict=True):
            uses, room = self._squeezed(cluster, plan, room)
            found[cluster] = uses
        return found

    def _squeezed(self, cluster: list[int], plan: _Best, room: float) -> tuple[list[bool], float]:
        """Let single requests of a cluster use what is left, as long as that saves the cluster time."""
        uses, seconds = list(plan.uses), plan.seconds
        order = sorted(range(len(cluster)), key=lambda k: -self._saved_s[cluster[k]] / self._tokens[cluster[k]])
        for k in order:
            if uses[k] or self._tokens[cluster[k]] > room:
                continue
            uses[k] = True
            tried = self._seconds(cluster, uses)
            if tried < seconds - 1e-12:
                seconds = tried
                room -= self._tokens[cluster[k]]
            else:
                uses[k] = False
        return uses, room

    def _seconds(self, cluster: list[int], uses: list[bool]) -> float:
        """Return the sum of the TTFTs of a cluster under given choices, in s."""
        draws, phone, total = self.draws, Phone(), 0.0
        for i, is_used in zip(cluster, uses, strict=True):
            if is_used == (self.side == "device"):
                at_s = float(draws.arrival_s[i])
                asked = (draws.profiles[i], at_s, int(draws.prompt_tok[i]), int(draws.output_tok[i]))
                first_s, phone = phone.ask(*asked, draws.noise_of(i))
                total += first_s - at_s
            else:
                total += float(self._server_s[i])
        return total

    # --- the bound --------------------------------------------------------------------------------------------

    def least_mean_s(self) -> float:
        """Return a mean TTFT that no choice within the budget gets below, in s; NaN where some go without an answer.

        Every device is taken to be idle, cool and loaded, and the last request may be served in part: both only help.
        """
        served = ~self.draws.rejected
        other_s = (self._server_s if self.side == "device" else self._device_s)[served]
        saved, tokens = np.maximum(self._saved_s[served], 0.0), self._tokens[served]
        if not served.any() or (other_s >= UNANSWERED_S).any():
            return math.nan
        order = np.argsort(-saved / tokens, kind="stable")
        before = np.concatenate(([0.0], np.cumsum(tokens[order])[:-1]))
        part = np.clip((self.room - before) / tokens[order], 0.0, 1.0)
        return float((other_s.sum() - (part * saved[order]).sum()) / served.sum())


def _worth_keeping(
    found: list[tuple[float, float, int, Phone, tuple[bool, ...]]], then_s: float
) -> list[tuple[float, float, int, Phone, tuple[bool, ...]]]:
    """Return the states that cost less than all that are free as early, when the next request comes."""
    found.sort(key=lambda state: (max(state[3].end_s, then_s), state[0], state[2]))
    kept: list[tuple[float, float, int, Phone, tuple[bool, ...]]] = []
    for state in found:
        if not kept or state[0] < kept[-1][0]:
            kept.append(state)
    if len(kept) <= MOST_STATES:
        return kept
    return [kept[k] for k in np.unique(np.linspace(0, len(kept) - 1, MOST_STATES).astype(int)).tolist()]
