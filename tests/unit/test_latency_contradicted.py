"""Latency rows whose figures contradict each other, that were not streamed, or that warmed the server up."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from discosim.core.errors import UserError
from discosim.traces.readers import LatencySeries, read_latency

N = 20
TTFT_S = 0.3 + 0.01 * np.arange(N)
TOK = 30 + 5 * np.arange(N)
TPOT_S = np.full(N, 0.02)
E2E_S = TTFT_S + TPOT_S * (TOK - 1)


def read(folder: Path, **columns: object) -> LatencySeries:
    path = folder / "calls.csv"
    cells = [[f"{cell}" for cell in np.broadcast_to(np.asarray(held), N).tolist()] for held in columns.values()]
    path.write_text("\n".join([",".join(columns), *(",".join(row) for row in zip(*cells, strict=True))]) + "\n")
    return read_latency(path)


@pytest.mark.parametrize(
    ("column", "cells", "said"),
    [
        ("tpot_s", 10 * TPOT_S, "200 ms by tpot_s and 20 ms by .*one of them is wrong"),
        ("tpot_ms", 1000 * TPOT_S / 1.3, "15.4 ms by tpot_ms and 20 ms"),
        ("inter_token_latency_s", E2E_S / TOK, "by inter_token_latency_s and 20 ms .*contains the TTFT"),
        ("itl_ms", np.round(1000 * E2E_S / TOK, 1), "by itl_ms and 20 ms .*contains the TTFT"),
        ("mean_tpot_s", TPOT_S * np.tile([0.5, 2.0], N // 2), "by mean_tpot_s and 20 ms"),
    ],
)
def test_a_time_per_token_that_the_whole_time_contradicts(
    tmp_path: Path, column: str, cells: object, said: str
) -> None:
    series = read(tmp_path, ttft_s=TTFT_S, output_tok=TOK, e2e_s=E2E_S, **{column: cells})
    (doubt,) = [doubt for doubt in series.warnings if "The median time per token is" in doubt]
    assert re.search(said, doubt)


@pytest.mark.parametrize("factor", [1.0, 1.05, 0.95])
def test_a_time_per_token_that_agrees_is_not_doubted(tmp_path: Path, factor: float) -> None:
    series = read(tmp_path, ttft_s=TTFT_S, output_tok=TOK, e2e_s=E2E_S, tpot_s=factor * TPOT_S)
    assert not any("The median time per token is" in doubt for doubt in series.warnings)
    few = np.where(np.arange(N) < 4, 5.0, 1.0)  # single rows may be off
    series = read(tmp_path, ttft_s=TTFT_S, output_tok=TOK, e2e_s=E2E_S, tpot_s=few * TPOT_S)
    assert not any("The median time per token is" in doubt for doubt in series.warnings)


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("stream", ["true", "false"]),
        ("streaming", ["yes", "no"]),
        ("is_streamed", ["1", "0"]),
        ("isStream", ["True", "False"]),
    ],
)
def test_answers_that_were_not_streamed_have_no_ttft(tmp_path: Path, column: str, words: list[str]) -> None:
    is_whole = np.arange(N) % 2 == 1
    ttft_s = np.where(is_whole, E2E_S, TTFT_S)
    series = read(
        tmp_path, ttft_s=ttft_s, e2e_s=E2E_S, output_tok=TOK, **{column: np.where(is_whole, words[1], words[0])}
    )
    assert series.seen_ttft_s.tolist() == TTFT_S[~is_whole].tolist()
    assert any(doubt.startswith("10 of 20 answers were not streamed") for doubt in series.warnings)


def test_without_a_word_the_whole_time_under_ttft_tells_it(tmp_path: Path) -> None:
    is_whole = np.arange(N) % 4 == 1
    ttft_s = np.where(is_whole, E2E_S, TTFT_S)
    series = read(tmp_path, ttft_s=ttft_s, e2e_s=E2E_S, output_tok=TOK)
    assert series.seen_ttft_s.size == 15
    # one token comes at once, and a TTFT that is nearly the whole time is one
    tok = np.where(is_whole, 1, TOK)
    assert read(tmp_path, ttft_s=ttft_s, e2e_s=E2E_S, output_tok=tok).seen_ttft_s.size == N
    near = np.where(is_whole, 0.999 * E2E_S, TTFT_S)
    assert read(tmp_path, ttft_s=near, e2e_s=E2E_S, output_tok=TOK).seen_ttft_s.size == N


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("phase", ["warmup", "run"]),
        ("stage", ["warm-up", "main"]),
        ("benchmark_phase", ["WARM_UP", "profiling"]),
        ("is_warmup", ["true", "false"]),
        ("warmup", ["1", "0"]),
    ],
)
def test_rows_of_the_warm_up_are_left_out(tmp_path: Path, column: str, words: list[str]) -> None:
    cells = np.where(np.arange(N) < 3, words[0], words[1])
    series = read(tmp_path, ttft_s=np.where(np.arange(N) < 3, 8.0, TTFT_S), tpot_s=TPOT_S, **{column: cells})
    assert series.seen_ttft_s.tolist() == TTFT_S[3:].tolist()
    assert any(doubt.startswith(f"3 of 20 rows are of the warm-up ({column})") for doubt in series.warnings)
    with pytest.raises(UserError, match="all of its rows are of the warm-up"):
        read(tmp_path, ttft_s=TTFT_S, tpot_s=TPOT_S, **{column: words[0]})


def test_phases_that_are_no_warm_up_stay(tmp_path: Path) -> None:
    phase = np.where(np.arange(N) < 3, "cold", "warm")
    assert len(read(tmp_path, ttft_s=TTFT_S, tpot_s=TPOT_S, phase=phase)) == N
