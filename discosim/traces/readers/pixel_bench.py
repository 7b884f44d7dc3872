"""The trials of edge-llm-bench on a Pixel 6a, as runs of work and rest.

Format: CSV, a row a trial of 64 decoded tokens: ``split, model, variant, threads, decode_tps, ts, source_file``; ``ts``
is when the trial ended.
Origin: github.com/KrisDcosta/edge-llm-bench at 2d1f24ba (CC BY 4.0 by its data set card).
Quirks: decode falls with time, and the context grows with time in every sweep, so that the fall looks like one of the
context; rows of one context fall alike. The split of the M4 is inconsistent and is not read. Sweeps follow each other
within seconds, so that most start hot; some start warm after hours, since trials before them were taken out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from discosim.core.errors import UserError
from discosim.traces.heat_fit import HeatRun
from discosim.traces.readers.base import Floats
from discosim.traces.readers.source import read_bytes
from discosim.traces.readers.table import Table, read_csv

N_TOK = 64.0
_COLUMNS = ("split", "model", "variant", "decode_tps", "prefill_tps", "ts", "source_file")


@dataclass(frozen=True, eq=False)
class Sweep:
    """Trials of one model in one file, in order of time.

    Parameters
    ----------
    label : str
        Model and quantisation.
    end_s : array of float, shape (n,)
        When each trial ended, Unix time.
    decode_tok_per_s, prefill_tok_per_s : array of float, shape (n,)
        Speeds of each.
    """

    label: str
    end_s: Floats
    decode_tok_per_s: Floats
    prefill_tok_per_s: Floats

    def busy_s(self) -> Floats:
        """Return how long each trial took: since the one before, as they follow each other; the first as the second."""
        apart = np.diff(self.end_s)
        return np.concatenate((apart[:1], apart))

    def run(self, *, rest_s: float | None = None, start_heat: float | None = 0.0) -> HeatRun:
        """Return the sweep as work without rest; with ``rest_s``, after an hour of work and a rest of so long.

        Parameters
        ----------
        rest_s : float, optional
            Rest between the work of other sweeps and this one, in s.
        start_heat : float or None
            Heat at the beginning; None where it is to be found.
        """
        busy = self.busy_s()
        took = np.minimum(N_TOK / self.decode_tok_per_s, busy)
        first = np.arange(busy.size)
        idle = np.zeros(busy.size)
        begin = busy - took
        if rest_s is not None:
            busy, idle, first = np.append(HOUR_S, busy), np.append(rest_s, idle), first + 1
        return HeatRun(
            label=np.full(took.size, self.label, dtype=np.object_),
            busy_s=busy,
            idle_s=idle,
            piece=first,
            from_s=begin,
            to_s=begin + took,
            rate=self.decode_tok_per_s,
            start_heat=start_heat,
        )


HOUR_S = 3600.0


def read_pixel(path: Path) -> dict[tuple[str, str], Sweep]:
    """Return every sweep of the phone by file and model, trials in order of time."""
    table = read_csv(read_bytes(path), path, _COLUMNS)
    words = {name: table.words(name) for name in ("split", "model", "variant", "ts", "source_file")}
    decode, prefill = (table.columns[name].floats() for name in ("decode_tps", "prefill_tps"))
    rows: dict[tuple[str, str], list[tuple[float, int]]] = {}
    for i in range(len(table)):
        if words["split"][i] == "pixel" and words["ts"][i] and decode[i] > 0:
            key = words["source_file"][i], words["model"][i]
            rows.setdefault(key, []).append((_unix_s(table, words["ts"][i], i), i))
    found = {}
    for key, held in rows.items():
        held.sort()
        order = np.array([i for _, i in held])
        if len({words["variant"][i] for i in order.tolist()}) != 1:
            raise UserError(f"{key[0]} holds several variants of {key[1]}", where=str(path))
        label = f"{key[1]} {words['variant'][order[0]]}"
        found[key] = Sweep(label, np.array([at for at, _ in held]), decode[order], prefill[order])
    return found


def rest_before(sweeps: dict[tuple[str, str], Sweep], key: tuple[str, str]) -> float:
    """Return how long the phone rested before a sweep, in s: since the last trial of any other, less the first's."""
    own = sweeps[key]
    before = max(float(held.end_s[held.end_s < own.end_s[0]].max(initial=0.0)) for held in sweeps.values())
    return float(own.end_s[0] - before - own.busy_s()[0])


def _unix_s(table: Table, text: str, i: int) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise table.error(i, "ts", f"expected a date and time, got {text!r}") from None
