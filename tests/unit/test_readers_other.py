"""Round trips, lengths, client statistics and device speeds on tiny hand-made files."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from discosim.core.errors import UserError
from discosim.traces.readers import (
    ClientTable,
    LengthTable,
    detect,
    read_any,
    read_latency,
    read_requests,
    read_rtt,
    read_rtt_groups,
)

# --- round trips ------------------------------------------------------------------------------------------


def test_starlink_losses_and_spacing(tmp_path: Path) -> None:
    path = tmp_path / "ping-gw.txt"
    path.write_text("1694477135.50\t1\t44.5\n1694477135.65\t2\t-1\n1694477135.80\t3\t40\n1694477136.00\t4\t41\n")
    series = read_rtt(path)
    assert series.group == "ping-gw"
    assert series.lost.tolist() == [False, True, False, False]
    np.testing.assert_array_equal(series.rtt_s, [0.0445, np.nan, 0.040, 0.041])
    assert series.received_s.tolist() == [0.0445, 0.040, 0.041]
    assert series.loss_share == 0.25
    assert series.spacing_s == pytest.approx(0.15, abs=1e-6)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1694477136.0\t2\t-2", "row 2 column rtt_ms: expected a time >= 0, or -1 for a lost probe"),
        ("1694477136.0\t2\tnan", "row 2 column rtt_ms: expected a finite number"),
        ("1694477134.0\t2\t4", "row 2 column send_time_s: goes back in time"),
        ("1694477136.0\t2", "row 2: expected 3 cells, got 2"),
    ],
)
def test_starlink_bad_lines(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "p.txt"
    path.write_text(f"1694477135.0\t1\t44.5\n{line}\n")
    with pytest.raises(UserError) as caught:
        read_rtt(path)
    assert message in str(caught.value)


def test_uncore_values_and_bad_lines(tmp_path: Path) -> None:
    path = tmp_path / "rtt.csv"
    path.write_text("215\n92\n4.5\n")
    series = read_rtt(path)
    assert series.rtt_s.tolist() == [0.215, 0.092, 0.0045]
    assert (series.loss_share, series.spacing_s) == (0.0, None)
    path.write_text("215\nx\n92\n")
    with pytest.raises(UserError, match="no known format fits"):
        read_rtt(path)
    with pytest.raises(UserError, match="row 2 column rtt_ms: expected a finite number of at least 0, got 'x'"):
        read_rtt(path, format="uncore")


def test_rising_numbers_are_not_taken_for_round_trips(tmp_path: Path) -> None:
    path = tmp_path / "mahimahi.down"
    path.write_text("0\n0\n3\n7\n7\n12\n")
    with pytest.raises(UserError, match="no known format fits"):
        detect(path)


IRELAND = "trace,mobility,timestamp,network_mode,ping_avg_ms,ping_loss_pct\n"


def test_ireland_groups_losses_and_recordings(tmp_path: Path) -> None:
    path = tmp_path / "ping_rows.csv"
    path.write_text(
        IRELAND
        + "B1,Driving,t,5G,82.0,0.0\nB1,Driving,t,LTE,90.0,20.0\n"
        + "B2,Driving,t,5G,71,0\nB2,Driving,t,5G,72,40\n"
    )
    groups = read_rtt_groups(path)
    assert list(groups) == ["5G Driving", "LTE Driving"]
    series = groups["5G Driving"]
    assert series.rtt_s.tolist() == [0.082, 0.071, 0.072]
    assert series.loss_share == pytest.approx(0.4 / 3)
    assert series.notes["with_loss"] == 1
    assert series.recording is not None
    assert series.recording.tolist() == [0, 1, 1]
    with pytest.raises(UserError, match="holds 2 series"):
        read_rtt(path)
    with pytest.raises(UserError, match="'ireland' holds rtt; expected one of: aiperf, guidellm, llmperf"):
        read_latency(path)


def test_ireland_bad_rows(tmp_path: Path) -> None:
    path = tmp_path / "ping_rows.csv"
    for row, message in {
        "B,D,t,5G,-3,0": "row 2 column ping_avg_ms",
        "B,D,t,5G,3,140": "row 2 column ping_loss_pct: expected a share of at most 100 %",
    }.items():
        path.write_text(IRELAND + row + "\n")
        with pytest.raises(UserError) as caught:
            read_rtt(path)
        assert message in str(caught.value)


# --- lengths ----------------------------------------------------------------------------------------------


def test_sharegpt_lengths(tmp_path: Path) -> None:
    path = tmp_path / "lengths.csv"
    path.write_text("num_prefill_tokens,num_decode_tokens,num_total_tokens,pd_ratio\n74,918,992,0.08\n5,0,5,\n")
    reader, table = read_any(path)
    assert reader.name == "sharegpt"
    assert isinstance(table, LengthTable)
    assert (table.prompt_tok.tolist(), table.output_tok.tolist()) == ([74], [918])
    assert table.notes["dropped_zero_tok"] == 1
    with pytest.raises(UserError, match="'sharegpt' holds lengths"):
        read_requests(path)


# --- client statistics ------------------------------------------------------------------------------------

TRACE = "0,0.5,0.92,Gamma,1.17,8.05\n600,0,0,,0,0\n1200,0.25,1.5,Weibull,0.7,3.2\n"


@pytest.fixture
def clients(tmp_path: Path) -> Path:
    folder = tmp_path / "mini"
    folder.mkdir()
    (folder / "chunk-2-trace.csv").write_text(TRACE)
    (folder / "chunk-10-trace.csv").write_text(TRACE.replace("0.5,", "0.75,", 1))
    pdfs = {
        "input_tokens": "{40: 0.75, 39: 0.25}",
        "output_tokens": "{}",
        "reason_ratio": "{0.0: 0.0, 1e-3: 1.0}",
    }
    (folder / "chunk-2-dataset.json").write_text(json.dumps({"0": pdfs, "21600": pdfs}))
    return folder


def test_servegen_folder_and_tar_agree(clients: Path, tmp_path: Path) -> None:
    archive = tmp_path / "mini.tar.xz"
    with tarfile.open(archive, "w:xz") as tar:
        for path in sorted(clients.iterdir()):
            tar.add(path, arcname=f"mini/{path.name}")
    for source in (clients, archive):
        reader, table = read_any(source)
        assert reader.name == "servegen"
        assert isinstance(table, ClientTable)
        assert [client.client for client in table.clients] == ["2", "10"]
        assert table.window_s == 600.0
        first = table.clients[0]
        assert first.rate_per_s.tolist() == [0.5, 0.0, 0.25]
        assert first.pattern.tolist() == ["Gamma", "", "Weibull"]
        assert first.p2.tolist() == [8.05, 0.0, 3.2]
        pdf = first.lengths["input_tokens"][21600.0]
        assert (pdf.values.tolist(), pdf.weights.tolist()) == ([39, 40], [0.25, 0.75])
        assert "output_tokens" not in first.lengths
        assert first.lengths["reason_ratio"][0.0].values.tolist() == [0.0, 0.001]
        assert table.clients[1].lengths == {}
        assert table.notes["clients_without_lengths"] == 1
        assert table.notes["dropped_empty_histograms"] == 2


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "{1: 2, 3}",
        "{1: nan}",
        "{1: -0.5}",
        "{1: 2: 3}",
        "{'a': 1}",
        "39: 1",
        "{1: 1",
    ],
)
def test_histogram_text_is_parsed_never_run(clients: Path, text: str) -> None:
    (clients / "chunk-2-dataset.json").write_text(json.dumps({"0": {"input_tokens": text}}))
    with pytest.raises(UserError, match=r"chunk-2-dataset\.json window 0 input_tokens: expected a histogram"):
        read_any(clients)


def test_servegen_bad_files(clients: Path) -> None:
    trace = clients / "chunk-2-trace.csv"
    for body, message in {
        "0,-1,1,Gamma,1,1\n": "chunk-2-trace.csv row 1 column rate_per_s",
        "0,1,1,Pareto,1,1\n": "row 1 column pattern: expected Gamma, Weibull or nothing, got 'Pareto'",
        "600,1,1,Gamma,1,1\n0,1,1,Gamma,1,1\n": "row 2 column window_start_s: goes back in time",
        "0,1,1,Gamma,1\n": "row 1: expected 6 cells, got 5",
    }.items():
        trace.write_text(body)
        with pytest.raises(UserError) as caught:
            read_any(clients)
        assert message in str(caught.value)
    trace.unlink()
    with pytest.raises(UserError, match=r"there is no chunk-2-trace\.csv beside it"):
        read_any(clients)


def test_servegen_bad_json(clients: Path) -> None:
    for body in ("[1, 2]", '{"0": 3}', "{", '{"x": {"input_tokens": "{}"}}'):
        (clients / "chunk-2-dataset.json").write_text(body)
        with pytest.raises(UserError, match="expected JSON that maps window starts to histograms"):
            read_any(clients)


# --- device speeds ----------------------------------------------------------------------------------------

PERF = """
precisions:
  w4a16:
    components:
      Tiny-Chat:
        performance_metrics:
          Some Phone:
            genie:
              llm_metrics:
                - context_length: 4096
                  time_to_first_token_range_milliseconds: {min: 58.016, max: 1856.531}
                  tokens_per_second: 29.5
"""


def test_aihub_rows(tmp_path: Path) -> None:
    path = tmp_path / "tiny_chat.perf.yaml"
    path.write_text(PERF)
    reader, rows = read_any(path)
    assert reader.name == "aihub"
    assert isinstance(rows, tuple)
    (row,) = rows
    assert (row.model, row.precision, row.component, row.device, row.runtime) == (
        "tiny_chat",
        "w4a16",
        "Tiny-Chat",
        "Some Phone",
        "genie",
    )
    assert (row.context_length, row.decode_tok_per_s) == (4096, 29.5)
    assert (row.ttft_min_s, row.ttft_max_s) == pytest.approx((0.058016, 1.856531))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "29.5",
            "-1",
            "w4a16.Tiny-Chat.Some Phone.genie tokens_per_second: expected a number above 0, got -1",
        ),
        ("29.5", ".nan", "tokens_per_second: expected a number above 0, got nan"),
        ("29.5", "fast", "tokens_per_second: expected a number above 0, got 'fast'"),
        ("{min: 58.016, max: 1856.531}", "58", "time_to_first_token_range_milliseconds: expected a mapping"),
        ("min: 58.016, ", "", "time_to_first_token_range_milliseconds min: expected a number"),
        ("precisions:", "precision:", "precisions: expected a mapping"),
        ("  w4a16:", "  w4a16: [", "is not readable YAML"),
        ("- context_length: 4096", "", "Tiny-Chat.Some Phone.genie llm_metrics: expected a list"),
    ],
)
def test_aihub_bad_files(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "tiny.perf.yaml"
    assert old in PERF
    path.write_text(PERF.replace(old, new))
    with pytest.raises(UserError) as caught:
        read_any(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
