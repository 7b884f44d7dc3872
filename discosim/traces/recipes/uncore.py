"""Application-level round trips over a phone's 4G and over WiFi with fibre (UNCORE team)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from discosim.traces.digest import Card, RttDigest
from discosim.traces.readers import uncore
from discosim.traces.recipes.recipe import Recipe
from discosim.traces.recipes.rtt import METHOD, rtt_digest

_COMMIT = "31a5eb2ca4bc7e99960ff88c88b25919d104f8c7"
SERVER_TIME_S = 0.015
_PATHS = (
    ("phone-4g", "003", "Phone on 4G to a fibre-connected server, 1 kB, October 2023"),
    ("wifi-fibre", "011", "Laptop on WiFi with a repeater, then fibre, 1 kB, November 2023"),
)


def _recipe(name: str, number: str, title: str) -> Recipe:
    raw_file = f"tyrell_roundtrip{number}.csv"

    def build(path: Path, sha256: str) -> RttDigest:
        (series,) = uncore.read(path).values()
        longest_s = float(np.quantile(series.received_s, 0.999))
        card = Card(
            title=title,
            origin=f"https://github.com/uncore-team/marginal_rtt_modeling/blob/main/src/dataset/{raw_file}",
            commit=_COMMIT,
            licence="GPL-3.0-only",
            citation="Fernandez-Madrigal et al., Zenodo 10.5281/zenodo.14967644, 2025",
            raw_file=raw_file,
            raw_sha256=sha256,
            method=(f"values above p99.9 ({longest_s:.4g} s) clipped to it: they are a client asleep; {METHOD}"),
            quirks=(
                ("About 15 ms of each value are server and browser time: server_time_s (inferred, not measured)."),
                "No time stamps and no record of losses: loss_share 0 means unknown.",
            ),
            contains=("access", "wide_area", "server_time"),
            status={"*": "measured", "server_time_s": "assumption", "loss_share": "assumption"},
        )
        return rtt_digest(name, card, series, longest_s=longest_s, server_time_s=SERVER_TIME_S)

    return Recipe(name, "rtt", f"rtt-wifi-4g-uncore/{raw_file}.xz", build)


RECIPES = tuple(_recipe(*path) for path in _PATHS)
