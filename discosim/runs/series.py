"""The series of a run: what its white-box server was like second by second, under each policy in each replication."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from discosim.runs.collect import Columns
from discosim.world.endpoint import EndpointModel
from discosim.world.engine.engine import EngineModel
from discosim.world.engine.series import EngineSeries, SeriesRecorder

MOST_S = 36_000.0
"""Ten hours: a series that is longer ends there, so that a run of sparse requests over weeks fills no memory."""


def recorder_of(server: EndpointModel) -> SeriesRecorder | None:
    """Return who writes down what a server does; None where nobody can look inside."""
    return SeriesRecorder.of(server, MOST_S) if isinstance(server, EngineModel) else None


def series_columns(series: EngineSeries) -> Columns:
    """Return a series as columns of series.parquet, a row per second."""
    counts = ("running", "waiting", "prompt_tok_per_s", "output_tok_per_s")
    return {
        "t_s": series.t_s,
        **{name: getattr(series, name).astype(np.int32) for name in counts},
        "kv_share": series.kv_share,
    }


def cut_note(policy: str, n_cut: int, n_replications: int) -> str | None:
    """Return what to say of a policy some of whose series end before the run; None where none does."""
    if not n_cut:
        return None
    return f"{policy}: series.parquet ends after {MOST_S / 3600:g} hours in {n_cut} of {n_replications} replications"


def stacked_series(parts: Mapping[tuple[str, int], Columns]) -> Columns:
    """Join the worlds' series by policy name and replication; none give no columns."""
    keys = sorted(key for key, part in parts.items() if part)
    if not keys:
        return {}
    sizes = [parts[key]["t_s"].size for key in keys]
    return {
        "policy": np.repeat(np.array([name for name, _ in keys], dtype=object), sizes),
        "replication": np.repeat(np.array([replication for _, replication in keys], dtype=np.int64), sizes),
        **{name: np.concatenate([parts[key][name] for key in keys]) for name in parts[keys[0]]},
    }
