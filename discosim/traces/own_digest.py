"""A digest of the user's own measurements, computed as the shipped ones are."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np

from discosim.core.errors import UserError, close_match
from discosim.traces.digest import LatencyDigest
from discosim.traces.own_card import FEW, LEAST, own_card
from discosim.traces.readers import fingerprint, read_latency
from discosim.traces.readers.source import settled
from discosim.traces.readers.units import AUTO
from discosim.traces.recipes import rows
from discosim.traces.recipes.latency import METHOD, failures_by_code, latency_digest

_CONTAINS = {"client": ("inference", "queueing", "wide_area"), "server": ("inference", "queueing")}


def digest_latency(
    path: str | PathLike[str],
    *,
    format: str = "auto",  # noqa: A002 (the word users type)
    group: str | None = None,
    title: str = "",
    measured_at: str = "client",
    unit: str = AUTO,
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
    unit : str
        What the file's times are in: ``s``, ``ms``, ``us`` or ``ns``; ``auto`` is the format's own unit.

    Returns
    -------
    LatencyDigest
        Quantile tables and memory of TTFT and TPOT, failures, what the rows show of the prompt's length, the hour of
        the day and runs of refusals, and a card that says where they come from.

    Raises
    ------
    UserError
        If the file cannot be read, or holds fewer than two TTFTs or two TPOTs, if no service has such times and the
        unit was not said, or if the place is unknown.
    """
    if measured_at not in _CONTAINS:
        raise UserError(f"unknown place of measuring {measured_at!r}; {close_match(measured_at, _CONTAINS)}")
    with settled(Path(path)) as place:  # read for its times, then for its sha256
        series, sha256 = read_latency(place, format, group, unit), fingerprint(place).raw_sha256
    for name, times in (("TTFT", series.seen_ttft_s), ("time per token", series.seen_tpot_s)):
        if times.size < LEAST:
            output_tok = np.empty(0) if series.output_tok is None else series.output_tok
            one = " (the output length of all is 1)" if output_tok.size and output_tok.max() <= 1 else ""
            raise UserError(f"holds {times.size} requests with a {name}; a digest needs {LEAST}{one}", where=str(path))
    lengths = np.unique(series.prompt_tok) if series.prompt_tok is not None else np.empty(0, dtype=np.int64)
    n = min(series.seen_ttft_s.size, series.seen_tpot_s.size)
    few = (f"Only {n} successes: the tails are not known.",) if n < FEW else ()
    said = (f"The file's times were said to be in {unit}.",) if unit != AUTO else ()
    card = own_card(
        path,
        sha256,
        title=title or f"{series.group}: the user's own measurement",
        method=METHOD,
        quirks=(*few, *said, *series.warnings),
        contains=_CONTAINS[measured_at],
    )
    digest = latency_digest(
        series.group,
        card,
        series.ttft_s,
        series.tpot_s,
        failures=failures_by_code(series),
        failure_share=series.failure_share,
        prompt_tok=int(lengths[0]) if lengths.size == 1 else None,
    )
    slope, hours, runs = rows.kept(rows.row_laws(series))
    return replace(digest, slope=slope, hours=hours, runs=runs)
