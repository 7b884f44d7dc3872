"""From the columns of a probing tool to a series of round trips: what came back, what is counted as lost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.readers.base import Floats, Ints, RttSeries
from discosim.traces.readers.latency import LONGEST_S


def series_of_probes(
    group: str,
    format_name: str,
    rtt_s: Floats,
    where: str,
    *,
    spacing_s: float | None = None,
    loss_share: float | None = None,
    unit_s: float | None = 1e-3,
    is_unit_stated: bool = True,
    recording: Ints | None = None,
    counts: Mapping[str, int] | None = None,
    warnings: Iterable[str] = (),
) -> RttSeries:
    """Return a series from round trips in the order they were measured.

    Parameters
    ----------
    group : str
        Label of the path.
    format_name : str
        Name of the reader, for the notes.
    rtt_s : array of float, shape (n,)
        Round-trip times; NaN where the probe was lost. 0 counts as lost too, with a warning.
    where : str
        File and place, for errors.
    spacing_s : float, optional
        Median time between probes.
    loss_share : float, optional
        Share of packets lost, where the file says it; that of the probes otherwise.
    unit_s, is_unit_stated, recording
        As in `RttSeries`.
    counts : mapping of str to int, optional
        More notes.
    warnings : iterable of str
        What the reader found to doubt before.

    Raises
    ------
    UserError
        If no probe came back, or one took longer than `LONGEST_S`.
    """
    zero = rtt_s == 0.0
    rtt_s = np.where(zero, np.nan, rtt_s)
    lost = np.isnan(rtt_s)
    if lost.all():
        raise UserError("holds no round trip: every probe was lost, or is 0", where=where)
    if (far := rtt_s > LONGEST_S).any():
        i = int(np.argmax(far))
        raise UserError(f"probe {i + 1} took {rtt_s[i]:g} s; at most {LONGEST_S:g} s are read", where=where)
    doubts = list(warnings)
    if zero.any():
        doubts.append(f"{int(zero.sum()):,} of {zero.size:,} round trips are 0, as none is; they count as lost.")
    return RttSeries(
        group=group,
        rtt_s=rtt_s,
        lost=lost,
        spacing_s=spacing_s if spacing_s is not None and spacing_s > 0 else None,
        loss_share=float(lost.mean()) if loss_share is None else loss_share,
        recording=recording,
        unit_s=unit_s,
        is_unit_stated=is_unit_stated,
        notes={"format": format_name, "probes": int(zero.size), "lost": int(lost.sum()), **(counts or {})},
        warnings=tuple(doubts),
    )
