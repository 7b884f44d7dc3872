"""Units of measured times: what no service has is refused with the key that settles it, and what is said counts.

Limits are those of `discosim.traces.readers.units`; the times here are ordinary ones, written in a wrong unit.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from load_test_files import WRITERS, Row, guidellm_run, vllm, written

from discosim import load_scenario, simulate
from discosim.cli import main
from discosim.core.errors import UserError
from discosim.traces.check import check, inspect_trace
from discosim.traces.own_digest import digest_latency
from discosim.traces.readers import read_latency, read_rtt
from discosim.traces.readers.units import OUTLIER_RATIO

S = [Row(0.412, 0.028, 96), Row(0.5, 0.03, 70), Row(0.3, 0.02, 120)]
NAMED = {"aiperf", "aiperf_old"}
"""Forms that name a unit beside each value."""


def times(rows: list[Row], factor: float) -> list[Row]:
    return [Row(row.ttft_s * factor, row.tpot_s * factor, row.output_tok) for row in rows]


@pytest.mark.parametrize("form", sorted(set(WRITERS) - NAMED))
def test_times_in_ms_where_the_format_has_s_and_the_reverse(tmp_path: Path, form: str) -> None:
    """A file in another unit than its format's is refused with that unit, and read once it is said."""
    is_ms = form in {"guidellm", "guidellm_02", "openrouter", "own_whole_csv"}
    factor, unit = (1e-3, "s") if is_ms else (1e3, "ms")
    path = written(form, times(S, factor), tmp_path)
    with pytest.raises(
        UserError, match=f"no service is like that, so the file's times are probably in {unit}; "
    ) as caught:
        read_latency(path)
    assert "say which with server.series_unit or --unit (s, ms, us, ns)" in str(caught.value)
    assert str(path) in str(caught.value)
    series = read_latency(path, unit=unit)
    np.testing.assert_allclose(series.ttft_s, [row.ttft_s for row in S], rtol=1e-9)
    np.testing.assert_allclose(series.tpot_s, [row.tpot_s for row in S], rtol=1e-9)


@pytest.mark.parametrize("form", sorted(NAMED))
def test_a_file_that_names_its_units_is_not_told_another(tmp_path: Path, form: str) -> None:
    with pytest.raises(UserError, match="names its units itself"):
        read_latency(written(form, S, tmp_path), unit="ms")


def test_a_file_that_names_its_units_is_doubted_and_read(tmp_path: Path) -> None:
    series = read_latency(written("aiperf", times(S, 1e3), tmp_path))
    assert series.warnings == ("The medians would be TTFT 412 s and time per token 28 s: no service is like that.",)


def test_the_units_own_name_changes_nothing(tmp_path: Path) -> None:
    path = written("llmperf_csv", S, tmp_path)
    assert read_latency(path, unit="s").ttft_s.tolist() == read_latency(path).ttft_s.tolist()
    with pytest.raises(UserError, match="unknown unit of time 'sec'; "):
        read_latency(path, unit="sec")


@pytest.mark.parametrize(
    ("ttft_s", "tpot_s", "is_refused"),
    [
        (0.2, 0.02, False),
        (120.0, 0.02, False),  # a queue of two minutes
        (601.0, 0.02, True),
        (0.2, 0.9, False),  # a large model on a small machine
        (0.2, 1.1, True),
        (2e-3, 3e-4, False),  # a small model beside the client
        (9e-4, 3e-4, True),
        (1.2, 3e-5, False),  # answers in bursts
        (5e-3, 3e-5, True),
        (0.00041, 0.000028, True),
    ],
)
def test_what_no_service_has_is_refused(tmp_path: Path, ttft_s: float, tpot_s: float, is_refused: bool) -> None:
    path = written("own_csv", [Row(ttft_s, tpot_s, 20)] * 3, tmp_path)
    if is_refused:
        with pytest.raises(UserError, match=r"server\.series_unit or --unit"):
            read_latency(path)
    else:
        assert len(read_latency(path)) == 3
    # who says the unit has settled it; the doubt stays
    said = read_latency(path, unit="s")
    assert any("no service is like that" in doubt for doubt in said.warnings) == is_refused


def test_long_queues_bursts_and_odd_rows_are_notes(tmp_path: Path) -> None:
    def doubts(*rows: Row) -> str:
        return " ".join(read_latency(written("own_csv", list(rows), tmp_path)).warnings)

    assert "The median TTFT is 120 s: a long queue, or ms taken for s" in doubts(*[Row(120, 0.02, 9)] * 3)
    assert "answers arrive in bursts" in doubts(*[Row(1.2, 3e-5, 9)] * 3)
    assert doubts(*[Row(0.2, 0.02, 9)] * 3, Row(0.2 * (OUTLIER_RATIO - 1), 0.02, 9)) == ""
    assert "The TTFT of 1 of 4 requests is more than 300 times off" in doubts(
        *[Row(0.2, 0.02, 9)] * 3, Row(200, 0.02, 9)
    )
    assert "The TTFT of 1 of 4 requests" in doubts(*[Row(0.2, 0.02, 9)] * 3, Row(0.0002, 0.02, 9))
    assert "The time per token of 1 of 4" in doubts(*[Row(0.2, 0.02, 9)] * 3, Row(0.2, 20.0, 9))
    assert doubts(*[Row(0.2, 0.02, 9)] * 3, Row(0.2, 1e-6, 9)) == ""  # a burst is no fault


def test_columns_in_two_units_are_named_as_such(tmp_path: Path) -> None:
    head = "ttft_s,end_to_end_latency_s,input_tokens,output_tokens,error_code\n"
    path = tmp_path / "a.csv"
    path.write_text(head + "0.4,3.1,100,96,\n412,3.1,100,96,\n")
    with pytest.raises(UserError, match=r"row 3 .* is below ttft_s \('3.1' and '412'\).*in the same unit\?"):
        read_latency(path)
    path.write_text(head + "0.412,3100,100,96,\n" * 3)  # a TTFT in s, the whole in ms: 32.6 s a token
    with pytest.raises(UserError, match="no one unit mends it: are its columns in different units"):
        read_latency(path)


def test_a_ttft_longer_than_its_run_is_no_ttft(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    mixed = [Row(130.0 + i, 0.02, 21) for i in range(5)]  # ms, beside gaps in s: a queue would explain it
    path.write_text(vllm(mixed, duration=9.0))
    with pytest.raises(
        UserError, match=r"median TTFT would be 132 s in a run that took 9 s: are its times in different"
    ):
        read_latency(path)
    path.write_text(vllm(mixed, duration=900.0, median_ttft_ms=132.0))
    with pytest.raises(UserError, match=r"would be 132 s, and the file's own summary says 0\.132 s"):
        read_latency(path)
    path.write_text(vllm(mixed, duration=900.0, median_ttft_ms=132_000.0))
    assert read_latency(path).ttft_s[0] == 130.0
    runs = {"metrics": {"time_to_first_token_ms": {"successful": {"median": 132.0}}}}
    report = {"metadata": {"guidellm_version": "0.4"}, "benchmarks": [guidellm_run(mixed, **runs)]}
    (tmp_path / "benchmarks.json").write_text(json.dumps(report))
    with pytest.raises(UserError, match="the file's own summary says"):
        read_latency(tmp_path / "benchmarks.json")


# --- from the keys --------------------------------------------------------------------------------------------


def scenario(folder: Path, server: str) -> Path:
    path = folder / "s.yaml"
    path.write_text(
        "name: units\nreplications: 1\n"
        "workload: {kind: generate, n_requests: 60, arrivals: {kind: poisson, rate_per_s: 1}, "
        "lengths: {kind: constant, prompt_tok: 10, output_tok: 21}}\n"
        "devices: [{profile: snapdragon-8-elite-llama-3.2-1b}]\n"
        f"server: {{kind: replay, {server}, prices: {{prompt_usd_per_mtok: 1, output_usd_per_mtok: 1}}}}\n"
        "cost: {exchange_rate_usd_per_j: 1.0e-7}\npolicies: [{kind: server_only}]\n"
    )
    return path


def test_the_scenario_says_the_unit(tmp_path: Path) -> None:
    written("llmperf_csv", [Row(412.0, 28.0, 21)] * 9, tmp_path)
    with pytest.raises(UserError, match=r"a\.csv: a: The medians would be TTFT 412 s and time per token 28 s"):
        simulate(load_scenario(scenario(tmp_path, "series: a.csv")))
    run = simulate(load_scenario(scenario(tmp_path, "series: a.csv, series_unit: ms")))
    assert run.requests["ttft_s"].mean() == pytest.approx(0.412)
    assert run.requests["tpot_s"].mean() == pytest.approx(0.028)
    with pytest.raises(UserError, match=r"server\.series_unit: has a meaning only beside series"):
        load_scenario(scenario(tmp_path, "digest: openrouter-gpt-5.4, series_unit: ms"))
    with pytest.raises(UserError, match=r"server\.series_unit.*'?sec"):
        load_scenario(scenario(tmp_path, "series: a.csv, series_unit: sec"))


def test_the_commands_say_the_unit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written("llmperf_csv", [Row(412.0, 28.0, 21)] * 9, tmp_path)
    out = tmp_path / "d.json"
    assert main(["traces", "digest-latency", str(path), "--out", str(out)]) == 2
    assert "probably in ms" in capsys.readouterr().err
    assert not out.exists()
    assert main(["traces", "digest-latency", str(path), "--out", str(out), "--unit", "ms"]) == 0
    assert "were said to be in ms" in capsys.readouterr().out
    assert digest_latency(path, unit="ms").moments["ttft_mean"] == pytest.approx(0.412)
    assert main(["traces", "check", str(path)]) == 2
    assert main(["traces", "check", str(path), "--unit", "ms"]) == 0
    assert "0.412" in capsys.readouterr().out


def test_check_refuses_a_unit_where_there_are_no_times(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("num_prefill_tokens,num_decode_tokens\n1,2\n")
    with pytest.raises(UserError, match="holds lengths; a unit is said for"):
        check(path, unit="ms")


def test_one_odd_service_among_others_is_a_warning_in_a_check(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("ttft_s,tpot_s,service\n" + "0.2,0.02,a\n" * 3 + "412,28,b\n" * 3)
    good, odd = inspect_trace(path).sections
    assert good.warnings == ()
    assert "no service is like that" in odd.warnings[0]
    assert len(read_latency(path, group="a")) == 3
    with pytest.raises(UserError, match="probably in ms"):
        read_latency(path, group="b")


@pytest.mark.parametrize(("text", "unit"), [("0.0112\n0.0109\n", "s"), ("11200\n10900\n", "us")])
def test_round_trips_too(tmp_path: Path, text: str, unit: str) -> None:
    path = tmp_path / "rtt.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=f"probably in {unit}"):
        read_rtt(path)
    assert read_rtt(path, unit=unit).rtt_s.tolist() == pytest.approx([0.0112, 0.0109])


def test_what_is_in_the_summary_may_be_no_number(tmp_path: Path) -> None:
    """SGLang writes Infinity for a rate, and both write NaN for what they have not seen."""
    path = tmp_path / "run.json"
    odd: dict[str, Any] = {"request_rate": float("inf"), "mean_tpot_ms": float("nan"), "median_ttft_ms": float("nan")}
    path.write_text(vllm(S, duration=None, **odd))
    assert len(read_latency(path)) == 3


def test_nanoseconds_are_a_unit_of_latencies(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("ttft_s,tpot_s\n250000000,20000000\n300000000,30000000\n")
    with pytest.raises(UserError, match="so the file's times are probably in ns"):
        read_latency(path)
    assert read_latency(path, unit="ns").ttft_s == pytest.approx([0.25, 0.3])
    path.write_text("ttft_ns,tpot_ns\n250000000,20000000\n")
    assert read_latency(path).tpot_s == pytest.approx([0.02])
