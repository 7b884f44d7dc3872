"""Numbers that workers tell the driver: those of the files, and of no other file than the one they belong to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sweep_samples import SWEEP, sweep, write

from discosim.runs.store import run_to_folder
from discosim.sweep.run import SweepResult
from discosim.sweep.table import Told, collect
from discosim.sweep.told import REPLICATIONS, Numbers, numbers_of
from discosim.sweep.worker import Outcome

FEW = (("n: 3}", "n: 2}"), ("[0.2, 0.6]", "[0.2]"))


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> SweepResult:
    folder = tmp_path_factory.mktemp("sweep")
    return sweep(write(folder, SWEEP, *FEW), folder / "out")


def outcome(numbers: Numbers | None) -> Outcome:
    return Outcome(status="finished", error="", traceback="", is_final=True, wall_s=0.0, numbers=numbers)


@pytest.fixture
def numbers(result: SweepResult) -> Numbers:
    """Return what a worker would tell of the first run, with another TTFT."""
    run = result.state.finished[0]
    facts: Any = result.store.facts(run)
    rows = result.table[result.table["run"] == run.folder]  # type: ignore[index]
    names = ["ttft_mean_s", "n_requests", "no_metric"]
    told = [[1e9, float(n), 2.0] for n in rows["n_requests"]]
    sha256 = facts["files"][REPLICATIONS]["sha256"]
    return Numbers(sha256=sha256, policies=rows["policy"].tolist(), names=names, rows=told)


@pytest.mark.parametrize("executor", ["serial", "local:1"])
def test_the_table_is_that_of_the_files(executor: str, tmp_path: Path) -> None:
    found = sweep(write(tmp_path, SWEEP, *FEW), tmp_path / "out", executor)
    assert found.table is not None
    pd.testing.assert_frame_equal(found.table, collect(found.store), check_exact=True)
    assert found.table.attrs == collect(found.store).attrs


def test_what_is_told_of_a_file_stands_for_it(result: SweepResult, numbers: Numbers) -> None:
    told = Told()
    told.done(result.state.finished[0], outcome(numbers))
    table, real = collect(result.store, told), result.table
    assert real is not None
    mine = table["run"] == result.state.finished[0].folder
    assert (table.loc[mine, "ttft_mean_s"] == 1e9).all()
    assert table.loc[mine, "tpot_mean_s"].isna().all()  # nobody told it
    pd.testing.assert_frame_equal(table[~mine], real[~mine], check_exact=True)


def test_a_file_of_another_hash_is_read(result: SweepResult, numbers: Numbers) -> None:
    told = Told()
    told.done(result.state.finished[0], outcome({**numbers, "sha256": "0" * 64}))
    told.done(result.state.finished[0], outcome(None))
    assert result.table is not None
    pd.testing.assert_frame_equal(collect(result.store, told), result.table, check_exact=True)


def test_a_run_tells_what_its_file_holds(result: SweepResult, tmp_path: Path) -> None:
    scenario = replace(result.plan.scenario(result.state.finished[0]))
    done = run_to_folder(scenario, tmp_path / "run")
    found, columns = numbers_of(done), pd.read_parquet(tmp_path / "run" / REPLICATIONS)
    assert found is not None
    assert found["policies"] == columns.pop("policy").tolist()
    told = pd.DataFrame(found["rows"], columns=found["names"])
    pd.testing.assert_frame_equal(told, columns.astype(float), check_exact=True)
    assert numbers_of(replace(done, written={})) is None
