"""Files of llama-bench as people paste them: with a log or text around, tests that stand twice, figures at odds."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from discosim.core.errors import UserError
from discosim.traces.own_device import digest_device

TABLE = """| model | params | backend | test | t/s |
| --- | ---: | --- | ---: | ---: |
| tiny 1B | 1.24 B | Vulkan | pp512 | 210.40 ± 1.20 |
| tiny 1B | 1.24 B | Vulkan | tg128 | 21.70 ± 0.10 |
"""
CUDA = "ggml_cuda_init: found 1 CUDA devices:\n  Device 0: RTX 4090, compute capability 8.9, VMM: yes\n"
BARS = "ggml_vulkan: 0 = x | uma: 0 | fp16: 1 | warp size: 64\n[GIN] ready\n"
BUILD = "\nbuild: 4f324a556 (6500)\n"


def bench_of(prompt: int, gen: int, speed: float, **more: Any) -> dict[str, Any]:
    time_ns = [round((prompt + gen) / speed * 1e9 * (1 + 0.01 * k)) for k in (-1, 0, 1)]
    mean = sum((prompt + gen) / x * 1e9 for x in time_ns) / 3
    known = {"model_type": "tiny 1B", "backends": "Metal", "n_prompt": prompt, "n_gen": gen, "n_depth": 0}
    return {**known, "avg_ts": mean, "stddev_ts": 1.0, "samples_ns": time_ns, **more}


TESTS = [bench_of(128, 0, 190), bench_of(512, 0, 210), bench_of(0, 128, 21.7)]


def as_csv(tests: list[dict[str, Any]]) -> str:
    out = io.StringIO()
    names = [name for name in tests[0] if name != "samples_ns"]
    writer = csv.DictWriter(out, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(tests)
    return out.getvalue()


FORMS = {
    "table": TABLE,
    "json": json.dumps(TESTS, indent=2),
    "jsonl": "\n".join(map(json.dumps, TESTS)) + "\n",
    "csv": as_csv(TESTS),
}


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "bench.txt"
    path.write_text(text)
    return path


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("before", ["", CUDA, BARS, "$ ./llama-bench -m m.gguf\n", "# My phone\n\n", "```\n", "\n"])
def test_what_stands_before_is_passed_over(tmp_path: Path, form: str, before: str) -> None:
    held = digest_device(written(tmp_path, before + FORMS[form]))
    assert held.decode_tok_per_s == pytest.approx(21.7, rel=0.01)


@pytest.mark.parametrize("form", ["table", "json"])
def test_what_stands_behind_is_passed_over(tmp_path: Path, form: str) -> None:
    held = digest_device(written(tmp_path, f"{BARS}{FORMS[form]}{BUILD}```\n"))
    assert held.decode_tok_per_s == pytest.approx(21.7, rel=0.01)


def test_a_second_array_is_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        digest_device(written(tmp_path, FORMS["json"] + "\n" + FORMS["json"]))


SLOW = TABLE.replace("21.70 ± 0.10", "10.00 ± 0.10")


@pytest.mark.parametrize(
    ("text", "speeds"),
    [
        (TABLE + BUILD + SLOW, (21.7, 10.0)),
        (TABLE + SLOW.splitlines()[-1] + "\n", (21.7, 10.0)),
        (json.dumps([*TESTS, bench_of(0, 128, 10)]), (21.7, 10.0)),
        (as_csv([*TESTS, *TESTS[:2], bench_of(0, 128, 50)]), (21.7, 50.0)),
    ],
)
def test_two_runs_are_never_averaged(tmp_path: Path, text: str, speeds: tuple[float, float]) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UserError, match=r"choose one with --group: .* / run 1; .* / run 2"):
        digest_device(path)
    for number, speed in enumerate(speeds, start=1):
        assert digest_device(path, group=f"run {number}").decode_tok_per_s == pytest.approx(speed, rel=0.01)


def test_two_runs_of_one_speed_are_pooled_with_a_note(tmp_path: Path) -> None:
    held = digest_device(written(tmp_path, json.dumps([*TESTS, bench_of(0, 128, 22.5)])))
    assert any("tg128 stands 2 times" in quirk for quirk in held.card.quirks)
    assert held.decode_tok_per_s == pytest.approx(22.1, rel=0.02)
    assert not any("stands" in quirk for quirk in digest_device(written(tmp_path, TABLE)).card.quirks)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"samples_ns": [5898, 5899, 5900]}, "column samples_ns: gives .* and avg_ts says 21.7"),
        ({"samples_ns": [5898e3, 5899e3, 5900e3]}, "column samples_ns"),
        ({"avg_ts": 21700.0}, "avg_ts says 21,700"),
        ({"samples_ns": [], "avg_ts": 2.17e7}, "no device decodes at"),
        ({"samples_ns": [5898, 5899, 5900], "avg_ts": 2.17e7}, "no device decodes at"),
    ],
)
def test_figures_at_odds_are_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        digest_device(written(tmp_path, json.dumps([*TESTS[:2], {**TESTS[2], "avg_ts": 21.7, **change}])))
