"""A digest of the user's own last hop, computed as the shipped ones are."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from discosim.core.errors import UserError, close_match
from discosim.traces.digest import RttDigest
from discosim.traces.own_card import FEW, LEAST, own_card
from discosim.traces.readers import fingerprint, read_rtt
from discosim.traces.readers.source import settled
from discosim.traces.readers.units import AUTO
from discosim.traces.recipes.rtt import METHOD, rtt_digest

_CONTAINS = {"host": ("access", "wide_area"), "gateway": ("access",)}
LONG_SPACING_S = 10.0
"""Time between probes above which a round trip stands still for whole answers: worth a note."""


def digest_rtt(
    path: str | PathLike[str],
    *,
    format: str = "auto",  # noqa: A002 (the word users type)
    group: str | None = None,
    title: str = "",
    measured_to: str = "host",
    unit: str = AUTO,
) -> RttDigest:
    """Compute the digest of one path from a file of round trips.

    Parameters
    ----------
    path : path
        What ``ping`` printed, results of RIPE Atlas, rows of M-Lab, a table or a plain list.
    format : str
        Name of the reader; recognised from the file where omitted.
    group : str, optional
        Which path, where the file holds several.
    title : str
        What was measured, in a few words, for the card.
    measured_to : str
        ``host``: a distant host, so that the round trips hold the way through the wide area, which is taken out where a
        service's TTFT holds it too. ``gateway``: the first host behind the last hop.
    unit : str
        What the file's times are in: ``s``, ``ms``, ``us`` or ``ns``; ``auto`` is what file or format say.

    Raises
    ------
    UserError
        If the file cannot be read, holds fewer than two round trips, no path is like that and the unit was not said, or
        the place is unknown.
    """
    if measured_to not in _CONTAINS:
        raise UserError(f"unknown end of the path {measured_to!r}; {close_match(measured_to, _CONTAINS)}")
    with settled(Path(path)) as place:  # read for its times, then for its sha256
        series, sha256 = read_rtt(place, format, group, unit), fingerprint(place).raw_sha256
    n = series.received_s.size
    if n < LEAST:
        raise UserError(f"holds {n} round trip; a digest needs {LEAST}", where=str(path))
    quirks = [f"Only {n} round trips: the tails are not known."] if n < FEW else []
    if unit != AUTO:
        quirks.append(f"The file's times were said to be in {unit}.")
    if series.spacing_s is None:
        quirks.append("It is not known how far the probes were apart; a run takes 0.2 s.")
    elif series.spacing_s > LONG_SPACING_S:
        quirks.append(f"Probes were {series.spacing_s:,.0f} s apart: in between, the round trip stands still.")
    card = own_card(
        path,
        sha256,
        title=title or f"{series.group}: the user's own measurement",
        method=METHOD,
        quirks=(*quirks, *series.warnings),
        contains=_CONTAINS[measured_to],
    )
    return rtt_digest(series.group, card, series)
