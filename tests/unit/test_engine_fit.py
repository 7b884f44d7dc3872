"""Fitting iteration times to own measurements, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from discosim.cli import main
from discosim.config import load_scenario
from discosim.core.errors import UserError
from discosim.runs.build import build
from discosim.traces.digest_file import read_own_digest
from discosim.traces.engine_digest import EngineDigest
from discosim.traces.engine_fit import fit_lines, read_iterations

PREFILL, SMALL, LARGE = (0.03, 1.5e-4, 8e-9), (0.03, 4.5e-7, 6e-5), (0.027, 4e-7, 1.2e-4)
SIZES = ["--kv-tok", "60000", "--kv-bytes-per-tok", "8e5", "--max-context-tok", "4096"]


def rows(noise: float = 0.0, n: int = 200) -> list[str]:
    rng = np.random.default_rng(7)
    lines = ["phase,batch,tokens,time_ms"]
    for _ in range(n):
        batch = int(rng.integers(1, 8))
        tok = batch * int(rng.integers(20, 900))
        true_s = PREFILL[0] + PREFILL[1] * tok + PREFILL[2] * tok**2 / batch
        lines.append(f"prefill,{batch},{tok},{1e3 * true_s * np.exp(rng.normal(0, noise))!r}")
        batch = int(rng.integers(1, 200))
        tok = batch * int(rng.integers(20, 900))
        line = SMALL if batch <= 95 else LARGE
        true_s = line[0] + line[1] * tok + line[2] * batch
        lines.append(f"decode,{batch},{tok},{1e3 * true_s * np.exp(rng.normal(0, noise))!r}")
    return [line.replace("np.float64(", "").replace(")", "") for line in lines]


def written(tmp_path, lines: list[str]):
    path = tmp_path / "iterations.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_exact_rows_give_their_coefficients_back(tmp_path):
    lines, moments = fit_lines(read_iterations(written(tmp_path, rows())), where="x")
    assert lines.prefill == pytest.approx(PREFILL, rel=1e-6)
    assert lines.decode_small == pytest.approx(SMALL, rel=1e-6)
    assert lines.decode_large == pytest.approx(LARGE, rel=1e-6)
    assert moments["prefill_error_max"] < 1e-9


def test_noisy_rows_give_nearly_the_right_times(tmp_path):
    lines, moments = fit_lines(read_iterations(written(tmp_path, rows(0.05))), where="x")
    assert min(*lines.prefill, *lines.decode_small, *lines.decode_large) >= 0.0
    a, b, c = lines.prefill
    # 200 rows with 5 % noise: the error of the fit inside the data is far below 2 %
    assert a + 1000 * b + 1e6 / 4 * c == pytest.approx(PREFILL[0] + 1000 * PREFILL[1] + 1e6 / 4 * PREFILL[2], rel=0.02)
    assert moments["decode_error_mean"] == pytest.approx(0.05 * np.sqrt(2 / np.pi), rel=0.3)


def test_a_fit_serves_a_scenario(tmp_path, capsys):
    out = tmp_path / "mine.json"
    path = written(tmp_path, rows(0.01))
    assert main(["traces", "fit-engine", str(path), "--out", str(out), *SIZES, "--n-gpus", "2"]) == 0
    assert "n = 200" in capsys.readouterr().out
    assert json.loads(out.read_text())["data"]["n_gpus"] == 2
    changes = [f"server.iterations={{kind: file, file: {out}}}", "replications=1", "server.pilot_requests=20"]
    model = build(load_scenario("engine", overrides=changes)).model.server
    assert model.replica.cost.prefill_s(100, 10_000) == pytest.approx(0.03 + 0.015 + 8e-5, rel=0.05)
    assert model.replica.kv_blocks == 60_000 // 16


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines[:1], "iterations.csv"),
        (
            lambda lines: [*lines[:3], "prefil,1,10,5"],
            "row 4 column phase: expected prefill, decode or mixed, found 'prefil'",
        ),
        (lambda lines: [*lines[:3], "prefill,0,10,5"], "row 4 column batch: expected a finite number of at least 1"),
        (lambda lines: [*lines[:3], "prefill,1,10,-5"], "row 4 column time_ms"),
        (lambda lines: [line for line in lines if "decode" not in line], "needs at least 3 decode rows, found 0"),
        (lambda lines: ["a,b,c", "1,2,3"], "phase"),
    ],
)
def test_rows_that_cannot_be_fitted_are_refused_in_one_line(tmp_path, capsys, change, said):
    path, out = written(tmp_path, change(rows(n=5))), tmp_path / "out.json"
    assert main(["traces", "fit-engine", str(path), "--out", str(out), *SIZES]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not out.exists()


ENGINE = {"kind": "engine", "iterations": {"kind": "digest", "digest": "opt-13b-a100-tp1"}}


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["server.n_replicas=0"], "server.n_replicas: must be >= 1 (got 0)"),
        (["server.iterations.digest=opt-13b-a100-tp3"], "unknown engine digest 'opt-13b-a100-tp3'; did you mean"),
        (["server.iterations.digest=openrouter-gpt-5.4"], "is of kind latency, an engine digest is needed"),
        (["server.scheduler.kind=fcsf"], "unknown kind 'fcsf'; did you mean 'fcfs'?"),
        (["server.scheduler={kind: fcfs, max_prefil_tok: 3}"], "unknown key; did you mean 'max_prefill_tok'"),
        (["server.scheduler={kind: fcfs_chunked, token_budget: 0}"], "must be >= 1 (got 0)"),
        (["server.kv_tok=8"], "KV memory of 8 tokens holds no block of 16 tokens"),
        (["server.preemption={kind: swap}"], "host_kv_tok: is missing"),
        (["server.preemption={kind: swap, host_kv_tok: 0}"], "must be >= 1 (got 0)"),
        (["server.preemption={kind: swap, host_kv_tok: 8}"], "host memory of 8 tokens holds no block"),
        (["server.iterations={kind: constant, prefill_s: 0.1, decode_s: 0.0}"], "must be > 0 (got 0"),
        (["server.iterations={kind: constant, prefill_s: 0.1, decode_s: 0.1}"], "give kv_tok"),
        (
            [
                "server.iterations={kind: constant, prefill_s: 0.1, decode_s: 0.1}",
                "server.kv_tok=1000",
                "server.prefill_pool={kv_gbit_per_s: 100}",
            ],
            "give kv_bytes_per_tok",
        ),
        (["server.prefix_cache_tok=1000"], "needs a replayed trace with hash_ids"),
        (["server.kv_tok=16", "server.pilot_requests=5"], "answered no request"),
    ],
)
def test_an_impossible_engine_is_refused(overrides, said):
    def run():
        build(load_scenario("engine", overrides=overrides)).requests(0)

    with pytest.raises(UserError) as caught:
        run()
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("option", "number", "said"),
    [
        ("--kv-bytes-per-tok", "1e308", "kv_bytes_per_tok is 1e+308 B; at most 1e9"),
        ("--kv-tok", "9" * 21, "kv_tok is 1e+21 tok; at most 1e9"),
        ("--max-context-tok", "9" * 23, "max_context_tok is 1e+23 tok; at most 1e9"),
        ("--n-gpus", "9" * 23, "n_gpus is 1e+23; at most 1e9"),
    ],
)
def test_sizes_beyond_those_of_configurations_are_refused(tmp_path, capsys, option, number, said):
    path, out = written(tmp_path, rows()), tmp_path / "mine.json"
    assert main(["traces", "fit-engine", str(path), "--out", str(out), *SIZES, option, number]) == 2
    assert f"{option}: {said}" in capsys.readouterr().err.replace(" can be simulated", "")
    assert not out.exists()


@pytest.mark.parametrize(
    ("key", "value"), [("kv_bytes_per_tok", 1e20), ("kv_tok", 10**21), ("max_context_tok", 10**21)]
)
def test_a_digest_changed_by_hand_is_held_to_the_same_sizes(tmp_path, capsys, key, value):
    path, out = written(tmp_path, rows()), tmp_path / "mine.json"
    assert main(["traces", "fit-engine", str(path), "--out", str(out), *SIZES]) == 0
    content = json.loads(out.read_text())
    content["data"][key] = value
    out.write_text(json.dumps(content))
    with pytest.raises(UserError, match=f"{key} is .* at most 1e9"):
        read_own_digest(out, "engine")


PHYSICS = {"read": 0.01, "token": 1e-4, "square": 1e-9, "kv": 2e-7, "kv_mixed": 6e-7, "request": 1e-5}


def with_mixed(noise: float = 0.0) -> list[str]:
    """Rows of a GPU that reads its weights in 10 ms, or computes 100 us a token."""
    rng, held = np.random.default_rng(3), PHYSICS
    lines = ["phase,batch,tokens,square_tokens,kv_tokens,time_s"]
    for i in range(240):
        n, chunk, kv = (int(rng.integers(1, high)) for high in (100, 2000, 50_000))
        kv += n
        phase = ("prefill", "decode", "mixed")[i % 3]
        tok = {"prefill": chunk, "decode": n, "mixed": chunk + n}[phase]
        time_s = max(held["read"], held["token"] * tok) + (phase != "decode") * held["square"] * chunk**2
        time_s += (phase != "prefill") * (
            held["request"] * n + kv * (held["kv_mixed"] if phase == "mixed" else held["kv"])
        )
        time_s *= float(np.exp(rng.normal(0, noise)))
        cells = {"prefill": (1, chunk, chunk**2, ""), "decode": (n, kv, "", ""), "mixed": (n, chunk, chunk**2, kv)}[
            phase
        ]
        lines.append(",".join(map(str, (phase, *cells, time_s))))
    return lines


def test_mixed_rows_give_the_coefficients_of_a_gpu(tmp_path, capsys):
    out = tmp_path / "out.json"
    assert main(["traces", "fit-engine", str(written(tmp_path, with_mixed())), "--out", str(out), *SIZES]) == 0
    assert "mixed    held out: n = " in capsys.readouterr().out
    digest = read_own_digest(out, "engine")
    assert isinstance(digest, EngineDigest)
    fit = digest.physics
    assert fit is not None
    assert digest.lines is None
    assert fit.kv_s_per_tok == pytest.approx(PHYSICS["kv"], rel=0.03)
    assert fit.kv_mixed_s_per_tok == pytest.approx(PHYSICS["kv_mixed"], rel=0.03)
    assert fit.compute_s_per_tok + fit.comm_s_per_tok == pytest.approx(PHYSICS["token"], rel=0.05)
    assert not digest.card.quirks


def test_mixed_rows_need_the_cache_of_their_decodes(tmp_path, capsys):
    path = written(tmp_path, [*rows(n=5), "mixed,3,100,9"])
    assert main(["traces", "fit-engine", str(path), "--out", str(tmp_path / "out.json"), *SIZES]) == 2
    assert "kv_tokens: is missing; mixed rows need the KV tokens of their decodes" in capsys.readouterr().err


@pytest.mark.parametrize("lines", [rows(0.5), with_mixed(0.5)], ids=["lines", "mixed"])
def test_a_bad_fit_is_said_and_kept(tmp_path, capsys, lines):
    out = tmp_path / "out.json"
    assert main(["traces", "fit-engine", str(written(tmp_path, lines)), "--out", str(out), *SIZES]) == 0
    assert "warning: The fit is bad: its mean error is " in capsys.readouterr().out
    digest = read_own_digest(out, "engine")
    assert isinstance(digest, EngineDigest)
    assert any(quirk.startswith("The fit is bad") for quirk in digest.card.quirks)


def test_rows_are_held_out_without_changing_the_fit(tmp_path):
    lines, moments = fit_lines(read_iterations(written(tmp_path, rows())), where="x")
    assert moments["prefill_held_out_error_mean"] < 1e-6
    few, fewer = fit_lines(read_iterations(written(tmp_path, rows(n=9))), where="x")
    assert "prefill_held_out_error_mean" not in fewer
    assert few.prefill == pytest.approx(lines.prefill, rel=1e-6)
