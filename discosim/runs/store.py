"""Result folders: written under a temporary name, renamed when complete, never silently replaced."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import resource
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import discosim
from discosim.config import dump_scenario
from discosim.core.errors import UserError
from discosim.core.scenario import Scenario
from discosim.runs.collect import Columns
from discosim.runs.identity import LIBRARIES, SCHEMA_VERSION, code_facts, commit, run_id
from discosim.runs.provenance import fingerprints
from discosim.runs.result import RunResult
from discosim.runs.simulate import simulate
from discosim.runs.tables import replication_table, request_table, token_table, write_parquet

FACTS = "run.json"
"""Written last: a folder without it holds no finished run."""


def execute_to_folder(
    scenario: Scenario,
    out: Path | None,
    *,
    tokens: bool = False,
    force: bool = False,
    progress: bool = False,
    command: str = "",
) -> RunResult:
    """Run a scenario and write its result folder.

    Parameters
    ----------
    scenario : Scenario
        What to run.
    out : Path or None
        Result folder; None is ``results/<name>``.
    tokens : bool
        Also write tokens.parquet, one row per shown token.
    force : bool
        Replace the folder of another run.
    progress : bool
        Show a bar on stderr.
    command : str
        The command line, kept in run.json.

    Raises
    ------
    UserError
        If the folder cannot be written, or holds another run and ``force`` is false; nothing is changed then.
    """
    target = Path("results") / scenario.name if out is None else out
    _check_target(target, dump_scenario(scenario), force=force)
    with _bar(scenario, enabled=progress) as tick:
        return run_to_folder(scenario, target, tokens=tokens, tick=tick, command=command)


def run_to_folder(
    scenario: Scenario,
    target: Path,
    *,
    tokens: bool = False,
    tick: Callable[[], None] | None = None,
    command: str = "",
) -> RunResult:
    """Run a scenario and let its result folder take the place of whatever is at ``target``, all at once.

    The parameters are those of :func:`execute_to_folder`; ``tick`` is called after each world. A process that dies
    on the way leaves a folder whose name begins with a dot and names host and process.

    Raises
    ------
    UserError
        If the folder cannot be written; its cause is the ``OSError``.
    """
    started = time.perf_counter()
    with fresh_folder(target) as folder:
        with _token_writer(folder / "tokens.parquet", enabled=tokens) as sink:
            result = simulate(scenario, tick=tick, token_sink=sink)
        (folder / "config.yaml").write_text(dump_scenario(scenario), encoding="utf-8")
        write_parquet(request_table(result.columns), folder / "requests.parquet")
        write_parquet(replication_table(result.replication_columns), folder / "replications.parquet")
        write_parquet(token_table(result.example_columns), folder / "example_tokens.parquet")
        summary = {**result.summary.to_json_dict(), "notes": list(result.notes)}
        write_json(folder / "summary.json", summary)
        facts = _run_facts(scenario, command, time.perf_counter() - started)
        write_json(folder / FACTS, {**facts, "files": _files(folder)})
        _flush(folder)
    return replace(result, folder=target)


def _check_target(target: Path, resolved: str, *, force: bool) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise UserError("exists and is not a folder", where=str(target))
    if not any(target.iterdir()):
        return
    if not (target / "run.json").is_file() or not (target / "config.yaml").is_file():
        raise UserError("is not empty and holds no run; name another folder with --out", where=str(target))
    if not force and (target / "config.yaml").read_text(encoding="utf-8") != resolved:
        raise UserError(
            "holds another run; name another folder with --out or replace it with --force", where=str(target)
        )


@contextmanager
def fresh_folder(target: Path) -> Iterator[Path]:
    """Give an empty folder beside ``target`` that takes its place when all went well."""
    new_parents = [parent for parent in target.parents if not parent.exists()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.{owner()}.", dir=target.parent))
    except OSError as error:
        _remove_empty(new_parents)
        raise UserError(f"cannot be written ({error.strerror})", where=str(target)) from error
    try:
        folder.chmod(0o755)
        yield folder
        _take_place(folder, target)
    except OSError as error:
        raise UserError(f"cannot be written ({error.strerror or error})", where=str(target)) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _remove_empty(new_parents)


def _remove_empty(folders: Sequence[Path]) -> None:
    """Remove folders from the innermost outwards, up to the first that holds something: this result, or another."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def is_abandoned(folder: Path) -> bool:
    """Tell whether a temporary file or folder was left by a process of this host that is no more."""
    host, _, pid = folder.name.rpartition(".")[0].rpartition(".")[2].rpartition("~")
    if not pid.isdigit() or host != _host():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def owner() -> str:
    """Return host and process, as temporary names carry them."""
    return f"{_host()}~{os.getpid()}"


def _host() -> str:
    return socket.gethostname().replace(".", "-").replace("/", "-")


OWN_ENTRIES = {
    "config.yaml",
    "example_tokens.parquet",
    "figures",
    "replications.parquet",
    "report.html",
    "requests.parquet",
    "run.json",
    "summary.json",
    "tokens.parquet",
}
"""What a run writes, and what was made of it: both are replaced with it."""


def _take_place(folder: Path, target: Path) -> None:
    if target.exists() and any(target.iterdir()):
        old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.{owner()}.", dir=target.parent))
        target.replace(old)
        folder.replace(target)
        for entry in old.iterdir():  # notes and the like that the user laid beside the run
            if entry.name not in OWN_ENTRIES:
                entry.replace(target / entry.name)
        shutil.rmtree(old, ignore_errors=True)
    else:
        folder.replace(target)


@contextmanager
def _bar(scenario: Scenario, *, enabled: bool) -> Iterator[Any]:
    if not enabled:
        yield None
        return
    from tqdm import tqdm

    total = scenario.replications * len(scenario.policies)
    with tqdm(total=total, desc=scenario.name, unit="world", file=sys.stderr, leave=False) as bar:
        yield bar.update


@contextmanager
def _token_writer(path: Path, *, enabled: bool) -> Iterator[Any]:
    """Give a sink that appends one world's token rows to a Parquet file, so that memory stays small."""
    if not enabled:
        yield None
        return
    import numpy as np
    from pyarrow import parquet

    writer: Any = None

    def sink(policy: str, replication: int, columns: Columns) -> None:
        nonlocal writer
        n = columns["request_id"].size
        named = {"policy": np.full(n, policy, dtype=object), "replication": np.full(n, replication, dtype=np.int64)}
        table = token_table({**named, **columns})
        if writer is None:
            writer = parquet.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table)

    try:
        yield sink
    finally:
        if writer is not None:
            writer.close()


def write_json(path: Path, content: Any) -> None:
    """Write plain data as JSON that people can read; NaN is refused."""
    path.write_text(json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")


def _files(folder: Path) -> dict[str, dict[str, Any]]:
    """Return size and sha256 of every file, by which a damaged folder is told from a whole one."""
    found = {}
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        found[path.name] = {"bytes": path.stat().st_size, "sha256": digest}
    return found


def _flush(folder: Path) -> None:
    """Push every file to the disk before the folder gets its name, so that a power cut leaves no empty file behind."""
    for path in (*folder.iterdir(), folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _run_facts(scenario: Scenario, command: str, wall_s: float) -> dict[str, Any]:
    """Return what only this execution knows: the one place for wall-clock facts."""
    inputs = fingerprints(scenario)
    code = code_facts()
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": run_id(scenario, inputs),
        "discosim": discosim.__version__,
        "commit": commit(),
        "code": code,
        "command": command,
        "seed": scenario.seed,
        "python": platform.python_version(),
        "libraries": {name: code[name] for name in LIBRARIES},
        "platform": platform.platform(),
        "wall_s": round(wall_s, 3),
        "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "inputs_sha256": inputs,
    }
