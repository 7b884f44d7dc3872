"""The command line of sweeps, and the difference of two folders."""

from __future__ import annotations

from pathlib import Path

import pytest
from sweep_samples import SWEEP, contents, sweep, write

import discosim
from discosim import cli, load_scenario
from discosim.core.errors import UserError
from discosim.core.scenario import Scenario
from discosim.runs import RunResult, execute_to_folder
from discosim.sweep.diff import diff_folders

SMALL = (("n: 3}", "n: 2}"), ("[0.2, 0.6]", "[0.2]"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, SWEEP, *SMALL)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    assert cli.main(arguments) == code
    printed = capsys.readouterr()
    return printed.out, printed.err


def test_a_sweep_prints_its_table_and_nothing_else(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = said(capsys, "sweep", "sample.yaml", "--executor", "serial")
    assert err == ""
    lines = out.splitlines()
    assert lines[0] == "sample: 2 points x 2 seeds = 4 runs, 4 finished, 0 failed, 0 missing"
    assert "ttft_mean_s: A - server_only   [s], lower is better" in lines
    assert "160 requests of A; failed: none." in " ".join(lines)
    assert lines[-1] == "written    results/sample/"
    assert said(capsys, "sweep", "sample.yaml", "--executor", "serial") == (out, "")


def test_shards_then_collect_then_status_then_clean(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = said(capsys, "sweep", "sample.yaml", "--executor", "serial", "--shard", "2/2")
    assert "2 finished, 0 failed, 0 missing" in out
    out, _ = said(capsys, "sweep", "status", "results/sample")
    assert out == "results/sample: 2 finished, 0 failed, 2 missing\n"
    said(capsys, "sweep", "sample.yaml", "--executor", "serial", "--shard", "1/2")
    out, _ = said(capsys, "sweep", "collect", "results/sample")
    assert out == "results/sample: 4 finished, 0 failed, 0 missing\n"
    assert (here / "results/sample/index.parquet").is_file()
    (here / "results/sample/runs/.left.mars~1.abc").mkdir()
    out, _ = said(capsys, "sweep", "clean", "results/sample")
    assert out.splitlines() == [
        "removed .left.mars~1.abc",
        "results/sample: 4 finished, 0 failed, 0 missing",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["sweep", "budgt"],
            "unknown sweep 'budgt'; did you mean 'budget'? Known: budget, last-hop, load, reading-speed",
        ),
        (["sweep", "none.yaml"], "none.yaml: no such file"),
        (["sweep", "sample.yaml", "--shard", "3/2"], "--shard: expected i/n with 1 <= i <= n, or slurm (got '3/2')"),
        (
            ["sweep", "sample.yaml", "--executor", "x"],
            "--executor: unknown executor 'x'; Known: dask, local, ray, serial",
        ),
        (["sweep", "status", "nowhere"], "nowhere/plan.json: no such file; expected the folder of a sweep"),
        (["sweep", "sample.yaml", "--retries", "-1"], "--retries: must be >= 0 (got -1)"),
        (["sweep", "sample.yaml", "--timeout-s", "0"], "--timeout-s: must be > 0 (got 0)"),
        (["diff", "nowhere", "nowhere"], "nowhere: holds neither a run nor a sweep"),
    ],
)
def test_bad_usage_is_one_line(
    here: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, *arguments, code=2) == ("", f"discosim: error: {message}\n")


def test_a_shard_cannot_know_when_to_stop(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rule = "stop: {compare: gain, half_width: 0.05}\n"
    write(here, SWEEP + rule, ("{metric: ttft_mean_s", "{name: gain, metric: ttft_mean_s"))
    _, err = said(capsys, "sweep", "sample.yaml", "--shard", "1/2", code=2)
    assert err == "discosim: error: --shard: a shard cannot know when to stop; leave out --shard, or `stop`\n"


# --- diff -----------------------------------------------------------------------------------------------------


def test_two_runs_differ_in_what_was_changed_and_pair_by_pair(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["replications=4", "workload.n_requests=50"]
    for name, more in (("a", []), ("b", ["policies.DiSCo-D.budget=0.1", "link.up_share=0.7"])):
        execute_to_folder(load_scenario("quickstart", overrides=[*base, *more]), here / name)
    found = diff_folders(Path("a"), Path("b"))
    assert list(found.config) == ["link.up_share 0.5 -> 0.7", "policies.DiSCo-D.budget 0.5 -> 0.1"]
    rows = {(row.metric, row.policy): row for row in found.rows}
    assert rows["ttft_mean_s", "device_only"].diff.mean == 0.0
    changed = rows["ttft_mean_s", "DiSCo-D"]
    assert changed.diff.mean == pytest.approx(changed.b - changed.a)
    assert changed.diff.mean > 0.0
    assert changed.diff.n == 4
    out, _ = said(capsys, "diff", "a", "b", "--metric", "ttft_p50_s")
    assert "  policies.DiSCo-D.budget 0.5 -> 0.1" in out
    assert "ttft_p50_s [s], paired t over equal seeds" in out
    assert diff_folders(Path("a"), Path("a")).config == ()


def test_runs_with_other_seeds_cannot_be_paired(here: Path) -> None:
    for seed in (1, 2):
        scenario = load_scenario("quickstart", overrides=["replications=2", "workload.n_requests=20"], seed=seed)
        execute_to_folder(scenario, here / str(seed))
    found = diff_folders(Path("1"), Path("2"))
    assert found.rows == ()
    assert found.note == "nothing to pair: no value in common of seed"
    assert list(found.config) == ["seed 1 -> 2"]


def test_two_sweeps_are_compared_point_by_point(here: Path) -> None:
    sweep(here / "sample.yaml", here / "a")
    other = write(here, SWEEP, ("n: 3}", "n: 3}"), ("[0.2, 0.6]", "[0.2]"), ("rtt_s: 0.1", "rtt_s: 0.3"))
    sweep(other, here / "b")
    found = diff_folders(Path("a"), Path("b"), ["ttft_mean_s"])
    assert "seeds 3 to 4 -> 3 to 5" in found.config
    assert "axis link none, constant 0.1 -> none, constant 0.3" in found.config
    assert {row.values["link"] for row in found.rows} == {"none"}
    assert all(row.diff.mean == 0.0 and row.diff.n == 2 for row in found.rows)
    assert found.note.startswith("without a partner: ")
    with pytest.raises(UserError, match="one holds a run, the other a sweep"):
        diff_folders(Path("a"), next((here / "b" / "runs").iterdir()))


def test_a_sweep_beside_its_own_folder_changes_nothing(here: Path) -> None:
    before = {path: path.read_bytes() for path in here.iterdir() if path.is_file()}
    sweep(here / "sample.yaml", here / "a")
    assert {path: path.read_bytes() for path in here.iterdir() if path.is_file()} == before
    assert contents(here / "a")


# --- exit codes -----------------------------------------------------------------------------------------------


def test_a_sweep_that_is_not_complete_exits_with_1(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Failed runs, missing ones, and those of a shard's part alone; to look is no failure."""

    def failing(seeds: set[int]) -> None:
        def simulate(scenario: Scenario, **_: object) -> RunResult:
            if scenario.seed in seeds:
                raise ZeroDivisionError("a bug\x1b[31m")
            return run(scenario)

        monkeypatch.setattr("discosim.runs.store.simulate", simulate)

    run = discosim.simulate
    serial = ("--executor", "serial", "--retries", "0")
    failing({3, 4})
    out, err = said(capsys, "sweep", "sample.yaml", *serial, "--shard", "1/2", code=1)
    assert "0 finished, 2 failed, 0 missing" in out
    assert "failed     (errors and traces: results/sample/failures/; the same command tries them again)" in out
    assert err.count("failed: ZeroDivisionError: a bug\\x1b[31m\n") == 2
    failing({4})
    out, _ = said(capsys, "sweep", "sample.yaml", *serial, code=1)
    assert "2 finished, 2 failed, 0 missing" in out
    out, _ = said(capsys, "sweep", "status", "results/sample")
    assert "2 finished, 2 failed, 0 missing" in out
    said(capsys, "sweep", "collect", "results/sample", code=1)
    said(capsys, "sweep", "clean", "results/sample")
    out, _ = said(capsys, "sweep", "collect", "results/sample", code=1)
    assert "2 finished, 0 failed, 2 missing" in out
    failing(set())
    said(capsys, "sweep", "sample.yaml", *serial, "--shard", "2/2")
    said(capsys, "sweep", "sample.yaml", *serial)
    said(capsys, "sweep", "collect", "results/sample")


def test_exit_codes_are_documented_where_one_looks(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["--help"], ["sweep", "--help"], ["sweep", "collect", "--help"]):
        with pytest.raises(SystemExit):
            cli.main(command)
        assert "runs failed or are missing" in " ".join(capsys.readouterr().out.split()).replace(
            "runs of a sweep", "runs"
        )
