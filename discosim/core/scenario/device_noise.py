"""What makes a device differ from its line: noise and heat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from discosim.core.spec import spec


@dataclass(frozen=True, kw_only=True)
class MeasuredResidual:
    """The noise that was measured with the profile."""

    kind: Literal["measured"] = spec("measured", doc="That of the profile; none where it has none.")


@dataclass(frozen=True, kw_only=True)
class NoResidual:
    """A device that always keeps to its line."""

    kind: Literal["none"] = spec("none", doc="No noise, whatever the profile holds.")


@dataclass(frozen=True, kw_only=True)
class LognormalResidual:
    """Ratios of measured time over the line's with mean 1, for a device whose spread alone is known."""

    kind: Literal["lognormal"] = spec("lognormal", doc="Lognormal ratios with mean 1.")
    prefill_cv: float = spec(doc="Standard deviation over mean of the time to the first token.", ge=0, le=5)
    decode_cv: float = spec(0.0, doc="The same of the time of all later tokens.", ge=0, le=5)
    memory: float = spec(
        0.0, doc="Lag-1 correlation of the logarithms, from request to request of one user.", gt=-1, lt=1
    )
    stall_share: float = spec(0.0, doc="Share of requests that meet a stall in their prefill.", ge=0, le=1)
    stall_s: float = spec(1.0, doc="How long a stall lasts.", unit="s", gt=0)
    first: float = spec(1.0, doc="Time to the first token of a first request over that of later ones.", ge=1, le=1e4)


@dataclass(frozen=True, kw_only=True)
class QuantileResidual:
    """Ratios of measured time over the line's by their quantiles, straight lines in between."""

    kind: Literal["quantiles"] = spec("quantiles", doc="Ratios by their quantiles.")
    levels: tuple[float, ...] = spec(doc="Probabilities, rising from 0 to 1.", ge=0, le=1, min_length=2)
    prefill: tuple[float, ...] = spec(doc="Ratio of the time to the first token at each.", gt=0, le=1e4, min_length=2)
    decode: tuple[float, ...] | None = spec(
        None, doc="Ratio of the time of all later tokens at each; null for the line's.", gt=0, le=1e4
    )
    memory: float = spec(
        0.0, doc="Lag-1 correlation of their normal scores, from request to request of one user.", gt=-1, lt=1
    )
    stall_share: float = spec(0.0, doc="Share of requests that meet a stall in their prefill.", ge=0, le=1)
    stall_s: tuple[float, ...] | None = spec(None, doc="Length of a stall at each; null for none.", unit="s", gt=0)
    first: float = spec(1.0, doc="Time to the first token of a first request over that of later ones.", ge=1, le=1e4)


ResidualSpec = MeasuredResidual | NoResidual | LognormalResidual | QuantileResidual


@dataclass(frozen=True, kw_only=True)
class MeasuredHeat:
    """The heat that was measured with the profile."""

    kind: Literal["measured"] = spec("measured", doc="That of the profile; none where it has none.")
    start: float = spec(0.0, doc="Heat at the begin of the run, from 0 (cold) to 1.", ge=0, le=1)


@dataclass(frozen=True, kw_only=True)
class NoHeat:
    """A device that keeps its speed."""

    kind: Literal["none"] = spec("none", doc="No heat, whatever the profile holds.")


@dataclass(frozen=True, kw_only=True)
class GivenHeat:
    """Heat between 0 (cold) and 1 that rises while the device works and falls while it is idle; speed follows it."""

    kind: Literal["given"] = spec("given", doc="Heat with time constants of one's own.")
    heating_s: float = spec(doc="Time constant of the way to heat 1 while it works.", unit="s", gt=0)
    cooling_s: float = spec(doc="Time constant of the way to heat 0 while it is idle.", unit="s", gt=0)
    onset: float = spec(0.0, doc="Heat up to which the device keeps its full speed.", ge=0, lt=1)
    floor: float = spec(doc="Speed at heat 1, as a share of full speed.", ge=1e-3, le=1)
    start: float = spec(0.0, doc="Heat at the begin of the run, from 0 (cold) to 1.", ge=0, le=1)


HeatSpec = MeasuredHeat | NoHeat | GivenHeat
