"""Pings of the Irish 5G/LTE drive and static traces (CSV derived from the published zip).

Format:
``trace,mobility,timestamp,network_mode,...,ping_avg_ms,ping_min_ms,ping_max_ms,ping_std_ms,ping_loss_pct``.
Origin: github.com/uccmisl/5Gdataset (GPL-3.0; Raca et al., MMSys 2020).
Quirks: each row averages a handful of packets, so the loss share comes from ``ping_loss_pct`` and no row is
lost as a whole; pings ran during a bulk download (loaded round trips); ``recording`` tells the drives
apart.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from discosim.traces.readers.base import Reader, RttSeries
from discosim.traces.readers.rtt import series_of_probes
from discosim.traces.readers.runs import rows_by_name
from discosim.traces.readers.source import read_bytes
from discosim.traces.readers.table import header_of, read_csv

COLUMNS = ("trace", "mobility", "network_mode", "ping_avg_ms", "ping_loss_pct")


def matches(head: bytes, _path: Path) -> bool:
    """Recognise the column names that are read."""
    return set(COLUMNS) <= set(header_of(head))


def read(path: Path) -> dict[str, RttSeries]:
    """Read all series of the file, by group ``network_mode mobility``, for example ``5G Driving``."""
    table = read_csv(read_bytes(path), path, COLUMNS)
    rtt_s = table.numbers("ping_avg_ms", lowest=0.0) / 1000.0
    loss = table.numbers("ping_loss_pct", lowest=0.0) / 100.0
    if loss.max() > 1.0:
        raise table.error(int(np.argmax(loss > 1.0)), "ping_loss_pct", "expected a share of at most 100 %")
    labels = [f"{mode} {how}" for mode, how in zip(table.words("network_mode"), table.words("mobility"), strict=True)]
    _, recording = np.unique(table.words("trace").astype(np.str_), return_inverse=True)
    groups: dict[str, RttSeries] = {}
    for name, mine in rows_by_name(labels).items():
        groups[name] = series_of_probes(
            name,
            "ireland",
            rtt_s[mine],
            f"{path} {name}",
            loss_share=float(loss[mine].mean()),
            recording=recording[mine].astype(np.int64),
            counts={
                "with_loss": int((loss[mine] > 0).sum()),
                "recordings": int(np.unique(recording[mine]).size),
            },
        )
    return groups


READER = Reader("ireland", "pings of the Irish 5G/LTE traces (CSV)", "rtt", matches, read)
