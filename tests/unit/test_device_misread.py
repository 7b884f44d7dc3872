"""Rows of a device that invite a misreading: runs that are none, energies, rates, backends."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from discosim.traces.own_device import digest_device

N = 40


def table(path: Path, extra: Mapping[str, object], n: int = N) -> Path:
    """Write rows of a device (0.1 s and 2 ms a prompt token, 20 tok/s), with more columns or in place of them."""
    rng = np.random.default_rng(5)
    prompt, output = rng.integers(50, 1500, n), rng.integers(20, 200, n)
    ttft_s = (0.1 + 0.002 * prompt) * np.exp(0.03 * rng.standard_normal(n))
    held: dict[str, object] = {
        "prompt_tok": prompt,
        "ttft_s": ttft_s,
        "output_tok": output,
        "total_s": ttft_s + (output - 1) / 20.0,
    }
    held = {name: column for name, column in (held | dict(extra)).items() if column is not None}
    columns = [np.asarray(column).tolist() for column in held.values()]
    rows = [",".join(map(str, row)) for row in zip(*columns, strict=True)]
    path.write_text("\n".join([",".join(held), *rows]) + "\n")
    return path


def quirks(path: Path, **rest: object) -> str:
    return "\n".join(digest_device(path, **rest).card.quirks)  # type: ignore[arg-type]  # keywords of it


# --- runs and first rows --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"run": range(N)}, "numbers repetitions"),
        ({"session_id": [f"s{i}" for i in range(N)]}, "numbers repetitions"),
        ({"run": [i % 10 for i in range(N)]}, "numbers repetitions"),
        ({"run": [0, *range(N - 1)]}, "numbers repetitions"),
        ({"is_first": [1] * N}, "by is_first"),
        ({"cold": ["true"] * (N - 1) + ["false"]}, "by is_first"),
    ],
)
def test_a_mark_on_every_row_marks_none(tmp_path: Path, extra: Mapping[str, object], said: str) -> None:
    held, plain = digest_device(table(tmp_path / "a.csv", extra)), digest_device(table(tmp_path / "b.csv", {}))
    assert said in "\n".join(held.card.quirks)
    assert held.prefill_s_per_tok == plain.prefill_s_per_tok
    assert held.residual == plain.residual


@pytest.mark.parametrize(
    "extra", [{"run": [i // 2 for i in range(N)]}, {"run": ["a"] * N}, {"is_first": [1, *[0] * (N - 1)]}]
)
def test_real_runs_stay(tmp_path: Path, extra: Mapping[str, object]) -> None:
    said = quirks(table(tmp_path / "a.csv", extra))
    assert "numbers repetitions" not in said
    assert "by is_first" not in said


def test_prompts_of_first_rows_alone_are_fitted(tmp_path: Path) -> None:
    """All rows that tell the prompt's time are first ones; the others tell decoding alone."""
    rows = [f"{100 + 40 * i},{0.3 + 0.08 * i},,,1" for i in range(4)] + [f",,30,{0.05},0" for _ in range(6)]
    path = tmp_path / "a.csv"
    path.write_text("prompt_tok,ttft_s,output_tok,tpot_s,is_first\n" + "\n".join(rows) + "\n")
    assert digest_device(path).prefill_s_per_tok == pytest.approx(0.002, rel=0.01)
