"""A digest of how the tokens of the user's own streams come together, computed as the shipped ones are."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from discosim.core.errors import UserError
from discosim.traces.chunk_digest import ChunkDigest
from discosim.traces.own_card import own_card
from discosim.traces.readers.source import fingerprint, settled, stem
from discosim.traces.readers.streams import read_streams
from discosim.traces.readers.units import AUTO
from discosim.traces.recipes.chunks import METHOD, THRESHOLD_S, chunk_digest, events_of

FEW = 1000
LEAST = 10


def digest_chunks(
    path: str | PathLike[str],
    *,
    format: str = AUTO,  # noqa: A002 (the word users type)
    title: str = "",
    unit: str = AUTO,
    threshold_s: float = THRESHOLD_S,
) -> ChunkDigest:
    """Compute the digest of the streams in a file.

    Parameters
    ----------
    path : path
        AIPerf's records, a detailed result of ``vllm bench serve``, or streams of one's own
        (`discosim.traces.readers.streams`).
    format : str
        Name of the form; recognised from the file where omitted.
    title : str
        What was measured, in a few words, for the card.
    unit : str
        What times without a unit in their name are in.
    threshold_s : float
        Tokens less than this apart are one event, seconds, > 0.

    Raises
    ------
    UserError
        As `read_streams`, and where there are fewer than ten gaps between events.
    """
    if not 0.0 < threshold_s <= 1.0:
        raise UserError(f"must be above 0 and at most 1 s (got {threshold_s:g} s)", where="threshold")
    with settled(Path(path)) as place:  # read for its times, then for its sha256
        held, sha256, name = read_streams(place, format, unit), fingerprint(place).raw_sha256, stem(place)
    events = [events_of(stream, threshold_s) for stream in held.streams]
    n_gaps = sum(found.gaps.size for found in events if found is not None)
    if n_gaps < LEAST:
        raise UserError(
            f"holds {n_gaps} gaps between events ({1e3 * threshold_s:g} ms apart); a digest needs {LEAST}",
            where=str(path),
        )
    n_at_once = sum(found is None for found in events)
    at_once = (f"{n_at_once:,} streams came in one event: they are left out.",) if n_at_once else ()
    few = (f"Only {n_gaps:,} gaps between events: the longest stalls are not known.",) if n_gaps < FEW else ()
    one_each = () if any(s.n_tok is not None for s in held.streams) else ("A chunk is taken for a token.",)
    card = own_card(
        path,
        sha256,
        title=title or f"{name}: the user's own streams",
        method=METHOD.format(threshold_ms=1e3 * threshold_s),
        quirks=(*few, *at_once, *one_each, *held.warnings),
        contains=("inference", "queueing", "wide_area"),
    )
    digest = chunk_digest(name, card, held.streams, threshold_s=threshold_s)
    assert digest is not None  # there are gaps
    return digest
