"""How a command ends when the world around it does: signals, closed pipes, full disks."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from terminal import ctrl_c_is_heard

from discosim import cli

DISCOSIM = [sys.executable, "-m", "discosim"]


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_leaves_nothing(end: signal.Signals, tmp_path: Path) -> None:
    """Batch systems end a job with SIGTERM; it must not leave its half-written folder."""
    command = [*DISCOSIM, "run", "quickstart", "--set", "workload.n_requests=100000", "--out", "here/out"]
    with ctrl_c_is_heard():
        run = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    limit = time.monotonic() + 60
    while not any(tmp_path.glob("here/.out.*")) and time.monotonic() < limit and run.poll() is None:
        time.sleep(0.05)
    run.send_signal(end)
    out, err = run.communicate(timeout=60)
    assert (run.returncode, out, err) == (130, "", "discosim: interrupted\n")
    assert list(tmp_path.iterdir()) == []


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
