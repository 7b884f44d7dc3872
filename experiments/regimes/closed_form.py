"""Where policies change places: closed forms for phones that are idle and a service that has room.

Symbols: L prompt, log-normal, cut at a longest one; r the phone's prefill rate; D = L/r its time to the first token; T
the service's, last hop included; b a budget as a share of prompt tokens. T does not depend on L. Source of all: our
derivation; docs/regimes.md has it in words, tests/unit/test_regimes.py compares it with plain sums and simulated cells.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri

from discosim.core.empirical import QuantileTable
from discosim.policies.catch_up import smallest_k
from discosim.world.device_profile import DeviceProfile

from .axes import World
from .runs import Floats
from .service import TPOT_S, table_of

TAIL = 0.01
LONGEST_TOK = 32768
OUTPUT_MEDIAN_TOK, OUTPUT_SIGMA = 150.0, 0.6
PREFILL_J, DECODE_J = 0.13, 0.69
PROMPT_USD, OUTPUT_USD = 0.15e-6, 0.60e-6
READING_TOK_PER_S, TARGET_S = 4.8, 1.0
ALPHA = 0.05
"""DiSCo's reserve for the service's tail."""
N_POINTS = 4000
"""Points of equal probability at which a law of lengths is looked at."""
PACE_S = 0.05
"""Display interval of P/D-Device, its default."""


@dataclass(frozen=True)
class Laws:
    """The laws of a cell.

    Parameters
    ----------
    world : World
        The cell.
    """

    world: World
    points: int = N_POINTS

    @cached_property
    def prompt_tok(self) -> Floats:
        """Prompt lengths at points of equal probability, rising."""
        normal = ndtri((np.arange(self.points) + 0.5) / self.points)
        tok = np.rint(self.world.prompt_median_tok * np.exp(self.world.prompt_sigma * normal))
        return np.clip(tok, 1.0, LONGEST_TOK)

    @cached_property
    def output_tok(self) -> Floats:
        """Lengths of answers at points of equal probability, rising."""
        normal = ndtri((np.arange(self.points) + 0.5) / self.points)
        return np.maximum(1.0, np.rint(OUTPUT_MEDIAN_TOK * np.exp(OUTPUT_SIGMA * normal)))

    @cached_property
    def phone_s(self) -> Floats:
        """D at the same points."""
        return self.prompt_tok / self.world.prefill_tok_per_s

    @cached_property
    def service(self) -> QuantileTable:
        """Law of T."""
        table = table_of(self.world.service_median_s, self.world.service_tail)
        return QuantileTable(table.levels, tuple(value + self.world.rtt_s for value in table.values))

    def later(self, time_s: float) -> float:
        """Return P(T > t)."""
        return 1.0 - float(self.service.cdf(time_s))

    def below(self, share: float) -> Floats:
        """Return for each length, in [0, 1], which part of it is below the split of the tokens at ``share``.

        Of the one length on the split it is the part that makes the share exact.
        """
        if share <= 0.0 or share >= 1.0:
            return np.full(self.points, float(share >= 1.0))
        lengths, where, counts = np.unique(self.prompt_tok, return_inverse=True, return_counts=True)
        own = lengths * counts / self.prompt_tok.sum()
        part: Floats = np.clip((share - (np.cumsum(own) - own)) / own, 0.0, 1.0)[where]
        return part

    def p99_s(self, exceeds: Callable[[float], float]) -> float:
        """Return the least time t at which ``exceeds``, which falls with t, is no more than 1 %."""
        high = max(float(self.phone_s[-1]) + self.service.values[-1], self.service.values[-1])
        return (
            float(brentq(lambda t: exceeds(t) - TAIL - 1e-12, 0.0, 2.0 * high, xtol=1e-6))
            if exceeds(0.0) > TAIL
            else 0.0
        )

    @cached_property
    def service_p99_s(self) -> float:
        """p99 of T."""
        return float(self.service.ppf(1.0 - TAIL))

    def service_per_s(self, n_at_once: int) -> float:
        """Return how many requests a second the service can finish if it works on so many at once, each to its end."""
        held_s = self.service.mean() - self.world.rtt_s + (float(self.output_tok.mean()) - 1.0) * TPOT_S
        return n_at_once / held_s

    @cached_property
    def phone_p99_s(self) -> float:
        """p99 of D."""
        return self.p99_s(lambda t: float(np.mean(self.phone_s > t)))

    @cached_property
    def race_p99_s(self) -> float:
        """p99 of the first of two: P(min(T, D) > t) = P(T > t) P(D > t)."""
        return self.p99_s(lambda t: self.later(t) * float(np.mean(self.phone_s > t)))

    def disco_s_p99_s(self, budget: float = 0.5) -> float:
        """p99 of DiSCo with a server budget b.

        Prompts below l_b, which hold the share 1 - b of the tokens, are the phone's alone; longer ones race:
        P(> t) = P(D > t, L < l_b) + P(T > t) P(D > t, L >= l_b).
        """
        alone = self.below(1.0 - budget)
        return self.p99_s(lambda t: float(np.mean((self.phone_s > t) * (alone + (1.0 - alone) * self.later(t)))))

    def disco_d_p99_s(self, budget: float = 0.5) -> float:
        """p99 of DiSCo with a device budget b.

        The service has every prompt at once; the phone joins after w(L), which is 0 below the length that splits the
        tokens at (b - alpha)/(1 - alpha), else the service's quantile 1 - alpha:
        P(> t) = P(T > t) P(w(L) + D > t).
        """
        alpha = min(ALPHA, budget)
        at_once = self.below((budget - alpha) / (1.0 - alpha))
        wait_s = float(self.service.ppf(1.0 - alpha))

        def silent(t: float) -> float:
            """P(w(L) + D > t)."""
            return float(np.mean(np.where(self.phone_s > t, 1.0, (1.0 - at_once) * (self.phone_s + wait_s > t))))

        return self.p99_s(lambda t: self.later(t) * silent(t))

    @cached_property
    def harmless_prefill_tok_per_s(self) -> float:
        """The phone's prefill rate from which DiSCo-S at half of the budget does not lengthen the service's p99.

        At t = Q, the p99 of T, the form above is P(D > Q, L < l_b) + 1 % P(D > Q, L >= l_b), which falls as the phone
        gets quicker: the rate is where it is 1 %, and does not depend on the phone. As almost nothing comes of the
        second term, it is the rate at which one prompt in a hundred is the phone's alone and takes it longer than Q; a
        phone that prefills l_b tokens within Q is harmless whatever the law.
        """

        def excess(log_rate: float) -> float:
            slow = self.prompt_tok / np.exp(log_rate) > self.service_p99_s
            alone = self.below(0.5)
            return float(np.mean(slow * (alone + (1.0 - alone) * TAIL))) - TAIL

        return float(np.exp(brentq(excess, np.log(1e-3), np.log(1e7), xtol=1e-4)))

    @cached_property
    def handover_usd_per_j(self) -> float:
        """The price of a joule below which P/D-Device costs less than the service alone.

        The service bills the prompt and min(N, K) tokens where it speaks first (P(T < D)), else the prompt alone. The
        phone prefills prompt and those tokens and decodes the rest; of an answer that ends before (N <= K) it has
        prefilled what it could until then. Dollars saved over joules spent is the price.
        """
        own_s = 1.0 / self.world.decode_tok_per_s
        pace_s = max(PACE_S, TPOT_S, own_s)
        profile = _phone(self.world)
        median_s = float(self.service.ppf(0.5))
        every = slice(self.points // 800, None, self.points // 400)
        answers = self.output_tok[every]
        saved_usd = spent_j = 0.0
        for tok, phone_s in zip(self.prompt_tok[every].tolist(), self.phone_s[every].tolist(), strict=True):
            k = smallest_k(profile, tok, median_s, pace_s) + 1
            if k > LONGEST_TOK * 100:
                continue  # the phone never catches up: the service answers alone
            first = 1.0 - self.later(phone_s)  # the service speaks first
            cloud = np.minimum(answers, k)
            handed = answers > k
            saved_usd += OUTPUT_USD * float(np.mean(answers - first * cloud))
            until_s = median_s + (answers - 1.0) * TPOT_S
            prefilled = np.where(handed, tok + cloud, np.minimum(tok + cloud, until_s * self.world.prefill_tok_per_s))
            in_time = PREFILL_J * prefilled + DECODE_J * (answers - cloud)
            spent_j += first * float(np.mean(in_time)) + (1.0 - first) * (
                PREFILL_J * tok + DECODE_J * float(answers.mean())
            )
        return saved_usd / spent_j if spent_j > 0.0 else 0.0

    @property
    def handed_back_qoe(self) -> float:
        """QoE lost by handing answers from a dear phone to the service, in [0, 1].

        The phone hands over once its buffer holds m = E[T], after n = m v / (1 - v / r_d) tokens (v: reading speed,
        r_d: the phone's decode rate), if that pays. A service that takes longer makes all later tokens late by
        l = (T - m - s)+, where s = (1 s - D)+ is how much earlier than expected the phone spoke: of N tokens N - n, so
        (N - n) l over N^2 / (2 v) + N l of the QoE is lost.
        """
        v, decode = READING_TOK_PER_S, self.world.decode_tok_per_s
        saved_usd = DECODE_J * self.world.usd_per_j - OUTPUT_USD
        if decode <= v or saved_usd <= 0.0:
            return 0.0
        mean_s = self.service.mean()
        first_tok = mean_s * v / (1.0 - v / decode)
        answers = self.output_tok[self.points // 200 :: self.points // 100, None]
        rest = np.maximum(0.0, answers - first_tok)
        if not rest.any():
            return 0.0
        over_s = self.service.ppf((np.arange(1000) + 0.5) / 1000)[None, :] - mean_s
        pays = saved_usd * float(rest[rest > 0.0].mean()) > PROMPT_USD * (self.prompt_tok + first_tok)
        lost = 0.0
        prompts = range(self.points // 80, self.points, self.points // 40)
        for i in prompts:
            if not pays[i]:
                continue
            late_s = np.maximum(0.0, over_s - max(0.0, TARGET_S - float(self.phone_s[i])))
            share = rest * late_s / (answers**2 / (2.0 * v) + answers * late_s)
            lost += self.later(float(self.phone_s[i])) * float(np.mean(share))
        return lost / len(prompts)


def _phone(world: World) -> DeviceProfile:
    return DeviceProfile(
        name="phone",
        prefill_s_per_tok=1.0 / world.prefill_tok_per_s,
        decode_tok_per_s=world.decode_tok_per_s,
        prefill_j_per_tok=PREFILL_J,
        decode_j_per_tok=DECODE_J,
    )
