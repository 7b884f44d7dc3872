"""Several runs in one file, and figures under names that nobody knows: each has one name, or is asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from load_test_files import Row, aiperf_record, guidellm_record, guidellm_run, vllm
from load_test_runs import BAD, GOOD, report

from discosim.core.errors import UserError
from discosim.traces.readers import read_latency, read_latency_groups


def test_a_run_without_requests_does_not_block_the_others(tmp_path: Path) -> None:
    path = report(tmp_path, guidellm_run([GOOD] * 2), guidellm_run([]), guidellm_run([Row(0.2, 0.02, 21)] * 2))
    assert read_latency(path, group="benchmarks#3").ttft_s.tolist() == pytest.approx([0.2, 0.2])
    assert (
        "Left out, as nothing was seen in them: benchmarks#2 (1 of 3 runs"
        in read_latency(path, group="benchmarks#1").warnings[0]
    )
    with pytest.raises(UserError, match="holds 2 series; name one of: benchmarks#1, benchmarks#3"):
        read_latency(path)
    with pytest.raises(
        UserError, match=r"'benchmarks#2' is empty\. The run holds no times: holds no successful or errored"
    ):
        read_latency(path, group="benchmarks#2")
    for empty in (guidellm_run([]), guidellm_run([], requests=None), guidellm_run([], requests={})):
        assert read_latency(report(tmp_path, guidellm_run([GOOD]), empty)).ttft_s.tolist() == [0.1]


def test_runs_of_a_sweep_are_told_apart_by_their_load(tmp_path: Path) -> None:
    loads = [
        {"config": {"strategy": {"type_": "synchronous"}}},
        {"config": {"strategy": {"type_": "constant", "rate": 2.5}}},
        {"args": {"strategy": {"type_": "concurrent", "streams": 8}}},
    ]
    path = report(tmp_path, *(guidellm_run([GOOD], **load) for load in loads))
    names = ["benchmarks#1 synchronous", "benchmarks#2 constant@2.5", "benchmarks#3 concurrent@8"]
    assert list(read_latency_groups(path)) == names
    assert read_latency(path, group="benchmarks#2").group == names[1]
    assert read_latency(path, group=names[2]).group == names[2]


def test_one_run_without_details_does_not_block_the_others(tmp_path: Path) -> None:
    path = tmp_path / "runs.json"
    bare = {"model_id": "acme/chat", "total_input_tokens": 1, "request_throughput": 1.0}
    path.write_text("\n".join([json.dumps(bare), vllm([GOOD]), vllm([BAD])]))
    series = read_latency(path)
    assert series.group == "acme/chat#2"
    assert "acme/chat, acme/chat#3 (2 of 3 runs" in series.warnings[-1]


def test_names_of_runs_never_meet(tmp_path: Path) -> None:
    path = tmp_path / "runs.json"
    names = ["a#2", "a", "a", "", None]
    path.write_text("\n".join(vllm([Row(0.1 + i, 0.02, 5)], model_id=name) for i, name in enumerate(names)))
    groups = read_latency_groups(path)
    assert list(groups) == ["a#2", "a", "a#3", "runs", "runs#2"]
    assert [s.ttft_s[0] for s in groups.values()] == pytest.approx([0.1, 1.1, 2.1, 3.1, 4.1])


def test_figures_under_unknown_names_are_asked_for_with_the_nearest(tmp_path: Path) -> None:
    record = aiperf_record(0, GOOD)
    record["metrics"]["inter_token_latency_ms"] = record["metrics"].pop("inter_token_latency")
    path = tmp_path / "profile_export.jsonl"
    path.write_text(json.dumps(record))
    with pytest.raises(UserError) as caught:
        read_latency(path)
    assert "no success has a time per token; looked for 'inter_token_latency'" in str(caught.value)
    assert "nearest names: inter_token_latency_ms" in str(caught.value)
    request = guidellm_record(0, GOOD)
    request["ttft_ms"] = request.pop("time_to_first_token_ms")
    run = {**guidellm_run([]), "requests": {"successful": [request]}, "metrics": {}}
    with pytest.raises(UserError, match="no success has a TTFT; looked for 'time_to_first_token_ms'; "):
        read_latency(report(tmp_path, run))


def test_two_units_of_one_time_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for head in ("ttft_s,ttft_ms,tpot_s", "ttft_s,tpot_s,tpot_us", "ttft_s,e2e_s,total_s,output_tok"):
        names = head.split(",")
        path.write_text(head + "\n" + ",".join("1" for _ in names) + "\n")
        with pytest.raises(UserError, match=r"a\.csv row 1: has both \w+ and \w+; leave one"):
            read_latency(path)
