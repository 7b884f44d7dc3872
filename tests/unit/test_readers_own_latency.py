"""Latency tables of one's own, LLMPerf's forms, and files of other tools that hold no single requests."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from load_test_files import Row, llmperf, llmperf_record

from discosim.core.errors import UserError
from discosim.traces.engine_fit import read_iterations
from discosim.traces.readers import detect, read_any, read_latency, read_latency_groups
from discosim.traces.readers.runs import rows_by_name

# --- a table of one's own -------------------------------------------------------------------------------------


def table(folder: Path, text: str, name: str = "mine.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_services_order_and_errors(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "at_s,service,ttft_s,e2e_s,prompt_tok,output_tok,error\n"
        "30,a,0.3,0.7,100,5,\n10,b,0.9,1.1,90,3,0\n20,a,0.2,0.2,100,1,false\n40,a,,,,,429\n50,a,,,,,true\n",
    )
    groups = read_latency_groups(path)
    assert list(groups) == ["b", "a"]  # in the order of sending
    a = groups["a"]
    assert a.ttft_s.tolist() == [0.2, 0.3]
    np.testing.assert_allclose(a.seen_tpot_s, [0.1])
    assert a.is_failed.tolist() == [False, False, True, True]
    assert (a.notes["failed_429"], a.notes["failed_error"]) == (1, 1)
    assert a.prompt_tok is not None
    assert a.prompt_tok.tolist() == [100, 100]
    assert groups["b"].failure_share == 0.0


def test_services_whose_names_end_alike_are_kept_apart() -> None:
    rows = rows_by_name(["a", "a\0", "b", "a"])
    assert {name: own.tolist() for name, own in rows.items()} == {"a": [0, 3], "a\0": [1], "b": [2]}


def test_each_column_may_have_its_unit(tmp_path: Path) -> None:
    series = read_latency(table(tmp_path, "ttft_ms,tpot_us\n200,20000\n300,30000\n"))
    assert series.ttft_s.tolist() == pytest.approx([0.2, 0.3])
    assert series.tpot_s.tolist() == pytest.approx([0.02, 0.03])
    with pytest.raises(UserError, match="names its units itself"):
        read_latency(tmp_path / "mine.csv", unit="s")
    assert read_latency(table(tmp_path, "ttft_s,tpot_s\n200,20\n"), unit="ms").ttft_s.tolist() == pytest.approx([0.2])


def test_a_given_time_per_token_goes_before_a_computed_one(tmp_path: Path) -> None:
    path = table(tmp_path, "ttft_s,tpot_s,e2e_s,output_tok\n0.2,0.02,9.0,5\n0.2,,0.6,5\n")
    np.testing.assert_allclose(read_latency(path).tpot_s, [0.02, 0.1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ttft_s,tpot_s\nfast,0.02\n", "row 2 column ttft_s: expected a finite number of at least 0, got 'fast'"),
        ("ttft_s,tpot_s\n-0.2,0.02\n", "row 2 column ttft_s: expected a finite number of at least 0"),
        ("ttft_s,tpot_s\n0.2,inf\n", "row 2 column tpot_s"),
        ("ttft_s,e2e_s,output_tok\n0.2,0.1,5\n", "row 2 column e2e_s: is below ttft_s: are they in the unit"),
        ("ttft_s,e2e_s,output_tok\n0.2,0.3,5.5\n", "row 2 column output_tok: expected a whole number"),
        ("at_s,ttft_s,tpot_s\nnoon,0.2,0.02\n", "row 2 column at_s: expected a finite number"),
    ],
)
def test_bad_tables(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        read_latency(table(tmp_path, text))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            '{"ttft_s": "0.13", "tpot_s": 0.02}',
            'row 2 column ttft_s: expected a finite number of at least 0, got "0.13"',
        ),
        ('{"ttft_s": true, "tpot_s": 0.02}', "row 2 column ttft_s: expected a finite number of at least 0, got true"),
        ('{"ttft_s": [0.1], "tpot_s": 0.02}', "row 2 column ttft_s: expected a finite number of at least 0, got [0.1]"),
        ('{"ttft_s": 1e400, "tpot_s": 0.02}', "row 2"),
        ("7", "row 2: expected a JSON object"),
    ],
)
def test_values_of_the_wrong_kind(tmp_path: Path, line: str, message: str) -> None:
    path = table(tmp_path, '{"ttft_s": 0.1, "tpot_s": 0.02}\n' + line + "\n", "mine.jsonl")
    with pytest.raises(UserError) as caught:
        read_latency(path)
    assert message in str(caught.value)


def test_a_table_that_lacks_a_figure_says_what_it_needs(tmp_path: Path) -> None:
    path = table(tmp_path, "ttft_s,output_tok\n0.2,5\n")
    with pytest.raises(
        UserError, match=r"needs ttft_s with tpot_s, or with e2e_s and output_tok .*: ttft_s, output_tok"
    ):
        read_latency(path, format="native_latency")


# --- LLMPerf --------------------------------------------------------------------------------------------------


def test_failed_records_may_lack_everything_else(tmp_path: Path) -> None:
    path = tmp_path / "acme_7b.json"
    bare: list[dict[str, Any]] = [{"error_code": 500, "error_msg": "no"}, llmperf_record(Row(0.4, 0.02, 6))]
    path.write_text(json.dumps([llmperf_record(Row(0.5, 0.02, 11)), *bare]))
    series = read_latency(path)
    assert series.is_failed.tolist() == [False, True, False]
    assert series.ttft_s.tolist() == [0.5, 0.4]


def test_a_code_of_zero_is_no_error_and_said(tmp_path: Path) -> None:
    head = "ttft_s,end_to_end_latency_s,input_tokens,output_tokens,error_code\n"
    path = table(tmp_path, head + "0.5,0.7,100,11,0\n0.4,0.6,100,11,200\n0,0,100,0,429.0\n")
    series = read_latency(path)
    assert series.is_failed.tolist() == [False, False, True]
    assert series.notes["failed_code_429"] == 1
    assert "error_code holds '0' once and '200' once, which was taken for no error." in series.warnings


def test_files_of_one_name_in_a_tar_are_kept_apart(tmp_path: Path) -> None:
    path = tmp_path / "all.tar"
    with tarfile.open(path, "w") as tar:
        for folder, ttft_s in (("monday", 0.5), ("tuesday", 0.7)):
            data = llmperf([Row(ttft_s, 0.02, 11)]).encode()
            info = tarfile.TarInfo(f"{folder}/acme_7b.json")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    groups = read_latency_groups(path, format="llmperf")
    assert {name: series.ttft_s.tolist() for name, series in groups.items()} == {"acme/7b": [0.5], "acme/7b#2": [0.7]}


@pytest.mark.parametrize("form", [lambda s: s, lambda s: {"1": s, "2": s}], ids=["one", "by_load"])
def test_the_summary_is_named_as_such(tmp_path: Path, form: Any) -> None:
    path = tmp_path / "acme_550_150_summary.json"
    summary = {"version": "2023-08-31", "model": "acme", "results_ttft_s_mean": 0.5, "results_error_rate": 0.0}
    path.write_text(json.dumps(form({**summary, "results_end_to_end_latency_s_mean": 3.0}), indent=2))
    assert detect(path).name == "llmperf"
    with pytest.raises(UserError, match=r"is LLMPerf's summary, .*; give the \.\.\._individual_responses\.json"):
        read_latency(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"error_code": null, "ttft_s": 0.1, "ttft_s": 0.2}]', 'gives the key "ttft_s" twice'),
        ('{"error_code": null, "ttft_s": 0.1}\n{"error_code": 1}\n', "row 1: no key 'end_to_end_latency_s'"),
        ("[1]", "record 1: expected a JSON object"),
        ("[[[[", "is not JSON"),
    ],
)
def test_bad_llmperf_files(tmp_path: Path, text: str, message: str) -> None:
    path = table(tmp_path, text, "a.json")
    with pytest.raises(UserError) as caught:
        read_latency(path, format="llmperf")
    assert message in str(caught.value)


# --- other tools ----------------------------------------------------------------------------------------------

LLAMA_BENCH = """| model          |       size |  params | backend | ngl |  test |            t/s |
| -------------- | ---------: | ------: | ------- | --: | ----: | -------------: |
| tiny 1B Q4     |   0.70 GiB |  1.24 B | Vulkan  |  99 | pp512 | 210.40 ± 1.20  |
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LLAMA_BENCH, "is a table of llama-bench"),
        ('[{"build_commit": "a", "n_prompt": 512, "n_gen": 0, "avg_ts": 210.4, "stddev_ts": 1.2}]', "llama-bench"),
        ("build_commit,n_prompt,n_gen,avg_ts,stddev_ts\na,512,0,210.4,1.2\n", "llama-bench"),
        ('{"experiments": [{"requests": [{"timestamp": 1, "response_timestamps": [2]}]}]}', "Perf Analyzer"),
        (
            '{"time_to_first_token": {"unit": "ms", "avg": 1, "p99": 2}, "inter_token_latency": {"avg": 1}}',
            "a summary of AIPerf",
        ),
        ("Metric,avg,min,max,p99,p90\nTime To First Token (ms),1,1,1,1,1\n", "a summary of AIPerf"),
        ('{"mean_ttft_ms": 1.0, "median_ttft_ms": 1.0}', "a summary of vLLM or SGLang"),
        ('{"elapsed_time": 1, "num_requests": 9, "tokens_per_second": 3}', "vllm bench throughput"),
        ('{"avg_latency": 1, "latencies": [], "percentiles": {}}', "vllm bench latency"),
        ('{"benchmarks": [{"results": [{"prompt_token_count": 3}]}]}', "GuideLLM 0.1"),
    ],
)
def test_files_of_other_tools_are_named(tmp_path: Path, text: str, words: str) -> None:
    path = table(tmp_path, text, "result.txt")
    with pytest.raises(UserError, match=words) as caught:
        read_any(path)
    assert str(caught.value).startswith(f"{path}: is a")


# --- speeds of devices and of iterations ----------------------------------------------------------------------

AIHUB = """precisions:
  w4:
    components:
      chat:
        performance_metrics:
          Phone:
            genie:
              llm_metrics:
                - context_length: 4096
                  time_to_first_token_range_milliseconds: {min: 58.0, max: 1856.5}
                  tokens_per_second: 12.5
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "tokens_per_second: 12.5",
            "tokens_per_second: 12.5\n                  tokens_per_second: 9",
            "m.perf.yaml:12",
        ),
        ("4096", "4096.5", "context_length: expected a whole number, got 4096.5"),
        ("12.5", "true", "tokens_per_second: expected a number above 0, got True"),
        ("12.5", "'12.5'", "tokens_per_second: expected a number above 0, got '12.5'"),
        ("12.5", ".nan", "tokens_per_second: expected a number above 0, got nan"),
        ("max: 1856.5", "max: 18.5", "time_to_first_token_range_milliseconds: max is below min"),
        ("Phone:", "Phone: [", "is not readable YAML"),
        ("12.5", "2024-13-45", "m.perf.yaml"),
    ],
)
def test_device_speeds_are_read_strictly(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        read_any(table(tmp_path, AIHUB.replace(old, new), "m.perf.yaml"), format="aihub")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("head", "row", "message"),
    [
        ("phase,batch,tokens,time_s", "decode,4,3,0.02", "row 2 column tokens: is below batch"),
        (
            "phase,batch,tokens,time_s",
            "decode,4,900,20",
            r"column time_s: the median iteration would take 20 s, as none",
        ),
        ("phase,batch,tokens,time_s", "decode,4,900,20", "in ms, call the column time_ms"),
        ("phase,batch,tokens,time_ms", "decode,4,900,0.00002", "in s, call the column time_s"),
        ("phase,batch,tokens,time_s,time_ms", "decode,4,900,0.02,20", "has both time_s and time_ms"),
        ("phase,batch,tokens,time_s,square_tokens", "prefill,2,100,0.02,4999", "expected the sum of squared prompt"),
        (
            "phase,batch,tokens,time_s,square_tokens",
            "prefill,2,100,0.02,10001",
            "from 5000 to 10000 for 100 tokens in 2",
        ),
    ],
)
def test_iteration_times_that_cannot_be_are_refused(tmp_path: Path, head: str, row: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_iterations(table(tmp_path, f"{head}\n{row}\n", "times.csv"))


def test_iteration_times_at_the_limits_are_read(tmp_path: Path) -> None:
    rows = "prefill,2,100,0.02,5000\nprefill,2,100,0.02,10000\ndecode,4,900,0.02,\n"
    held = read_iterations(table(tmp_path, "phase,batch,tokens,time_s,square_tokens\n" + rows, "times.csv"))
    assert held.square_tok[:2].tolist() == [5000, 10000]
