"""What is finished stays, what is damaged is made again, what changed is said, and foreign folders are left alone."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pandas as pd
import pytest
from sweep_samples import SWEEP, contents, sweep, write

from discosim import load_results
from discosim.core.errors import UserError
from discosim.runs.identity import differences
from discosim.sweep.index import read_index
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
        assert names == wanted | {"run.json", "inputs.json"}  # few rows stand behind its service


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


def test_fingerprints_are_shown_as_far_as_they_differ() -> None:
    one, other = "8ff77e2385" * 6 + "aaaa", "8ff77e2385" * 6 + "aaba"
    assert differences({"source": one}, {"source": other}) == [f"source {one[:63]} -> {other[:63]}"]
    assert differences({"source": "a" * 64}, {"source": "b" * 64}) == [f"source {'a' * 10} -> {'b' * 10}"]
    assert differences({"numpy": "2.3.1"}, {}) == ["numpy 2.3.1 -> none"]


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


def test_stale_are_runs_that_have_read_what_has_changed(tmp_path: Path) -> None:
    start = SWEEP.index("  workload:")
    text = f"{SWEEP[:start]}  workload: {{kind: replay, file: mine.jsonl}}\n{SWEEP[SWEEP.index('  devices:') :]}"
    trace = tmp_path / "mine.jsonl"
    row = '{"arrival_s": 0, "prompt_tok": 5, "output_tok": 5}\n'
    trace.write_text(row, encoding="utf-8")
    path, store = write(tmp_path, text), Store(tmp_path / "out")
    sweep(path, store.folder)
    assert store.clean(stale=True) == []
    trace.write_text(row * 2, encoding="utf-8")
    with pytest.raises(UserError, match=r"sweep clean .*out --stale"):
        sweep(path, store.folder)
    assert store.clean() == []
    assert len(store.clean(stale=True)) == 12
    assert sweep(path, store.folder).notes == ()
    trace.unlink()
    assert len(store.clean(stale=True)) == 12


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


def test_files_of_one_name_in_two_folders_are_two_inputs(tmp_path: Path) -> None:
    """Each run is compared with its own point: a sweep over such files goes on, and says which of them has changed."""
    for folder, tok in (("a", 5), ("b", 7)):
        (tmp_path / folder).mkdir()
        trace(tmp_path / folder, tok)
    start = SWEEP.index("  workload:")
    text = f"{SWEEP[:start]}  workload: {{kind: replay, file: a/trace.jsonl}}\n{SWEEP[SWEEP.index('  devices:') :]}"
    grid = "link: [{kind: none}, {kind: constant, rtt_s: 0.1}]"
    path = write(tmp_path, text, (grid, "workload.file: [a/trace.jsonl, b/trace.jsonl]"))
    out = tmp_path / "out"
    assert sweep(path, out).notes == ()
    before = times(out)
    (out / "index.parquet").unlink()
    assert sweep(path, out).notes == ()
    assert times(out) == before
    table = load_results(out)
    took_s = table[table["policy"] == "server_only"].groupby("workload.file")["e2e_mean_s"].mean()
    assert len(table) == 2 * 2 * 3 * 3
    assert took_s["b/trace.jsonl"] > took_s["a/trace.jsonl"]

    content = [(tmp_path / folder / "trace.jsonl").read_bytes() for folder in "ab"]
    for folder, held in zip("ba", content, strict=True):  # exchanged: the same runs, each for the other point
        (tmp_path / folder / "trace.jsonl").write_bytes(held)
    with pytest.raises(UserError, match=r"the input 'workload: trace\.jsonl' has changed"):
        sweep(path, out)
    exchanged = sweep(path, out, accept_version=True)
    assert times(out) == before
    assert exchanged.state.is_complete

    only = write(tmp_path, text, (grid, "workload.file: [b/trace.jsonl]"))
    assert sweep(only, out).notes == (), "a file that is no longer asked for has not changed"
    trace(tmp_path / "b", 9)
    with pytest.raises(UserError, match=r"the input 'workload: trace\.jsonl' has changed"):
        sweep(only, out)
    (out / "plan.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"the input 'workload: trace\.jsonl' has changed"):
        sweep(only, out)


def trace(folder: Path, tok: int) -> None:
    row = f'{{"arrival_s": 0, "prompt_tok": 5, "output_tok": {tok}}}\n'
    (folder / "trace.jsonl").write_text(row, encoding="utf-8")


def test_points_that_differ_in_a_folder_alone_are_one_run(tmp_path: Path) -> None:
    for folder in "ab":
        (tmp_path / folder).mkdir()
        trace(tmp_path / folder, 5)
    start = SWEEP.index("  workload:")
    text = f"{SWEEP[:start]}  workload: {{kind: replay, file: a/trace.jsonl}}\n{SWEEP[SWEEP.index('  devices:') :]}"
    grid = "link: [{kind: none}, {kind: constant, rtt_s: 0.1}]"
    path = write(tmp_path, text, (grid, "workload.file: [a/trace.jsonl, b/trace.jsonl]"), ("[0.2, 0.6]", "[0.2]"))
    done = sweep(path, tmp_path / "out")
    assert len(done.state.finished) == 6
    assert len(times(tmp_path / "out")) == 3
    assert done.table is not None
    assert len(done.table) == 6 * 3


@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_is_a_folder_of_a_sweep(tmp_path: Path, is_there: bool) -> None:
    path = write(tmp_path, SWEEP, ("n: 3}", "n: 1}"), ("[0.2, 0.6]", "[0.2]"))
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "real")
    if is_there:
        (tmp_path / "deep" / "real").mkdir(parents=True)
    sweep(path, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "deep" / "real" / "index.parquet").is_file()


def test_what_another_driver_has_finished_meanwhile_stays(out: Path) -> None:
    """Two drivers over one folder compute the same: who comes second keeps the first one's folder in place."""
    from discosim.config import as_plain
    from discosim.runs.identity import code_facts
    from discosim.sweep.worker import Task, perform

    plan = load_plan(out.parent / "sample.yaml")
    run = plan.runs(plan.seeds)[0]
    before = times(out)
    task = Task(
        run_id=run.id,
        target=str(out / "runs" / run.folder),
        scenario=as_plain(plan.scenario(run)),
        code=code_facts(),
        command="",
        limit_s=None,
        watch=str(out / "watch"),
    )
    assert perform(task)["status"] == "finished"
    assert times(out) == before
    (out / "runs" / run.folder / "summary.json").write_text("{}")
    assert perform(task)["status"] == "finished"
    assert times(out)[run.folder] != before[run.folder]
    assert Store(out).facts(run) is not None


def test_folders_of_earlier_versions_are_read(out: Path) -> None:
    """Their plan has no hash and no comparisons, their index no hash; their temporaries say host and process alone."""
    files = contents(out)
    plan = json.loads((out / "plan.json").read_text())
    for key in ("content_sha256", "compare"):
        del plan[key]
    (out / "plan.json").write_text(json.dumps(plan))
    table = load_results(out)
    table.to_parquet(out / "index.parquet")
    pd.testing.assert_frame_equal(load_results(out), table, check_dtype=False)
    assert len(Store(out).planned()) == 12
    assert sweep(out.parent / "sample.yaml", out).notes == ()
    assert contents(out) == files


def test_a_plan_that_was_changed_by_hand_is_not_believed(out: Path) -> None:
    """It says which values a run has: a changed digit there would put its numbers under another value."""
    path = out / "plan.json"
    path.write_text(path.read_text().replace('"policies.A.budget": 0.2', '"policies.A.budget": 0.3', 1))
    with pytest.raises(UserError, match=r"plan\.json: has changed since it was written .*writes it anew"):
        load_results(out)
    assert len(sweep(out.parent / "sample.yaml", out).state.finished) == 12
    assert len(load_results(out)) == 36


def test_the_index_is_believed_only_as_it_was_written(out: Path) -> None:
    """Its numbers are read without the runs, so each of its bytes counts."""
    right = load_results(out)
    content = (out / "index.parquet").read_bytes()
    for i in range(0, len(content), len(content) // 97):
        (out / "index.parquet").write_bytes(content[:i] + bytes([content[i] ^ 16]) + content[i + 1 :])
        assert read_index(out) is None
    (out / "index.parquet").write_bytes(content)
    found = read_index(out)
    assert found is not None
    assert found.equals(right)
