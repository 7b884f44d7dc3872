"""Digests: what is kept of a measured trace, with a card that says where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from discosim.core.bounds import require_within
from discosim.core.device_law import Heat, Residual
from discosim.core.empirical import CorrelatedSeries, QuantileTable
from discosim.traces.rows_digest import HourFactors, PromptSlope, RefusalRuns

STATUSES = ("measured", "published-figure", "recollection", "assumption")
"""How a number is known, from best to worst."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """The origin of a digest.

    Parameters
    ----------
    title : str
        What was measured, in a few words.
    origin : str
        Public address of the raw data.
    commit : str
        Commit, version or date of the raw data; empty where the source has none.
    licence : str
        SPDX identifier under which the digest may be passed on; ``facts-only`` where single published figures
        are quoted.
    citation : str
        Paper or page to cite.
    raw_file, raw_sha256 : str
        Name of the raw file inside its data set, and the digest of its bytes as they were read.
    method : str
        How the numbers were computed from the raw file.
    quirks : tuple of str
        What a user must know before trusting the numbers.
    contains : tuple of str
        For latencies: the parts that a measured value already includes (``inference``, ``queueing``,
        ``wide_area``, ``access``, ``server_time``), so that no part is simulated twice.
    status : mapping of str to str
        Field of the digest (or ``*`` for all others) to one of `STATUSES`.
    """

    title: str
    origin: str
    commit: str
    licence: str
    citation: str
    raw_file: str
    raw_sha256: str
    method: str
    quirks: tuple[str, ...] = ()
    contains: tuple[str, ...] = ()
    status: Mapping[str, str] = field(default_factory=lambda: {"*": "measured"})

    def __post_init__(self) -> None:
        unknown = set(self.status.values()) - set(STATUSES)
        if unknown:
            raise ValueError(f"status must be one of {', '.join(STATUSES)}, not {', '.join(sorted(unknown))}")


@dataclass(frozen=True, kw_only=True)
class RateProfile:
    """A slow drift of the request rate, replayed cyclically.

    Parameters
    ----------
    bin_s : float
        Width of a bin, seconds, > 0.
    relative : tuple of float
        Rate in each bin over the mean rate, >= 0, mean 1.
    """

    bin_s: float
    relative: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.bin_s > 0 or min(self.relative, default=-1.0) < 0 or sum(self.relative) <= 0:
            raise ValueError("a rate profile needs bins of positive width and rates >= 0, not all zero")


@dataclass(frozen=True, kw_only=True)
class WorkloadDigest:
    """Arrivals (where the trace has times) and joint lengths of a service's requests.

    Parameters
    ----------
    name : str
        Name of the digest.
    card : Card
        Origin.
    n : int
        Requests in the raw trace.
    prompt, output : QuantileTable
        Lengths, tokens; sampled as the nearest integer, at least 1.
    joint_counts : tuple of tuple of int
        Requests per pair of equal-rank bins: rows are prompt bins, columns output bins, short to long.
    moments : mapping of str to float
        Figures of the raw trace (means, CVs, correlations), for display and for tests.
    rate_per_s : float or None
        Mean request rate; None where the trace has no times.
    gap : CorrelatedSeries or None
        Gaps between requests, seconds.
    gap_detrended : CorrelatedSeries or None
        Gaps in operational time, seconds: measured on the clock that runs at the rate profile's speed.
    rate_profile : RateProfile or None
        The drift that `gap_detrended` leaves out.
    """

    name: str
    card: Card
    n: int
    prompt: QuantileTable
    output: QuantileTable
    joint_counts: tuple[tuple[int, ...], ...]
    moments: Mapping[str, float]
    rate_per_s: float | None = None
    gap: CorrelatedSeries | None = None
    gap_detrended: CorrelatedSeries | None = None
    rate_profile: RateProfile | None = None

    def __post_init__(self) -> None:
        widths = {len(row) for row in self.joint_counts}
        counts = [count for row in self.joint_counts for count in row]
        if len(widths) != 1 or min(counts, default=-1) < 0 or sum(counts) <= 0:
            raise ValueError("joint_counts must be a rectangle of counts >= 0, not all zero")
        timed = [self.rate_per_s is None, self.gap is None]
        if any(timed) and not all(timed):
            raise ValueError("rate_per_s and gap come together or not at all")


@dataclass(frozen=True, kw_only=True)
class Client:
    """One API customer of a service, as a renewal process with a daily rate profile.

    Parameters
    ----------
    share : float
        Share of all requests, in [0, 1].
    hourly_rate_per_s : tuple of float
        Mean rate in each hour of the measured day, 24 values >= 0.
    family : str
        Law of the gaps: ``gamma`` or ``weibull``.
    cv : float
        Coefficient of variation of the gaps, rate-weighted over the day, > 0.
    group : int
        Index of the client's length group.
    """

    share: float
    hourly_rate_per_s: tuple[float, ...]
    family: str
    cv: float
    group: int

    def __post_init__(self) -> None:
        if len(self.hourly_rate_per_s) != 24 or min(self.hourly_rate_per_s) < 0:
            raise ValueError("a client needs 24 hourly rates >= 0")
        if self.family not in {"gamma", "weibull"} or not self.cv > 0:
            raise ValueError("a client's gaps are gamma or weibull with a CV above 0")


@dataclass(frozen=True, kw_only=True)
class LengthGroup:
    """Lengths pooled over several clients.

    Parameters
    ----------
    title : str
        Which clients.
    share : float
        Share of all requests, in [0, 1].
    prompt, output : QuantileTable
        Lengths, tokens; independent of one another, because the source publishes them apart.
    """

    title: str
    share: float
    prompt: QuantileTable
    output: QuantileTable


@dataclass(frozen=True, kw_only=True)
class ClientDigest:
    """A service seen client by client (ServeGen's view)."""

    name: str
    card: Card
    clients: tuple[Client, ...]
    length_groups: tuple[LengthGroup, ...]
    moments: Mapping[str, float]

    def __post_init__(self) -> None:
        if not self.clients or any(not 0 <= c.group < len(self.length_groups) for c in self.clients):
            raise ValueError("every client needs a length group that exists")


@dataclass(frozen=True, kw_only=True)
class LatencyDigest:
    """Speed of a service as seen by a client.

    Parameters
    ----------
    name : str
        Name of the digest.
    card : Card
        Origin; ``card.contains`` says what a TTFT includes.
    n : int
        Successful requests behind the tables.
    ttft : CorrelatedSeries
        Time to first token, seconds.
    tpot : CorrelatedSeries
        Time per token after the first, seconds: (e2e - ttft) / (tokens - 1).
    failure_share : float
        Failed requests over all requests, in [0, 1].
    failures : mapping of str to int
        Failed requests by error code.
    prompt_tok : int or None
        Prompt length of the measurement, tokens.
    spacing_s : float or None
        Time between successive requests, seconds, where known.
    moments : mapping of str to float
        Figures of the raw series.
    slope, hours, runs : PromptSlope, HourFactors, RefusalRuns, or None
        What the rows show beside that; None where they cannot tell, or were not asked.
    """

    name: str
    card: Card
    n: int
    ttft: CorrelatedSeries
    tpot: CorrelatedSeries
    failure_share: float
    failures: Mapping[str, int]
    moments: Mapping[str, float]
    prompt_tok: int | None = None
    spacing_s: float | None = None
    slope: PromptSlope | None = None
    hours: HourFactors | None = None
    runs: RefusalRuns | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.failure_share <= 1.0:
            raise ValueError("failure_share must lie in [0, 1]")
        if self.ttft.table.values[0] < 0 or self.tpot.table.values[0] < 0:
            raise ValueError("a latency digest needs times >= 0")
        require_within("the longest TTFT", "s", self.ttft.table.values[-1])
        require_within("the longest time per token", "s", self.tpot.table.values[-1])


@dataclass(frozen=True, kw_only=True)
class RttDigest:
    """Round-trip time of a last hop.

    Parameters
    ----------
    name : str
        Name of the digest.
    card : Card
        Origin; ``card.contains`` says what a round trip includes.
    n : int
        Answered probes behind the table.
    rtt : CorrelatedSeries
        Round-trip time, seconds, lost probes left out.
    loss_share : float
        Lost probes over all probes, in [0, 1].
    moments : mapping of str to float
        Figures of the raw series.
    spacing_s : float or None
        Median time between probes, seconds; None where the source gives no times.
    server_time_s : float
        Constant part of every round trip that is spent in the far server, seconds, to be taken out.
    """

    name: str
    card: Card
    n: int
    rtt: CorrelatedSeries
    loss_share: float
    moments: Mapping[str, float]
    spacing_s: float | None = None
    server_time_s: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.loss_share <= 1.0:
            raise ValueError("loss_share must lie in [0, 1]")


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """How one figure is known: one of `STATUSES`, and from where."""

    status: str
    source: str

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"status must be one of {', '.join(STATUSES)}, not {self.status}")


@dataclass(frozen=True, kw_only=True)
class EnergyRange:
    """How far an assumed energy may be off: what was measured elsewhere, scaled to this model.

    Parameters
    ----------
    decode_j_per_tok : tuple of float
        Least and most joules of a decoded token, >= 0.
    decode_over_prefill : tuple of float
        Least and most of what a decoded token costs over a prompt token, > 0.
    """

    decode_j_per_tok: tuple[float, ...]
    decode_over_prefill: tuple[float, ...]

    def __post_init__(self) -> None:
        for name, pair in (("energies", self.decode_j_per_tok), ("ratios", self.decode_over_prefill)):
            if len(pair) != 2 or not 0.0 <= pair[0] <= pair[1]:
                raise ValueError(f"a range of {name} needs a least and a most, >= 0, in that order")
        if not self.decode_over_prefill[0] > 0.0:
            raise ValueError("a range of ratios needs a least above 0")


@dataclass(frozen=True, kw_only=True)
class DeviceDigest:
    """Speed and energy of one model on one device.

    Prefill of n prompt tokens takes ``prefill_intercept_s + prefill_s_per_tok * n``; where `chunk_tok` is
    given, n is first rounded up to whole chunks.

    Parameters
    ----------
    name : str
        Name of the profile.
    card : Card
        Origin.
    device, model : str
        What ran on what.
    params_b : float
        Parameters of the model, in billions, > 0.
    prefill_s_per_tok : float
        Seconds per prompt token, >= 0.
    prefill_intercept_s : float
        Fixed part of a prefill, seconds, >= 0.
    chunk_tok : int or None
        Prompt tokens processed together; None for a linear prefill.
    decode_tok_per_s : float
        Decode speed of one request, tokens per second, > 0.
    prefill_j_per_tok, decode_j_per_tok : float or None
        Energy of a prompt token and of a decoded token, joules, >= 0.
    max_context_tok : int or None
        Prompt plus output tokens that fit; None where unknown.
    residual : Residual or None
        How measured times differ from the line; None where nobody measured it.
    heat : Heat or None
        How the device slows down when it gets hot; None where nobody measured it.
    cold_start_load_s : float or None
        Time to load the model before a first request, seconds, >= 0; None where nobody measured it.
    provenance : mapping of str to Provenance
        Status and source of every figure above, by field name.
    n : int or None
        Rows behind the figures; None where single published figures are quoted.
    intervals : mapping of str to tuple of float, or None
        95 % interval (low, high) of figures that rows gave, by name.
    not_identified : mapping of str to str, or None
        Figures that the rows do not tell, and why.
    energy_range : EnergyRange or None
        Where the energies are assumed: the measured range; None where they are known.
    """

    name: str
    card: Card
    device: str
    model: str
    params_b: float
    prefill_s_per_tok: float
    prefill_intercept_s: float
    chunk_tok: int | None
    decode_tok_per_s: float
    prefill_j_per_tok: float | None
    decode_j_per_tok: float | None
    max_context_tok: int | None
    provenance: Mapping[str, Provenance]
    residual: Residual | None = None
    heat: Heat | None = None
    cold_start_load_s: float | None = None
    n: int | None = None
    intervals: Mapping[str, tuple[float, ...]] | None = None
    not_identified: Mapping[str, str] | None = None
    energy_range: EnergyRange | None = None

    def __post_init__(self) -> None:
        not_negative = (self.prefill_s_per_tok, self.prefill_intercept_s, self.cold_start_load_s or 0.0)
        energies = (self.prefill_j_per_tok or 0.0, self.decode_j_per_tok or 0.0)
        if min(*not_negative, *energies) < 0 or not self.decode_tok_per_s > 0 or not self.params_b > 0:
            raise ValueError("a device profile needs times and energies >= 0 and a decode rate > 0")
