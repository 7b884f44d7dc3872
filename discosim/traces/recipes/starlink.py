"""Starlink access round trips, with and without inter-satellite links."""

from __future__ import annotations

from pathlib import Path

from discosim.traces.digest import Card, RttDigest
from discosim.traces.readers import starlink
from discosim.traces.recipes.recipe import Recipe
from discosim.traces.recipes.rtt import METHOD, rtt_digest

_COMMIT = "bcf33b9a75680847b6fd53c3c14cfead4cce8e81"
_PATHS = (
    (
        "starlink-seattle",
        "no-isl-ping-gw-seattle-230911-170535-0.1s-60min.txt",
        "Starlink, dish to the Seattle gateway, no inter-satellite link",
    ),
    (
        "starlink-lagos",
        "isl-ping-gw-lagos-230911-172603-0.1s-60min.txt",
        "Starlink, dish to the Lagos gateway over inter-satellite links",
    ),
)


def _recipe(name: str, raw_file: str, title: str) -> Recipe:
    def build(path: Path, sha256: str) -> RttDigest:
        (series,) = starlink.read(path).values()
        card = Card(
            title=title,
            origin=f"https://github.com/clarkzjw/mmsys24-starlink-livestreaming-data/blob/main/src/latency/{raw_file}",
            commit=_COMMIT,
            licence="CC-BY-SA-4.0",
            citation=(
                "Zhao and Pan, Low-Latency Live Video Streaming over a Low-Earth-Orbit Satellite Network "
                "with DASH, MMSys 2024"
            ),
            raw_file=raw_file,
            raw_sha256=sha256,
            method=f"lost probes (RTT -1) left out; {METHOD}",
            quirks=(
                "Ends at the Starlink gateway: the path from there to a server is not in it.",
                f"Probes were {series.spacing_s:.2f} s apart, not 0.1 s as the file is named.",
            ),
            contains=("access",),
        )
        return rtt_digest(name, card, series)

    return Recipe(name, "rtt", f"starlink-ping-mmsys24/{raw_file}.xz", build)


RECIPES = tuple(_recipe(*path) for path in _PATHS)
