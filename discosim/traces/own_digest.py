"""A digest of the user's own measurements, computed as the shipped ones are."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np

from discosim.core.errors import UserError, close_match
from discosim.traces.digest import Card, LatencyDigest
from discosim.traces.readers import fingerprint, read_latency
from discosim.traces.recipes.latency import METHOD, failures_by_code, latency_digest

FEW = 50
_CONTAINS = {"client": ("inference", "queueing", "wide_area"), "server": ("inference", "queueing")}


def digest_latency(
    path: str | PathLike[str],
    *,
    format: str = "auto",  # noqa: A002 (the word users type)
    group: str | None = None,
    title: str = "",
    measured_at: str = "client",
) -> LatencyDigest:
    """Compute the digest of one service from a file of per-request latencies.

    Parameters
    ----------
    path : path
        A file that a latency reader knows, for example LLMPerf's CSV.
    format : str
        Name of the reader; recognised from the file where omitted.
    group : str, optional
        Which service, where the file holds several.
    title : str
        What was measured, in a few words, for the card.
    measured_at : str
        ``client``: the TTFT holds the way through the wide area, and a last hop to a distant host leaves that part out.
        ``server``: the load test ran beside the server, and the last hop is added whole.

    Returns
    -------
    LatencyDigest
        Quantile tables and memory of TTFT and TPOT, failures, and a card that says where they come from.

    Raises
    ------
    UserError
        If the file cannot be read, or holds fewer than two requests with a TTFT and a TPOT, or the place is unknown.
    """
    if measured_at not in _CONTAINS:
        raise UserError(f"unknown place of measuring {measured_at!r}; {close_match(measured_at, _CONTAINS)}")
    place = Path(path)
    series = read_latency(place, format, group)
    known = np.isfinite(series.ttft_s) & np.isfinite(series.tpot_s)
    n = int(known.sum())
    if n < 2:
        raise UserError(f"holds {n} requests with both a TTFT and a TPOT; a digest needs two", where=str(place))
    lengths = np.unique(series.prompt_tok) if series.prompt_tok is not None else np.empty(0, dtype=np.int64)
    card = Card(
        title=title or f"{series.group}: the user's own measurement",
        origin="the user's own file",
        commit="",
        licence="not stated",
        citation="",
        raw_file=place.name,
        raw_sha256=fingerprint(place).raw_sha256,
        method=METHOD,
        quirks=(f"Only {n} successes: the tails are not known.",) if n < FEW else (),
        contains=_CONTAINS[measured_at],
    )
    return latency_digest(
        series.group,
        card,
        series.ttft_s[known],
        series.tpot_s[known],
        failures=failures_by_code(series),
        prompt_tok=int(lengths[0]) if lengths.size == 1 else None,
    )
