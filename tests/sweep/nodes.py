"""Machines of a cluster on this one: processes with folder, home and temporary files of their own, and other mounts."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
ABSENT = """\
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "discosim":
            raise ModuleNotFoundError("No module named 'discosim'", name="discosim")

sys.meta_path.insert(0, Absent())
"""


def can_hide() -> bool:
    """Tell whether a process may be given mounts of its own here."""
    if not shutil.which("unshare"):
        return False
    return subprocess.run([*_unshare(), "true"], capture_output=True, check=False).returncode == 0


def _unshare() -> list[str]:
    return ["unshare", "-m"] if os.getuid() == 0 else ["unshare", "-rm"]


@dataclass
class Nodes:
    """Processes that stand for machines.

    Parameters
    ----------
    folder : Path
        Below it each machine has its own.
    hidden : Path
        Folder of the driver's that no other machine sees.
    """

    folder: Path
    hidden: Path
    _started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(
        self, name: str, *command: str, is_far: bool = True, package: str = "same", wait_for: str = ""
    ) -> subprocess.Popen[bytes]:
        """Start a machine: with the package, ``without`` it, or with ``another`` version of it."""
        own = self.folder / name
        for part in ("home", "tmp", "work", "site"):
            (own / part).mkdir(parents=True)
        path = str(ROOT)
        if package == "without":
            (own / "site" / "sitecustomize.py").write_text(ABSENT)
            path = str(own / "site")
        if package == "another":
            shutil.copytree(ROOT / "discosim", own / "site" / "discosim", ignore=shutil.ignore_patterns("__pycache__"))
            for shipped in ("traces", "configs"):
                (own / "site" / shipped).symlink_to(ROOT / shipped)
            with (own / "site" / "discosim" / "core" / "errors.py").open("a") as file:
                file.write("# another version\n")
            path = str(own / "site")
        env = {**os.environ, "PYTHONPATH": path, "HOME": str(own / "home"), "TMPDIR": str(own / "tmp")}
        env |= {"PYTHONDONTWRITEBYTECODE": "1"}
        for gone in ("XDG_CACHE_HOME", "DISCOSIM_CACHE"):
            env.pop(gone, None)
        line = list(command)
        if is_far:
            line = [*_unshare(), "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(self.hidden), *command]
        log = own / "log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                line, cwd=own / "work", env=env, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
            )
        self._started[name] = process
        until(lambda: wait_for in _text(log) or process.poll() is not None, lambda: _text(log))
        assert wait_for in _text(log), _text(log)
        return process

    def kill(self, name: str) -> None:
        """End a machine at once, with everything that it started."""
        process = self._started.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def end(self) -> None:
        """End all."""
        for name in list(self._started)[::-1]:
            self.kill(name)


def _text(log: Path) -> str:
    return log.read_text(errors="replace")


def until(is_so: Callable[[], bool], said: Callable[[], str] = str, limit_s: float = 90.0) -> None:
    """Wait for something."""
    end = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < end, said()
        time.sleep(0.05)


PYTHON = sys.executable
