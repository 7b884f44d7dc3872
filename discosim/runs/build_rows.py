"""What a replayed service is made of: laws from a digest or from rows, by what these show and the scenario wants."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discosim.core.errors import UserError
from discosim.core.scenario import ReplayedServer
from discosim.traces.catalogue import load_digest
from discosim.traces.digest import LatencyDigest
from discosim.traces.digest_file import read_own_digest
from discosim.traces.readers import read_latency
from discosim.traces.recipes import rows
from discosim.traces.rows_digest import HourFactors, PromptSlope, RefusalRuns
from discosim.traces.rows_text import hours_sentence, runs_sentence, slope_sentence
from discosim.world.hours import HourLaw
from discosim.world.law import Law, RawSeries

WITHIN = ("inference", "queueing", "wide_area")


@dataclass(frozen=True)
class ServiceLaws:
    """The laws of a replayed service.

    Parameters
    ----------
    ttft, tpot : Law
        Times, with what is told apart taken out.
    s_per_prompt_tok, reference_prompt_tok : float, int
        Extra TTFT per prompt token above a length.
    hours : HourLaw or None
        Factors by the hour.
    failure_share : float
        Share of refused requests, in [0, 1].
    failure_run : float or None
        Mean refusals in a row; None where each is by itself.
    contains : tuple of str
        What the TTFT contains already.
    notes, warnings : tuple of str
        What was done with what the rows show; what to doubt about them.
    """

    ttft: Law
    tpot: Law
    s_per_prompt_tok: float
    reference_prompt_tok: int
    hours: HourLaw | None
    failure_share: float
    failure_run: float | None
    contains: tuple[str, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Source:
    """A digest, or rows: what is measured, and how a law becomes one of the source's own kind."""

    where: str
    ttft: Law
    tpot: Law
    slope: PromptSlope | None
    hours: HourFactors | None
    runs: RefusalRuns | None
    failure_share: float
    contains: tuple[str, ...]
    warnings: tuple[str, ...]
    flat_ttft: Law | None
    hourless: tuple[Law, Law] | None


def service_laws(spec: ReplayedServer) -> ServiceLaws:
    """Return the laws of a replayed service.

    Raises
    ------
    UserError
        If its digest or file is of no use, or does not show what the scenario asks for.
    """
    source = _of_rows(spec) if spec.series is not None else _of_digest(spec)
    notes: list[str] = []
    ttft, tpot, hours = source.ttft, source.tpot, None
    slope, reference = spec.ttft_s_per_prompt_tok, spec.ttft_reference_prompt_tok
    is_own = spec.ttft_slope == "measured" and slope == 0.0
    if source.slope is not None:
        said = slope_sentence(source.slope)
        if source.flat_ttft is None or is_own:
            notes.append(said)
        else:
            key = "server.ttft_s_per_prompt_tok" if slope else "server.ttft_slope"
            notes.append(f"{said.partition(';')[0]}; not used ({key})")
        if source.flat_ttft is not None and is_own:
            ttft, slope, reference = source.flat_ttft, source.slope.s_per_tok, source.slope.shortest_tok
    if source.hours is not None and source.hours.is_shown:
        said = hours_sentence(source.hours)
        if spec.start_hour is None:
            notes.append(f"{said}; not used, as no server.start_hour says which hour it is")
        elif source.flat_ttft is not None and not is_own:
            raise UserError(
                "hours are kept beside the growth of the TTFT with the prompt, which the scenario replaces; leave out "
                "start_hour, or ttft_slope and ttft_s_per_prompt_tok",
                where="server.start_hour",
            )
        else:
            assert source.hourless is not None
            ttft, tpot = source.hourless
            hours = HourLaw(spec.start_hour, source.hours.ttft_factor, source.hours.tpot_factor)
            notes.append(f"{said}; time 0 is {spec.start_hour:g} h")
    elif source.hours is not None:
        notes.append(f"{hours_sentence(source.hours)}: one law at all hours")
    elif spec.start_hour is not None:
        notes.append("its rows do not say how times depend on the hour of the day; server.start_hour moves no time")
    share, mean_run = _failures(spec, source)
    if mean_run is not None:
        notes.append(f"refusals: {share:.3g} of the requests, {mean_run:.3g} in a row on average, in order of requests")
    elif spec.failures == "measured" and source.runs is not None and source.runs.mean_run > 1.5 / (1.0 - share * 0.99):
        notes.append(f"{runs_sentence(source.runs, source.failure_share)}; drawn one by one (server.failures)")
    return ServiceLaws(
        ttft, tpot, slope, reference, hours, share, mean_run, source.contains, tuple(notes), source.warnings
    )


def _failures(spec: ReplayedServer, source: _Source) -> tuple[float, float | None]:
    if spec.failures == "off":
        return 0.0, None
    share = source.failure_share if spec.failure_share is None else spec.failure_share
    if spec.failures == "measured":
        return share, None
    least = share / (1.0 - share) if share < 1.0 else 1.0
    if spec.failure_run is not None:
        if spec.failure_run < least:
            raise UserError(
                f"a share of {share:.3g} needs {least:.3g} refusals in a row or more (got {spec.failure_run:g})",
                where="server.failure_run",
            )
        return share, spec.failure_run
    if source.runs is None:
        raise UserError(
            f"{source.where} does not say how many refusals come in a row; give server.failure_run, or rows in which "
            "two attempts or more failed",
            where="server.failures",
        )
    return share, max(source.runs.mean_run, least, 1.0)


def _of_digest(spec: ReplayedServer) -> _Source:
    digest = latency_digest(spec)
    slope, hours = digest.slope, digest.hours
    return _Source(
        where=spec.digest or str(spec.digest_file),
        ttft=digest.ttft,
        tpot=digest.tpot,
        slope=slope,
        hours=hours,
        runs=digest.runs,
        failure_share=digest.failure_share,
        contains=digest.card.contains,
        # the cards of shipped digests are in the docs
        warnings=tuple(digest.card.quirks) if spec.digest_file is not None else (),
        flat_ttft=None if slope is None else slope.ttft,
        hourless=None if hours is None or hours.ttft is None or hours.tpot is None else (hours.ttft, hours.tpot),
    )


def _of_rows(spec: ReplayedServer) -> _Source:
    assert spec.series is not None
    series = read_latency(spec.series, spec.series_format, spec.series_group, spec.series_unit)
    for name, times in (("TTFT", series.seen_ttft_s), ("time per token", series.seen_tpot_s)):
        if not times.size:
            raise UserError(f"holds no request with a {name}", where=spec.series)
    laws = rows.row_laws(series)
    slope, hours, runs = rows.kept(laws)
    return _Source(
        where=spec.series,
        # each is replayed in its own order, as the starting rows of the two are drawn apart
        ttft=_raw(series.ttft_s),
        tpot=_raw(series.tpot_s),
        slope=slope,
        hours=hours,
        runs=runs,
        failure_share=series.failure_share,
        contains=WITHIN,
        warnings=series.warnings,
        flat_ttft=_raw(laws.slope.flat_ttft_s) if laws.slope is not None and laws.slope.is_shown else None,
        hourless=(_raw(laws.hours.ttft_s), _raw(laws.hours.tpot_s)) if laws.hours and laws.hours.is_shown else None,
    )


def _raw(times_s: NDArray[np.float64]) -> RawSeries:
    return RawSeries(tuple(times_s[np.isfinite(times_s)]))


def latency_digest(spec: ReplayedServer) -> LatencyDigest:
    """Return the digest that a service names, of one's own or shipped."""
    if spec.digest_file is not None:
        held = read_own_digest(spec.digest_file, "latency")
        assert isinstance(held, LatencyDigest)
        return held
    assert spec.digest is not None
    digest = load_digest(spec.digest, "latency")
    assert isinstance(digest, LatencyDigest)
    return digest
