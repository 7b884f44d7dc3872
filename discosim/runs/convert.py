"""A workload of any origin as a request trace, to be written in another format."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from discosim.config import load_scenario
from discosim.core.errors import UserError
from discosim.core.files import check_target
from discosim.core.rng import RandomStreams
from discosim.core.scenario import Scenario
from discosim.traces.readers import HashIds, RequestTrace, TimeUnit, read_requests
from discosim.traces.readers.source import settled
from discosim.traces.workload import make_requests
from discosim.traces.writers import write_requests, writer_named

_CONFIGURATIONS = (".yaml", ".yml")


def workload_of(scenario: Scenario, replication: int = 0) -> RequestTrace:
    """Return the requests of one replication of a scenario; what its length limits reject is left out.

    Parameters
    ----------
    scenario : Scenario
        Its workload, seed and length limits decide; policies and endpoints play no part.
    replication : int
        Which replication, from 0.

    Raises
    ------
    UserError
        If every request is rejected, or the requests are those of a closed loop.
    """
    streams = RandomStreams(scenario.seed, replication)
    table = make_requests(scenario.workload, scenario.reader, streams, Path())
    if table.loop is not None:
        raise UserError(
            "requests of a closed loop come when others have been answered, so they make no trace; run the scenario "
            "and take arrival_s from requests.parquet",
            where="workload.arrivals",
        )
    kept = np.flatnonzero(~table.rejected)
    if kept.size == 0:
        raise UserError("the length limits reject every request", where="workload")
    hashes = table.prefix_hashes
    flat = None if hashes is None else [hashes[i] for i in kept.tolist()]
    return RequestTrace(
        arrival_s=table.arrival_s[kept],
        prompt_tok=table.prompt_tok[kept],
        output_tok=table.output_tok[kept],
        source_row=kept + 1,
        user_id=table.user_id[kept].astype(str).astype(object),
        hash_ids=None if flat is None else _ids(flat),
        hash_block_tok=table.hash_block_tok,
        notes={**table.notes, "rejected": int(table.rejected.sum())},
        warnings=table.warnings,
    )


def _ids(lists: Sequence[Sequence[int]]) -> HashIds:
    offsets = np.concatenate([[0], np.cumsum([len(ids) for ids in lists])]).astype(np.int64)
    return HashIds(np.array([x for ids in lists for x in ids], dtype=np.int64), offsets)


def convert(
    source: str | PathLike[str],
    out: str | PathLike[str],
    to: str,
    *,
    format: str = "auto",  # noqa: A002 (the word users type)
    overrides: Sequence[str] = (),
    seed: int | None = None,
    unit: TimeUnit = "auto",
) -> str:
    """Write a workload in another format and return what was done, for people.

    Parameters
    ----------
    source : path-like
        A trace file that a reader knows; or a configuration (a name ending in .yaml, or the name of a shipped one),
        whose first replication is drawn.
    out : path-like
        File to write, replaced if it exists.
    to : str
        Name of the format to write.
    format : str
        Format of a trace file, or ``auto``.
    overrides : sequence of str
        ``a.b=c`` texts that change a configuration.
    seed : int, optional
        Replaces the seed of a configuration.
    unit : str
        What the arrivals of a trace file are in; ``auto`` is what its format declares.

    Raises
    ------
    UserError
        If the source cannot be read, or the place cannot be written.
    """
    writer = writer_named(to)
    place, name = Path(source), str(source)
    check_target(Path(out), source=place if place.exists() else None)
    if place.suffix in _CONFIGURATIONS or not (place.suffix or place.exists()):
        if unit != "auto":
            raise UserError("--unit is for a trace file; a configuration says workload.time_unit", where=name)
        trace = workload_of(load_scenario(name, overrides=overrides, seed=seed))
    elif overrides or seed is not None:
        raise UserError("--set and --seed change a configuration, and this is a trace file", where=name)
    else:
        with settled(place) as file:
            trace = read_requests(file, format, time_unit=unit)
    written = write_requests(trace, out, to, source=place)
    span_s = float(trace.arrival_s[-1] - trace.arrival_s[0])
    rate = f", {(len(trace) - 1) / span_s:.4g} a second" if span_s > 0 else ""
    lines = [
        f"requests   {len(trace)} in {span_s:.6g} s{rate}",
        f"format     {writer.description}, arrival in {writer.unit}",
    ]
    if written.left_out:
        lines.append(f"left out   {', '.join(written.left_out)}: the format has no place for them")
    lines += [f"changed    {what}" for what in written.said]
    if trace.notes.get("unnamed"):
        lines.append(f"unnamed    {trace.notes['unnamed']} (no user and no session)")
    dropped = {
        key: trace.notes[key] for key in ("dropped_failed", "dropped_zero_tok", "rejected") if key in trace.notes
    }
    lines += [f"dropped    {n} ({key})" for key, n in dropped.items() if n]
    lines += [f"warning    {doubt}" for doubt in trace.warnings]
    return "\n".join([*lines, *(f"written    {path}" for path in written.paths)])
