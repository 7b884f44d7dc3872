"""The table of a sweep says what its few rows of inputs leave open, as its pictures and its report do."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from sweep_samples import sweep

from discosim.cli import main
from discosim.report.plots.choice import Asked
from discosim.report.plots.plan import plan_of
from discosim.sweep.finished_inputs import value_half_widths
from discosim.sweep.results import load_results
from discosim.sweep.store import Store

SWEEP = """\
name: thin
base: quickstart
set: {policies: [{kind: server_only}, {kind: device_only}]}
sweep:
  grid: {workload.n_requests: [60, 80]}
  seeds: {root: 3, n: 3}
"""
METRIC = "ttft_mean_s"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep whose service is known from 22 probes."""
    place = tmp_path_factory.mktemp("thin")
    (place / "thin.yaml").write_text(SWEEP)
    sweep(place / "thin.yaml", place / "out")
    return place / "out"


def rows(folder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[tuple[int, str], dict[str, Any]]:
    assert main(["table", str(folder), "--columns", f"{METRIC},ttft_p99_s", "--json", *options]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["few_rows"] == ("" if "--luck" in options else "server 22 probes")
    return {(row["at"]["workload.n_requests"], row["policy"]): row for row in found["rows"] if row["metric"] == METRIC}


def test_json_has_the_intervals_of_the_pictures_and_of_the_report(folder: Path, capsys) -> None:
    wide, luck = rows(folder, capsys), rows(folder, capsys, "--luck")
    drawn = plan_of(folder, Asked(x="workload.n_requests", y=(METRIC,))).table
    halves = value_half_widths(Store(folder), load_results(folder), [METRIC])
    of_drawn = {(int(r["x"]), str(r["series"])): r["high"] - r["mean"] for _, r in drawn.iterrows()}
    of_report = {((60, 80)[point], policy): half for (point, policy, _), half in halves.items()}
    assert len(wide) == 4
    for key, row in wide.items():
        half = row["high"] - row["value"]
        assert half == pytest.approx(of_drawn[key])
        assert half == pytest.approx(of_report[key])
        narrow = luck[key]["high"] - luck[key]["value"]
        assert (half > 1.05 * narrow) if key[1] == "server_only" else math.isclose(half, narrow), key
        assert row["is_by_luck"] is False


def test_the_words_are_those_of_a_caption_and_who_asks_no_service_bears_no_mark(folder: Path, capsys) -> None:
    assert main(["table", str(folder), "--columns", f"{METRIC},ttft_p99_s"]) == 0
    printed = capsys.readouterr().out
    assert "over 3 seeds, by luck and inputs (server 22 probes). * What lies beyond" in " ".join(printed.split())
    assert (
        "by luck and inputs (server 22 probes)" in plan_of(folder, Asked(x="workload.n_requests", y=(METRIC,))).caption
    )
    assert ["*" in line for line in printed.splitlines() if "_only" in line] == [False, True, False, True], printed
    assert main(["table", str(folder), "--columns", METRIC, "--luck"]) == 0
    assert "over 3 seeds, by luck alone" in capsys.readouterr().out
    assert main(["table", str(folder), "--columns", METRIC, "--to", "latex"]) == 0
    assert "% intervals by luck and inputs (server 22 probes)" in capsys.readouterr().out
    assert main(["table", str(folder), "--columns", "tbt_pooled_p99_s"]) == 0
    assert "by luck alone where more is not known" in " ".join(capsys.readouterr().out.split())


@pytest.mark.long
def test_luck_alone_can_be_asked_of_a_run_too(folder: Path, capsys, tmp_path: Path) -> None:
    run = ["run", "quickstart", "--set", "workload.n_requests=40", "--set", "replications=2"]
    assert main([*run, "--no-figures", "--out", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    halves = []
    for options in ([], ["--luck"]):
        assert main(["table", str(tmp_path / "run"), "--columns", METRIC, "--json", *options]) == 0
        row = json.loads(capsys.readouterr().out)["rows"][0]
        halves.append(row["high"] - row["value"])
    assert halves[0] > halves[1] > 0.0
    assert main(["table", str(tmp_path / "run"), "--columns", METRIC, "--luck"]) == 0
    assert "inputs (" not in capsys.readouterr().out
