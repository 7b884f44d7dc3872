"""Results of load generators: what vLLM, AIPerf and GuideLLM write, read as one series each.

The files are made here, after the writers' public sources; the numbers are chosen so that the right reading of
every field differs from the likely wrong one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discosim import load_scenario, simulate
from discosim.cli import main
from discosim.core.errors import UserError
from discosim.traces.own_digest import digest_latency
from discosim.traces.readers import detect, read_latency, read_latency_groups

# --- vllm bench serve -----------------------------------------------------------------------------------------


def vllm_run(**changed: Any) -> dict[str, Any]:
    """Return three requests: one streamed token by token, one failed, one whose tokens came in two chunks."""
    return {
        "date": "20261001-120000",
        "endpoint_type": "openai",
        "model_id": "acme/chat-8b",
        "num_prompts": 3,
        "duration": 9.0,
        "completed": 2,
        "total_input_tokens": 300,
        "request_throughput": 0.2,
        "input_lens": [100, 120, 80],
        "output_lens": [5, 0, 9],
        "ttfts": [0.5, 0.0, 0.25],
        "itls": [[0.1, 0.1, 0.2, 0.2], [], [0.4, 0.4]],
        "generated_texts": ["a", "", "b"],
        "errors": ["", "Service Unavailable", ""],
        **changed,
    }


def test_vllm_time_per_token_does_not_depend_on_the_packing_of_tokens(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(vllm_run()))
    assert detect(path).name == "vllm"
    series = read_latency(path)
    assert series.group == "acme/chat-8b"
    assert series.ttft_s.tolist() == [0.5, 0.25]
    np.testing.assert_allclose(series.tpot_s, [0.6 / 4, 0.8 / 8], rtol=1e-15)
    assert series.is_failed.tolist() == [False, True, False]
    assert series.attempt.tolist() == [0, 2]
    assert series.prompt_tok is not None
    assert series.prompt_tok.tolist() == [100, 80]
    assert series.notes["failed_error"] == 1


def test_vllm_runs_appended_to_one_file_are_kept_apart(tmp_path: Path) -> None:
    path = tmp_path / "runs.json"
    runs = [vllm_run(), vllm_run(ttfts=[0.7, 0.0, 0.7]), vllm_run(model_id="other")]
    path.write_text("\n".join(json.dumps(run) for run in runs))
    groups = read_latency_groups(path)
    assert list(groups) == ["acme/chat-8b", "acme/chat-8b#2", "other"]
    assert groups["acme/chat-8b#2"].ttft_s.tolist() == [0.7, 0.7]


def test_sglang_writes_the_same_lists_without_a_name(tmp_path: Path) -> None:
    path = tmp_path / "sglang_random.jsonl"
    run = {key: value for key, value in vllm_run().items() if key not in {"model_id", "date", "endpoint_type"}}
    path.write_text("".join(json.dumps({"backend": "sglang", **run}) + "\n" for _ in range(2)))
    assert list(read_latency_groups(path)) == ["sglang_random", "sglang_random#2"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"ttfts": [0.5, 0.0]}, "lists of unequal length"),
        ({"ttfts": [0.5, 0.0, -1.0]}, "record 3 column ttfts: expected a finite number of at least 0, got -1.0"),
        ({"ttfts": [0.5, 0.0, float("nan")]}, "record 3 column ttfts"),
        ({"itls": [[0.1], [], [0.4, "x"]]}, 'record 3 column itls: expected gaps in s of at least 0, got "x"'),
        ({"itls": [[0.1], [], 0.4]}, "record 3 column itls: expected a list of gaps in s, got 0.4"),
        ({"output_lens": [5, 0, 9.5]}, "record 3 column output_lens: expected a whole number"),
        (
            {"itls": None},
            "holds no list 'itls'; its lists are: input_lens, output_lens, ttfts, ",
        ),
        (
            {"ttfts": None, "ttft": [0.5, 0.0, 0.4], "itls": None, "tpots": [0.1, 0.0, 0.1]},
            "holds no list 'ttfts'; nearest names: ttft;",
        ),
        ({"itls": None, "tpots": [0.1, 0.0, 0.1]}, "holds no list 'itls'; nearest names: tpots;"),
        (
            dict.fromkeys(("input_lens", "output_lens", "ttfts", "itls")),
            "holds no list 'input_lens', so no single requests; run `vllm bench serve` with --save-result",
        ),
        ({name: [] for name in ("input_lens", "output_lens", "ttfts", "itls", "errors")}, "holds no requests"),
    ],
)
def test_bad_vllm_results(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(vllm_run(**changed)))
    with pytest.raises(UserError) as caught:
        read_latency(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


# --- AIPerf ---------------------------------------------------------------------------------------------------


def aiperf_record(start_ns: int, *, metrics: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    values = {
        "input_sequence_length": {"value": 550, "unit": "tokens"},
        "time_to_first_token": {"value": 255.0, "unit": "ms"},
        "request_latency": {"value": 297.0, "unit": "ms"},
        "output_sequence_length": {"value": 8, "unit": "tokens"},
        "inter_token_latency": {"value": 6.0, "unit": "ms"},
        "inter_chunk_latency": {"value": [21.0, 21.0], "unit": "ms"},
    }
    known = {"session_num": 0, "request_start_ns": start_ns, "benchmark_phase": "profiling", "was_cancelled": False}
    return {"metadata": {**known, **metadata}, "metrics": {**values, **(metrics or {})}, "error": None}


def aiperf_file(folder: Path, *records: dict[str, Any]) -> Path:
    path = folder / "profile_export.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_aiperf_is_read_in_the_order_of_sending_with_its_units(tmp_path: Path) -> None:
    failed = {**aiperf_record(20), "metrics": {"error_isl": {"value": 550, "unit": "tokens"}}}
    failed["error"] = {"code": 503, "type": "ServerError", "message": "busy"}
    path = aiperf_file(
        tmp_path,
        aiperf_record(30, metrics={"time_to_first_token": {"value": 0.1, "unit": "sec"}}),
        failed,
        aiperf_record(10),
        aiperf_record(5, benchmark_phase="warmup"),
        aiperf_record(40, was_cancelled=True),
    )
    assert detect(path).name == "aiperf"
    series = read_latency(path)
    assert series.group == "profile_export"
    assert series.ttft_s.tolist() == [0.255, 0.1]
    np.testing.assert_allclose(series.tpot_s, [0.006, 0.006], rtol=1e-15)
    np.testing.assert_allclose(series.tpot_s[0], (0.297 - 0.255) / 7, rtol=1e-12)
    assert series.is_failed.tolist() == [False, True, False]
    assert (series.notes["failed_503"], series.notes["dropped_warm_up"], series.notes["dropped_cancelled"]) == (1, 1, 1)


def test_aiperf_without_streaming_holds_no_first_token(tmp_path: Path) -> None:
    whole = aiperf_record(10)
    del whole["metrics"]["time_to_first_token"]
    series = read_latency(aiperf_file(tmp_path, whole, aiperf_record(20)))
    assert series.seen_ttft_s.tolist() == [0.255]
    assert (series.notes["unseen_ttft"], series.notes["unseen_tpot"]) == (1, 0)
    assert "The TTFT of 1 of 2 successes was not seen" in series.warnings[0]


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ({"time_to_first_token": {"value": 1, "unit": "fortnights"}}, "metrics.time_to_first_token: unknown unit"),
        ({"time_to_first_token": 255}, "expected an object with a number 'value', got 255"),
        ({"inter_token_latency": {"value": -6.0, "unit": "ms"}}, "expected a finite number of at least 0, got -6.0"),
    ],
)
def test_bad_aiperf_records(tmp_path: Path, metrics: dict[str, Any], message: str) -> None:
    path = aiperf_file(tmp_path, aiperf_record(1), aiperf_record(2, metrics=metrics))
    with pytest.raises(UserError) as caught:
        read_latency(path)
    assert f"{path} row 2 column metrics." in str(caught.value)
    assert message in str(caught.value)


def test_aiperf_needs_a_start_and_a_request(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"row 1 column metadata\.request_start_ns: expected a whole number of ns"):
        read_latency(aiperf_file(tmp_path, aiperf_record(1, request_start_ns=None)))
    with pytest.raises(UserError, match="holds no request of the profiling phase"):
        read_latency(aiperf_file(tmp_path, aiperf_record(1, benchmark_phase="warmup")))


# --- GuideLLM -------------------------------------------------------------------------------------------------


def guidellm_request(start_s: float, ttft_ms: float | None, tpot_ms: float | None, tokens: int) -> dict[str, Any]:
    return {
        "type_": "generative_request_stats",
        "request_start_time": start_s,
        "request_latency": 1.0,
        "prompt_tokens": 256,
        "output_tokens": tokens,
        "time_to_first_token_ms": ttft_ms,
        "inter_token_latency_ms": tpot_ms,
        "time_per_output_token_ms": 99.0,
    }


def guidellm_report(folder: Path, *runs: dict[str, Any]) -> Path:
    path = folder / "benchmarks.json"
    benchmarks = [{"type_": "generative_benchmark", "requests": requests} for requests in runs]
    path.write_text(json.dumps({"metadata": {"guidellm_version": "0.4.0"}, "benchmarks": benchmarks}))
    return path


def test_guidellm_is_read_run_by_run(tmp_path: Path) -> None:
    good = [guidellm_request(3.0, 80.0, 11.0, 100), guidellm_request(1.0, 60.0, 10.0, 100)]
    errored = [{"request_start_time": 2.0, "prompt_tokens": None, "output_tokens": None}]
    first = {"successful": good, "errored": errored, "incomplete": [guidellm_request(9.0, 1.0, 1.0, 3)]}
    path = guidellm_report(tmp_path, first, {"successful": good[:1], "errored": [], "incomplete": []})
    assert detect(path).name == "guidellm"
    groups = read_latency_groups(path)
    assert list(groups) == ["benchmarks#1", "benchmarks#2"]
    series = groups["benchmarks#1"]
    np.testing.assert_allclose(series.ttft_s, [0.06, 0.08], rtol=1e-15)
    np.testing.assert_allclose(series.tpot_s, [0.010, 0.011], rtol=1e-15)
    assert series.is_failed.tolist() == [False, True, False]
    assert series.notes["dropped_incomplete"] == 1


def test_guidellm_reports_of_older_versions_name_the_start_differently(tmp_path: Path) -> None:
    old = guidellm_request(1.0, 60.0, 10.0, 100)
    old["start_time"] = old.pop("request_start_time")
    assert read_latency(guidellm_report(tmp_path, {"successful": [old]})).group == "benchmarks"


@pytest.mark.parametrize(
    ("requests", "message"),
    [
        ({"successful": [guidellm_request(1.0, -1.0, 1.0, 5)]}, "record 1 column time_to_first_token_ms"),
        ({"successful": [{"request_start_time": 1.0}]}, "no success has a TTFT; looked for 'time_to_first_token_ms'"),
        ({"successful": []}, "holds no successful or errored requests"),
        ({"successful": 3}, "expected a list of requests under 'successful'"),
        (7, "expected requests by outcome"),
    ],
)
def test_bad_guidellm_reports(tmp_path: Path, requests: Any, message: str) -> None:
    path = guidellm_report(tmp_path, requests)
    with pytest.raises(UserError) as caught:
        read_latency(path)
    assert f"{path} benchmarks[0].requests" in str(caught.value)
    assert message in str(caught.value)


# --- onwards --------------------------------------------------------------------------------------------------


def test_a_load_test_becomes_a_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(5)
    n = 60
    run = vllm_run(
        input_lens=[100] * n,
        output_lens=[11] * n,
        ttfts=rng.uniform(0.2, 0.4, n).tolist(),
        itls=[[0.02] * 10] * n,
        errors=[""] * n,
    )
    source, digest = tmp_path / "run.json", tmp_path / "mine.json"
    source.write_text(json.dumps(run))
    assert main(["traces", "digest-latency", str(source), "--out", str(digest), "--measured-at", "server"]) == 0
    assert "run.json" in capsys.readouterr().out
    prices = "prices: {prompt_usd_per_mtok: 1, output_usd_per_mtok: 1, source: a test}"
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nreplications: 1\n"
        "workload: {kind: generate, n_requests: 50, arrivals: {kind: poisson, rate_per_s: 1}, "
        "lengths: {kind: digest, digest: azure-conv}}\n"
        "devices: [{profile: snapdragon-8-elite-llama-3.2-3b, context: extrapolate}]\n"
        f"server: {{kind: replay, digest_file: mine.json, {prices}}}\n"
        "cost: {exchange_rate_usd_per_j: 1.0e-7}\npolicies: [{kind: server_only}]\n"
    )
    ttft_s = simulate(load_scenario(tmp_path / "mine.yaml")).requests["ttft_s"]
    assert ttft_s.min() >= min(run["ttfts"])
    assert ttft_s.max() <= max(run["ttfts"])


def test_the_place_of_measuring_decides_what_a_ttft_contains(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(vllm_run()))
    assert digest_latency(path).card.contains == ("inference", "queueing", "wide_area")
    assert digest_latency(path, measured_at="server").card.contains == ("inference", "queueing")
    with pytest.raises(UserError, match="unknown place of measuring 'serve'; did you mean 'server'"):
        digest_latency(path, measured_at="serve")
