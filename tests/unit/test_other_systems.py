"""Windows and macOS, played on this machine: what they lack is not asked for, what they do otherwise is borne."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from discosim.core.errors import UserError
from discosim.core.files import check_name
from discosim.runs import facts

AS_WINDOWS = """\
import errno, os, signal, sys
for name in ("resource", "fcntl", "pwd", "grp", "termios"):
    sys.modules[name] = None
for owner, names in ((os, ("sched_getaffinity", "geteuid", "getuid", "fork", "chown")),
                     (signal, ("SIGHUP", "SIGKILL", "pthread_sigmask", "alarm"))):
    for name in names:
        delattr(owner, name)
rename, replace, open_, fsync = os.rename, os.replace, os.open, os.fsync
may_write = set()

def onto_nothing(source, target, **more):
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, "Cannot create a file when that file already exists", str(target))
    rename(source, target, **more)

def onto_no_folder(source, target, **more):
    if os.path.isdir(target):
        raise PermissionError(errno.EACCES, "Access is denied", str(target))
    replace(source, target, **more)

def no_folders(path, flags, *more, **named):
    if os.path.isdir(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))
    handle = open_(path, flags, *more, **named)
    may_write.discard(handle) if flags & 3 == os.O_RDONLY else may_write.add(handle)
    return handle

def what_may_be_written(handle):
    if handle in may_write or sys._getframe(1).f_code.co_name == "replacing":  # opened with open()
        return fsync(handle)
    raise OSError(errno.EBADF, "Bad file descriptor")

def kill(*_):
    raise AssertionError("os.kill ends processes on Windows")

os.rename, os.replace, os.open, os.fsync, os.kill = onto_nothing, onto_no_folder, no_folders, what_may_be_written, kill
from discosim.cli import main
for line in sys.stdin.read().splitlines():
    code = main(line.split())
    print(f"== {code}: {line}", flush=True)
"""

SWEEP = """\
name: small
base: quickstart
set: {workload.n_requests: 20}
sweep: {grid: {policies.DiSCo-S.budget: [0.2, 0.6]}, seeds: {n: 2}}
compare: [{metric: ttft_mean_s, policy: DiSCo-S, baseline: server_only}]
"""


SMALL = "--set workload.n_requests=20 --set replications=1"
REFUSED = "results/quickstart: holds another run; name another folder with --out or replace it with --force"
RUNS = {
    f"run quickstart {SMALL}": 0,
    f"run quickstart {SMALL} --seed 2": 2,
    f"run quickstart {SMALL} --seed 2 --force --tokens": 0,
}
REST = {
    f"run quickstart {SMALL} --out empty": 0,
    "sweep small.yaml --executor serial --shard 1/2": 0,
    "sweep small.yaml --executor serial": 0,
    "sweep status results/small": 0,
    "sweep clean results/small --stale": 0,
    "diff results/quickstart empty": 0,
    "report results/quickstart": 0,
    "report results/small": 0,
    "traces convert quickstart w.csv --to blis": 0,
}


@pytest.mark.long
@pytest.mark.parametrize("lines", [RUNS | REST], ids=["everything"])
def test_nothing_needs_what_windows_lacks(tmp_path: Path, lines: dict[str, int]) -> None:
    (tmp_path / "small.yaml").write_text(SWEEP)
    (tmp_path / "empty").mkdir()
    program = [sys.executable, "-c", AS_WINDOWS]
    given = "\n".join(lines)
    done = subprocess.run(program, input=given, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    codes = [line for line in done.stdout.splitlines() if line.startswith("==")]
    assert codes == [f"== {code}: {line}" for line, code in lines.items()], done.stderr
    assert done.stderr == f"discosim: error: {REFUSED}\n"
    assert json.loads((tmp_path / "results/quickstart/run.json").read_text())["peak_memory_mib"] is None
    assert not list(tmp_path.rglob(".*"))


def test_names_that_windows_cannot_have_are_refused_there() -> None:
    for name in ("a:b", "what?", "CON", "nul.txt", "Com1", "ends.", "ends ", "a\x07b", 'say "x"', "a|b"):
        with pytest.raises(UserError, match="Windows allows no"):
            check_name(Path("results") / name, system="nt")
        check_name(Path("results") / name, system="posix")
    for name in ("a b", "console", "ünï", "x.y.z", "-"):
        check_name(Path("results") / name, system="nt")


@pytest.mark.parametrize(("system", "mib"), [("linux", 300.0), ("darwin", 0.3)])
def test_peak_memory_is_counted_in_the_unit_of_the_system(
    system: str, mib: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux counts in KiB, macOS in bytes: the same number of the system is a thousandth there."""
    counts = SimpleNamespace(RUSAGE_SELF=0, RUSAGE_CHILDREN=1, getrusage=lambda _: SimpleNamespace(ru_maxrss=307200))
    monkeypatch.setitem(sys.modules, "resource", counts)
    monkeypatch.setattr(facts.sys, "platform", system)
    assert facts.peak_memory_mib() == mib


def test_no_peak_memory_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)
    assert facts.peak_memory_mib(with_children=True) is None
