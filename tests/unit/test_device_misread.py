"""Rows of a device that invite a misreading: runs that are none, energies, rates, backends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from discosim.core.errors import UserError
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


@pytest.mark.parametrize("word", ["mean", "Average", "total"])
def test_a_row_that_sums_up_the_others_is_doubted(tmp_path: Path, word: str) -> None:
    assert f"Doubtful: a row's run is called '{word}'" in quirks(
        table(tmp_path / "a.csv", {"run": [*range(N - 1), word]})
    )


def test_prompts_of_first_rows_alone_are_fitted(tmp_path: Path) -> None:
    """All rows that tell the prompt's time are first ones; the others tell decoding alone."""
    rows = [f"{100 + 40 * i},{0.3 + 0.08 * i},,,1" for i in range(4)] + [f",,30,{0.05},0" for _ in range(6)]
    path = tmp_path / "a.csv"
    path.write_text("prompt_tok,ttft_s,output_tok,tpot_s,is_first\n" + "\n".join(rows) + "\n")
    assert digest_device(path).prefill_s_per_tok == pytest.approx(0.002, rel=0.01)


# --- lengths in characters ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["output_chars", "response_chars", "completion_characters"])
def test_answers_in_characters_tell_decoding(tmp_path: Path, name: str) -> None:
    output = np.random.default_rng(5).integers(50, 1500, (2, N))[0] % 150 + 20
    prompt = np.arange(N) * 30 + 50
    ttft_s = 0.1 + 0.002 * prompt
    columns = {"prompt_tok": None, "prompt_chars": 4 * prompt, "ttft_s": ttft_s, "output_tok": None}
    path = table(tmp_path / "a.csv", {**columns, name: 4 * output, "total_s": ttft_s + (output - 1) / 20.0})
    held = digest_device(path)
    assert held.decode_tok_per_s == pytest.approx(20.0, rel=1e-3)
    assert any(f"(prompt_chars, {name})" in quirk for quirk in held.card.quirks)
    assert digest_device(path, chars_per_tok=2.0).decode_tok_per_s == pytest.approx(40.0, rel=0.02)


# --- settings -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["backend", "quant", "dtype", "n_threads", "runtime"])
def test_settings_that_differ_are_never_averaged(tmp_path: Path, name: str) -> None:
    path = table(tmp_path / "a.csv", {name: [("4", "8")[i % 2] for i in range(N)]})
    with pytest.raises(UserError, match=f"choose one with --group: {name}=4; {name}=8"):
        digest_device(path)
    assert digest_device(path, group=f"{name}=8").n == N // 2
    assert digest_device(table(tmp_path / "b.csv", {name: ["4"] * N})).n == N


# --- rates and counts are no times ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["prefill_tokens_per_s", "reading tok/s", "prompt_throughput", "prompt_count", "ttft_tps", "n_first"]
)
def test_a_rate_or_a_count_is_offered_and_taken_as_no_time(tmp_path: Path, name: str) -> None:
    path = table(tmp_path / "a.csv", {"ttft_s": None, "total_s": None, name: [210.0] * N})
    if name != "prefill_tokens_per_s":
        with pytest.raises(UserError, match="no column with a time") as caught:
            digest_device(path)
        assert f"--map ttft={name}" not in str(caught.value)
    with pytest.raises(UserError, match="by its name it is a rate or a count"):
        digest_device(path, mapping={"ttft": name})


@pytest.mark.parametrize("name", ["TTFT (ms)", "ttft [ms]", "first answer (ms)", "time_per_first_token_ms"])
def test_a_unit_in_brackets_counts(tmp_path: Path, name: str) -> None:
    plain = digest_device(table(tmp_path / "a.csv", {"total_s": None, "output_tok": None}))
    rng = np.random.default_rng(5)
    prompt, _ = rng.integers(50, 1500, N), rng.integers(20, 200, N)
    ttft_ms = 1e3 * (0.1 + 0.002 * prompt) * np.exp(0.03 * rng.standard_normal(N))
    path = table(tmp_path / "b.csv", {"ttft_s": None, "total_s": None, "output_tok": None, name: ttft_ms})
    mapping = {} if name.lower().startswith("ttft") else {"ttft": name}
    assert digest_device(path, mapping=mapping).prefill_s_per_tok == pytest.approx(plain.prefill_s_per_tok, rel=1e-6)


def test_the_rates_of_mlc_are_read(tmp_path: Path) -> None:
    rows = [f"{100 + 10 * i},210,50,21" for i in range(20)]
    path = tmp_path / "mlc.csv"
    path.write_text(
        "prompt_tokens,prefill_tokens_per_s,completion_tokens,decode_tokens_per_s\n" + "\n".join(rows) + "\n"
    )
    held = digest_device(path)
    assert 1 / held.prefill_s_per_tok == pytest.approx(210.0, rel=0.01)
    assert held.decode_tok_per_s == pytest.approx(21.0)


@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_answers_of_ollama_are_read_in_ns(tmp_path: Path, scale: float) -> None:
    lines = []
    for i in range(20):
        prompt, output = 100 + 50 * i, 50 + i
        times = {"prompt_eval_duration": 0.1 + 0.002 * prompt, "eval_duration": (output - 1) / 20.0}
        times |= {"total_duration": sum(times.values()) + 0.02, "load_duration": 0.02}
        ns = {name: round(1e9 * scale * time_s) for name, time_s in times.items()}
        more = {"model": "llama3.2", "done": True, "done_reason": "stop", "created_at": "2025-01-01T00:00:00Z"}
        lines.append(json.dumps({**more, **ns, "prompt_eval_count": prompt, "eval_count": output}))
    path = tmp_path / "ollama.jsonl"
    path.write_text("\n".join(lines) + "\n")
    held = digest_device(path)
    assert held.decode_tok_per_s == pytest.approx(20.0 / scale, rel=1e-3)
    assert held.prefill_s_per_tok == pytest.approx(0.002 * scale, rel=0.01)
    assert held.cold_start_load_s == pytest.approx(0.02 * scale, rel=1e-3)


# --- energy ---------------------------------------------------------------------------------------------------


def energies_j() -> np.ndarray:
    rng = np.random.default_rng(5)
    prompt, output = rng.integers(50, 1500, N), rng.integers(20, 200, N)
    return 0.03 * prompt + 0.25 * output


@pytest.mark.parametrize(("name", "factor"), [("energy", 1e3), ("energy", 1e-3), ("energy_j", 1e3), ("joules", 1e3)])
def test_energies_of_no_device_are_doubted(tmp_path: Path, name: str, factor: float) -> None:
    said = quirks(table(tmp_path / "a.csv", {name: factor * energies_j()}))
    assert "Doubtful: the energies" in said
    assert ("no unit" in said) == (name == "energy")


def test_a_unit_of_energy_can_be_said(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", {"energy": 1e3 * energies_j()})
    held = digest_device(path, mapping={"energy_mj": "energy"})
    assert held.decode_j_per_tok == pytest.approx(0.25, rel=1e-3)
    assert not any("Doubtful" in quirk or "no unit" in quirk for quirk in held.card.quirks)


@pytest.mark.parametrize(("name", "scale"), [("energy_j", 1.0), ("energy_wh", 1 / 3600), ("Energy (mJ)", 1e3)])
def test_a_meter_that_runs_on_is_refused(tmp_path: Path, name: str, scale: float) -> None:
    with pytest.raises(UserError, match="as a meter that runs on does"):
        digest_device(table(tmp_path / "a.csv", {name: scale * np.cumsum(energies_j())}))
    assert digest_device(table(tmp_path / "b.csv", {name: scale * energies_j()})).decode_j_per_tok == pytest.approx(
        0.25, rel=1e-3
    )


def test_energies_that_rise_with_the_length_are_no_meter(tmp_path: Path) -> None:
    prompt = 50 * np.arange(1, N + 1)
    columns = {"prompt_tok": prompt, "ttft_s": 0.1 + 0.002 * prompt, "output_tok": [50] * N}
    path = table(tmp_path / "a.csv", {**columns, "total_s": 3 + 0.002 * prompt, "energy_j": 0.03 * prompt + 9.0})
    assert digest_device(path).prefill_j_per_tok == pytest.approx(0.03, rel=0.05)
