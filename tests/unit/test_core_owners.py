"""Temporary names tell the living from the dead: after a reboot, and in containers of one host name."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from discosim.core import owners
from discosim.core.owners import abandoned, hold, is_abandoned, is_temporary, let_go, owner, short, temporary

HOST, PID, START, WORLD = owner().split("~")
LINUX = pytest.mark.skipif(not WORLD, reason="this system does not tell boots and tables of processes apart")


def named(folder: Path, token: str, age_s: float = 60.0) -> Path:
    """Make a temporary folder of somebody's."""
    path = folder / f".out.{token}.0a1b2c3d"
    path.mkdir()
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def test_a_name_tells_whose_it_is_and_what_it_becomes(tmp_path: Path) -> None:
    mine = [temporary(tmp_path / "out") for _ in range(2)]
    assert mine[0] != mine[1]
    assert all(is_temporary(path) and path.parent == tmp_path for path in mine)
    assert not any(is_temporary(tmp_path / name) for name in ("out", ".out", ".git", ".x.y.z", ".mars~x.a.b"))
    assert len(os.fsencode(temporary(tmp_path / ("é" * 127), "old").name)) <= 255
    assert short("é" * 127) != short("é" * 126 + "e")


def test_my_own_are_alive(tmp_path: Path) -> None:
    assert not is_abandoned(named(tmp_path, owner()))


@LINUX
def test_a_process_that_has_ended_is_dead_and_one_that_runs_is_not(tmp_path: Path) -> None:
    program = "from discosim.core.owners import owner; print(owner(), flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        token = process.stdout.readline().strip()
        path = named(tmp_path, token)
        assert not is_abandoned(path)
        process.communicate("\n")
    assert is_abandoned(path)


@LINUX
def test_a_number_that_is_given_again_is_another_process(tmp_path: Path) -> None:
    assert is_abandoned(named(tmp_path, f"{HOST}~{PID}~{int(START) - 1}~{WORLD}"))


@pytest.mark.parametrize("world", ["0123abcd", ""])
def test_in_another_world_the_lock_decides(tmp_path: Path, world: str) -> None:
    """A container of the same host name, or this machine before its reboot: the number says nothing."""
    path = named(tmp_path, f"{HOST}~{PID}~~{world}")
    lock = hold(path)
    if lock is None:
        pytest.skip("no locks of folders here")
    assert not is_abandoned(path)
    let_go(lock)
    assert is_abandoned(path)


def test_what_was_made_a_moment_ago_may_get_its_lock_yet(tmp_path: Path) -> None:
    assert not is_abandoned(named(tmp_path, f"{HOST}~{PID}~5~0123abcd", age_s=0.0))


def test_where_there_are_no_locks_another_world_counts_as_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = named(tmp_path, f"{HOST}~{PID}~5~0123abcd")
    monkeypatch.setattr(owners, "fcntl", None)
    assert hold(path) is None
    assert not is_abandoned(path)


def test_another_host_is_never_judged(tmp_path: Path) -> None:
    assert not is_abandoned(named(tmp_path, "mars~1~5~0123abcd"))
    assert not is_abandoned(named(tmp_path, "mars~999999999"))


def test_names_of_earlier_versions_are_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dead, alive = named(tmp_path, f"{HOST}~999999999"), named(tmp_path, f"{HOST}~{os.getpid()}")
    assert (is_abandoned(dead), is_abandoned(alive)) == (True, False)
    assert abandoned(tmp_path / "out") == {"": [dead]}
    monkeypatch.setattr(os, "name", "nt")  # where asking would end the process
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("killed"))
    assert not is_abandoned(dead)


@pytest.mark.long
@pytest.mark.skipif(shutil.which("unshare") is None, reason="no unshare here")
def test_two_containers_of_one_host_name(tmp_path: Path) -> None:
    """In both the run is process 1; the second one must not tidy what the first one writes, until that is killed."""
    container = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if subprocess.run([*container, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no containers here")
    command = [*container, sys.executable, "-m", "discosim", "run", "quickstart", "--out", "out"]
    command += ["--set", "replications=1", "--set"]
    again = [*command, "workload.n_requests=20"]
    first = subprocess.Popen([*command, "workload.n_requests=500000"], cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        limit = time.monotonic() + 60
        while not list(tmp_path.glob(".out.*")) and time.monotonic() < limit and first.poll() is None:
            time.sleep(0.05)
        time.sleep(1.5)
        (mine,) = tmp_path.glob(".out.*")
        subprocess.run(again, cwd=tmp_path, check=True, capture_output=True)
        assert mine.exists(), "the first one is alive"
    finally:
        first.kill()
        first.wait()
    time.sleep(1.5)
    subprocess.run(again, cwd=tmp_path, check=True, capture_output=True)
    assert not mine.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
