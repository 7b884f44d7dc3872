"""What counts in a load test: a TTFT where it was seen, a time per token where it was seen, failures of the whole run.

Every form of file is made from the same plain rows, and the expected figures are computed from those rows alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from load_test_files import (
    WRITERS,
    Row,
    aiperf_record,
    guidellm,
    guidellm_record,
    guidellm_run,
    own_parquet,
    vllm,
    written,
)

from discosim import load_scenario, simulate
from discosim.core.errors import UserError
from discosim.traces.check import check
from discosim.traces.own_digest import digest_latency
from discosim.traces.readers import detect, read_latency, read_latency_groups
from discosim.traces.readers.latency import tokens_by_gaps

ROWS = [
    Row(0.50, 0.020, 21),
    Row(0.30, 0.030, 11),
    Row(0.0, 0.0, 1, failed=True),
    Row(0.05, 0.0, 1),
    Row(0.25, 0.010, 5),
]
LONGER = [row for row in ROWS if not row.failed and row.output_tok > 1]
SCENARIO = """
name: seen
replications: 2
workload: {kind: generate, n_requests: 400, n_users: 400, arrivals: {kind: poisson, rate_per_s: 2}, \
lengths: {kind: constant, prompt_tok: 100, output_tok: 21}}
devices: [{profile: snapdragon-8-elite-llama-3.2-1b}]
server: {kind: replay, SERVER, prices: {prompt_usd_per_mtok: 1, output_usd_per_mtok: 1, source: a test}}
cost: {exchange_rate_usd_per_j: 1.0e-7}
policies: [{kind: server_only}]
"""


@pytest.mark.parametrize("form", WRITERS)
def test_every_form_gives_the_same_times(tmp_path: Path, form: str) -> None:
    path = written(form, ROWS, tmp_path)
    assert detect(path).name == WRITERS[form][0]
    series = read_latency(path)
    np.testing.assert_allclose(series.seen_ttft_s, [0.50, 0.30, 0.05, 0.25], rtol=1e-12)
    np.testing.assert_allclose(series.seen_tpot_s, [0.020, 0.030, 0.010], rtol=1e-9)
    assert series.is_failed.tolist() == [False, False, True, False, False]
    assert series.attempt.tolist() == [0, 1, 3, 4]
    assert series.failure_share == 0.2
    assert (series.notes["unseen_ttft"], series.notes["unseen_tpot"]) == (0, 1)


def test_a_parquet_table_of_ones_own_gives_them_too(tmp_path: Path) -> None:
    series = read_latency(own_parquet(ROWS, tmp_path / "mine.parquet"), format="native_latency")
    assert series.seen_ttft_s.tolist() == [0.50, 0.30, 0.05, 0.25]
    assert series.seen_tpot_s.tolist() == [0.020, 0.030, 0.010]
    assert series.failure_share == 0.2


@pytest.mark.parametrize("form", WRITERS)
def test_a_ttft_of_zero_was_not_seen(tmp_path: Path, form: str) -> None:
    unseen = [Row(0.0, row.tpot_s, row.output_tok) for row in LONGER]
    series = read_latency(written(form, [*LONGER, *unseen], tmp_path))
    assert series.seen_ttft_s.mean() == pytest.approx(fmean(row.ttft_s for row in LONGER))
    assert series.seen_tpot_s.mean() == pytest.approx(fmean(row.tpot_s for row in LONGER))
    assert "The TTFT of 3 of 6 successes was not seen" in series.warnings[0]
    assert series.failure_share == 0.0


@pytest.mark.parametrize("form", ["llmperf", "llmperf_lines", "llmperf_csv", "openrouter", "own_whole_csv"])
def test_without_a_ttft_the_rest_of_an_answer_is_not_known_either(tmp_path: Path, form: str) -> None:
    """Where the file has the whole time alone, 4 s of an answer of 21 tokens are not 0.2 s a token."""
    series = read_latency(written(form, [*LONGER, Row(0.0, 0.2, 21)], tmp_path))
    assert series.seen_tpot_s.tolist() == pytest.approx([row.tpot_s for row in LONGER])


@pytest.mark.parametrize("form", WRITERS)
def test_a_file_without_any_ttft_is_refused_in_one_line(tmp_path: Path, form: str) -> None:
    path = written(form, [Row(0.0, row.tpot_s, row.output_tok) for row in LONGER], tmp_path)
    with pytest.raises(UserError, match="no success has a TTFT above 0 under") as caught:
        read_latency(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", WRITERS)
def test_a_file_of_failures_alone_is_refused(tmp_path: Path, form: str) -> None:
    with pytest.raises(UserError, match=r"none of the 2 attempts succeeded|no row has the status 'ok'|no known format"):
        read_latency(written(form, [Row(0, 0, 0, failed=True)] * 2, tmp_path))


def test_one_token_answers_count_in_the_replay_and_in_the_digest(tmp_path: Path) -> None:
    """Half of the answers have one token and a TTFT of 0.05 s, the others 0.5 s: the mean is 0.275 s."""
    path = written("llmperf_csv", [Row(0.5, 0.02, 21), Row(0.05, 0.0, 1)] * 30, tmp_path)
    (tmp_path / "s.yaml").write_text(SCENARIO.replace("SERVER", "series: a.csv"))
    run = simulate(load_scenario(tmp_path / "s.yaml"))
    # the series alternates, so 400 requests in its order have 200 of each, whatever row they begin with
    assert run.requests["ttft_s"].mean() == pytest.approx(0.275)
    assert run.requests["tpot_s"].mean() == pytest.approx(0.02)
    assert any(note.startswith("warning: server: The time per token of 30 of 60") for note in run.notes)
    digest = digest_latency(path)
    assert digest.moments["ttft_mean"] == pytest.approx(0.275)
    assert digest.moments["tpot_mean"] == pytest.approx(0.02)
    assert digest.n == 60
    assert any("time per token of 30 of 60" in quirk for quirk in digest.card.quirks)


def test_a_digest_counts_failures_over_all_attempts(tmp_path: Path) -> None:
    rows = [Row(0.5, 0.02, 21), Row(0.4, 0.02, 21), Row(0.0, 0.0, 0), Row(0, 0, 0, failed=True)]
    digest = digest_latency(written("llmperf_csv", rows, tmp_path))
    assert digest.failure_share == 0.5  # what has no tokens and no TTFT is no success, whatever its error says
    assert digest.n == 2


def test_what_is_doubted_about_a_digest_file_is_in_the_notes_of_its_run(tmp_path: Path) -> None:
    from discosim.cli import main

    source = written("vllm", [Row(0.5, 0.02, 21), Row(0.0, 0.02, 21)] * 30, tmp_path)
    assert main(["traces", "digest-latency", str(source), "--out", str(tmp_path / "d.json")]) == 0
    (tmp_path / "s.yaml").write_text(SCENARIO.replace("SERVER", "digest_file: d.json"))
    notes = simulate(load_scenario(tmp_path / "s.yaml")).notes
    assert any(note.startswith("warning: server: The TTFT of 30 of 60 successes was not seen") for note in notes)


def test_without_times_per_token_a_run_is_refused(tmp_path: Path) -> None:
    written("llmperf_csv", [Row(0.5, 0.0, 1)] * 3, tmp_path)
    (tmp_path / "s.yaml").write_text(SCENARIO.replace("SERVER", "series: a.csv"))
    with pytest.raises(UserError, match=r"a\.csv: holds no request with a time per token"):
        simulate(load_scenario(tmp_path / "s.yaml"))
    with pytest.raises(UserError, match="holds 0 requests with a time per token; a digest needs 2"):
        digest_latency(tmp_path / "a.csv")


def test_a_digest_of_equal_times_is_a_constant(tmp_path: Path) -> None:
    digest = digest_latency(written("llmperf_csv", [Row(0.5, 0.02, 21)] * 2, tmp_path))
    assert set(digest.ttft.table.values) == {0.5}
    assert (digest.ttft.latent_rho, digest.moments["ttft_tpot_pearson"]) == (0.0, 0.0)


# --- tokens and gaps ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stated", "gaps", "tokens"),
    [
        (7, [0.02] * 99, 100),  # counted again after the end, and shorter than the chunks
        (3, [0.02] * 50, 51),
        (100, [0.02] * 99, 100),
        (100, [0.04] * 49, 100),  # two tokens a chunk
        (5, [0.0001, 0.02, 0.02, 0.02, 0.02], 5),  # the role alone in the first chunk
        (5, [0.02, 0.02, 0.02, 0.02, 0.0001], 5),  # the reason of the end alone in the last
        (5, [0.0001, 0.02, 0.02, 0.02, 0.02, 0.0001], 5),
        (5, [0.02] * 5, 6),
        (1, [0.02], 2),
        (0, [0.0], 2),
        (4, [], 4),
    ],
)
def test_gaps_show_how_many_tokens_there_were_at_least(stated: int, gaps: list[float], tokens: int) -> None:
    assert tokens_by_gaps(stated, gaps) == tokens


def test_an_answer_counted_again_after_its_end_keeps_its_time_per_token(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    rows = [Row(0.1, 0.02, 100), Row(0.2, 0.04, 50)]
    path.write_text(vllm(rows, output_lens=[7, 3]))
    series = read_latency(path)
    np.testing.assert_allclose(series.tpot_s, [0.02, 0.04], rtol=1e-9)
    assert series.output_tok is not None
    assert series.output_tok.tolist() == [100, 50]
    assert series.notes["recounted_tok"] == 2
    assert "2 of 2 answers have more gaps" in series.warnings[0]


def test_the_same_holds_for_aiperf_and_guidellm(tmp_path: Path) -> None:
    """Both divide the time after the first token, 99 gaps of 20 ms, by what they count of the text: 7 tokens."""
    wrong_ms = 99 * 20.0 / 6
    record = aiperf_record(0, Row(0.1, wrong_ms / 1e3, 7))
    record["metrics"]["inter_chunk_latency"] = {"value": [20.0] * 99, "unit": "ms"}
    (tmp_path / "profile_export.jsonl").write_text(json.dumps(record))
    assert read_latency(tmp_path / "profile_export.jsonl").tpot_s.tolist() == pytest.approx([0.02])
    request = guidellm_record(0, Row(0.1, wrong_ms / 1e3, 7))
    request["info"] = {"timings": {"token_iterations": 100}}
    run = {**guidellm_run([]), "requests": {"successful": [request]}}
    (tmp_path / "benchmarks.json").write_text(
        json.dumps({"metadata": {"guidellm_version": "0.4"}, "benchmarks": [run]})
    )
    assert read_latency(tmp_path / "benchmarks.json").tpot_s.tolist() == pytest.approx([0.02])


# --- samples and totals ---------------------------------------------------------------------------------------

GOOD, BAD = Row(0.1, 0.02, 21), Row(0, 0, 0, failed=True)


def report(folder: Path, *runs: dict[str, Any], **args: Any) -> Path:
    path = folder / "benchmarks.json"
    path.write_text(json.dumps({"metadata": {"guidellm_version": "0.5.0"}, "args": args, "benchmarks": list(runs)}))
    return path


@pytest.mark.parametrize(
    "totals",
    [
        {"metrics": {"request_totals": {"successful": 1980, "errored": 20, "incomplete": 0, "total": 2000}}},
        {"metrics": {}, "request_totals": {"successful": 1980, "errored": 20, "incomplete": 0, "total": 2000}},
        {"metrics": {}, "total_count": {"successful": 1980, "errored": 20, "incomplete": 0}},
        {"metrics": {}, "run_stats": {"requests_made": {"successful": 1980, "errored": 20, "incomplete": 0}}},
        {"metrics": {}, "scheduler_metrics": {"requests_made": {"successful": 1980, "errored": 20, "incomplete": 0}}},
    ],
)
def test_failures_of_a_sampled_report_are_those_of_the_run(tmp_path: Path, totals: dict[str, Any]) -> None:
    path = report(tmp_path, guidellm_run([GOOD, BAD] * 20, **totals), sample_requests=20)
    series = read_latency(path)
    assert series.failure_share == 20 / 2000
    assert "20 of 1,980 successes are in the file (sample_requests: 20)" in series.warnings[0]
    assert digest_latency(path).failure_share == 0.01
    (tmp_path / "s.yaml").write_text(SCENARIO.replace("SERVER", "series: benchmarks.json, failures: measured"))
    failed = (simulate(load_scenario(tmp_path / "s.yaml")).requests["status"] == "failed").mean()
    # 800 requests fail with 0.01 each: more than 3 % of them do so once in 10,000 seeds, and this is one seed
    assert failed < 0.03


def test_a_whole_report_says_nothing_about_samples(tmp_path: Path) -> None:
    series = read_latency(report(tmp_path, guidellm_run([GOOD, BAD] * 20), sample_requests=50))
    assert (series.failure_share, series.totals, series.warnings) == (0.5, None, ())


def test_requests_that_the_end_of_the_run_cut_off_are_counted_from_the_totals(tmp_path: Path) -> None:
    totals = {"request_totals": {"successful": 10, "errored": 0, "incomplete": 30, "total": 40}}
    series = read_latency(report(tmp_path, guidellm_run([GOOD] * 10, metrics=totals)))
    assert series.notes["dropped_incomplete"] == 30
    assert "30 requests were cut off by the end of the run, beside 10 that ended" in series.warnings[0]


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


def test_a_report_that_keeps_no_requests_is_named_as_such(tmp_path: Path) -> None:
    run = guidellm_run([], metrics={"request_totals": {"successful": 1980, "errored": 20, "incomplete": 0}})
    with pytest.raises(
        UserError, match=r"holds none of the 1,980 successful requests of the run \(sample_requests: 0\)"
    ):
        read_latency(report(tmp_path, run, sample_requests=0))
    with pytest.raises(
        UserError, match=r"holds none of the 1,980 successful requests of the run \(sample_requests: 0\)"
    ):
        read_latency(report(tmp_path, {**run, "config": {"sample_requests": 0}}))


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


@pytest.mark.parametrize("value", ["20", 1.5, -1, True, [20]])
def test_totals_that_are_no_counts_are_refused(tmp_path: Path, value: Any) -> None:
    path = report(tmp_path, guidellm_run([GOOD], metrics={"request_totals": {"successful": value}}))
    with pytest.raises(UserError, match="expected a whole number of successful requests in the totals"):
        read_latency(path)


# --- vLLM's totals --------------------------------------------------------------------------------------------


def run_file(folder: Path, rows: list[Row], **changed: Any) -> Path:
    path = folder / "run.json"
    path.write_text(vllm(rows, **changed))
    return path


def test_failures_without_a_text_are_told_by_what_was_not_seen(tmp_path: Path) -> None:
    """A refusal without a reason leaves an empty error, no tokens, no gaps and a TTFT of 0."""
    rows = [GOOD, BAD, GOOD, BAD]
    for changed in ({}, {"completed": None}, {"completed": 2}, {"failed": 2}):
        series = read_latency(run_file(tmp_path, rows, errors=["", "", "", "x"], **changed))
        assert series.is_failed.tolist() == [False, True, False, True]
        assert (series.notes["failed_without_text"], series.notes["failed_error"]) == (1, 1)
        assert series.warnings == (
            "1 of 4 attempts have no tokens, no gaps and no TTFT, and no word of an error: counted as failures.",
        )
    series = read_latency(run_file(tmp_path, rows, errors=[""] * 4, completed=4))
    assert series.failure_share == 0.5
    assert "The file says that 4 requests were completed; its lists hold 2 successes." in series.warnings
    # tokens, or a gap, say that an answer came
    series = read_latency(run_file(tmp_path, rows, errors=[""] * 4, output_lens=[21, 5, 21, 5]))
    assert (series.failure_share, series.notes["unseen_ttft"]) == (0.0, 2)


@pytest.mark.parametrize(
    "form", ["vllm", "sglang", "aiperf", "llmperf_csv", "llmperf_lines", "own_csv", "own_json", "guidellm"]
)
def test_no_tokens_no_gaps_and_no_ttft_is_no_success(form: str, tmp_path: Path) -> None:
    series = read_latency(written(form, [GOOD, Row(0, 0, 0), GOOD], tmp_path))
    assert series.failure_share == pytest.approx(1 / 3)
    assert any(doubt.startswith("1 of 3 attempts have no tokens, no gaps and no TTFT") for doubt in series.warnings)


def test_a_list_of_errors_that_is_absent_says_that_none_are_known(tmp_path: Path) -> None:
    run = json.loads(vllm([GOOD, BAD, GOOD]))
    del run["errors"]
    path = tmp_path / "run.json"
    path.write_text(json.dumps(run))
    series = read_latency(path)
    assert series.is_failed.tolist() == [False, True, False]
    assert series.warnings[0].startswith("The file holds no list 'errors'")


def test_lists_that_hold_fewer_requests_than_the_run(tmp_path: Path) -> None:
    series = read_latency(run_file(tmp_path, [GOOD, BAD], completed=90, failed=10, num_prompts=100))
    assert series.failure_share == 0.1
    assert "The lists hold 2 of the 100 requests of the run" in series.warnings[0]
    series = read_latency(run_file(tmp_path, [GOOD, BAD], completed=90, num_prompts=100))
    assert series.failure_share == 0.1


def test_a_count_that_contradicts_the_lists_is_said(tmp_path: Path) -> None:
    series = read_latency(run_file(tmp_path, [GOOD, GOOD], completed=1))
    assert "The file says that 1 requests were completed; its lists hold 2 successes." in series.warnings
    with pytest.raises(UserError, match=r"run\.json completed: expected a whole number of requests, got \"2\""):
        read_latency(run_file(tmp_path, [GOOD], completed="2"))


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


# --- names that changed ---------------------------------------------------------------------------------------


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


def test_requests_that_aiperf_cancelled_itself_are_no_failures(tmp_path: Path) -> None:
    old = aiperf_record(1, BAD, old=True)
    old["error"] = {"code": 499, "type": "RequestCancellationError", "message": "cancelled"}
    path = tmp_path / "profile_export.jsonl"
    path.write_text("\n".join(json.dumps(r) for r in (aiperf_record(0, GOOD, old=True), old)))
    series = read_latency(path)
    assert (series.failure_share, series.notes["dropped_cancelled"]) == (0.0, 1)


def test_a_sample_of_each_outcome_without_totals_says_that_the_share_is_unknown(tmp_path: Path) -> None:
    rows = [*[GOOD] * 20, *[BAD] * 20]

    def report(**args: Any) -> Path:
        held = json.loads(guidellm(rows))
        for run in held["benchmarks"]:
            for name in ("metrics", "request_totals", "scheduler_metrics", "run_stats"):
                run.pop(name, None)
        path = tmp_path / "g.json"
        path.write_text(json.dumps({**held, "args": args}))
        return path

    assert "the share of failures is unknown" in read_latency(report(sample_requests=20)).warnings[0]
    assert "the share of failures is unknown" in read_latency(report(sample_requests=20.0)).warnings[0]
    assert read_latency(report(sample_requests=100)).warnings == ()  # neither outcome was cut
    assert read_latency(report()).warnings == ()


def test_totals_that_are_written_as_fractions_are_whole(tmp_path: Path) -> None:
    held = json.loads(guidellm([GOOD] * 20 + [BAD] * 20))
    held["benchmarks"][0].setdefault("metrics", {})["request_totals"] = {"successful": 1980.0, "errored": 20.0}
    path = tmp_path / "g.json"
    path.write_text(json.dumps(held))
    assert read_latency(path).failure_share == 0.01
    held["benchmarks"][0]["metrics"]["request_totals"]["successful"] = 1980.5
    path.write_text(json.dumps(held))
    with pytest.raises(UserError, match="expected a whole number of successful requests"):
        read_latency(path)


@pytest.mark.parametrize("form", ["vllm", "sglang", "aiperf", "guidellm", "llmperf_csv", "own_csv", "own_json"])
def test_answers_of_one_token_alone_have_a_ttft_and_say_so(form: str, tmp_path: Path) -> None:
    path = written(form, [Row(0.25, 0.0, 1), Row(0.3, 0.0, 1), BAD], tmp_path)
    series = read_latency(path)
    assert series.seen_ttft_s == pytest.approx([0.25, 0.3])
    assert series.seen_tpot_s.size == 0
    assert "The output length of all 2 successes is 1 token: there is no time per token." in series.warnings
    told = check(path)
    assert not any(line.startswith("tpot_s") for line in told.splitlines())
    assert "nan" not in told
    with pytest.raises(UserError, match=r"with a time per token; a digest needs 2 \(the output length of all"):
        digest_latency(path)


@pytest.mark.parametrize("form", ["llmperf_csv", "llmperf", "own_csv"])
def test_tokens_that_are_not_counted_are_no_answers_of_one(form: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no success has a (count of tokens|time per token) above 0 under"):
        read_latency(written(form, [Row(0.25, 0.0, 0), Row(0.3, 0.0, 0)], tmp_path))


def test_two_units_of_one_time_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for head in ("ttft_s,ttft_ms,tpot_s", "ttft_s,tpot_s,tpot_us", "ttft_s,e2e_s,total_s,output_tok"):
        names = head.split(",")
        path.write_text(head + "\n" + ",".join("1" for _ in names) + "\n")
        with pytest.raises(UserError, match=r"a\.csv row 1: has both \w+ and \w+; leave one"):
            read_latency(path)
