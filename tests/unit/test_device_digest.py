"""Profiles from a user's own rows: a known device comes back inside its intervals, and bad rows are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from discosim.cli import main
from discosim.core.device_law import Heat
from discosim.core.errors import UserError
from discosim.traces.device_fit import fit_line, steps_or_line
from discosim.traces.digest import DeviceDigest
from discosim.traces.digest_file import dump_digest, parse_digest
from discosim.traces.heat_law import cooled, heat_at_starts, mean_speed, speed, warmed, work_done
from discosim.traces.own_device import digest_device
from discosim.world.pace import Warming

HEAT = Heat(heating_s=60.0, cooling_s=150.0, onset=0.2, floor=0.55)


def written(path: Path, head: str, *columns: object) -> Path:
    rows = zip(*(np.asarray(column).tolist() for column in columns), strict=True)
    path.write_text(head + "\n" + "".join(",".join(f"{cell:.6g}" for cell in row) + "\n" for row in rows))
    return path


def test_a_known_device_comes_back_inside_its_intervals(tmp_path: Path) -> None:
    """95 % intervals, made twice as wide: about 3.9 deviations, which a right fit leaves in 1 of 2,000 seeds."""
    rng = np.random.default_rng(0)
    prompt, output = rng.integers(20, 2000, 300), rng.integers(2, 300, 300)
    ttft_s = (0.12 + 0.0021 * prompt) * np.exp(0.1 * rng.standard_normal(300))
    stalled = [40, 180, 260]
    ttft_s[0] *= 2.5
    ttft_s[stalled] += [9.0, 12.0, 20.0]
    total_s = ttft_s + (output - 1) / 14.0 * np.exp(0.05 * rng.standard_normal(300))
    energy_j = (0.03 * prompt + 0.25 * output) * np.exp(0.05 * rng.standard_normal(300))
    head = "prompt_tok,ttft_s,output_tok,total_s,energy_j"
    held = digest_device(written(tmp_path / "a.csv", head, prompt, ttft_s, output, total_s, energy_j))
    truth = {
        "prefill_intercept_s": 0.12,
        "prefill_s_per_tok": 0.0021,
        "decode_tok_per_s": 14.0,
        "prefill_j_per_tok": 0.03,
        "decode_j_per_tok": 0.25,
    }
    assert held.intervals is not None
    for name, value in truth.items():
        low, high = held.intervals[name]
        wide = (high - low) / 2
        assert low - wide < value < high + wide, name
        assert low <= getattr(held, name) <= high
        assert held.provenance[name].status == "measured"
    assert held.chunk_tok is None
    assert held.residual is not None
    assert held.residual.stalls is not None
    assert held.residual.stalls.share == pytest.approx(3 / 300)
    assert held.residual.stalls.duration.values[-1] == pytest.approx(20.0, rel=0.05)
    assert held.residual.first == pytest.approx(2.5, rel=0.3)  # one row, of a spread of 10 %: three deviations
    ratio = np.log(held.residual.prefill.table.ppf(np.array([0.16, 0.84])))
    assert (ratio[1] - ratio[0]) / 2 == pytest.approx(0.1, rel=0.2)
    again = parse_digest(dump_digest(held), where="text")
    assert isinstance(again, DeviceDigest)
    assert again.residual is not None


def test_steps_are_found_where_they_are_and_only_there() -> None:
    rng = np.random.default_rng(3)
    prompt = rng.integers(20, 1500, 200).astype(float)
    noise = np.exp(0.05 * rng.standard_normal(200))
    steps, _ = steps_or_line(prompt, (0.1 + 0.002 * np.ceil(prompt / 256) * 256) * noise)
    assert steps.chunk_tok == 256
    assert steps.s_per_tok == pytest.approx(0.002, rel=0.05)
    line, _ = steps_or_line(prompt, (0.1 + 0.002 * prompt) * noise)
    assert line.chunk_tok is None


def test_a_line_has_no_negative_part() -> None:
    prompt = np.array([100.0, 200.0, 300.0, 400.0])
    through = fit_line(prompt, 0.01 * prompt - 0.2)  # a plain line would begin below 0
    assert through.intercept_s == 0.0
    assert through.s_per_tok > 0.0
    falling = fit_line(prompt, np.array([1.0, 0.9, 0.8, 0.7]))
    assert falling.s_per_tok == 0.0


@pytest.mark.long
def test_latencies_in_a_queue_give_the_profile_of_the_device_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    chars, output = rng.integers(361, 3614, 300), rng.integers(1, 3, 300)
    service_s = 0.15 + 0.35e-3 * chars + rng.gamma(1.5, 0.05, 300)
    start_s, wait_s = 1.004 * np.arange(300), np.zeros(300)
    for i in range(1, 300):
        wait_s[i] = max(wait_s[i - 1] + service_s[i - 1] - 1.004, 0.0)
    alone = digest_device(written(tmp_path / "a.csv", "prompt_chars,output_tok,latency_s", chars, output, service_s))
    queued = digest_device(
        written(
            tmp_path / "q.csv", "start_s,prompt_chars,output_tok,latency_s", start_s, chars, output, service_s + wait_s
        )
    )
    assert wait_s.mean() > 0.3
    assert queued.prefill_s_per_tok == pytest.approx(alone.prefill_s_per_tok, rel=1e-2)
    assert queued.prefill_s_per_tok == pytest.approx(4 * 0.35e-3, rel=0.05)
    assert any("wait" in quirk for quirk in queued.card.quirks)
    assert any("characters" in quirk for quirk in queued.card.quirks)


def test_what_rows_do_not_tell_is_said(tmp_path: Path) -> None:
    same = digest_device(written(tmp_path / "a.csv", "prompt_tok,ttft_s", [100] * 5, [0.5, 0.52, 0.5, 0.49, 0.51]))
    assert same.not_identified is not None
    assert {"prefill_intercept_s", "prefill_s_per_tok", "decode_tok_per_s", "heat"} <= set(same.not_identified)
    assert same.prefill_intercept_s + 100 * same.prefill_s_per_tok == pytest.approx(
        0.505
    )  # the first row is one after a start
    assert same.provenance["decode_tok_per_s"].status == "assumption"


BAD = {
    "prompt_tok,ttft_s\n": "no rows",
    "prompt_tok,ttft_s\n10,0.5\n": "at least 3",
    "prompt_tok,ttft_s\n10,500\n20,900\n30,1200\n": "unit",
    "prompt_tok,ttft_s\n10,0.5\n20,-0.9\n30,1.2\n": "row 3 column ttft_s",
    "prompt_tok,ttft_s\n10,0.5\n20,nan\n30,1.2\n": "row 3 column ttft_s",
    "prompt_tok,ttft_s\n10,0\n20,0\n30,0\n": "no time was measured",
    "prompt_tok,tttf\n10,0.5\n20,0.9\n30,1.2\n": "--map ttft=tttf",
    "prompt_tok,ttft\n10,5\n20,8\n30,12\n": "--unit",
    "prompt_tok,ttft_s,total_s\n10,5,3\n20,9,4\n30,12,5\n": "is below ttft_s",
    "prompt_tok,ttft_s,device\n10,0.5,a\n20,0.8,b\n30,1.2,b\n": "--group: a; b",
    "prompt_tok,ttft_s,status\n10,0.5,error\n20,0.8,error\n": "all 2 rows failed",
}


@pytest.mark.parametrize("text", BAD)
def test_bad_rows_are_refused_in_one_line(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "bad.csv", tmp_path / "out.json"
    path.write_text(text)
    assert main(["traces", "digest-device", str(path), "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert BAD[text] in said
    assert said.count("\n") == 1
    assert not out.exists()


def test_llama_bench_and_server_timings(tmp_path: Path) -> None:
    table = tmp_path / "bench.md"
    head = "| model | params | backend | test | t/s |\n| --- | ---: | --- | ---: | ---: |\n"
    rows = "".join(
        f"| tiny 1B | 1.24 B | Vulkan | {test} | {speed:.2f} ± 0.10 |\n"
        for test, speed in (("pp128", 128 / (0.1 + 128 / 500)), ("pp1024", 1024 / (0.1 + 1024 / 500)), ("tg128", 21.7))
    )
    table.write_text(head + rows)
    held = digest_device(table)
    assert held.prefill_intercept_s == pytest.approx(0.1, rel=0.02)
    assert 1 / held.prefill_s_per_tok == pytest.approx(500, rel=0.01)
    assert held.decode_tok_per_s == pytest.approx(21.7, rel=0.005)
    assert held.params_b == 1.24
    table.write_text(head + rows + "| other 7B | 7.0 B | Vulkan | pp128 | 90.00 ± 1.00 |\n")
    with pytest.raises(UserError, match="--group"):
        digest_device(table)
    assert digest_device(table, group="tiny").decode_tok_per_s == held.decode_tok_per_s
    log = tmp_path / "server.log"
    log.write_text(
        "".join(
            f"prompt eval time = {100 + 2 * n:.2f} ms / {n} tokens ( 1 ms per token)\n"
            f"       eval time = {50 * 63:.2f} ms / 64 tokens ( 1 ms per token)\n"
            for n in range(100, 600, 50)
        )
    )
    server = digest_device(log)
    assert server.prefill_intercept_s == pytest.approx(0.1, rel=1e-3)
    assert server.prefill_s_per_tok == pytest.approx(0.002, rel=1e-3)
    assert server.decode_tok_per_s == pytest.approx(20.0)
    answers = tmp_path / "answers.jsonl"
    lines = (
        {"timings": {"prompt_n": n, "prompt_ms": 100 + 2 * n, "predicted_n": 64, "predicted_ms": 3150}}
        for n in range(100, 600, 50)
    )
    answers.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert digest_device(answers).prefill_s_per_tok == pytest.approx(0.002, rel=1e-3)


# --- heat -----------------------------------------------------------------------------------------------------


def test_the_law_of_heat_is_what_small_steps_give() -> None:
    h, work, step_s = 0.1, 0.0, 1e-3
    for _ in range(100_000):
        work += float(speed(HEAT, h)) * step_s
        h += (1.0 - h) / HEAT.heating_s * step_s
    assert float(work_done(HEAT, 0.1, 100.0)) == pytest.approx(work, rel=1e-4)
    assert float(warmed(HEAT, 0.1, 100.0)) == pytest.approx(h, rel=1e-4)
    starts = heat_at_starts(HEAT, 0.1, np.array([100.0, 5.0]), np.array([30.0, 0.0]))
    assert starts[1] == pytest.approx(float(cooled(HEAT, h, 30.0)), rel=1e-4)


@pytest.mark.parametrize("start", [0.0, 0.1, 0.5, 1.0])
def test_the_world_heats_by_the_same_law(start: float) -> None:
    pace = Warming(HEAT, start)
    for busy_s in (1.0, 20.0, 300.0):
        work = float(work_done(HEAT, start, busy_s))
        assert pace.elapsed_s(work) == pytest.approx(busy_s, rel=1e-9)


def hot_rows(seed: int, n: int) -> tuple[list[list[float]], float]:
    """Return start, prompt, TTFT, output and whole time of requests on a device with `HEAT`, in order."""
    rng = np.random.default_rng(seed)
    h, now_s, rows = 0.0, 0.0, []
    for _ in range(n):
        prompt, output = int(rng.integers(50, 1500)), int(rng.integers(20, 200))
        first, later = np.array([0.1 + 0.004 * prompt, (output - 1) / 12.0]) * np.exp(0.04 * rng.standard_normal(2))
        clock_s = np.linspace(0.0, 2.0 * (first + later) / HEAT.floor, 4000)
        done = work_done(HEAT, h, clock_s)
        ttft_s, total_s = np.interp([first, first + later], done, clock_s)
        gap_s = rng.exponential(20.0) if rng.random() < 0.7 else rng.uniform(100.0, 400.0)
        rows.append([now_s, prompt, ttft_s, output, total_s])
        h, now_s = float(cooled(HEAT, float(warmed(HEAT, h, total_s)), gap_s)), now_s + total_s + gap_s
    return rows, h


@pytest.mark.long
def test_heat_is_found_in_timed_rows(tmp_path: Path) -> None:
    rows, _ = hot_rows(4, 150)
    head = "start_s,prompt_tok,ttft_s,output_tok,total_s"
    held = digest_device(written(tmp_path / "hot.csv", head, *zip(*rows, strict=True)))
    assert held.heat is not None
    assert held.intervals is not None
    for busy_s in (30.0, 120.0):  # as long as requests follow each other in the rows
        wanted = float(mean_speed(HEAT, 0.0, 0.0, busy_s))
        assert float(mean_speed(held.heat, 0.0, 0.0, busy_s)) == pytest.approx(wanted, rel=0.05)
    assert held.heat.cooling_s == pytest.approx(150.0, rel=0.3)
    assert held.decode_tok_per_s == pytest.approx(12.0, rel=0.05)
    cold = [row[1:] for row in rows]
    without = digest_device(written(tmp_path / "cold.csv", head.removeprefix("start_s,"), *zip(*cold, strict=True)))
    assert without.heat is None
    assert without.not_identified is not None
    assert without.not_identified["heat"] == "rows are not timed"
