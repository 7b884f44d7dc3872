"""Targets stay with the results that they were asked of, and their share has the interval that the run printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from discosim.cli import main
from discosim.report.html.write import report_text

RUN = ["run", "quickstart", "--set", "workload.n_requests=60", "--set", "replications=3", "--no-figures"]
SLO = ["--slo", "ttft_s=1.0"]
SWEEP = """\
name: s
base: quickstart
set: {workload.n_requests: 60, policies: [{kind: server_only}, {kind: race}]}
sweep: {grid: {workload.n_users: [100, 200]}, seeds: {root: 3, n: 3}}
"""


def document(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*map(str, words), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def check_kept(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads((out / "targets.json").read_text()) == {"ttft_s": 1.0}
    kept = document(capsys, "table", out)
    assert kept["targets"] == {"ttft_s": 1.0}
    assert "slo_attainment" in {row["metric"] for row in kept["rows"]}
    assert any(note.endswith("ttft_s <= 1 s") for note in kept["notes"])
    other = document(capsys, "table", out, "--slo", "ttft_s=2")
    assert other["targets"] == {"ttft_s": 2.0}
    assert json.loads((out / "targets.json").read_text()) == {"ttft_s": 1.0}, "a table only reads"
    assert "requests within all targets" in report_text(out)


@pytest.mark.parametrize("resample", ["false", pytest.param("true", marks=pytest.mark.long)])
def test_a_table_has_the_intervals_that_the_run_printed_and_its_targets(tmp_path: Path, capsys, resample: str) -> None:
    """Of the share that met the targets, and of its change; with versions of the inputs too."""
    run = [*RUN, "--set", f"inputs.resample={resample}", "--out", tmp_path / "a"]
    printed = document(capsys, *run, *SLO)["rows"]
    check_kept(tmp_path / "a", capsys)
    again = document(capsys, "table", tmp_path / "a", *SLO)["rows"]
    rows = [row for row in printed if row["metric"] == "slo_attainment"]
    assert len(rows) == 5
    assert all(row["high"] > row["value"] for row in rows[2:])
    for row, other in zip(rows, [row for row in again if row["metric"] == "slo_attainment"], strict=True):
        assert {**row, **{k: pytest.approx(v) for k, v in row.items() if isinstance(v, float)}} == other


@pytest.mark.long
def test_a_report_keeps_what_it_is_given(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s.yaml").write_text(SWEEP)
    assert main(["sweep", "s.yaml", "--executor", "serial", "--out", "s"]) == 0
    assert main(["report", "s"]) == 0
    assert "slo_attainment" not in Path("s/report.html").read_text()
    assert main(["report", "s", *SLO]) == 0
    first = Path("s/report.html").read_bytes()
    assert b"slo_attainment and goodput_rps: ttft_s &lt;= 1 s" in first
    assert main(["report", "s"]) == 0
    assert Path("s/report.html").read_bytes() == first
    rows = document(capsys, "table", "s", "--columns", "slo_attainment")["rows"]
    assert [row["is_by_luck"] for row in rows] == [False] * 4
    luck = document(capsys, "table", "s", "--columns", "slo_attainment", "--luck")["rows"]
    for wide, narrow in zip(rows, luck, strict=True):
        assert wide["high"] >= narrow["high"]
        assert wide["high"] > narrow["high"] or wide["policy"] == "race"


@pytest.mark.parametrize("text", ["[]", "{}", "{ttft_s", '{"ttft": 1}', '{"ttft_s": "x"}'])
def test_a_damaged_file_is_one_line(tmp_path: Path, capsys, text: str) -> None:
    (tmp_path / "targets.json").write_text(text)
    assert main(["table", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert "targets.json: holds no targets (" in said
    assert said.count("\n") == 1


def test_targets_go_with_runs_and_sweeps_alone(tmp_path: Path, capsys) -> None:
    (tmp_path / "validation.json").write_text("{}")
    assert main(["report", str(tmp_path), *SLO]) == 2
    assert "--slo: targets are for the requests of a run or a sweep" in capsys.readouterr().err
    assert not (tmp_path / "targets.json").exists()
