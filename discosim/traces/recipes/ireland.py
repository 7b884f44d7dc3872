"""5G and LTE round trips under download load, Ireland 2019-2020."""

from __future__ import annotations

from pathlib import Path

from discosim.core.errors import UserError, close_match
from discosim.traces.digest import Card, RttDigest
from discosim.traces.readers import ireland
from discosim.traces.recipes.recipe import Recipe
from discosim.traces.recipes.rtt import METHOD, rtt_digest

_SPACING_S = 14.0
_PATHS = (
    ("5g-static", "5G Static", "5G phone standing still, bulk download beside"),
    ("5g-driving", "5G Driving", "5G phone in a moving car, bulk download beside"),
    ("lte-driving", "LTE Driving", "LTE phone in a moving car, bulk download beside"),
)


def _recipe(name: str, group: str, title: str) -> Recipe:
    def build(path: Path, sha256: str) -> RttDigest:
        groups = ireland.read(path)
        if group not in groups:
            raise UserError(f"no series {group!r}; {close_match(group, groups)}", where=str(path))
        card = Card(
            title=title,
            origin="https://github.com/uccmisl/5Gdataset/blob/master/5G-production-dataset.zip",
            commit="306d92eba81cb4f1195d8b8eba625666a02a10ec",
            licence="GPL-3.0-only",
            citation=(
                "Raca et al., Beyond Throughput, the Next Generation: a 5G Dataset with Channel and Context "
                "Metrics, MMSys 2020"
            ),
            raw_file="ping_rows.csv (the rows of 5G-production-dataset.zip that hold a ping result)",
            raw_sha256=sha256,
            method=f"PINGAVG of each row; {METHOD}",
            quirks=(
                "A ping about every 14 s (median over recordings, from the file's time stamps).",
                "Loaded round trips: the ping ran during a bulk download, to a server of the tool's choice.",
                "Each value is the average of a few pings; one operator, one country.",
                "loss_share counts packets, as the file's loss percentages do.",
            ),
            contains=("access", "wide_area"),
        )
        return rtt_digest(name, card, groups[group], spacing_s=_SPACING_S)

    return Recipe(name, "rtt", "ireland-5g-ucc/ping_rows.csv", build)


RECIPES = tuple(_recipe(*path) for path in _PATHS)
