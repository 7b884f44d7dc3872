"""Measured iterations that invite a misreading: another unit than their column's, and rows that tell no slope."""

from __future__ import annotations

from pathlib import Path

import pytest

from discosim.cli import main
from discosim.traces.digest_file import read_own_digest
from discosim.traces.engine_digest import EngineDigest

SIZES = ["--kv-tok", "400000", "--kv-bytes-per-tok", "131072", "--max-context-tok", "8192"]


def times(
    path: Path, clock: str, *, prefill: float = 1.0, decode: float = 1.0, batches: tuple[int, ...] = (1, 4, 8, 32)
):
    """Write iterations of a small model in s (decodes of 8 ms), each phase times a factor."""
    lines = [f"phase,batch,tokens,{clock}"]
    for tok in (128, 512, 1024, 2048):
        lines.append(f"prefill,1,{tok},{prefill * (0.003 + 1e-5 * tok)!r}")
    for batch in batches:
        for each in (256, 1024, 2000):
            lines.append(f"decode,{batch},{batch * each},{decode * (0.008 + 2e-5 * batch + 1e-9 * batch * each)!r}")
    path.write_text("\n".join(lines) + "\n")
    return path


def fitted(path: Path, *more: str) -> int:
    return main(["traces", "fit-engine", str(path), "--out", str(path.with_suffix(".json")), *SIZES, *more])


@pytest.mark.parametrize(
    ("clock", "factors", "said"),
    [
        ("time_s", {"prefill": 1e3, "decode": 1e3}, "if its times are in ms, call the column time_ms"),
        ("time_s", {"decode": 1e3}, "as none of decode does"),
        ("time_s", {"prefill": 1e6, "decode": 1e6}, "--unit"),
        ("time_ms", {}, "if its times are in s, call the column time_s"),
        ("time_ms", {"decode": 1e3}, "as none of prefill does"),
    ],
)
def test_another_unit_is_refused_by_phase(tmp_path: Path, capsys, clock, factors, said):
    path = times(tmp_path / "a.csv", clock, **factors)
    assert fitted(path) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not path.with_suffix(".json").exists()


@pytest.mark.parametrize(("unit", "factor"), [("s", 1.0), ("ms", 1e3), ("us", 1e6)])
def test_a_unit_that_is_said_counts(tmp_path: Path, unit: str, factor: float) -> None:
    path = times(tmp_path / "a.csv", "time_s", prefill=factor, decode=factor)
    assert fitted(path, "--unit", unit) == 0
    digest = read_own_digest(path.with_suffix(".json"), "engine")
    assert isinstance(digest, EngineDigest)
    assert digest.lines is not None
    assert digest.lines.decode_small[0] == pytest.approx(0.008, rel=1e-6)
    assert digest.card.quirks == ()


def test_an_offloaded_model_may_be_slow_where_it_is_said(tmp_path: Path, capsys) -> None:
    path = times(tmp_path / "a.csv", "time_s", prefill=500.0, decode=500.0)
    assert fitted(path) == 2
    assert fitted(path, "--unit", "s") == 0
    assert fitted(path, "--unit", "sec") == 2
    assert "--unit: unknown unit 'sec'" in capsys.readouterr().err


@pytest.mark.parametrize("factors", [{"prefill": 500.0}, {"prefill": 0.03}])
def test_phases_in_two_units_are_doubted(tmp_path: Path, capsys, factors) -> None:
    assert fitted(times(tmp_path / "a.csv", "time_s", **factors)) == 0
    assert "warning: Doubtful: the median prefill takes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("prefill", "decode", "said"),
    [
        ([(1, 512)] * 3, [(8, 2048), (8, 4096), (4, 900)], "all 3 prefill rows have tokens 512 and squares 262144"),
        ([(1, 512), (1, 300), (2, 700)], [(8, 2048)] * 4, "all 4 decode rows have tokens 2048 and batch 8"),
    ],
)
def test_rows_that_are_all_alike_are_refused(tmp_path: Path, capsys, prefill, decode, said) -> None:
    rows = [f"prefill,{b},{t},0.01{i}" for i, (b, t) in enumerate(prefill)]
    rows += [f"decode,{b},{t},0.01{i}" for i, (b, t) in enumerate(decode)]
    path = tmp_path / "a.csv"
    path.write_text("phase,batch,tokens,time_s\n" + "\n".join(rows) + "\n")
    assert fitted(path) == 2
    assert said in capsys.readouterr().err


def test_rows_that_vary_in_one_way_are_doubted_and_kept(tmp_path: Path, capsys) -> None:
    assert fitted(times(tmp_path / "a.csv", "time_s", batches=(8,))) == 0
    assert "warning: Doubtful: the decode rows do not tell" in capsys.readouterr().out
    assert fitted(times(tmp_path / "b.csv", "time_s")) == 0
    assert "Doubtful" not in capsys.readouterr().out
