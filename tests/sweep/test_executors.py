"""The same sweep gives the same bytes wherever it is computed; hung, dead and failed runs cost only themselves."""

from __future__ import annotations

import os
import signal
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing import active_children
from pathlib import Path

import pytest
from sweep_samples import SWEEP, contents, sweep, write
from worlds import exhaustive

from discosim.core.errors import UserError
from discosim.sweep import couriers, drive
from discosim.sweep.drive import Terms
from discosim.sweep.executors import Engine, LocalExecutor, SerialExecutor, n_cpus, open_engine
from discosim.sweep.plan import Run, load_plan
from discosim.sweep.run import SweepResult, run_sweep
from discosim.sweep.worker import Outcome, Task

SMALL = (("n: 3}", "n: 1}"), ("[0.2, 0.6]", "[0.2]"))


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sweep as one process computes it."""
    folder = tmp_path_factory.mktemp("serial")
    sweep(write(folder), folder / "out")
    return folder


def same(serial: Path, folder: Path, executor: str) -> None:
    result = sweep(serial / "sample.yaml", folder, executor)
    assert len(result.state.finished) == 12
    assert contents(folder) == contents(serial / "out")
    own = sweep(serial / "sample.yaml", serial / "out").table
    assert result.table is not None
    assert own is not None
    assert list(result.table["requests_sha256"]) == list(own["requests_sha256"])


def test_two_processes_give_the_same_bytes(serial: Path, tmp_path: Path) -> None:
    same(serial, tmp_path / "out", "local:2")


def test_a_worker_that_is_still_starting_leaves_ctrl_c_to_the_driver(capfd: pytest.CaptureFixture[str]) -> None:
    """A terminal sends it to every process of a command, also to one that has not yet begun to run our code."""
    others = set(active_children())
    executor = LocalExecutor(1)
    try:
        (worker,) = set(active_children()) - others
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGINT)
        assert executor.submit(os.getpid).result(timeout=60) == worker.pid
    finally:
        executor.shutdown()
    assert capfd.readouterr() == ("", "")
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ()), "this process hears it again"


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # the engines' own, also from their threads and sockets
@pytest.mark.parametrize("executor", ["ray:2", "dask:2"])
def test_the_real_engines_give_the_same_bytes(
    serial: Path, tmp_path: Path, executor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(drive.__file__).parents[2]))
    same(serial, tmp_path / "out", executor)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("executor", [exhaustive("ray:1"), exhaustive("dask:1")])
def test_a_hung_run_on_an_engine_fails_alone(tmp_path: Path, executor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(drive.__file__).parents[2]))
    # a worker of Ray's starts, and imports the package, within the limit of its first run
    result = _with_a_hung_point(tmp_path, executor, retries=0, limit_s=15.0)
    assert (len(result.state.finished), len(result.state.failed)) == (1, 1)


def test_an_entry_point_is_an_executor_too(serial: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        name = "threads"

        @staticmethod
        def load() -> object:
            return lambda rest: ThreadPoolExecutor(int(rest))

    monkeypatch.setattr("discosim.sweep.executors.entry_points", lambda group: [Point])
    same(serial, tmp_path / "out", "threads:1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("locl", "--executor: unknown executor 'locl'; did you mean 'local'? Known: dask, local, ray, serial"),
        ("local:0", "--executor: expected local:N with N >= 1 (got 'local:0')"),
        ("local:x", "--executor: expected local:N with N >= 1 (got 'local:x')"),
        ("serial:2", "--executor: serial takes no number (got 'serial:2')"),
    ],
)
def test_a_bad_name_is_one_line(text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        open_engine(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(("name", "module"), [("ray", "ray"), ("dask", "distributed")])
def test_a_missing_engine_says_how_to_get_it(name: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(UserError, match=rf"--executor {name}: is not installed; pip install 'discosim\[{name}\]'"):
        open_engine(name)


# --- trouble --------------------------------------------------------------------------------------------------


def test_a_failed_point_is_kept_with_its_error_and_the_sweep_goes_on(tmp_path: Path) -> None:
    (tmp_path / "broken.jsonl").write_text('{"arrival_s": 0, "prompt_tok": 1, "output_tok": -2}\n', encoding="utf-8")
    axis = (
        "    workload: [{kind: replay, file: broken.jsonl}, {kind: generate, n_requests: 20, arrivals: "
        "{kind: poisson, rate_per_s: 1}, lengths: {kind: constant, prompt_tok: 5, output_tok: 5}}]\n  seeds:"
    )
    path = write(tmp_path, SWEEP, *SMALL[1:], ("  seeds:", axis))
    result = sweep(path, tmp_path / "out")
    assert (len(result.state.finished), len(result.state.failed)) == (6, 6)
    failure = result.state.failures[result.state.failed[0].folder]
    assert "broken.jsonl" in failure["error"]
    assert failure["tries"] == 1, "the same input gives the same error: once is enough"
    assert result.table is not None
    assert set(result.table["status"]) == {"finished", "failed"}
    assert {row.n_missing for row in result.differences} == {0, 3}
    again = sweep(path, tmp_path / "out")
    assert len(again.state.failed) == 6


def _with_a_hung_point(folder: Path, executor: str, retries: int, limit_s: float = 4.0) -> SweepResult:
    changes = (*SMALL, ("link: [{kind: none}, {kind: constant, rtt_s: 0.1}]", "workload.n_requests: [20, 8000000]"))
    path = write(folder, SWEEP, *changes)
    return run_sweep(load_plan(path), folder / "out", executor=executor, terms=Terms(retries=retries, limit_s=limit_s))


@pytest.mark.long
def test_a_hung_run_is_ended_says_where_it_hung_and_costs_only_itself(tmp_path: Path) -> None:
    result = _with_a_hung_point(tmp_path, "local:1", retries=1)
    assert (len(result.state.finished), len(result.state.failed)) == (1, 1)
    failure = result.state.failures[result.state.failed[0].folder]
    assert failure["error"] == "ran past its limit of 4 s"
    assert failure["tries"] == 2
    assert "File" in failure["traceback"]


def test_a_cluster_whose_workers_are_all_gone_is_given_up_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may come back in between; what is finished stays, and the same command goes on."""
    monkeypatch.setattr(drive, "LOOK_S", 0.01)
    monkeypatch.setattr(drive, "GONE_S", 0.1)
    path = write(tmp_path, SWEEP, *SMALL)
    seen = iter([0, 0, 1, *[0] * 10_000])
    n_asked: list[int] = []

    class Left(SerialExecutor):
        """Brings the first task back, and keeps all others."""

        def submit(self, fn: object, /, *args: object, **kwargs: object) -> Future[object]:
            n_asked.append(1)
            return super().submit(fn, *args, **kwargs) if len(n_asked) == 1 else Future()  # type: ignore[arg-type]

    engine = Engine(Left(), n_at_once=1, is_remote=False, n_workers=lambda: next(seen))
    monkeypatch.setattr("discosim.sweep.run.open_engine", lambda _: engine)
    said = (
        "--executor: all workers are gone, and none has come for 0.1 s; what is finished stays: start workers, and give"
    )
    with pytest.raises(UserError, match=said):
        sweep(path, tmp_path / "out")  # the engine above stands in whatever it is called
    assert len(list((tmp_path / "out" / "runs").glob("[!.]*"))) == 1
    monkeypatch.undo()
    assert sweep(path, tmp_path / "out").state.is_complete


def test_a_time_limit_needs_a_process(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--timeout-s: needs runs in processes of their own; use --executor local:1"):
        _with_a_hung_point(tmp_path, "serial", retries=0)


class Killer:
    """A watcher that kills two busy processes: one after the second run, one after the fifth.

    Where no process is busy at that instant (the other one may have just finished), the next run's end is taken.
    """

    def __init__(self, executor: LocalExecutor) -> None:
        self.executor, self.n_done, self.n_killed = executor, 0, 0

    def done(self, run: Run, outcome: Outcome) -> None:
        self.n_done += 1
        if self.n_done < (2, 5, 13)[self.n_killed]:
            return
        slot = next((slot for future, slot in self.executor._busy.items() if not future.done()), None)
        if slot is not None:
            for process in slot._processes:
                process.kill()
            self.n_killed += 1


def test_a_worker_that_dies_costs_one_try_of_one_run(
    serial: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = LocalExecutor(2)
    killer = Killer(executor)
    monkeypatch.setattr("discosim.sweep.run.open_engine", lambda _: Engine(executor, 2))
    result = sweep(serial / "sample.yaml", tmp_path / "out", watch=lambda _finished, _all: killer)
    assert killer.n_killed == 2
    assert len(result.state.finished) == 12
    assert contents(tmp_path / "out") == contents(serial / "out")


def test_a_worker_of_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = couriers.code_facts
    monkeypatch.setattr(couriers, "code_facts", lambda: {**real(), "discosim": "9.9"})
    with pytest.raises(UserError, match=r"the worker has another version than the driver: discosim 9\.9 -> "):
        sweep(write(tmp_path, SWEEP, *SMALL), tmp_path / "out")


def test_a_worker_with_other_digests_is_refused(tmp_path: Path) -> None:
    from discosim.config import as_plain
    from discosim.sweep.worker import perform

    plan = load_plan(write(tmp_path))
    run = plan.runs(plan.seeds)[0]
    task = Task(
        run_id="0" * 64,
        target=str(tmp_path / "x"),
        scenario=as_plain(plan.scenario(run)),
        code=couriers.code_facts(),
        command="",
        limit_s=None,
        watch="",
    )
    outcome: Outcome = perform(task)
    assert outcome["status"] == "refused"
    assert "other inputs" in outcome["error"]


def test_there_is_a_processor() -> None:
    assert n_cpus() >= 1
