"""Verbs with --json: one strict document on stdout and nothing else there, of the shape that the how-to tells."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from discosim import cli, load_results
from discosim.core.json_text import read_json
from discosim.metrics.definitions import DEFINITIONS
from discosim.metrics.summary_definitions import SUMMARY_METRICS

RUN = ["--set", "replications=2", "--set", "workload.n_requests=20", "--no-figures"]


ASKED = ["--columns", "ttft_mean_s,goodput_rps", "--slo", "ttft_s=1.5", "--trace-events"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a place with the folders of two runs that differ in a budget, and what the first one printed."""
    place = tmp_path_factory.mktemp("runs")
    printed = io.StringIO()
    with redirect_stdout(printed):
        assert (
            cli.main(["run", "quickstart", *RUN, *ASKED, str(place / "x.json"), "--json", "--out", str(place / "a")])
            == 0
        )
    (place / "printed").write_text(printed.getvalue())
    changed = ["--set", "policies.DiSCo-D.budget=0.1"]
    assert cli.main(["run", "quickstart", *RUN, *changed, "--out", str(place / "b")]) == 0
    return place


def document(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    """Return what a command printed; strict: no NaN, no key twice, nothing around it."""
    capsys.readouterr()
    assert cli.main(arguments) == code
    printed = capsys.readouterr()
    assert printed.out.isascii()
    content: dict[str, Any] = read_json(printed.out)
    return content


def text(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert cli.main(arguments) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert cli.main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    return line


def test_run(folders: Path) -> None:
    out = str(folders / "a")
    found = read_json((folders / "printed").read_text())
    assert (found["verb"], found["name"], found["seed"], found["folder"]) == ("run", "quickstart", 1, out)
    assert [row["metric"] for row in found["rows"]] == ["ttft_mean_s", "goodput_rps"] * 5
    first = found["rows"][0]
    assert set(first) >= {"policy", "metric", "value", "low", "high", "unit", "n", "diff", "change_pct"}
    values = load_results(out).query("policy == 'server_only'")["ttft_mean_s"]
    assert first["value"] == pytest.approx(values.mean())
    assert any("ttft_s <= 1.5 s" in note for note in found["notes"])


def test_diff(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "diff", str(folders / "a"), str(folders / "b"), "--columns", "ttft_p50_s", "--json")
    assert found["differences"] == ["policies.DiSCo-D.budget 0.5 -> 0.1"]
    assert {row["metric"] for row in found["rows"]} == {"ttft_p50_s"}
    (same,) = [row for row in found["rows"] if row["policy"] == "server_only"]
    assert (same["diff"], same["half_width"], same["n"], same["unit"]) == (0.0, 0.0, 2, "s")


def test_table_of_a_run_in_every_form(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = str(folders / "a")
    found = document(capsys, "table", place, "--json", "--policies", "DiSCo-D,server_only", "--columns", "ttft_p50_s")
    assert [(row["policy"], row["metric"]) for row in found["rows"]] == [
        ("DiSCo-D", "ttft_p50_s"),
        ("server_only", "ttft_p50_s"),
    ]
    all_of = text(capsys, "table", place, "--columns", "all", "--to", "csv")
    assert len(all_of.splitlines()) == 1 + 5 * (len(SUMMARY_METRICS) + 2), (
        "with the numbers of the targets that the run kept"
    )
    assert "\\toprule" in text(capsys, "table", place, "--to", "latex", "--policies", "DiSCo-D")
    plain = text(capsys, "table", place, "--slo", "ttft_s=1.5")
    assert "slo_attainment" in plain
    assert "two only" in plain
    assert max(map(len, plain.splitlines())) <= 120


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--columns", "goodput"], "--columns: unknown metric 'goodput'; did you mean goodput_rps?"),
        (["--columns", "slo_attainment"], "needs targets: --slo ttft_s=0.5"),
        (["--columns", ","], "--columns: name at least one metric"),
        (["--slo", "ttft=1"], "--slo: 'ttft' is no duration of a request; did you mean 'ttft_s'?"),
        (["--policies", "DiSCo-X"], "policies: unknown policy 'DiSCo-X'; did you mean"),
        (["--to", "word"], "invalid choice: 'word'"),
    ],
)
def test_what_a_table_cannot_be(folders: Path, capsys: pytest.CaptureFixture[str], arguments, message: str) -> None:
    assert message in refused(capsys, "table", str(folders / "b"), *arguments)


def test_columns_are_checked_before_anything_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, "run", "quickstart", "--out", str(tmp_path / "x"), "--columns", "ttft_p95")
    assert line == "discosim: error: --columns: unknown metric 'ttft_p95'; did you mean ttft_p95_s?"
    assert not (tmp_path / "x").exists()


def test_a_table_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no such folder" in refused(capsys, "table", str(tmp_path / "nowhere"))
    assert "holds neither a run nor a sweep" in refused(capsys, "table", str(tmp_path))


def test_traces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "traces", "list", "--json")
    assert {"kind", "name", "title"} == set(found["digests"][0])
    shown = document(capsys, "traces", "show", "azure-conv", "--json")
    assert (shown["kind"], shown["name"]) == ("workload", "azure-conv")
    assert shown["digest"]
    path = tmp_path / "trace.jsonl"
    path.write_text("".join(f'{{"timestamp": {k * 1000}, "input_length": 5, "output_length": 7}}\n' for k in range(9)))
    found = document(capsys, "traces", "check", str(path), "--json")
    gap = next(table for section in found["sections"] for table in section["percentiles"] if "gap" in table["name"])
    assert (gap["n"], gap["p50"], gap["lag1"]) == (8, 1.0, None)
    assert found["facts"]["sha256"] if "sha256" in found["facts"] else found["facts"]


def test_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    (one,) = document(capsys, "explain", "metric", "ttft_p99_s", "--json")["metrics"]
    assert (one["name"], one["unit"], one["direction"], one["level"]) == ("ttft_p99_s", "s", "lower", "summary")
    assert len(document(capsys, "explain", "metric", "--json")["metrics"]) == len(DEFINITIONS)
    assert "unknown metric" in refused(capsys, "explain", "metric", "ttft_p98_s", "--json")
