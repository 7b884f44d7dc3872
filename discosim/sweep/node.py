"""What a node does with a parcel of runs: look at what it shares with the driver, simulate, and send back the rest."""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from discosim.config.named_files import with_places
from discosim.core.cache_folder import cache_folder
from discosim.core.errors import UserError
from discosim.core.files import write_whole
from discosim.sweep.parcel import DamagedParcelError, pack, unpack
from discosim.sweep.worker import Outcome, Task, perform

_KEPT_S = 7 * 86400.0
"""Age at which a node forgets what policies came to."""
_one_at_a_time = threading.Lock()
"""Threads of one process share modules and caches; runs in them would only take turns anyway."""


def answer(parcel: bytes) -> bytes:
    """Return what became of the runs of a parcel, with their folders where the driver cannot see them.

    Notes
    -----
    The parcel holds ``scenarios`` (plain data), ``runs`` (what tells one from another, a scenario's number each),
    ``inputs`` (files by their content, some of them with it), ``shared`` (a file of the driver's, and its content),
    and how much to take on: after ``spend_s`` seconds or ``most_bytes`` of results the rest goes back untouched. The
    answer has ``node``, and either ``trouble`` (why nothing at all was done), ``lacking`` (keys of inputs), or
    ``outcomes``, one for each run that was taken on.
    """
    node = node_name()
    try:
        content, files = unpack(parcel)
    except DamagedParcelError as error:
        return pack({"node": node, "trouble": f"cannot read what the driver sends: {error}"})
    try:
        places, lacking = _inputs(content["inputs"], files)
    except (OSError, UserError) as error:
        what = f"cannot keep the inputs that the driver sends ({error})"
        return pack({"node": node, "trouble": f"{what}; set DISCOSIM_CACHE there to a folder with room"})
    if lacking:
        return pack({"node": node, "lacking": lacking})
    with _one_at_a_time:
        return _simulated(node, content, places)


def node_name() -> str:
    """Return host, process and folder: what a person needs to find this node."""
    return f"{socket.gethostname()} (process {os.getpid()} in {_here()})"


def _here() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        return "a folder that is gone"


def _simulated(node: str, content: Mapping[str, Any], places: Mapping[str, str]) -> bytes:
    began, n_bytes = time.monotonic(), 0
    is_shared = _sees(content["shared"])
    outcomes: list[dict[str, Any]] = []
    files: dict[str, bytes] = {}
    for i, run in enumerate(content["runs"]):
        if outcomes and (time.monotonic() - began > content["spend_s"] or n_bytes > content["most_bytes"]):
            break
        task = _task(content, run, places)
        if is_shared:
            outcomes.append({**perform(task), "is_here": True})
            continue
        try:
            outcome, found = _apart(task, content["most_bytes"])
        except OSError as error:
            what = f"cannot write below {tempfile.gettempdir()} ({error.strerror or error})"
            return pack({"node": node, "trouble": f"{what}; set TMPDIR there to a folder with room"})
        files |= {f"{i}/{name}": body for name, body in found.items()}
        n_bytes += sum(map(len, found.values()))
        outcomes.append({**outcome, "is_here": False})
    return pack({"node": node, "outcomes": outcomes}, files)


def _task(content: Mapping[str, Any], run: Mapping[str, Any], places: Mapping[str, str]) -> Task:
    scenario = {**content["scenarios"][run["scenario"]], "seed": run["seed"]}
    return Task(
        run_id=run["run_id"],
        target=run["target"],
        scenario=with_places(scenario, places),
        code=content["code"],
        command=content["command"],
        limit_s=content["limit_s"],
        watch=run["watch"],
        inputs_sha256=content["fingerprints"][run["scenario"]],
        kept=content["kept"],
        keep=run["keep"],
        stated={here: there for there, here in places.items()},
    )


def _apart(task: Task, most_bytes: int) -> tuple[Outcome, dict[str, bytes]]:
    """Simulate in a folder of this node's, and return what the run wrote."""
    with tempfile.TemporaryDirectory(prefix="discosim-run-", ignore_cleanup_errors=True) as scratch:
        target = Path(scratch) / Path(task["target"]).name
        own: Task = {**task, "target": str(target), "watch": str(Path(scratch) / "watch"), "kept": _kept()}
        outcome = perform(own)
        if outcome["status"] != "finished":
            return outcome, {}
        paths = sorted(target.iterdir())
        n_bytes = sum(path.stat().st_size for path in paths)
        if n_bytes > most_bytes:
            error = (
                f"its results take {n_bytes / 2**20:,.0f} MiB, and no more than {most_bytes / 2**20:,.0f} MiB travel "
                "from a node; let the nodes share the sweep's folder, or run it as a job array with --shard"
            )
            return {**outcome, "status": "failed", "error": error, "is_final": True}, {}
        return outcome, {path.name: path.read_bytes() for path in paths}


@cache
def _kept() -> str:
    """Return where this node keeps what policies came to, of which other runs and the next sweep may take."""
    folder = cache_folder("kept")
    for path in folder.iterdir():
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _KEPT_S:
                path.unlink()
    return str(folder)


def _sees(shared: Mapping[str, str] | None) -> bool:
    """Tell whether this node sees the driver's folder: the file is there, and holds what nobody can guess."""
    if shared is None:
        return False
    try:
        return Path(shared["path"]).read_text(encoding="utf-8") == shared["nonce"]
    except (OSError, UnicodeError):
        return False


# --- inputs ---------------------------------------------------------------------------------------------------


def _inputs(wanted: list[dict[str, Any]], sent: Mapping[str, bytes]) -> tuple[dict[str, str], list[str]]:
    """Return where files lie that the driver names otherwise, and the keys of those that are nowhere."""
    places: dict[str, str] = {}
    lacking: list[str] = []
    for item in wanted:
        path, key, files = Path(item["path"]), item["key"], item["files"]
        if _holds(path.parent, files):
            continue
        folder = cache_folder("inputs") / key
        if not _holds(folder, files):
            bodies = {name: sent.get(f"{key}/{name}") for name in files}
            if any(body is None for body in bodies.values()):
                lacking.append(key)
                continue
            for name, body in bodies.items():
                place = folder / _checked(name)
                place.parent.mkdir(parents=True, exist_ok=True)
                write_whole(place, body or b"")
        places[item["path"]] = str(folder / path.name)
    return places, lacking


def _checked(name: str) -> Path:
    """Return a name below a folder, and refuse one that leads out of it."""
    path = Path(name)
    if path.is_absolute() or ".." in path.parts:
        raise OSError(None, "leads out of its folder", name)
    return path


def _holds(folder: Path, files: Mapping[str, tuple[str, int]]) -> bool:
    """Tell whether a folder holds files of these contents."""
    for name, (sha256, size) in files.items():
        try:
            if (folder / name).stat().st_size != size:
                return False
            with (folder / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                    return False
        except OSError:
            return False
    return True
