"""What counts in a load test: a TTFT where it was seen, a time per token where it was seen.

Every form of file is made from the same plain rows, and the expected figures are computed from those rows alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from load_test_files import WRITERS, Row, aiperf_record, guidellm_record, guidellm_run, own_parquet, vllm, written
from load_test_runs import BAD, SCENARIO

from discosim import load_scenario, simulate
from discosim.core.errors import UserError
from discosim.traces.check import check
from discosim.traces.own_digest import digest_latency
from discosim.traces.readers import detect, read_latency
from discosim.traces.readers.latency import tokens_by_gaps

ROWS = [
    Row(0.50, 0.020, 21),
    Row(0.30, 0.030, 11),
    Row(0.0, 0.0, 1, failed=True),
    Row(0.05, 0.0, 1),
    Row(0.25, 0.010, 5),
]
LONGER = [row for row in ROWS if not row.failed and row.output_tok > 1]


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


# --- answers of one token -------------------------------------------------------------------------------------


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
