"""Lengths of a file of the user's own, drawn with replacement or taken in order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from discosim.core.scenario import FileLengths
from discosim.core.versions import Warp
from discosim.traces.read_once import lengths_of
from discosim.traces.readers import LengthTable

Ints = NDArray[np.int64]
BELOW_1 = float(np.nextafter(1.0, 0.0))


def draw_rows(
    law: FileLengths, table: LengthTable, n: int, rng: np.random.Generator, warp: Warp | None = None
) -> tuple[Ints, Ints]:
    """Return prompt and output lengths of ``n`` requests; the first k do not depend on ``n``.

    Rows stay whole, so that long prompts keep the answers they had. In order, the file begins again at its end.

    Parameters
    ----------
    law : FileLengths
        Order.
    table : LengthTable
        Rows of the file.
    n : int
        Number of requests.
    rng : Generator
        Source of n uniform draws.
    warp : Warp, optional
        A version of the rows: how often each is drawn.
    """
    row = row_numbers(law, len(table), n, rng, warp)
    return table.prompt_tok[row], table.output_tok[row]


def row_numbers(law: FileLengths, size: int, n: int, rng: np.random.Generator, warp: Warp | None = None) -> Ints:
    """Return which of ``size`` rows ``n`` requests take; of a version of the rows with a warp."""
    if law.order == "in_order":
        return np.arange(n) % size
    u = rng.random(n)
    return np.floor((u if warp is None else np.minimum(warp.levels(u), BELOW_1)) * size).astype(np.int64)


def table_of(law: FileLengths, base_dir: Path) -> LengthTable:
    """Return the rows of the file, a table of lengths or a trace.

    Parameters
    ----------
    law : FileLengths
        File and format.
    base_dir : Path
        Folder that a relative path starts from.

    Raises
    ------
    UserError
        If the file cannot be read or holds no lengths.
    """
    return lengths_of(base_dir / law.file, law.format)


def notes_on(law: FileLengths, table: LengthTable, n: int) -> tuple[dict[str, float | str], tuple[str, ...]]:
    """Return what a reader of the results must know, and doubts, where ``n`` requests take these lengths."""
    warnings = table.warnings
    if law.order == "in_order" and n > len(table):
        warnings = (*warnings, f"{n} requests take {len(table)} rows of lengths in order, which begin again at the end")
    return {"lengths_from": Path(law.file).name, "lengths_rows": len(table), "lengths_order": law.order}, warnings
