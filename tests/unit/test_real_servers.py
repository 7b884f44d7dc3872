"""The limits that docs/fidelity.md states, on the logs of real servers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from discosim.calibrate.setup import scenario_of, server_keys
from discosim.calibrate.validate import Validation, validate
from discosim.cli import main
from discosim.config import load_scenario
from discosim.traces.server_logs import read_server_log
from discosim.traces.server_meta import read_server_meta
from discosim.traces.server_series import read_server_series

pytestmark = pytest.mark.long
DENSE = "RTXPRO6000__Llama-3.1-8B__"
EXPERTS = "RTXPRO6000__Qwen3-30B-A3B-Instruct-2507__"
TGI = "mistralai_Mistral-7B-Instruct-v0.2_tp_1_results.json"


@pytest.fixture(scope="module")
def runs(raw_traces: Path) -> Path:
    return raw_traces / "llmservingsim-vllm-bench"


def test_half_a_run_of_vllm_foretells_the_other_half(runs: Path, tmp_path: Path, capsys) -> None:
    log, meta, series = (str(runs / f"{DENSE}{name}") for name in ("requests.jsonl", "meta.json", "timeseries.csv"))
    made, scenario, said = tmp_path / "mine.json", tmp_path / "mine.yaml", tmp_path / "distance.json"
    calibrate = ["engine", "calibrate", log, "--meta", meta, "--series", series, "--train", "first:150"]
    known = ["--model", "Llama-3.1-8B", "--gpu", "RTXPRO6000", "--async", "on"]  # as the log tells, in twice the time
    assert main([*calibrate, *known, "--out", str(made), "--scenario-out", str(scenario)]) == 0
    check = ["--holdout", "150:", "--check", "p50=5,p99=10", "--json", str(said)]
    assert main(["engine", "validate", str(scenario), "--against", log, "--series", series, *check]) == 0
    assert "check failed" not in capsys.readouterr().out
    held = json.loads(said.read_text())["holdout"]
    for metric in ("ttft_s", "tpot_s", "e2e_s"):
        assert abs(held[metric]["p50"]["error_pct"]) < 5, metric
        assert abs(held[metric]["p99"]["error_pct"]) < 10, metric


def test_four_concurrencies_of_tgi_foretell_the_whole_time_of_the_others(raw_traces: Path, tmp_path: Path) -> None:
    file = raw_traces / "llmperf-bench-tgi-philschmid" / TGI
    out = tmp_path / "tgi.json"
    command = ["engine", "calibrate", str(file), "--flavour", "tgi-2", "--train", "concurrency:1,4,16,64"]
    assert main([*command, "--out", str(out)]) == 0
    # the card holds the worst of the concurrencies, as a share
    assert abs(json.loads(out.read_text())["data"]["moments"]["held_out_e2e_mean_error"]) < 0.06


def _compare(
    runs: Path,
    iterations: dict[str, object],
    name: str = DENSE,
    log: str = "requests.jsonl",
    *,
    lockstep: bool = False,
) -> Validation:
    keys = server_keys("vllm-v1", read_server_meta(runs / f"{name}meta.json"))
    keys["lockstep"] = lockstep
    scenario = scenario_of(keys, None)
    del scenario["server"]["kv_tok"]  # that of the digest, or of the GPU's memory
    scenario["server"]["iterations"] = iterations
    series = read_server_series(next(runs.glob(f"{name}timeseries*.csv")))
    return validate(load_scenario(scenario), read_server_log(runs / f"{name}{log}"), series=series)


@pytest.mark.parametrize(
    "iterations",
    [
        {"kind": "digest", "digest": "llama-3.1-8b-rtxpro6000"},
        {"kind": "physics", "model": "Llama-3.1-8B", "gpu": "RTXPRO6000"},
    ],
    ids=["kernel times", "roofline"],
)
def test_no_run_at_all_foretells_the_means(runs: Path, iterations: dict[str, object]) -> None:
    found = _compare(runs, iterations).all
    for metric, limit in (("ttft_s", 10), ("tpot_s", 5), ("e2e_s", 5)):
        assert abs(found[metric]["mean"]["error_pct"]) < limit, metric


@pytest.mark.parametrize(
    "iterations",
    [
        {"kind": "digest", "digest": "qwen3-30b-a3b-rtxpro6000-ep2"},
        {"kind": "physics", "model": "Qwen3-30B-A3B", "gpu": "RTXPRO6000", "ep": 2},
    ],
    ids=["kernel times", "roofline"],
)
def test_ranks_for_themselves_foretell_the_means_of_a_mixture_of_experts(
    runs: Path, iterations: dict[str, object]
) -> None:
    found = _compare(runs, iterations, EXPERTS, "requests_first150.jsonl").all
    for metric in ("tpot_s", "e2e_s"):  # no limit is stated for its TTFT
        assert abs(found[metric]["mean"]["error_pct"]) < 5, metric


@pytest.mark.parametrize(
    ("iterations", "limit"),
    [
        ({"kind": "digest", "digest": "qwen3-30b-a3b-rtxpro6000-ep2"}, 5),
        ({"kind": "physics", "model": "Qwen3-30B-A3B", "gpu": "RTXPRO6000", "ep": 2}, 10),
    ],
    ids=["kernel times", "roofline"],
)
def test_ranks_in_step_foretell_the_means_of_a_mixture_of_experts(
    runs: Path, iterations: dict[str, object], limit: float
) -> None:
    found = _compare(runs, iterations, EXPERTS, "requests_first150.jsonl", lockstep=True).all
    for metric, most in (("ttft_s", 10), ("tpot_s", limit), ("e2e_s", limit)):
        assert abs(found[metric]["mean"]["error_pct"]) < most, metric
