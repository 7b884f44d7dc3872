"""The moments of a server's series: in any unit, minutes apart, over new year, in other zones, after a restart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from server_log_files import of_durations, truth
from server_log_files import table as log_table

from discosim.calibrate.evidence import series_doubts
from discosim.cli import main
from discosim.core.errors import UserError
from discosim.traces.server_series import read_server_series

UNIX_S = 1_759_749_796
PER_S = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def table(folder: Path, name: str, stamps: list[object]) -> Path:
    path = folder / "series.csv"
    rows = [f"{stamp},{i},0,{10 * i}" for i, stamp in enumerate(stamps)]
    path.write_text("\n".join([f"{name},running,waiting,gen_throughput", *rows]) + "\n", encoding="utf-8")
    return path


def log(folder: Path, heads: list[str]) -> Path:
    path = folder / "vllm.log"
    said = "Avg prompt throughput: 474.7 tokens/s, Avg generation throughput: 9.8 tokens/s, Running: {i} reqs, Waiting:"
    rest = " 0 reqs, GPU KV cache usage: 3.0%, Prefix cache hit rate: 0.0%"
    path.write_text("".join(f"{head} {said.format(i=i)}{rest}\n" for i, head in enumerate(heads)), encoding="utf-8")
    return path


@pytest.mark.parametrize("unit", PER_S)
@pytest.mark.parametrize("step_s", [1, 10, 60, 300])
@pytest.mark.parametrize("zero_s", [0, UNIX_S])
def test_rows_are_seconds_or_minutes_apart_in_any_unit(tmp_path: Path, unit: str, step_s: int, zero_s: int) -> None:
    stamps: list[object] = [(zero_s + step_s * i) * PER_S[unit] for i in range(5)]
    for name in ("timestamp", f"t_{unit}"):
        series = read_server_series(table(tmp_path, name, stamps))
        assert series.t_s.tolist() == [step_s * i for i in range(5)], name


@pytest.mark.parametrize(
    ("name", "stamps", "t_s", "said"),
    [
        ("t", [0, 60, 120], [0, 60, 120], "60 s apart. If it is in another unit, put that into its name"),
        ("t_ms", [0, 60, 120], [0, 0.06, 0.12], ""),
        ("t", [0, 250, 500], [0, 0.25, 0.5], "1,000 units a second: its rows are 0.25 s apart. If"),
        ("t_s", [0, 250, 500], [0, 250, 500], ""),
        ("t", [0.02, 59.98, 120.03], [0.02, 59.98, 120.03], "60.005 s apart"),
        ("t_s", [0, 60_000, 120_000], [0, 60_000, 120_000], "60000 s apart: is that its unit?"),
        ("t_s", [UNIX_S * 1000 + 1000 * i for i in range(3)], [0, 1, 2], "Unix time in ms, although its name says s"),
        ("t", [UNIX_S + 1000 * i for i in range(3)], [0, 1000, 2000], "in s, as Unix time: its rows are 1000 s apart"),
    ],
)
def test_a_step_that_may_be_of_two_units_is_noted(
    tmp_path: Path, name: str, stamps: list[object], t_s: list[float], said: str
) -> None:
    series = read_server_series(table(tmp_path, name, stamps))
    assert series.t_s.tolist() == t_s
    doubts = [doubt for doubt in series_doubts(series) if doubt.startswith(f"series.csv: {name} ")]
    assert said in doubts[0] if said else not [doubt for doubt in doubts if "apart" in doubt or "unit" in doubt]


@pytest.mark.parametrize(
    ("stamps", "t_s", "said"),
    [
        (["2025-10-06 10:00:00", "2025-10-06 10:01:00.5"], [0, 60.5], ""),
        (["2025-10-26T02:59:00+02:00", "2025-10-26T02:00:00+01:00"], [0, 60], ""),
        (["2025-10-26T02:58:00", "2025-10-26T02:59:00", "2025-10-26T02:00:00"], [0, 3480, 3540], "end of summer time?"),
    ],
)
def test_dates_are_moments(tmp_path: Path, stamps: list[object], t_s: list[float], said: str) -> None:
    series = read_server_series(table(tmp_path, "Time", stamps))
    assert series.t_s.tolist() == t_s
    assert said in " ".join(series.warnings)
    assert ("summer" in " ".join(series.warnings)) == bool(said)
    with pytest.raises(UserError, match=r"row \d column Time: is blank: when was that\?"):
        read_server_series(table(tmp_path, "Time", [*stamps, ""]))


def test_a_step_of_no_unit_is_refused_with_the_key(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"7e\+13 apart, which is no step .*\(t_s, t_ms, t_us, t_ns\)"):
        read_server_series(table(tmp_path, "t", [7 * 10**13 * i for i in range(3)]))


@pytest.mark.parametrize(("kv", "doubt"), [([0.9, 1.09], "no share is above 1"), ([0.9, 0.99], ""), ([12.5, 40.0], "")])
def test_shares_just_above_one_are_doubted(tmp_path: Path, kv: list[float], doubt: str) -> None:
    path = tmp_path / "kv.csv"
    rows = "".join(f"{i},1,0,5,5,{value}\n" for i, value in enumerate(kv))
    path.write_text("t,running,waiting,gen_throughput,prompt_throughput,kv_cache_usage\n" + rows, encoding="utf-8")
    said = " ".join(read_server_series(path).warnings)
    assert doubt in said if doubt else said == ""


@pytest.mark.parametrize(
    ("heads", "t_s"),
    [
        ([f"2025-10-06 11:23:{second} - INFO" for second in ("31,950", "41,050", "51,500")], [0, 9.1, 19.55]),
        ([f"2025-10-06T11:23:{second}Z" for second in ("31.9500001", "41.9500001")], [0, 10]),
        (["INFO 12-31 23:59:50", "INFO 01-01 00:00:00", "INFO 01-01 00:00:10"], [0, 10, 20]),
        (["INFO 01-01 00:00:10", "INFO 01-01 00:00:00", "INFO 12-31 23:59:50"], [0, 10, 20]),  # the newest line first
        (["INFO 02-28 23:59:50", "INFO 02-29 00:00:00"], [0, 10]),
        (["2025-12-31 23:59:50", "2026-01-01 00:00:00"], [0, 10]),
        (["2025-10-26T02:59:50+02:00", "2025-10-26T02:00:00+01:00"], [0, 10]),
        (["2025-10-26 02:59:50 +0200", "2025-10-26 01:00:00Z"], [0, 10]),
    ],
)
def test_the_lines_of_vllm_are_of_one_clock(tmp_path: Path, heads: list[str], t_s: list[float]) -> None:
    series = read_server_series(log(tmp_path, heads))
    assert series.t_s.tolist() == t_s
    backwards = heads[0].startswith("INFO 01-01")
    assert series.running.tolist() == (list(range(len(t_s)))[::-1] if backwards else list(range(len(t_s))))
    assert len(series.warnings) == 1


@pytest.mark.parametrize(
    ("heads", "t_s", "said"),
    [
        (["INFO 10-06 10:00:00"] * 2, [0], "1 of 2 lines have a later one of the same engine and moment"),
        (
            [f"2025-10-26 {clock}" for clock in ("02:59:40", "02:59:50", "02:00:00", "02:00:10")],
            [0, 10, 3580, 3590],
            "goes back by 3,590 s after 02:59:50, and has no offset from UTC: the end of summer time?",
        ),
    ],
)
def test_what_is_left_out_or_doubtful_in_a_log_is_said(
    tmp_path: Path, heads: list[str], t_s: list[float], said: str
) -> None:
    series = read_server_series(log(tmp_path, heads))
    assert np.array_equal(series.t_s, t_s)
    assert said in series.warnings[1]


def test_a_log_that_starts_with_much_else_is_read(tmp_path: Path) -> None:
    path = log(tmp_path, ["INFO 10-06 10:00:00", "INFO 10-06 10:00:10"])
    path.write_text("INFO 10-06 09:59:00 [core.py:1] Loading\n" * 4000 + path.read_text(), encoding="utf-8")
    assert read_server_series(path).t_s.tolist() == [0, 10]


def test_the_option_names_columns_of_the_series_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    series = tmp_path / "s.csv"
    series.write_text("at,busy,out\n0,2,10\n1000,1,5\n2000,0,5\n", encoding="utf-8")
    requests = [{**of_durations(row), "n_in": row["prompt"]} for row in truth()]
    for row in requests:
        del row["prompt_tokens"]
    names = ["prompt_tok=n_in", "t_ms=at", "running=busy", "output_tok_per_s=out"]
    words = ["engine", "validate", "engine", "--against", str(log_table(tmp_path, requests)), "--series", str(series)]
    assert main([*words, *(word for name in names for word in ("--map", name))]) == 0
    assert "over time, mean distance: running" in capsys.readouterr().out
    assert main([*words, *(word for name in names[:-1] for word in ("--map", name))]) == 2
    assert "no column with output_tok_per_s" in capsys.readouterr().err


def test_offsets_in_some_lines_alone_are_refused(tmp_path: Path) -> None:
    path = log(tmp_path, ["2025-10-26T02:59:50+02:00", "2025-10-26T02:00:00"])
    with pytest.raises(UserError, match="row 2: times with and without a UTC offset are mixed"):
        read_server_series(path)
