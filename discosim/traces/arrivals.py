"""Arrival laws: when requests come."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from discosim.core.empirical import CorrelatedSeries
from discosim.core.errors import UserError
from discosim.core.rng import RandomStreams
from discosim.core.scenario import (
    BurstArrivals,
    ClientArrivals,
    DigestArrivals,
    GammaArrivals,
    OpenArrivals,
    PoissonArrivals,
)
from discosim.core.versions import series_version
from discosim.traces.catalogue import load_digest
from discosim.traces.digest import Client, ClientDigest, WorkloadDigest

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

GAPS = "workload.gaps"
HOUR_S = 3600.0


@dataclass(frozen=True)
class Arrived:
    """Arrival times, and for client-level laws who sent each request.

    Parameters
    ----------
    arrival_s : array of float, shape (n,)
        Times from 0, seconds, non-decreasing.
    client : array of int, shape (n,), optional
        Index of the client in its digest.
    notes : dict
        What was scaled, and by how much.
    """

    arrival_s: Floats
    client: Ints | None = None
    notes: dict[str, float | str] = field(default_factory=dict)


def draw_arrivals(law: OpenArrivals, n: int, streams: RandomStreams, versions: RandomStreams | None = None) -> Arrived:
    """Draw the first ``n`` arrivals of a law; the first k do not depend on ``n``.

    With ``versions`` measured gaps are those of a version of their law, drawn from its stream ``inputs.gaps``.

    Raises
    ------
    UserError
        For a burst that leaves no calm load, or a digest that is unknown or has no arrival times.
    """
    rng = streams.generator(GAPS)
    match law:
        case PoissonArrivals():
            return Arrived(np.cumsum(rng.exponential(1.0 / law.rate_per_s, n)))
        case GammaArrivals():
            scale_s = 1.0 / (law.rate_per_s * law.burstiness)
            return Arrived(np.cumsum(rng.gamma(law.burstiness, scale_s, n)))
        case BurstArrivals():
            return _burst(law, n, rng)
        case DigestArrivals():
            return _from_digest(law, n, rng, versions)
        case ClientArrivals():
            return _from_clients(law, n, streams)


class Clock:
    """A cyclic piecewise-constant rate, and the times at which its integral reaches given values.

    Parameters
    ----------
    widths_s : array of float, shape (bins,)
        Widths of the bins of one cycle, seconds, > 0.
    rates : array of float, shape (bins,)
        Rate in each bin, >= 0, not all zero.
    """

    def __init__(self, widths_s: ArrayLike, rates: ArrayLike) -> None:
        widths = np.asarray(widths_s, dtype=float)
        self._edges_s = np.concatenate(([0.0], np.cumsum(widths)))
        self._reached = np.concatenate(([0.0], np.cumsum(widths * np.asarray(rates, dtype=float))))

    def integral(self, time_s: ArrayLike) -> Floats:
        """Return the integral of the rate from 0 to ``time_s`` >= 0."""
        cycles, rest_s = np.divmod(np.asarray(time_s, dtype=float), self._edges_s[-1])
        reached: Floats = cycles * self._reached[-1] + np.interp(rest_s, self._edges_s, self._reached)
        return reached

    def time_s(self, integral: ArrayLike) -> Floats:
        """Return when the integral of the rate reaches the given values >= 0."""
        cycles, rest = np.divmod(np.asarray(integral, dtype=float), self._reached[-1])
        time_s: Floats = cycles * self._edges_s[-1] + np.interp(rest, self._reached, self._edges_s)
        return time_s


def _burst(law: BurstArrivals, n: int, rng: np.random.Generator) -> Arrived:
    """Poisson arrivals whose rate alternates; each cycle begins with its burst.

    Source: Andes v2, bursty load: burst rate = mean x intensity during the share ``width`` of the cycle,
    the rest of the cycle carries what is left. That the cycle begins with the burst is our choice.
    """
    in_burst = law.intensity * law.width
    if in_burst >= 1.0:
        raise UserError(
            (f"intensity * width must stay below 1, it is {in_burst:g}: no load would be left for the calm phase"),
            where="workload.arrivals",
        )
    calm = law.rate_per_s * (1.0 - in_burst) / (1.0 - law.width)
    widths_s = np.array([law.width, 1.0 - law.width]) * law.cycle_s
    clock = Clock(widths_s, [law.rate_per_s * law.intensity, calm])
    return Arrived(clock.time_s(np.cumsum(rng.exponential(1.0, n))))


def _from_digest(
    law: DigestArrivals, n: int, rng: np.random.Generator, versions: RandomStreams | None = None
) -> Arrived:
    digest = load_digest(law.digest, "workload")
    assert isinstance(digest, WorkloadDigest)
    if digest.gap is None or digest.rate_per_s is None:
        raise UserError(
            f"digest '{law.digest}' has no arrival times; choose another arrival law",
            where="workload.arrivals",
        )
    factor = 1.0 if law.rate_per_s is None else digest.rate_per_s / law.rate_per_s
    notes: dict[str, float | str] = {} if law.rate_per_s is None else {"gaps_multiplied_by": factor}

    def gaps_s(held: CorrelatedSeries) -> Floats:
        if versions is None:
            return held.sample(n, rng)
        drawn = series_version(held, digest.n, versions.generator("inputs.gaps"))
        known = 1.0 if law.rate_per_s is None else held.table.mean() / drawn.table.mean()  # a rate of one's own stays
        return drawn.sample(n, rng) * known

    if not law.rate_profile:
        return Arrived(np.cumsum(gaps_s(digest.gap)) * factor, notes=notes)
    if digest.gap_detrended is None or digest.rate_profile is None:
        raise UserError(f"digest '{law.digest}' has no rate profile", where="workload.arrivals.rate_profile")
    relative = np.asarray(digest.rate_profile.relative)
    clock = Clock(np.full(relative.size, digest.rate_profile.bin_s), relative)
    return Arrived(clock.time_s(np.cumsum(gaps_s(digest.gap_detrended)) * factor), notes=notes)


def _from_clients(law: ClientArrivals, n: int, streams: RandomStreams) -> Arrived:
    """Merge one renewal process per client, each on the clock of its own hourly rates.

    Source: ServeGen's client view. Each process starts in equilibrium, so that the load does not begin with a
    cluster or a hole; the residual of the gap at time 0 is a uniform share of a size-biased gap.
    """
    digest = load_digest(law.digest, "clients")
    assert isinstance(digest, ClientDigest)
    hourly = np.array([client.hourly_rate_per_s for client in digest.clients])
    total_per_s = float(hourly.mean(axis=1).sum())
    factor = 1.0 if law.rate_per_s is None else law.rate_per_s / total_per_s
    clocks = [_client_clock(row * factor) for row in hourly]
    start_s = law.start_hour * HOUR_S
    needed_s = 1.2 * n / (total_per_s * factor)
    horizon_s = needed_s + 60.0
    until_s = min(needed_s, horizon_s)
    while True:
        times = [
            _client_times(client, clock, start_s, horizon_s, until_s, streams.generator(GAPS, index))
            for index, (client, clock) in enumerate(zip(digest.clients, clocks, strict=True))
        ]
        if sum(t.size for t in times) >= n:
            break
        if until_s >= horizon_s:
            horizon_s *= 2.0
        until_s = min(4.0 * until_s, horizon_s)
    arrival_s = np.concatenate(times)
    sender = np.repeat(np.arange(len(times)), [t.size for t in times])
    order = np.argsort(arrival_s, kind="stable")[:n]
    notes: dict[str, float | str] = {} if law.rate_per_s is None else {"client_rates_multiplied_by": factor}
    return Arrived(arrival_s[order], sender[order], notes)


def _client_clock(rates: Floats) -> Clock | None:
    return Clock(np.full(rates.size, HOUR_S), rates) if rates.any() else None


def _client_times(
    client: Client, clock: Clock | None, start_s: float, horizon_s: float, until_s: float, rng: np.random.Generator
) -> Floats:
    """Return the arrivals of one client in ``(0, until_s]`` after ``start_s``.

    Gaps are summed in blocks whose sizes follow from the horizon, since where a block begins shows in the last digit of
    what comes after; of a block only what is needed is drawn, so that a draw costs what it yields.
    """
    if clock is None:
        return np.empty(0)
    begin = float(clock.integral(start_s))
    wanted = float(clock.integral(start_s + horizon_s)) - begin
    enough = float(clock.integral(start_s + until_s)) - begin
    reached = _first_gap(client, rng)
    parts = [np.array([reached])]
    while reached <= enough:
        left, start, summed = 64 + int(wanted - reached), reached, 0.0
        while left and reached <= enough:
            size = min(left, 64 + int(enough - reached))
            sums = np.cumsum(np.concatenate(([summed], _unit_gaps(client, size, rng))))[1:]
            parts.append(start + sums)
            left, summed, reached = left - size, float(sums[-1]), float(parts[-1][-1])
    expected = np.concatenate(parts)
    return clock.time_s(begin + expected[expected <= enough]) - start_s


def _unit_gaps(client: Client, n: int, rng: np.random.Generator) -> Floats:
    """Return gaps of mean 1 with the client's law and CV."""
    if client.family == "gamma":
        shape = client.cv**-2
        return rng.gamma(shape, 1.0 / shape, n)
    shape = weibull_shape(client.cv)
    return rng.weibull(shape, n) / math.gamma(1.0 + 1.0 / shape)


def _first_gap(client: Client, rng: np.random.Generator) -> float:
    """Return the residual of the gap that is running at time 0 in equilibrium."""
    share = float(rng.random())
    if client.family == "gamma":
        shape = client.cv**-2
        return share * float(rng.gamma(shape + 1.0, 1.0 / shape))
    shape = weibull_shape(client.cv)
    biased: float = rng.gamma(1.0 + 1.0 / shape) ** (1.0 / shape)
    return share * biased / math.gamma(1.0 + 1.0 / shape)


def weibull_shape(cv: float) -> float:
    """Return the shape of the Weibull law with a given CV in [0.01, 100], by bisection."""

    def cv_of(shape: float) -> float:
        log_ratio = math.lgamma(1.0 + 2.0 / shape) - 2.0 * math.lgamma(1.0 + 1.0 / shape)
        return math.sqrt(math.expm1(log_ratio))

    low, high = 0.1, 200.0
    for _ in range(200):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if cv_of(middle) > cv else (low, middle)
    return math.sqrt(low * high)
