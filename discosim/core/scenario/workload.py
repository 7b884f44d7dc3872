"""Who asks what, when: laws to draw requests from, or a trace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from discosim.core.scenario.closed_loop import ClosedLoopArrivals
from discosim.core.spec import spec


@dataclass(frozen=True, kw_only=True)
class PoissonArrivals:
    """Exponential gaps between requests."""

    kind: Literal["poisson"] = spec("poisson", doc="Exponential gaps.")
    rate_per_s: float = spec(doc="Mean request rate over all users.", unit="1/s", gt=0)


@dataclass(frozen=True, kw_only=True)
class GammaArrivals:
    """Gamma gaps; smaller burstiness is burstier, 1 is Poisson (the convention of vLLM's load generator)."""

    kind: Literal["gamma"] = spec("gamma", doc="Gamma gaps.")
    rate_per_s: float = spec(doc="Mean request rate over all users.", unit="1/s", gt=0)
    burstiness: float = spec(1.0, doc="Shape of the gamma law; CV of the gaps is 1/sqrt(burstiness).", gt=0)


@dataclass(frozen=True, kw_only=True)
class BurstArrivals:
    """Andes' two-phase load: a burst, then a calm phase, Poisson inside each."""

    kind: Literal["burst"] = spec("burst", doc="Alternating burst and calm phases.")
    rate_per_s: float = spec(doc="Mean request rate over a whole cycle.", unit="1/s", gt=0)
    intensity: float = spec(2.0, doc="Burst rate over mean rate; intensity * width must stay below 1.", ge=1)
    width: float = spec(0.35, doc="Share of the cycle that is burst.", gt=0, lt=1)
    cycle_s: float = spec(1200.0, doc="Length of one cycle.", unit="s", gt=0)


@dataclass(frozen=True, kw_only=True)
class DigestArrivals:
    """Gaps drawn from the measured gap law of a workload digest, with its lag-1 autocorrelation."""

    kind: Literal["digest"] = spec("digest", doc="Gaps from a measured digest.")
    digest: str = spec(doc="Name of a workload digest (`discosim traces list`).", min_length=1)
    rate_per_s: float | None = spec(
        None, doc="Scale the gaps to this mean rate; null keeps the measured one.", unit="1/s", gt=0
    )
    rate_profile: bool = spec(False, doc="Use rate-detrended gaps and replay the measured slow rate profile.")


@dataclass(frozen=True, kw_only=True)
class ClientArrivals:
    """Superposed renewal processes, one per client of a client-level digest (ServeGen's view)."""

    kind: Literal["clients"] = spec("clients", doc="One renewal process per measured client.")
    digest: str = spec(doc="Name of a client-level digest.", min_length=1)
    rate_per_s: float | None = spec(None, doc="Scale all clients to this total mean rate.", unit="1/s", gt=0)
    start_hour: float = spec(0.0, doc="Hour of the measured day at which the simulation starts.", unit="h", ge=0, lt=24)


OpenArrivals = PoissonArrivals | GammaArrivals | BurstArrivals | DigestArrivals | ClientArrivals
"""Laws whose requests come whether or not anybody has been answered."""

Arrivals = OpenArrivals | ClosedLoopArrivals


@dataclass(frozen=True, kw_only=True)
class ConstantLengths:
    """Every request alike."""

    kind: Literal["constant"] = spec("constant", doc="Every request alike.")
    prompt_tok: int = spec(doc="Prompt tokens.", unit="tok", ge=1)
    output_tok: int = spec(doc="Output tokens.", unit="tok", ge=1)


@dataclass(frozen=True, kw_only=True)
class LognormalLengths:
    """Independent log-normal prompt and output lengths, rounded, at least one token."""

    kind: Literal["lognormal"] = spec("lognormal", doc="Independent log-normal lengths.")
    prompt_median_tok: float = spec(doc="Median prompt length.", unit="tok", ge=1)
    prompt_sigma: float = spec(1.0, doc="Sigma of log prompt length.", ge=0)
    output_median_tok: float = spec(doc="Median output length.", unit="tok", ge=1)
    output_sigma: float = spec(0.7, doc="Sigma of log output length.", ge=0)


@dataclass(frozen=True, kw_only=True)
class DigestLengths:
    """Prompt and output lengths drawn jointly from a workload digest."""

    kind: Literal["digest"] = spec("digest", doc="Joint lengths from a measured digest.")
    digest: str = spec(doc="Name of a workload digest (`discosim traces list`).", min_length=1)


@dataclass(frozen=True, kw_only=True)
class FileLengths:
    """Prompt and output lengths of a file of your own: a table of lengths, or the lengths of a request trace."""

    kind: Literal["file"] = spec("file", doc="Joint lengths from a file.")
    file: str = spec(doc="Path of the table of lengths or of a trace, relative to the config file.", min_length=1)
    format: str = spec("auto", doc="Format of the file (`discosim traces check` names it); auto looks at the header.")
    order: Literal["resample", "in_order"] = spec(
        "resample",
        doc="`resample` draws rows with replacement; `in_order` takes them one after another and begins again at the end.",
    )


Lengths = ConstantLengths | LognormalLengths | DigestLengths | FileLengths


@dataclass(frozen=True, kw_only=True)
class GeneratedWorkload:
    """Requests drawn from an arrival law and a length law, anew in every replication."""

    kind: Literal["generate"] = spec("generate", doc="Draw requests from laws.")
    n_requests: int = spec(1000, doc="Requests per replication.", ge=1)
    n_users: int = spec(100, doc="Users (one device each); requests are given to users uniformly at random.", ge=1)
    arrivals: Arrivals = spec(doc="Arrival law.", discriminator="kind")
    lengths: Lengths = spec(doc="Length law.", discriminator="kind")
    max_prompt_tok: int | None = spec(None, doc="Longest accepted prompt.", unit="tok", ge=1)
    max_output_tok: int | None = spec(None, doc="Longest accepted output.", unit="tok", ge=1)
    over_limit: Literal["reject", "clip"] = spec(
        "reject",
        doc="What happens above a limit: the request is kept as `rejected`, or clipped; both are counted.",
    )


@dataclass(frozen=True, kw_only=True)
class ReplayedWorkload:
    """Requests read from a trace file; the same in every replication."""

    kind: Literal["replay"] = spec("replay", doc="Replay a trace file.")
    file: str = spec(doc="Path of the trace, relative to the config file.", min_length=1)
    format: str = spec("auto", doc="Trace format (`discosim traces check` names it); auto looks at the header.")
    time_unit: Literal["auto", "s", "ms", "us", "ns"] = spec(
        "auto", doc="What the arrivals in the file are in; auto takes what its format declares.", since="0.2"
    )
    columns: tuple[str, ...] = spec(
        (),
        doc="Columns of a server's log whose names are not known, each as `ours=theirs` (`prompt_tok=n_in`).",
        since="0.2",
    )
    n_requests: int | None = spec(None, doc="Use the first so many requests.", ge=1)
    n_users: int = spec(100, doc="Users (one device each), where the trace names none.", ge=1)
    time_scale: float = spec(1.0, doc="Multiply every arrival time by this.", gt=0)
    ties: Literal["keep", "spread"] = spec(
        "keep", doc="`spread` places requests of one clock tick uniformly inside it."
    )
    max_prompt_tok: int | None = spec(None, doc="Longest accepted prompt.", unit="tok", ge=1)
    max_output_tok: int | None = spec(None, doc="Longest accepted output.", unit="tok", ge=1)
    over_limit: Literal["reject", "clip"] = spec("reject", doc="What happens above a limit; counted either way.")
    past_share: float | None = spec(
        None,
        doc="Hold this first share of the requests out: policies learn from it, and the run is the rest. Null lets them "
        "learn from blocks drawn anew from the trace's own law.",
        gt=0,
        lt=1,
        since="0.2",
    )


Workload = GeneratedWorkload | ReplayedWorkload


def is_closed_loop(workload: Workload) -> bool:
    """Tell whether requests come when others have been answered."""
    return isinstance(workload, GeneratedWorkload) and isinstance(workload.arrivals, ClosedLoopArrivals)
