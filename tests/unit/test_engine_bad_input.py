"""A white-box server that cannot be: one clear line each on the command line; what is over a limit is counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from discosim import cli
from discosim.traces.catalogue import load_digest
from discosim.traces.digest_file import dump_digest


def run(tmp_path: Path, *changes: str) -> int:
    sets = [word for change in ("workload.n_requests=40", "replications=1", *changes) for word in ("--set", change)]
    return cli.main(["run", "engine", "--out", str(tmp_path / "out"), *sets])


def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], *changes: str) -> str:
    assert run(tmp_path, *changes) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert not (tmp_path / "out").exists()
    (line,) = err.splitlines()
    assert line.startswith("discosim: error: ")
    return line


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("server.kv_tok=8", "server.kv_tok: KV memory of 8 tokens holds no block of 16 tokens"),
        ("server.n_replicas=0", "server.n_replicas: must be >= 1 (got 0)"),
        ("server.max_batch=0", "server.max_batch: must be >= 1 (got 0)"),
        ("server.preemption={kind: swap}", "server.preemption.host_kv_tok: is missing"),
        ("server.preemption={kind: swap, host_kv_tok: 0}", "server.preemption.host_kv_tok: must be >= 1 (got 0)"),
        (
            "server.preemption={kind: swap, host_kv_tok: 3}",
            "host memory of 3 tokens holds no block of 16 tokens to swap to",
        ),
        ("server.iterations={kind: constant, prefill_s: -1, decode_s: 1}", "prefill_s: must be > 0 (got -1)"),
        ("server.iterations={kind: constant, prefill_s: 1, decode_s: .inf}", "decode_s: must be a finite number"),
        ("server.iterations={kind: constant, prefill_s: 1, decode_s: 1}", "give kv_tok"),
    ],
)
def test_impossible_servers_are_refused(
    change: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(tmp_path, capsys, change)


@pytest.mark.parametrize(
    ("line", "coefficients", "message"),
    [
        ("prefill", [-1.0, 1e-4, 0.0], "a prefill of 1 tokens takes -0.9999 s; times must be finite and > 0"),
        ("prefill", [0.1, 1e-4, -1e-6], "a prefill of 512 tokens takes"),
        ("decode_small", [0.01, -1e-3, 0.0], "a decode batch of 1 costs -0.001 s per KV token; must be >= 0"),
        ("decode_large", [0.0, 0.0, 0.0], "a decode batch of 96 takes 0 s; times must be finite and > 0"),
        ("decode_large", [float("nan"), 0.0, 0.0], "NaN is no number"),
        ("decode_large", [float("inf"), 0.0, 0.0], "Infinity is no number"),
    ],
)
def test_fits_that_give_impossible_times_are_refused(
    line: str, coefficients: list[float], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = json.loads(dump_digest(load_digest("opt-66b-a100-tp4", "engine")))
    digest["data"]["lines"][line] = coefficients
    path = tmp_path / "fit.json"
    path.write_text(json.dumps(digest), encoding="utf-8")
    assert message in refused(tmp_path, capsys, f"server.iterations={{kind: file, file: {path}}}")


CONSTANT = "workload.lengths={kind: constant, prompt_tok: 500, output_tok: 50}"


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("server.kv_tok=320", "the 320 tokens that the KV memory of a replica holds"),
        ("server.max_context_tok=400", "the context limit of 400 tokens"),
    ],
)
def test_a_server_that_can_take_no_request_is_refused(
    limit: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(tmp_path, capsys, CONSTANT, limit)
    assert "the pilot run answered no request" in line
    assert said in line


def test_what_is_over_the_context_limit_is_rejected_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import pandas as pd

    assert run(tmp_path, "server.max_context_tok=1000") == 0
    told = capsys.readouterr().out
    rows = pd.read_parquet(tmp_path / "out" / "requests.parquet")
    alone = rows[rows["policy"] == "server_only"]
    assert len(alone) == 40
    over = alone["prompt_tok"] + alone["output_tok"] > 1000
    assert 0 < over.sum() < 40
    assert (alone["status"] == "rejected").tolist() == over.tolist()
    assert f"rejected server_only {over.sum()} " in told
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert "n_rejected" in json.dumps(summary)
