"""Lengths of a file of the user's own, drawn with replacement or taken in order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from discosim.core.scenario import FileLengths
from discosim.traces.readers import LengthTable, RequestTrace, read_lengths

Ints = NDArray[np.int64]


def draw_rows(law: FileLengths, n: int, rng: np.random.Generator, base_dir: Path) -> tuple[Ints, Ints]:
    """Return prompt and output lengths of ``n`` requests; the first k do not depend on ``n``.

    Rows stay whole, so that long prompts keep the answers they had. In order, the file begins again at its end.

    Parameters
    ----------
    law : FileLengths
        File and order.
    n : int
        Number of requests.
    rng : Generator
        Source of n uniform draws.
    base_dir : Path
        Folder that a relative path starts from.

    Raises
    ------
    UserError
        If the file cannot be read or holds no lengths.
    """
    table = lengths_of(law, base_dir)
    size = len(table)
    row = np.floor(rng.random(n) * size).astype(np.int64) if law.order == "resample" else np.arange(n) % size
    return table.prompt_tok[row], table.output_tok[row]


def lengths_of(law: FileLengths, base_dir: Path) -> LengthTable | RequestTrace:
    """Return the file's lengths: of a table of lengths, or of a trace whose arrivals are not used."""
    return read_lengths(base_dir / law.file, law.format)
