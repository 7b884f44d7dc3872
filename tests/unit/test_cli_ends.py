"""How a command ends when the world around it does: signals, closed pipes, full disks."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from terminal import ctrl_c_is_heard
from worlds import exhaustive

from discosim import cli, load_results
from discosim.runs.facts import read_facts
from discosim.runs.whole import NEEDED, checked_facts

DISCOSIM = [sys.executable, "-m", "discosim"]


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_leaves_nothing(end: signal.Signals, tmp_path: Path) -> None:
    """Batch systems end a job with SIGTERM; it must not leave its half-written folder."""
    command = [*DISCOSIM, "run", "quickstart", "--set", "workload.n_requests=100000", "--out", "here/out"]
    with ctrl_c_is_heard():
        run = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    limit = time.monotonic() + 60
    while not any(tmp_path.glob("here/.out.*")) and time.monotonic() < limit and run.poll() is None:
        time.sleep(0.0005)
    run.send_signal(end)
    out, err = run.communicate(timeout=60)
    assert (run.returncode, out, err) == (130, "", "discosim: interrupted\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
@pytest.mark.parametrize("n", [25, exhaustive(200)])
def test_ctrl_c_at_random_moments_leaves_nothing_or_a_whole_run(tmp_path: Path, n: int) -> None:
    """From the first import to the last figure; before anybody listens, SIGTERM ends a process by itself."""
    luck = random.Random(200)
    command = [*DISCOSIM, "run", "quickstart", "--set", "workload.n_requests=100", "--set", "replications=1"]
    began = time.monotonic()
    subprocess.run([*command, "--out", "first/out"], cwd=tmp_path, check=True, capture_output=True)
    whole_s = time.monotonic() - began
    shutil.rmtree(tmp_path / "first")
    seen: Counter[int] = Counter()
    for i in range(n):
        end = luck.choice([signal.SIGINT, signal.SIGTERM])
        with ctrl_c_is_heard():
            run = subprocess.Popen([*command, "--out", "here/out"], cwd=tmp_path, stdout=-1, stderr=-1, text=True)
        time.sleep(luck.uniform(0.0, whole_s))
        run.send_signal(end)
        _, err = run.communicate(timeout=60)
        seen[run.returncode] += 1
        if run.returncode in {130, 0}:
            assert err == ("discosim: interrupted\n" if run.returncode else ""), i
        else:  # Python itself was only just starting, or ending
            assert run.returncode in {-end, 1}, (i, err)
        assert list(tmp_path.rglob(".*")) == [], i
        if (tmp_path / "here").exists():
            checked_facts(tmp_path / "here" / "out", needed=NEEDED)
            figures = tmp_path / "here" / "out" / "figures"
            assert not figures.exists() or len(list(figures.iterdir())) == 6
            shutil.rmtree(tmp_path / "here")
    assert seen[130] > n / 2


@pytest.mark.long
def test_what_a_killed_run_leaves_goes_with_the_next_one(tmp_path: Path) -> None:
    command = [*DISCOSIM, "run", "quickstart", "--out", "here/out", "--set", "replications=1", "--set"]
    again = [*command, "workload.n_requests=20"]
    run = subprocess.Popen([*command, "workload.n_requests=500000"], cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        limit = time.monotonic() + 60
        while not any(tmp_path.glob("here/.out.*")) and time.monotonic() < limit and run.poll() is None:
            time.sleep(0.01)
        (left,) = tmp_path.glob("here/.out.*")
        subprocess.run(again, cwd=tmp_path, check=True, capture_output=True)
        assert left.is_dir(), "it is alive"
    finally:
        run.kill()
        run.wait()
    subprocess.run(again, cwd=tmp_path, check=True, capture_output=True)
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["out"]


@pytest.mark.long
def test_of_two_runs_into_one_folder_the_second_is_refused_and_kept(tmp_path: Path) -> None:
    """The first one ends while the second one computes."""
    command = [*DISCOSIM, "run", "quickstart", "--out", "out", "--set", "replications=1", "--set"]
    first = subprocess.Popen([*command, "workload.n_requests=20000"], cwd=tmp_path, stderr=-1, stdout=-1, text=True)
    limit = time.monotonic() + 60
    while not any(tmp_path.glob(".out.*")) and time.monotonic() < limit:
        time.sleep(0.01)
    subprocess.run([*command, "workload.n_requests=20"], cwd=tmp_path, check=True, capture_output=True)
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.*")}
    out, err = first.communicate(timeout=120)
    kept = [path.name for path in tmp_path.iterdir() if path.name != "out"]
    assert (first.returncode, out, len(kept)) == (2, "", 1)
    assert err == (
        "discosim: error: out: holds another run; name another folder with --out or replace it with --force; what was "
        f"computed lies in {kept[0]}\n"
    )
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.*")} == before
    rows = load_results(tmp_path / kept[0])
    assert set(rows["n_requests"]) == {20000.0}
    assert kept[0] == f"out-{read_facts(tmp_path / kept[0])['run_id'][:10]}"


def test_output_to_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*DISCOSIM, "traces", "list"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr == "discosim: error: cannot write what comes out (No space left on device)\n"


def test_a_command_without_stdout_ends_well() -> None:
    done = subprocess.run(
        f"{' '.join(DISCOSIM)} explain policy >&-", shell=True, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", ["run quickstart", "sweep budget --profile quick", "figures pice"])
def test_a_folder_that_cannot_be_made_is_one_line(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("results").write_text("in the way")
    assert cli.main(command.split()) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("discosim: error: results/")
    assert "cannot be written" in line
