"""Names of what is not finished yet: who writes it, and whether that process is still alive.

Two things tell the living from the dead. The name holds host, process, its start and its *world*: the boot of the
machine and the table of processes that its number belongs to. Where the world is ours, the number and the start are
the answer; a number alone would not be, for it comes again after a reboot, and in containers everybody is process 1.
In another world of the same host name the lock is the answer, which whoever writes holds on the temporary file or
folder itself, and which the system takes back from the dead. Where neither can tell, it counts as alive.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # there is no lock then, and nobody counts as dead

_OWNER = re.compile(r"(?P<host>[^~]+)~(?P<pid>\d+)(?:~(?P<start>\d*)~(?P<world>[0-9a-f]*))?")
_LONGEST = 100
"""Bytes of a file's own name that its temporary name repeats: together they must fit into 255."""
_LOOK_AGAIN_S = 0.02
_YOUNG_S = 1.0
"""Age below which a missing lock says nothing: it is taken right after the folder is made."""


@dataclass(frozen=True)
class _Owner:
    """Who wrote a temporary file or folder; ``start`` and ``world`` are None in names of earlier versions."""

    host: str
    pid: int
    start: str | None
    world: str | None


def owner() -> str:
    """Return host, process, its start and its world, as temporary names carry them."""
    world = _world()
    start = _start(os.getpid()) if world else None
    return f"{_host()}~{os.getpid()}~{start or ''}~{world}"


def temporary(path: Path, kind: str = "") -> Path:
    """Return a hidden name beside ``path`` that nobody has, and that tells whose it is.

    Parameters
    ----------
    path : Path
        What it will become, or was.
    kind : str
        A word that tells several of them apart, such as ``old``.
    """
    unlike_others = "-".join([*([kind] if kind else []), secrets.token_hex(4)])
    return path.with_name(f".{short(path.name)}.{owner()}.{unlike_others}")


def abandoned(path: Path) -> dict[str, list[Path]]:
    """Return the temporaries of ``path`` whose processes are no more, by the kinds that `temporary` was given."""
    start = f".{short(path.name)}."
    found: dict[str, list[Path]] = {}
    try:
        names = os.listdir(path.parent)  # noqa: PTH208 (names alone: a folder of runs has thousands)
    except OSError:
        return found
    for name in sorted(name for name in names if name.startswith(start)):
        words = name[len(start) :].split(".")
        if len(words) == 2 and is_abandoned(path.with_name(name)):
            kind, _, _ = words[1].rpartition("-")
            found.setdefault(kind, []).append(path.with_name(name))
    return found


def short(name: str) -> str:
    """Return a file's name as its temporary names repeat it: very long ones cut, with a hash in place of the rest."""
    held = os.fsencode(name)
    if len(held) <= _LONGEST:
        return name
    return f"{held[: _LONGEST - 20].decode('utf-8', 'ignore')}-{hashlib.sha256(held).hexdigest()[:12]}"


def is_temporary(path: Path) -> bool:
    """Tell whether a name is one that `temporary` gives, in this version or an earlier one."""
    return path.name.startswith(".") and _owner_of(path) is not None


def is_abandoned(path: Path) -> bool:
    """Tell whether a temporary file or folder was left by a process of this host that is no more."""
    found = _owner_of(path)
    if found is None or found.host != _host():
        return False
    if found.world is None:  # of an earlier version, which took no lock
        return not _exists(found.pid)
    if found.world and found.world == _world():
        return _start(found.pid) != found.start
    return _is_let_go(path)


def hold(path: Path, *, wait_s: float = 0.0) -> int | None:
    """Take the lock that tells others that this process is alive, and return its handle.

    None where there is no such thing, as on Windows and on file systems that lock no folders, or where another
    process holds it for longer than ``wait_s``. It goes with `let_go`, or with the process.
    """
    if fcntl is None:
        return None
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    until = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < until:
                time.sleep(_LOOK_AGAIN_S)
                continue
            os.close(handle)
            return None
        except OSError:
            os.close(handle)
            return None
        return handle


def let_go(handle: int | None) -> None:
    """Give a lock back."""
    if handle is not None:
        with suppress(OSError):
            os.close(handle)


def _owner_of(path: Path) -> _Owner | None:
    found = _OWNER.fullmatch(path.name.rpartition(".")[0].rpartition(".")[2])
    if found is None:
        return None
    return _Owner(found["host"], int(found["pid"]), found["start"], found["world"])


def _is_let_go(path: Path) -> bool:
    """Tell whether nobody holds the lock of a temporary, and it is old enough to have been taken."""
    if fcntl is None:
        return False
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        if abs(time.time() - os.fstat(handle).st_mtime) < _YOUNG_S:
            return False
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(handle)


def _exists(pid: int) -> bool:
    """Tell whether there is a process of this number; True where asking would end it, as on Windows."""
    if os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _start(pid: int) -> str | None:
    """Return when a process began, in ticks since the boot; None where it is no more, or the system does not say."""
    try:
        state, *rest = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
    except (OSError, ValueError):
        return None
    return None if state in "ZX" or len(rest) < 19 else rest[18]


@cache
def _world() -> str:
    """Return a short hash of the boot and of the table of processes; '' where the system does not say."""
    try:
        if str(Path("/proc/self").readlink()) != str(
            os.getpid()
        ):  # mounted for another table, where numbers mean others
            return ""
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        table = Path("/proc/self/ns/pid").stat().st_ino
    except (OSError, ValueError):
        return ""
    return hashlib.sha256(f"{boot} {table}".encode()).hexdigest()[:8]


@cache
def _host() -> str:
    return re.sub(r"[./~]", "-", socket.gethostname())
