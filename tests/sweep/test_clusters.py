"""Ray and Dask as clusters: machines that share no folder, one of which dies; the bytes are those of one process."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from nodes import PYTHON, Nodes, can_hide, until
from sweep_samples import SWEEP, contents, sweep, write

from discosim.core.errors import UserError
from discosim.sweep.plan import Run
from discosim.sweep.run import SweepResult
from discosim.sweep.worker import Outcome

pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore"),  # the engines' own, also from their threads and sockets
    pytest.mark.skipif(not can_hide(), reason="no process may have mounts of its own here"),
]
TRACE = "".join(
    f'{{"arrival_s": {i}, "prompt_tok": {20 + i}, "output_tok": {5 + i % 9}, "user_id": "u{i % 40}"}}\n'
    for i in range(400)
)
FROM_TRACE = SWEEP[: SWEEP.index("  workload:")] + "  workload: {kind: replay, file: mine.jsonl}\n"
FROM_TRACE += SWEEP[SWEEP.index("  devices:") :]
N_RUNS = 8


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a sweep, a trace, and what one process makes of them."""
    folder = tmp_path_factory.mktemp("driver")
    (folder / "mine.jsonl").write_text(TRACE, encoding="utf-8")
    sweep(write(folder, FROM_TRACE, ("n: 3}", "n: 2}")), folder / "serial")
    return folder


@pytest.fixture
def nodes(driver: Path) -> Iterator[Nodes]:
    """Machines, which are gone afterwards; their folder has a short name, for Ray puts sockets there."""
    with tempfile.TemporaryDirectory(prefix="d", ignore_cleanup_errors=True) as folder:
        held = Nodes(Path(folder), driver)
        yield held
        held.end()


def free_port() -> int:
    """Return a port that nobody has."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


class Reaper:
    """Kills a machine after the first run."""

    def __init__(self, nodes: Nodes, name: str) -> None:
        self.nodes, self.name, self.n_done = nodes, name, 0

    def done(self, run: Run, outcome: Outcome) -> None:
        self.n_done += 1
        if self.n_done == 1:
            self.nodes.kill(self.name)


def same(driver: Path, out: Path, executor: str, reaper: Reaper | None = None) -> SweepResult:
    watch = None if reaper is None else (lambda _finished, _all: reaper)
    result = sweep(driver / "sample.yaml", out, executor, watch=watch)
    assert len(result.state.finished) == N_RUNS, result.state.failures
    assert contents(out) == contents(driver / "serial")
    return result


# --- Dask -----------------------------------------------------------------------------------------------------


@pytest.fixture
def dask(nodes: Nodes) -> str:
    """A scheduler without workers; gives its host and port."""
    port = free_port()
    line = ("-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
    nodes.start("scheduler", PYTHON, *line, wait_for="Scheduler at")
    return f"//127.0.0.1:{port}"


def dask_worker(nodes: Nodes, address: str, name: str, *, is_far: bool = True, package: str = "same") -> None:
    line = (f"tcp:{address}", "--nthreads", "1", "--no-nanny", "--no-dashboard", "--name", name)
    module = ("-m", "distributed.cli.dask_worker")
    nodes.start(name, PYTHON, *module, *line, is_far=is_far, package=package, wait_for="Registered to")


def test_dask_workers_on_other_disks_one_of_which_dies(nodes: Nodes, dask: str, driver: Path) -> None:
    dask_worker(nodes, dask, "one")
    dask_worker(nodes, dask, "two")
    result = same(driver, driver / "far", f"dask:{dask}", Reaper(nodes, "two"))
    (note,) = result.notes
    assert note.startswith(f"{N_RUNS} runs (")
    assert not list(nodes.folder.rglob("requests.parquet")), "no node keeps a result"
    assert len(list((nodes.folder / "one" / "home").rglob("mine.jsonl"))) == 1


@pytest.mark.exhaustive
def test_dask_workers_that_share_the_folder_one_of_which_does_not(nodes: Nodes, dask: str, driver: Path) -> None:
    dask_worker(nodes, dask, "near", is_far=False)
    dask_worker(nodes, dask, "far")
    (note,) = same(driver, driver / "mixed", f"dask:{dask}").notes
    assert note.endswith("from 1 worker process that shares no folder with this machine")


@pytest.mark.parametrize(
    ("package", "message"),
    [
        ("without", r"--executor: node .*/odd/work\) has no discosim \(ModuleNotFoundError: .*\); install it there: "),
        ("another", r"node .*/odd/work\): the worker has another version than the driver: source_sha256 \w+ -> \w+; "),
    ],
)
def test_a_dask_worker_of_another_kind_is_named(
    nodes: Nodes, dask: str, driver: Path, package: str, message: str
) -> None:
    dask_worker(nodes, dask, "odd", package=package)
    with pytest.raises(UserError, match=message):
        sweep(driver / "sample.yaml", driver / package, f"dask:{dask}")
    assert not list((driver / package / "runs").iterdir())


# --- Ray ------------------------------------------------------------------------------------------------------


def test_ray_nodes_on_other_disks_one_of_which_dies(
    nodes: Nodes, driver: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    address = f"127.0.0.1:{port}"
    start = (PYTHON, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats")
    start = (*start, "--node-ip-address", "127.0.0.1")
    small = ("--object-store-memory", "80000000")
    head = ("--head", "--port", str(port), "--num-cpus", "0", "--include-dashboard", "false", *small)
    nodes.start("head", *start, *head, is_far=False, wait_for="Ray runtime started")
    for name in ("one", "two"):
        nodes.start(name, *start, "--address", address, "--num-cpus", "1", *small, wait_for="Ray runtime started")
    monkeypatch.setenv("RAY_ADDRESS", address)
    import ray

    ray.init(address=address, log_to_driver=False, logging_level="error")
    until(lambda: ray.cluster_resources().get("CPU") == 2.0)
    ray.shutdown()
    result = same(driver, driver / "ray", "ray", Reaper(nodes, "two"))
    assert result.notes[0].startswith(f"{N_RUNS} runs (")
