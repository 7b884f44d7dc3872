"""Laptops sleep, nodes die, disks fill up: what is finished stays, and the rest is made as if nothing had happened."""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest
from sweep_samples import SWEEP, children_of, command, contents, start, sweep, write
from worlds import exhaustive

EXECUTOR = ("--executor", "local:2")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sweep as it comes out when nobody disturbs it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    sweep(write(folder), folder / "out")
    return folder


def whole(folder: Path) -> bool:
    """Tell whether every run that a reader would see has all its files."""
    for run in (folder / "runs").glob("[!.]*"):
        files = json.loads((run / "run.json").read_text())["files"]
        if any((run / name).stat().st_size != file["bytes"] for name, file in files.items()):
            return False
    return True


def disturb(folder: Path, undisturbed: Path, victim: str, after_s: float) -> int:
    """Kill driver or worker after some time, go on until done, and compare; return how many runs had survived."""
    path = write(folder)
    process = start("sweep", path, "--out", folder / "out", *EXECUTOR, cwd=folder)
    time.sleep(after_s)
    workers = [pid for pid in children_of(process.pid) if "spawn_main" in _words(pid)]
    target = process.pid if victim == "driver" or not workers else random.Random(after_s).choice(workers)
    with contextlib.suppress(ProcessLookupError):
        os.kill(target, signal.SIGKILL)
    process.communicate(timeout=120)
    assert whole(folder / "out")
    survived = len(list((folder / "out" / "runs").glob("[!.]*")))
    if target != process.pid:
        assert process.returncode == 0, "a dead worker must not end a sweep"
    done = subprocess.run(command("sweep", path, "--out", folder / "out", *EXECUTOR), cwd=folder, check=True)
    assert done.returncode == 0
    assert contents(folder / "out") == contents(undisturbed / "out")
    return survived


def _words(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


@pytest.mark.long
def test_a_killed_driver_leaves_no_trace(undisturbed: Path, tmp_path: Path) -> None:
    disturb(tmp_path, undisturbed, "driver", 4.0)


@pytest.mark.long
@pytest.mark.parametrize("n", [exhaustive(20)])
def test_random_kills_leave_no_trace(undisturbed: Path, tmp_path: Path, n: int) -> None:
    """In turns the driver and a worker; the moments cover the whole life of a sweep."""
    began = time.monotonic()
    (tmp_path / "first").mkdir()
    write(tmp_path / "first")
    subprocess.run(command("sweep", "sample.yaml", "--out", "out", *EXECUTOR), cwd=tmp_path / "first", check=True)
    whole_s = time.monotonic() - began
    luck = random.Random(20)
    survived = []
    for i in range(n):
        folder = tmp_path / str(i)
        folder.mkdir()
        share = 0.1 + 0.85 * (i // 2 + luck.random()) / (n / 2)  # of its life; each part of it has its turn
        survived.append(disturb(folder, undisturbed, ("driver", "worker")[i % 2], share * whole_s))
    assert len(set(survived[::2])) > 1, f"all drivers died at the same stage: {survived}"


@pytest.mark.long
def test_ctrl_c_leaves_what_is_finished_and_says_how_to_go_on(tmp_path: Path) -> None:
    path = write(tmp_path, SWEEP, ("n: 3}", "n: 8}"))  # long enough not to end before the signal on a busy machine
    process = start("sweep", path, "--out", "out", "--executor", "local:1", cwd=tmp_path)
    for _ in range(1000):
        if len(list(tmp_path.glob("out/runs/[!.]*"))) >= 2:
            break
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: driver and workers
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert printed == ""
    lines = errors.splitlines()
    assert lines[0].endswith("of 32 runs are finished and stay in out")
    assert lines[1:] == ["discosim: to go on, give the same command again", "discosim: interrupted"]
    assert not list(tmp_path.glob("out/runs/.*")), "nothing half-written is left"
    n_finished = len(list(tmp_path.glob("out/runs/[!.]*")))
    assert lines[0].startswith(f"discosim: {n_finished} of 32")
    assert 2 <= n_finished < 32
    sweep(path, tmp_path / "out")
    sweep(path, tmp_path / "undisturbed")
    assert contents(tmp_path / "out") == contents(tmp_path / "undisturbed")


@pytest.mark.long
@pytest.mark.parametrize("executor", ["local:2", "dask:2"])
def test_ctrl_c_while_workers_start_is_heard_by_the_driver_alone(tmp_path: Path, executor: str) -> None:
    """They are told as well, and are still being imported; none of them says anything."""
    path = write(tmp_path)
    process = start("sweep", path, "--out", "out", "--executor", executor, cwd=tmp_path)
    for _ in range(3000):
        if any("spawn_main" in _words(pid) for pid in children_of(process.pid)):
            break
        time.sleep(0.01)
    time.sleep(0.4)  # by now Python runs there, and imports
    os.killpg(process.pid, signal.SIGINT)
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert printed == ""
    assert [line.partition(":")[0] for line in errors.splitlines()] == ["discosim"] * 3, errors
    assert errors.splitlines()[-1] == "discosim: interrupted"
    assert not list(tmp_path.glob("out/runs/.*")), "nothing half-written is left"


# --- the disk -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def small_disk(folder: Path, size: str):
    """Mount a small file system, or say why that is not possible here."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        yield f"mounting is not allowed here ({done.stderr.strip()})"
        return
    try:
        yield ""
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("executor", ["serial", pytest.param("local:2", marks=pytest.mark.long)])
def test_a_full_disk_is_a_clear_error_and_nothing_is_lost(executor: str, undisturbed: Path, tmp_path: Path) -> None:
    """On a small disk; where none can be mounted, no file may grow beyond what the tables of a run need."""
    path = write(tmp_path)
    run_bytes = sum(file.stat().st_size for file in next((undisturbed / "out" / "runs").iterdir()).iterdir())
    limits = None
    with small_disk(tmp_path / "disk", f"{5 * run_bytes}") as why_not:
        out = tmp_path / "disk" / "out"
        if why_not:
            print(f"{why_not}: limiting the size of files instead")
            most = 20_000
            limits = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))  # noqa: E731
        done = subprocess.run(
            command("sweep", path, "--out", out, "--executor", executor),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=limits,
            timeout=120,
        )
        assert done.returncode == 2, done.stderr
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        error = done.stderr.splitlines()[-1]
        assert error.startswith("discosim: error: ")
        assert "cannot be written (" in error
        if not why_not:
            assert "No space left on device" in error
        assert "the same command again" in done.stderr
        assert whole(out)
        survived = {run.name: contents(run) for run in (out / "runs").glob("[!.]*")}
        assert len(survived) < 12
        assert why_not or survived, "the disk has room for some runs"
        if why_not:
            sweep(path, out)
            assert contents(out) == contents(undisturbed / "out")
            return
        subprocess.run(["mount", "-o", "remount,size=100m", str(tmp_path / "disk")], check=True)
        before = {name: (out / "runs" / name).stat().st_mtime_ns for name in survived}
        sweep(path, out)
        assert contents(out) == contents(undisturbed / "out")
        assert {name: (out / "runs" / name).stat().st_mtime_ns for name in survived} == before


@pytest.mark.long
def test_a_sweep_with_a_rule_stops_at_the_same_seed_after_an_interruption(tmp_path: Path) -> None:
    rule = "stop: {compare: gain, half_width: 0.05, n_max: 8, step: 2}\n"
    path = write(tmp_path, SWEEP + rule, ("{metric: ttft_mean_s", "{name: gain, metric: ttft_mean_s"))
    first = sweep(path, tmp_path / "a")
    assert 3 < len(first.seeds) <= 8
    widths = [row.half_width for row in first.differences]
    assert max(widths) <= 0.05 or len(first.seeds) == 8
    process = start("sweep", path, "--out", "b", "--executor", "local:1", cwd=tmp_path)
    for _ in range(1000):
        if len(list(tmp_path.glob("b/runs/[!.]*"))) >= 14:
            break
        time.sleep(0.05)
    process.kill()
    process.communicate()
    second = sweep(path, tmp_path / "b")
    assert second.seeds == first.seeds
    assert contents(tmp_path / "b") == contents(tmp_path / "a")
