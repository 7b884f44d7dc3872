"""LatencyLab's CSV: a row for each time of measuring, per endpoint the gaps between the chunks of a stream."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from discosim.core.errors import UserError, close_match

Floats = NDArray[np.float64]
_GAPS, _SUCCESS = " chunks_time_seconds", " success"


def read(path: Path, endpoint: str) -> list[Floats]:
    """Return the gaps between the chunks of each successful stream of an endpoint, in seconds.

    Raises
    ------
    UserError
        If the file has no such endpoint, or a row without a list of gaps.
    """
    csv.field_size_limit(1 << 27)
    with path.open(newline="", encoding="utf-8") as lines:
        table = csv.DictReader(lines)
        known = [name.removesuffix(_GAPS) for name in table.fieldnames or () if name.endswith(_GAPS)]
        if endpoint not in known:
            raise UserError(f"no endpoint {endpoint!r}; {close_match(endpoint, known)}", where=str(path))
        found: list[Floats] = []
        for number, row in enumerate(table, start=2):
            if row[endpoint + _SUCCESS] != "True":
                continue
            try:
                gaps_s = np.asarray(json.loads(row[endpoint + _GAPS]), dtype=float)
            except ValueError:
                raise UserError(f"{endpoint + _GAPS}: expected a list of numbers", where=f"{path}:{number}") from None
            found.append(gaps_s)
    return found
