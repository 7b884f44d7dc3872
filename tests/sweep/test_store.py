"""What is finished stays, what is damaged is made again, what changed is said, and foreign folders are left alone."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from sweep_samples import SWEEP, contents, sweep, write

from discosim import load_results
from discosim.core.errors import UserError
from discosim.sweep.plan import load_plan
from discosim.sweep.run import collect_sweep, run_sweep
from discosim.sweep.store import Store


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished sweep; tests copy it."""
    folder = tmp_path_factory.mktemp("made")
    sweep(write(folder), folder / "out")
    return folder


@pytest.fixture
def out(made: Path, tmp_path: Path) -> Path:
    import shutil

    shutil.copytree(made / "out", tmp_path / "out")
    write(tmp_path)
    return tmp_path / "out"


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "runs").iterdir()}


def test_the_layout(out: Path) -> None:
    assert {path.name for path in out.iterdir()} == {
        "plan.json",
        "index.parquet",
        "comparisons.csv",
        "runs",
        "failures",
    }
    assert len(list((out / "runs").iterdir())) == 12
    for run in (out / "runs").iterdir():
        names = {path.name for path in run.iterdir()}
        wanted = {"config.yaml", "requests.parquet", "replications.parquet", "example_tokens.parquet", "summary.json"}
        assert names == wanted | {"run.json"}


def test_finished_runs_are_not_done_again(out: Path) -> None:
    before, files = times(out), contents(out)
    sweep(out.parent / "sample.yaml", out)
    assert times(out) == before
    assert contents(out) == files


def test_more_seeds_and_more_values_keep_what_is_there(out: Path) -> None:
    before = times(out)
    path = write(out.parent, SWEEP, ("n: 3}", "n: 4}"), ("[0.2, 0.6]", "[0.2, 0.6, 0.9]"))
    result = sweep(path, out)
    after = times(out)
    assert len(after) == len(result.state.finished) == 24
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize("damage", ["cut", "missing", "no run.json", "other run"])
def test_a_damaged_run_is_never_read_and_made_again(out: Path, damage: str) -> None:
    files = contents(out)
    runs = sorted((out / "runs").iterdir())
    victim = runs[3]
    if damage == "cut":
        (victim / "requests.parquet").write_bytes(b"PAR1")
    elif damage == "missing":
        (victim / "replications.parquet").unlink()
    elif damage == "no run.json":
        (victim / "run.json").unlink()
    else:
        (victim / "run.json").write_bytes((runs[4] / "run.json").read_bytes())
    store = Store(out)
    assert [run.folder for run in store.state(store.planned()).missing] == [victim.name]
    (out / "index.parquet").unlink()
    assert set(load_results(out)["status"]) == {"finished", "missing"}
    sweep(out.parent / "sample.yaml", out)
    assert contents(out) == files


def test_another_version_is_said_and_refused(out: Path) -> None:
    path = next((out / "runs").iterdir()) / "run.json"
    facts = json.loads(path.read_text())
    facts["code"]["numpy"] = "1.0"
    path.write_text(json.dumps(facts))
    with pytest.raises(UserError, match=r"1 of 12 runs were made by another version \(numpy 1.0 -> .*--accept-version"):
        sweep(out.parent / "sample.yaml", out)
    result = sweep(out.parent / "sample.yaml", out, accept_version=True)
    assert len(result.notes) == 1
    store = Store(out)
    assert store.clean() == []
    assert store.clean(stale=True) == [path.parent.name]
    assert len(sweep(out.parent / "sample.yaml", out).state.finished) == 12


def test_a_changed_input_is_said_and_refused(tmp_path: Path) -> None:
    start = SWEEP.index("  workload:")
    text = f"{SWEEP[:start]}  workload: {{kind: replay, file: mine.jsonl}}\n{SWEEP[SWEEP.index('  devices:') :]}"
    trace = tmp_path / "mine.jsonl"
    trace.write_text('{"arrival_s": 0, "prompt_tok": 5, "output_tok": 5}\n', encoding="utf-8")
    path = write(tmp_path, text)
    sweep(path, tmp_path / "out")
    trace.write_text('{"arrival_s": 0, "prompt_tok": 5, "output_tok": 6}\n', encoding="utf-8")
    with pytest.raises(UserError, match=r"the input 'workload: mine\.jsonl' has changed"):
        sweep(path, tmp_path / "out")
    result = sweep(path, tmp_path / "out", accept_version=True)
    assert len(result.state.finished) == len(result.state.strangers) == 12
    assert len(Store(tmp_path / "out").clean()) == 12
    assert sweep(path, tmp_path / "out").notes == ()


def test_a_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(UserError, match="is not empty and holds no sweep"):
        sweep(path, tmp_path / "mine")
    with pytest.raises(UserError, match="exists and is not a folder"):
        sweep(path, path)
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_leftovers_of_the_dead_are_removed_and_those_of_the_living_are_not(out: Path) -> None:
    from discosim.runs.store import owner

    host = owner().partition("~")[0]
    dead, alive, elsewhere = (out / "runs" / f".x.{name}.abc" for name in (f"{host}~999999999", owner(), "mars~1"))
    for folder in (dead, alive, elsewhere):
        folder.mkdir()
    sweep(out.parent / "sample.yaml", out)
    assert not dead.exists()
    assert alive.exists()
    assert elsewhere.exists()
    assert set(Store(out).clean()) >= {alive.name, elsewhere.name}


def test_shards_share_the_work_and_collect_joins_it(made: Path, tmp_path: Path) -> None:
    plan = load_plan(made / "sample.yaml")
    first = run_sweep(plan, tmp_path / "out", executor="serial", shard=(1, 2))
    assert first.table is None
    assert len(list((tmp_path / "out" / "runs").iterdir())) == 6
    run_sweep(plan, tmp_path / "out", executor="serial", shard=(2, 2))
    collect_sweep(tmp_path / "out")
    found, wanted = contents(tmp_path / "out"), contents(made / "out")
    wanted.pop("comparisons.csv")
    assert found == wanted


def test_an_unwritable_folder_is_a_clear_error(tmp_path: Path) -> None:
    path = write(tmp_path)
    with pytest.raises(UserError, match=r"sample.yaml/out: cannot be written \(Not a directory\)"):
        sweep(path, path / "out")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    if os.access(closed, os.W_OK):  # root may write anywhere; the case above stands for both
        return
    with pytest.raises(UserError, match="cannot be written"):
        sweep(path, closed / "out")


def test_results_are_one_tidy_table(out: Path) -> None:
    table = load_results(out)
    assert len(table) == 12 * 3
    assert set(table["policies.A.budget"]) == {0.2, 0.6}
    assert set(table["link"]) == {"none", "constant 0.1"}
    assert table["ttft_mean_s"].notna().all()
    run = load_results(next((out / "runs").iterdir()))
    assert list(run["policy"]) == ["A", "B", "server_only"]
    assert "seed" in run
    with pytest.raises(UserError, match="holds neither a run nor a sweep"):
        load_results(out / "failures")


def test_what_a_sweep_holds_is_what_a_run_of_its_configuration_gives(out: Path, tmp_path: Path) -> None:
    from discosim import load_scenario
    from discosim.runs import execute_to_folder

    run = min((out / "runs").iterdir())
    execute_to_folder(load_scenario(run / "config.yaml"), tmp_path / "again")
    assert contents(tmp_path / "again") == contents(run)
