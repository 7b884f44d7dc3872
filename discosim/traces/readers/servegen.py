"""ServeGen client statistics (a folder or a tar of ``chunk-K-trace.csv`` and ``chunk-K-dataset.json``).

Format: a trace row is window start (s), rate (1/s), CV of the gaps, fitted law (Gamma, Weibull or empty),
and its two parameters (shape; scale in s); no header. A dataset maps window starts to ``input_tokens``,
``output_tokens`` and ``reason_ratio`` histograms.
Origin: github.com/alibaba/ServeGen (Apache-2.0), arXiv 2505.09999.
Quirks: these are statistics of clients, not requests; a histogram is a Python dict printed as text (read
here with a parser of its own, never evaluated); empty histograms are left out and counted; some clients
have no dataset file.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from discosim.core.errors import UserError
from discosim.core.json_text import read_json
from discosim.traces.readers.base import ClientTable, ClientWindows, Floats, LengthPdf, Notes, Reader
from discosim.traces.readers.source import is_tar, one_line, read_members
from discosim.traces.readers.table import Table, read_csv

_MEMBER = re.compile(r"chunk-(\d+)-(trace\.csv|dataset\.json)$")
_COLUMNS = ("window_start_s", "rate_per_s", "cv", "pattern", "p1", "p2")
_PATTERNS = {"", "Gamma", "Weibull"}


def parse_pdf(text: str, where: str) -> LengthPdf | None:
    """Read a histogram printed as a Python dict of numbers, ``"{39: 0.25, 40: 0.75}"``; None if empty.

    Raises
    ------
    UserError
        If the text is no such dict, or a weight is negative or not finite.
    """
    body = text.strip()
    if not (body.startswith("{") and body.endswith("}")):
        raise UserError("expected a histogram like '{39: 0.25, 40: 0.75}'", where=where)
    if not body[1:-1].strip():
        return None
    pairs = [item.split(":") for item in body[1:-1].rstrip(", ").split(",")]
    try:
        table = np.array(pairs, dtype=np.float64)
    except ValueError:
        table = np.empty((0, 0))
    if table.shape != (len(pairs), 2) or not np.isfinite(table).all() or table.min() < 0:
        raise UserError("expected a histogram of finite numbers >= 0", where=where)
    table = table[np.argsort(table[:, 0], kind="stable")]
    return LengthPdf(table[:, 0], table[:, 1])


def _lengths(raw: bytes, label: str) -> tuple[dict[str, dict[float, LengthPdf]], int]:
    try:
        windows = read_json(raw, where=label, is_finite=False)
        entries = [(float(w), name, text) for w, pdfs in windows.items() for name, text in pdfs.items()]
    except (UserError, ValueError, AttributeError) as error:
        said = error.message if isinstance(error, UserError) else one_line(error)
        raise UserError(f"expected JSON that maps window starts to histograms ({said})", where=label) from None
    found: dict[str, dict[float, LengthPdf]] = {}
    n_empty = 0
    for start_s, name, text in entries:
        pdf = parse_pdf(str(text), f"{label} window {start_s:g} {name}")
        if pdf is None:
            n_empty += 1
        else:
            found.setdefault(name, {})[start_s] = pdf
    return found, n_empty


def _column(table: Table, name: str) -> Floats:
    return table.numbers(name, lowest=0.0)


def _client(number: str, raw: bytes, label: str, lengths: dict[str, dict[float, LengthPdf]]) -> ClientWindows:
    table = read_csv(raw, label, _COLUMNS, headless=True)
    start_s = _column(table, "window_start_s")
    table.require_sorted("window_start_s", start_s)
    pattern = table.words("pattern")
    for i, word in enumerate(pattern):
        if word not in _PATTERNS:
            raise table.error(i, "pattern", f"expected Gamma, Weibull or nothing, got {word!r}")
    rate, cv, p1, p2 = (_column(table, name) for name in ("rate_per_s", "cv", "p1", "p2"))
    return ClientWindows(number, start_s, rate, cv, pattern, p1, p2, lengths)


def matches(head: bytes, path: Path) -> bool:
    """Recognise a member's name at the start of a tar, or among the files of a folder."""
    named = re.search(rb"chunk-\d+-(trace\.csv|dataset\.json)", head) is not None
    return named and (is_tar(head) or path.is_dir())


def read(path: Path) -> ClientTable:
    """Read all clients, in the order of their numbers."""
    traces: dict[str, tuple[str, bytes]] = {}
    datasets: dict[str, tuple[str, bytes]] = {}
    for name, raw in read_members(path, _MEMBER).items():
        found = _MEMBER.search(name)
        assert found is not None
        (traces if found[2] == "trace.csv" else datasets)[found[1]] = (f"{path}/{name}", raw)
    orphans = datasets.keys() - traces.keys()
    if orphans:
        number = min(orphans, key=int)
        raise UserError(f"there is no chunk-{number}-trace.csv beside it", where=datasets[number][0])
    clients: list[ClientWindows] = []
    n_empty = 0
    for number, (label, raw) in traces.items():
        lengths: dict[str, dict[float, LengthPdf]] = {}
        if number in datasets:
            lengths, empty = _lengths(datasets[number][1], datasets[number][0])
            n_empty += empty
        clients.append(_client(number, raw, label, lengths))
    starts = [c.window_start_s for c in clients if c.window_start_s.size > 1]
    notes: Notes = {
        "format": "servegen",
        "clients": len(clients),
        "windows": sum(c.window_start_s.size for c in clients),
        "clients_without_lengths": len(clients) - len(datasets),
        "dropped_empty_histograms": n_empty,
    }
    window_s = float(np.median(np.diff(starts[0]))) if starts else 0.0
    return ClientTable(tuple(clients), window_s, notes)


READER = Reader("servegen", "ServeGen client statistics (folder or tar)", "clients", matches, read)
