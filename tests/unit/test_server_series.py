"""What a server showed once a second, its settings, and figures by concurrency."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from load_test_files import Row, aiperf_record, guidellm_run, llmperf, sglang, vllm

from discosim.core.errors import UserError
from discosim.traces.concurrency import read_concurrency
from discosim.traces.readers import read_lengths, read_requests
from discosim.traces.server_logs import read_server_log, read_server_logs
from discosim.traces.server_meta import read_server_meta
from discosim.traces.server_series import read_server_series

HEAD = "t,prompt_throughput,gen_throughput,running,waiting,kv_cache_pct\n"
ROWS = [Row(0.25 + 0.01 * i, 0.02, 5 + i) for i in range(4)]


def written(folder: Path, text: str, name: str = "series.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


# --- series ---------------------------------------------------------------------------------------------------


def test_a_series_is_sorted_and_in_shares(tmp_path: Path) -> None:
    series = read_server_series(written(tmp_path, HEAD + "2,90,40,3,1,50\n1,80,30,2,0,25\n3,0,50,4,0,12.5\n"))
    assert series.t_s.tolist() == [1, 2, 3]
    assert series.running.tolist() == [2, 3, 4]
    assert series.waiting.tolist() == [0, 1, 0]
    assert series.prompt_tok_per_s.tolist() == [80, 90, 0]
    assert series.output_tok_per_s.tolist() == [30, 40, 50]
    assert series.kv_share.tolist() == [0.25, 0.5, 0.125]
    assert series.warnings == ()


def test_a_kv_column_of_zeros_was_not_recorded(tmp_path: Path) -> None:
    series = read_server_series(written(tmp_path, HEAD + "1,80,30,2,0,0.0\n2,90,40,3,1,0.0\n"))
    assert np.isnan(series.kv_share).all()
    assert series.warnings == ("kv_cache_pct is 0 throughout: the KV memory in use was not recorded.",)


def test_stamps_of_a_clock_count_from_the_first_row(tmp_path: Path) -> None:
    rows = [
        {
            "timestamp": 1_777_142_838_000 + 1000 * i,
            "num_requests_running": i,
            "generation_throughput": 5.0,
            "x": i / 10,
        }
        for i in range(3)
    ]
    path = written(tmp_path, "".join(json.dumps(row) + "\n" for row in rows), "series.jsonl")
    series = read_server_series(path, mapping={"kv_share": "x"})
    assert series.t_s.tolist() == [0, 1, 2]
    assert series.kv_share.tolist() == [0.0, 0.1, 0.2]
    assert np.isnan(series.waiting).all()
    told = " ".join(series.warnings)
    assert "1,000 units a second" in told
    assert "counts from the first row" in told
    assert "no column with waiting" in told


VLLM = (
    "INFO 04-25 18:47:{s:02d} [loggers.py:118] Engine 00{e}: Avg prompt throughput: {p} tokens/s, Avg generation "
    "throughput: 40.0 tokens/s, Running: 3 reqs, Waiting: 1 reqs, GPU KV cache usage: 12.5%, Prefix cache hit "
    "rate: 0.0%\n"
)


def test_the_lines_of_vllm_are_a_series_and_its_engines_add_up(tmp_path: Path) -> None:
    other = "INFO 04-25 18:47:01 [core.py:1] Starting\n"
    one = read_server_series(
        written(tmp_path, other + "".join(VLLM.format(s=10 * i, e=0, p=9.5) for i in range(3)), "a.log")
    )
    assert one.t_s.tolist() == [0, 10, 20]
    assert one.running.tolist() == [3] * 3
    assert one.kv_share.tolist() == [0.125] * 3
    both = "".join(VLLM.format(s=10 * i, e=e, p=9.5) for i in range(3) for e in (0, 1)) + VLLM.format(s=40, e=0, p=1.0)
    two = read_server_series(written(tmp_path, both, "b.log"))
    assert two.running.tolist() == [6] * 3
    assert two.prompt_tok_per_s.tolist() == [19.0] * 3
    assert any("1 moments lack a line of one of the 2 engines" in said for said in two.warnings)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("t,waiting,gen_throughput\n1,2,3\n", "no column with running .*--map running=COLUMN"),
        (HEAD + "1,80,30,2,0,5\n1,90,40,3,1,5\n", "row 3 column t: '1' stands twice"),
        (HEAD + "1,80,30,-2,0,5\n2,90,40,3,1,5\n", "row 2 column running: expected a finite number of at least 0"),
        (HEAD + "1,80,30,2,0,5\n2,90,40,3,1,150\n", "row 3 column kv_cache_pct: expected a share of at most 100"),
    ],
)
def test_a_wrong_series_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        read_server_series(written(tmp_path, text))
    assert "\n" not in str(caught.value)


# --- settings -------------------------------------------------------------------------------------------------


def test_settings_are_found_wherever_they_stand(tmp_path: Path) -> None:
    held = {
        "model": "acme/chat-8b",
        "vllm_version": "0.19.0",
        "hardware": "L40S",
        "engine_kwargs": {
            "tensor-parallel-size": 2,
            "data_parallel_size": 2,
            "enable_expert_parallel": True,
            "max_num_seqs": 128,
            "max_num_batched_tokens": 2048,
            "max_model_len": None,
            "kv_cache_dtype": "auto",
            "dtype": "bfloat16",
            "block_size": 16,
            "gpu_memory_utilization": 0.9,
            "seed": 42,
        },
        "cache": {"num_gpu_blocks": 1000},
    }
    meta = read_server_meta(written(tmp_path, json.dumps(held), "meta.json"))
    assert (meta.model, meta.gpu, meta.engine, meta.engine_version) == ("acme/chat-8b", "L40S", "vllm", "0.19.0")
    assert (meta.tensor_parallel, meta.data_parallel, meta.n_gpus, meta.expert_parallel) == (2, 2, 4, True)
    assert (meta.max_num_seqs, meta.max_num_batched_tok, meta.max_model_len) == (128, 2048, None)
    assert (meta.block_tok, meta.kv_tok, meta.gpu_memory_share) == (16, 16000, 0.9)
    assert (meta.dtype, meta.kv_dtype) == ("bfloat16", None)
    assert meta.others["engine_kwargs.seed"] == 42


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1]", "expected a JSON object"),
        ('{"a": 1}', "says nothing of a server; its keys: a"),
        ('{"model": "m", "max_num_seqs": -3}', "meta.json max_num_seqs: expected a whole number of at least 1, got -3"),
        (
            '{"model": "m", "e": {"enable_prefix_caching": "perhaps"}}',
            "e.enable_prefix_caching: expected true or false",
        ),
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_server_meta(written(tmp_path, text, "meta.json"))


# --- load tests -----------------------------------------------------------------------------------------------

STARTS_S = [50.0, 50.5, 51.25, 51.25]


def vllm_with_starts(folder: Path) -> Path:
    order = [2, 0, 3, 1]  # as they were sent, or not
    rows, starts = [ROWS[i] for i in order], [STARTS_S[i] for i in order]
    failed = Row(0, 0, 0, failed=True)
    return written(folder, vllm([*rows, failed], start_times=[*starts, 49.0], max_concurrency=2), "run.json")


def aiperf_with_starts(folder: Path) -> Path:
    records = [aiperf_record(i, row) for i, row in enumerate(ROWS)]
    for record, at_s in zip(records, STARTS_S, strict=True):
        record["metadata"]["request_start_ns"] = 1_770_000_000_000_000_000 + int(at_s * 1e9)
    return written(folder, "".join(json.dumps(record) + "\n" for record in reversed(records)), "profile_export.jsonl")


def guidellm_with_starts(folder: Path) -> Path:
    run = guidellm_run(ROWS, config={"strategy": {"type_": "concurrent", "streams": 2}})
    for record, at_s in zip(run["requests"]["successful"], STARTS_S, strict=True):
        record["request_start_time"] = 1_770_000_000.0 + at_s
    return written(folder, json.dumps({"metadata": {"guidellm_version": "0.5.0"}, "benchmarks": [run]}), "b.json")


@pytest.mark.parametrize("write", [vllm_with_starts, aiperf_with_starts, guidellm_with_starts])
def test_a_load_test_is_load_and_truth(tmp_path: Path, write: object) -> None:
    assert callable(write)
    path = write(tmp_path)
    log = read_server_log(path)
    assert log.is_client_side
    assert log.concurrency == (None if write is aiperf_with_starts else 2)
    assert log.arrival_s == pytest.approx([0.0, 0.5, 1.25, 1.25], abs=1e-6)
    assert log.ttft_s == pytest.approx([row.ttft_s for row in ROWS], abs=1e-9)
    assert log.e2e_s == pytest.approx([row.e2e_s for row in ROWS], abs=1e-9)
    assert log.output_tok.tolist() == [row.output_tok for row in ROWS]
    assert np.isnan(log.queue_s).all()
    trace = read_requests(path)
    assert np.array_equal(trace.arrival_s, log.arrival_s)
    assert np.array_equal(trace.output_tok, log.output_tok)
    if write is vllm_with_starts:
        assert any("1 of 5 requests are left out of the load: 1 failed" in said for said in log.warnings)
    assert len(read_lengths(path)) == 4


def test_all_at_once_is_a_load_where_the_run_says_so(tmp_path: Path) -> None:
    path = written(tmp_path, vllm(ROWS, request_rate="inf", max_concurrency=None), "run.json")
    log = read_server_log(path)
    assert log.arrival_s.tolist() == [0.0] * 4
    assert any("all at once" in said for said in log.warnings)


def test_latencies_alone_are_no_load_but_figures_of_a_concurrency(tmp_path: Path) -> None:
    path = written(tmp_path, llmperf(ROWS), "individual_responses.json")
    with pytest.raises(UserError, match="holds latencies without the moments at which requests were sent"):
        read_server_log(path)
    with pytest.raises(UserError, match="holds latency"):
        read_requests(path)
    with pytest.raises(UserError, match="does not say how many requests were in flight"):
        read_concurrency(path)
    (test,) = read_concurrency(path, concurrency=4)
    assert (test.concurrency, test.n, test.is_waves) == (4, 4, True)
    assert test.ttft_s.mean == pytest.approx(0.265)
    assert test.tpot_s.p50 == pytest.approx(0.02)
    assert test.e2e_s.mean == pytest.approx(0.265 + 0.02 * 5.5)
    with pytest.raises(UserError, match="without the moments"):
        read_server_logs(written(tmp_path, sglang(ROWS), "sglang.jsonl"))


def summary(level: int) -> dict[str, object]:
    held: dict[str, object] = {"num_concurrent_requests": level, "model": "acme/chat", "results_number_errors": 0}
    held |= {"results_num_completed_requests": 100, "results_num_completed_requests_per_min": 30.0}
    held |= {"results_mean_output_throughput_token_per_s": 50.5}
    for quantity, mean in (
        ("ttft_s", 0.2 * level),
        ("end_to_end_latency_s", 0.2 * level + 3.0),
        ("inter_token_latency_s", 0.03),
        ("number_output_tokens", 101.0),
        ("number_input_tokens", 600.0),
    ):
        held |= {f"results_{quantity}_mean": mean, f"results_{quantity}_quantiles_p50": mean * 0.9}
        held |= {f"results_{quantity}_quantiles_p99": mean * 2, f"results_{quantity}_min": "1"}
    return held


def test_summaries_by_concurrency_are_figures_and_no_requests(tmp_path: Path) -> None:
    path = written(tmp_path, json.dumps({str(n): summary(n) for n in (16, 1, 4)}), "results.json")
    tests = read_concurrency(path)
    assert [test.concurrency for test in tests] == [1, 4, 16]
    assert (tests[1].ttft_s.mean, tests[1].ttft_s.p50, tests[1].ttft_s.p99) == pytest.approx((0.8, 0.72, 1.6))
    assert tests[1].tpot_s.mean == pytest.approx(0.03)  # 3 s over 100 tokens after the first
    assert np.isnan(tests[1].tpot_s.p99)
    assert (tests[1].n, tests[1].requests_per_s, tests[1].output_tok_per_s) == (100, 0.5, 50.5)
    assert "not single requests" in tests[1].warnings[0]
    (alone,) = read_concurrency(written(tmp_path, json.dumps(summary(8)), "x_summary.json"))
    assert alone.concurrency == 8
    with pytest.raises(UserError, match="figures of whole tests and no single requests"):
        read_server_log(path)
    twice = written(tmp_path, json.dumps([summary(2), summary(2)]), "twice.json")
    with pytest.raises(UserError, match="holds two tests at concurrency 2"):
        read_concurrency(twice)


# --- the public files -----------------------------------------------------------------------------------------


def test_the_public_series_and_settings(raw_traces: Path) -> None:
    folder = raw_traces / "llmservingsim-vllm-bench"
    for path in sorted(folder.glob("*timeseries*.csv")):
        series = read_server_series(path)
        rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
        assert series.t_s.tolist() == [float(row[0]) for row in rows]
        assert series.running.tolist() == [float(row[3]) for row in rows]
        assert np.isnan(series.kv_share).all()
    dense, experts = (read_server_meta(path) for path in sorted(folder.glob("*meta.json")))
    assert (dense.model, dense.data_parallel, dense.n_gpus, dense.max_num_seqs) == (
        "meta-llama/Llama-3.1-8B",
        1,
        1,
        128,
    )
    assert (experts.data_parallel, experts.expert_parallel, experts.n_gpus) == (2, True, 2)


def test_the_public_tests_by_concurrency(raw_traces: Path) -> None:
    (path,) = raw_traces.joinpath("llmperf-bench-tgi-philschmid").glob("*_results.json")
    held = json.loads(path.read_text())
    tests = read_concurrency(path)
    assert [test.concurrency for test in tests] == [1, 2, 4, 8, 16, 32, 64, 128]
    for test in tests:
        run = held[str(test.concurrency)]
        assert test.ttft_s.p50 == run["results_ttft_s_quantiles_p50"]
        assert test.e2e_s.mean == run["results_end_to_end_latency_s_mean"]
        later_s = run["results_end_to_end_latency_s_mean"] - run["results_ttft_s_mean"]
        assert test.tpot_s.mean == later_s / (run["results_number_output_tokens_mean"] - 1)
