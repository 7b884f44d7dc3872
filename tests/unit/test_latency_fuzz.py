"""Mutated files of every latency and round-trip format: a series or one line that says why not, never anything else."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from load_test_files import WRITERS, Row
from test_readers_ping import LINUX, MAC, WINDOWS

from discosim.core.errors import UserError
from discosim.traces.readers import LatencySeries, RttSeries, reader_named
from discosim.traces.readers.units import doubts_of, fault_of

ROWS = [Row(0.5, 0.02, 6), Row(0.3, 0.03, 4), Row(0, 0, 0, failed=True), Row(0.05, 0.0, 1), Row(0.2, 0.01, 3)]
IRELAND = (
    "trace,mobility,network_mode,ping_avg_ms,ping_loss_pct\nt1,Driving,5G,71.5,0\nt1,Driving,5G,80.1,20\n"
    "t2,Static,LTE,66.0,0\n"
)
AIHUB = (
    "precisions:\n  w4:\n    components:\n      chat:\n        performance_metrics:\n          Phone:\n"
    "            genie:\n"
    "              llm_metrics:\n                - context_length: 4096\n"
    "                  time_to_first_token_range_milliseconds: {min: 58.0, max: 1856.5}\n"
    "                  tokens_per_second: 12.5\n"
)
SAMPLES: dict[str, tuple[str, str, str]] = {
    **{form: (reader, name, write(ROWS)) for form, (reader, name, write) in WRITERS.items()},
    "ping": ("ping", "p.txt", LINUX),
    "ping_mac": ("ping", "p.txt", MAC),
    "ping_windows": ("ping", "p.txt", WINDOWS),
    "starlink": ("starlink", "s.txt", "1694477135.50\t1\t44.5\n1694477135.65\t2\t-1\n1694477135.80\t3\t40\n"),
    "uncore": ("uncore", "u.csv", "11.2\n10.9\n12.0\n"),
    "ireland": ("ireland", "i.csv", IRELAND),
    "aihub": ("aihub", "m.perf.yaml", AIHUB),
}
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 10**18, 10**400, 1e308, -1e-300, float("nan"), float("inf")),
    *(
        "",
        "0.13",
        "abc",
        "\x1b[31m",
        "模型",
        [],
        [None],
        [[]],
        {},
        {"value": None},
        {"value": [], "unit": 3},
        [0.1, "x"],
    ),
)
PIECES = (
    b"",
    b"0",
    b"-",
    b"nan",
    b"1e999",
    b"9" * 400,
    b",",
    b'"',
    b"\n",
    b"\r",
    b"\0",
    b"\xff\xfe",
    b"{",
    b"]",
    b"\t",
    b"[" * 200,
)
MODEST, MANY = 25, 400


def spoiled_json(value: Any, luck: random.Random) -> Any:
    """Return a copy in which one place holds another value, or is missing, or is there twice."""
    value = json.loads(json.dumps(value))
    holder, key = None, None
    here = value
    for _ in range(luck.randint(1, 8)):
        if isinstance(here, dict) and here:
            holder, key = here, luck.choice(list(here))
        elif isinstance(here, list) and here:
            holder, key = here, luck.randrange(len(here))
        else:
            break
        here = holder[key]
    if holder is None:
        return luck.choice(VALUES)
    way = luck.random()
    if way < 0.2:
        del holder[key]
    elif way < 0.3 and isinstance(holder, list):
        holder.append(here)
    elif way < 0.4 and isinstance(holder, dict):
        holder[f"{key}_ms"] = holder.pop(key)
    else:
        holder[key] = luck.choice(VALUES)
    return value


def spoiled_text(raw: bytes, luck: random.Random) -> bytes:
    """Return bytes with a piece cut out, put in, doubled or replaced."""
    start = luck.randrange(len(raw))
    end = min(len(raw), start + luck.choice((0, 1, 1, 3, 20)))
    return raw[:start] + luck.choice((*PIECES, raw[start:end] * 2)) + raw[end:]


def spoiled(text: str, luck: random.Random) -> bytes:
    """Return one mutated file."""
    if text.lstrip()[:1] not in "{[" or luck.random() < 0.4:
        return spoiled_text(text.encode(), luck)
    lines = text.splitlines() if text.startswith("{") and "\n" in text.strip() else [text]
    i = luck.randrange(len(lines))
    lines[i] = json.dumps(spoiled_json(json.loads(lines[i]), luck))
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def judge(read: Callable[[Path], Any], path: Path) -> None:
    """Read a file and look at what comes."""
    try:
        found = read(path)
    except UserError as error:
        if not str(error) or "\n" in str(error):
            raise AssertionError(f"no single line: {error}") from error
        return
    for series in found.values() if isinstance(found, dict) else ():
        assert isinstance(series, LatencySeries | RttSeries)
        if isinstance(series, RttSeries):
            assert np.array_equal(np.isnan(series.rtt_s), series.lost)
            assert (series.received_s > 0).all()
            assert 0 <= series.loss_share <= 1
        else:
            for times in (series.seen_ttft_s, series.seen_tpot_s):
                assert (times > 0).all()
            assert (np.isfinite(series.ttft_s) | np.isfinite(series.tpot_s)).all()
            assert not series.is_failed[series.attempt].any()
            assert 0 <= series.failure_share <= 1
        assert all(isinstance(doubt, str) for doubt in (*series.warnings, fault_of(series), *doubts_of(series)))


def fuzz(form: str, folder: Path, n: int) -> None:
    reader, name, text = SAMPLES[form]
    path = folder / name
    path.write_text(text, encoding="utf-8")
    judge(reader_named(reader).read, path)
    luck = random.Random(f"{form} {n}")
    for _ in range(n):
        raw = spoiled(text, luck)
        for _ in range(luck.choice((0, 0, 1))):
            raw = spoiled_text(raw or b" ", luck)
        path.write_bytes(raw)
        try:
            judge(reader_named(reader).read, path)
        except Exception as error:
            raise AssertionError(f"{reader} on {raw!r}") from error


@pytest.mark.parametrize("form", SAMPLES)
def test_a_few_mutations_of_every_format(tmp_path: Path, form: str) -> None:
    fuzz(form, tmp_path, MODEST)


@pytest.mark.parametrize("quote", ['"', '""x"'])
def test_a_name_of_many_lines_is_shown_in_one(quote: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(f"ttft_s,tpot_s{quote}5,0.02\n0.3,0.03\n,\n")
    with pytest.raises(UserError) as refused:
        reader_named("native_latency").read(path)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.long
@pytest.mark.parametrize("form", SAMPLES)
def test_many_mutations_of_every_format(tmp_path: Path, form: str) -> None:
    fuzz(form, tmp_path, MANY)
