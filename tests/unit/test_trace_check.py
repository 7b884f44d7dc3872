"""The report on a trace file: every printed figure against a plain computation."""

from __future__ import annotations

import hashlib
import lzma
from pathlib import Path

import numpy as np
import pytest

from discosim.core.errors import UserError
from discosim.traces.check import PERCENTS, check, inspect_trace, lag1


@pytest.fixture
def native(tmp_path: Path) -> Path:
    rng = np.random.default_rng(5)
    arrival_s = np.sort(np.round(rng.exponential(2.0, 200).cumsum(), 1))
    rows = [
        f"{t:.1f},{p},{o},u{i % 3}"
        for i, (t, p, o) in enumerate(zip(arrival_s, rng.integers(1, 900, 200), rng.integers(1, 90, 200), strict=True))
    ]
    path = tmp_path / "mine.csv.xz"
    path.write_bytes(lzma.compress(("arrival_s,prompt_tok,output_tok,user_id\n" + "\n".join(rows) + "\n").encode()))
    return path


def test_request_facts_equal_a_plain_computation(native: Path) -> None:
    raw = lzma.decompress(native.read_bytes())
    table = np.array([line.split(b",")[:3] for line in raw.splitlines()[1:]], dtype=float)
    gaps = np.diff(table[:, 0])
    report = inspect_trace(native)
    assert report.facts["kind"] == "requests"
    assert report.facts["sha256_raw"] == hashlib.sha256(raw).hexdigest()
    assert report.facts["sha256_stored"] == hashlib.sha256(native.read_bytes()).hexdigest()
    (section,) = report.sections
    assert section.facts["requests"] == 200
    assert section.facts["n_users"] == 3
    assert section.facts["span_s"] == table[-1, 0] - table[0, 0]
    assert section.facts["rate_per_s"] == pytest.approx(199 / (table[-1, 0] - table[0, 0]))
    assert section.facts["gap_cv"] == pytest.approx(gaps.std() / gaps.mean())
    assert section.facts["tied_share"] == np.mean(gaps == 0)
    by_name = {q.name: q for q in section.tables}
    for name, sample in {"gap_s": gaps, "prompt_tok": table[:, 1], "output_tok": table[:, 2]}.items():
        np.testing.assert_allclose(by_name[name].values, np.percentile(sample, PERCENTS))
        assert by_name[name].n == sample.size


def test_text_is_fixed_width_and_the_same_twice(native: Path) -> None:
    text = check(native)
    assert text == check(native, format="native")
    assert text.endswith("\n")
    lines = text.splitlines()
    head = next(i for i, line in enumerate(lines) if line.lstrip().startswith("n "))
    assert lines[head].split() == ["n", *(f"p{p}" for p in PERCENTS), "mean", "lag1"]
    assert {len(line) for line in lines[head : head + 4]} == {len(lines[head])}
    for word in ("file", "format", "sha256_raw", "sha256_stored", "span_s", "rate_per_s", "gap_cv", "tied"):
        assert any(line.split()[:1] == [word] for line in lines)


def test_lag1_of_a_known_series() -> None:
    x = np.array([1.0, 2.0, 3.0, 4.0])
    # deviations -1.5 -0.5 0.5 1.5; pair products 0.75 -0.25 0.75; variance 1.25
    assert lag1(x) == pytest.approx((1.25 / 3) / 1.25)
    assert lag1(np.array([1.0, 1.0, 1.0])) is None
    assert lag1(np.array([1.0, 2.0])) is None
    assert lag1(np.array([5.0, np.nan, 1.0, np.nan, 3.0])) is None


def test_lag1_leaves_out_pairs_across_gaps_and_recordings() -> None:
    x = np.array([1.0, 2.0, np.nan, 3.0, 4.0])
    assert lag1(x) == pytest.approx((0.75 + 0.75) / 2 / 1.25)
    y = np.array([1.0, 2.0, 3.0, 4.0])
    assert lag1(y, np.array([0, 0, 1, 1])) == pytest.approx((0.75 + 0.75) / 2 / 1.25)


def test_lag1_finds_the_memory_of_an_autoregressive_series() -> None:
    rng = np.random.default_rng(8)
    x = np.zeros(20_000)
    for i, shock in enumerate(rng.standard_normal(x.size - 1)):
        x[i + 1] = 0.6 * x[i] + shock
    # standard error sqrt((1 - 0.36) / n) = 0.0057; 4.5 of them: false alarm below 1e-5
    assert lag1(x) == pytest.approx(0.6, abs=4.5 * 0.0057)


def test_latency_report_names_groups_failures_and_no_trap(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text(
        "provider,model,index,ttft_s,inter_token_latency_s,end_to_end_latency_s,input_tokens,output_tokens,error_code\n"
        "a,7b,0,0.5,0.9,1.5,550,101,\na,7b,1,0.25,0.9,0.45,550,11,\na,7b,2,,,,,,429\nb,7b,0,,,,,,429\n"
    )
    report = inspect_trace(path)
    first, second = report.sections
    assert (first.title, second.title) == ("a/7b", "b/7b")
    assert first.facts["failure_share"] == pytest.approx(1 / 3)
    tables = {q.name: q for q in first.tables}
    assert tables["tpot_s"].values[4] == pytest.approx(0.015)
    assert second.facts["failure_share"] == 1.0
    assert second.tables[0].n == 0
    assert "nan" in report.text()


def test_rtt_lengths_clients_and_device_reports(tmp_path: Path) -> None:
    ping = tmp_path / "ping.txt"
    ping.write_text("1694477135.50\t1\t44\n1694477135.65\t2\t-1\n1694477135.80\t3\t40\n")
    (section,) = inspect_trace(ping).sections
    assert section.facts["loss_share"] == pytest.approx(1 / 3)
    assert section.tables[0].n == 2
    lengths = tmp_path / "lengths.csv"
    lengths.write_text("num_prefill_tokens,num_decode_tokens\n7,8\n9,10\n")
    (section,) = inspect_trace(lengths).sections
    assert [q.mean for q in section.tables] == [8.0, 9.0]
    clients = tmp_path / "clients"
    clients.mkdir()
    (clients / "chunk-0-trace.csv").write_text("0,1,1,Gamma,1,1\n600,3,2,Gamma,1,1\n")
    (clients / "chunk-1-trace.csv").write_text("0,0,0,,0,0\n600,4,1,Gamma,1,1\n")
    (section,) = inspect_trace(clients).sections
    assert section.facts["span_s"] == 1200.0
    assert section.facts["top_client_share"] == 0.5
    assert section.tables[0].mean == 4.0
    assert section.tables[1].n == 3
    perf = tmp_path / "tiny.perf.yaml"
    perf.write_text(
        "precisions: {w4: {components: {T: {performance_metrics: {P: {genie: {llm_metrics: "
        "[{context_length: 64, time_to_first_token_range_milliseconds: {min: 5, max: 9}, tokens_per_second: 3}]"
        "}}}}}}}\n"
    )
    assert "decode_tok_per_s          3" in check(perf).splitlines()


def test_unreadable_file_and_unknown_format(tmp_path: Path) -> None:
    path = tmp_path / "cut.csv.xz"
    path.write_bytes(lzma.compress(b"arrival_s,prompt_tok,output_tok\n0,1,1\n")[:-9])
    with pytest.raises(UserError, match=r"cut\.csv\.xz: .*cut short or damaged"):
        check(path)
    with pytest.raises(UserError, match="did you mean 'native'"):
        check(path, format="nativ")


def test_single_request_and_all_at_once(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text("arrival_s,prompt_tok,output_tok\n2,1,1\n")
    (section,) = inspect_trace(path).sections
    assert section.facts["span_s"] == 0.0
    assert np.isnan(section.facts["rate_per_s"])
    path.write_text("arrival_s,prompt_tok,output_tok\n2,1,1\n2,1,1\n2,1,1\n")
    (section,) = inspect_trace(path).sections
    assert section.facts["tied_share"] == 1.0


def test_check_of_raw_azure_conversation(raw_traces: Path) -> None:
    text = check(raw_traces / "azure-llm-2023/AzureLLMInferenceTrace_conv.csv.xz")
    facts = dict(line.split(None, 1) for line in text.splitlines() if len(line.split()) == 2)
    assert facts["requests"] == "19366"
    assert facts["sha256_raw"] == "2f1e5b666d4e3055fdbba98598ce2ec307767b9064e03e2fa46676dbcc7d0bf8"
    assert facts["sha256_stored"] == "6dfce5814af8791286bacc17b96779bb2695ad19658f9d39ca9f6a1e333e5497"
    assert float(facts["gap_cv"]) == pytest.approx(1.09, abs=0.005)


def test_doubts_about_a_file_are_said_wherever_it_is_used(tmp_path, monkeypatch):
    from dataclasses import replace

    from discosim import load_scenario, simulate
    from discosim.runs.convert import convert
    from discosim.traces.readers import native, registry

    file = tmp_path / "trace.csv"
    file.write_text("arrival_s,prompt_tok,output_tok\n0,10,5\n1.5,20,6\n")

    def doubtful(path):
        return replace(native.read(path), warnings=("the clock looks odd",))

    readers = tuple(replace(r, read=doubtful) if r.name == "native" else r for r in registry.known_readers())
    monkeypatch.setattr(registry, "_READERS", readers)
    assert "warning: the clock looks odd" in check(file)
    assert "warning    the clock looks odd" in convert(file, tmp_path / "out.csv", "vidur")
    workload = {"kind": "replay", "file": str(file)}
    result = simulate(load_scenario("quickstart", overrides=["replications=2", f"workload={workload}"]))
    assert result.notes[0] == "warning: workload: the clock looks odd"
    assert "\nwarning    workload: the clock looks odd\n" in str(result)
