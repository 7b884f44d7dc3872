"""What runs in a worker: one task in, plain data out, the result in its folder; nothing of ours is pickled."""

from __future__ import annotations

import errno
import faulthandler
import json
import os
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict

from discosim.core.errors import InvariantError, OwnCodeError, UserError
from discosim.core.scenario import Scenario

if TYPE_CHECKING:
    from discosim.sweep.told import Numbers

Status = Literal["finished", "failed", "unwritable", "refused"]
FATAL = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.ENOTDIR,
    errno.EFBIG,
}
"""Errors of the disk that every other run would meet as well."""


class Task(TypedDict):
    """One run, as plain data."""

    run_id: str
    target: str
    scenario: dict[str, Any]
    code: dict[str, str]
    command: str
    limit_s: float | None
    watch: str
    inputs_sha256: NotRequired[dict[str, str]]
    """Fingerprints that the driver knows, by which a refusal names what differs."""
    kept: NotRequired[str]
    """Folder where policies are kept one by one."""
    keep: NotRequired[list[str]]
    """Policies that are taken from there, or put there."""
    stated: NotRequired[dict[str, str]]
    """Files that lie elsewhere here -> what the driver calls them."""
    tells: NotRequired[bool]
    """Whether the numbers of the run are asked for, too."""


class Outcome(TypedDict):
    """What became of it."""

    status: Status
    error: str
    traceback: str
    is_final: bool
    wall_s: float
    policies_taken: NotRequired[list[str]]
    """Policies whose outcomes other runs have left."""
    policies_run: NotRequired[list[str]]
    numbers: NotRequired[Numbers | None]
    """Of its replications.parquet, where the task asks for them."""


def perform(task: Task) -> Outcome:
    """Simulate one run and write its folder; every error comes back as data.

    Parameters
    ----------
    task : Task
        JSON-able; made by the driver.

    Returns
    -------
    Outcome
        ``finished``; ``failed`` with the error (final if trying again cannot help); ``unwritable`` where the disk is
        full or closed; ``refused`` where this worker would compute something else than the driver asked for.
    """
    started = time.perf_counter()

    def outcome(status: Status, error: str = "", *, is_final: bool = True) -> Outcome:
        trace = traceback.format_exc() if status == "failed" else ""
        return Outcome(
            status=status, error=error, traceback=trace, is_final=is_final, wall_s=time.perf_counter() - started
        )

    try:
        from discosim.runs.kept import Kept
        from discosim.runs.provenance import fingerprints
        from discosim.runs.store import run_to_folder
        from discosim.sweep.told import numbers_of

        scenario = _scenario(task["scenario"])
        inputs = fingerprints(scenario)
        if reason := _why_refused(task, scenario, inputs):
            return outcome("refused", reason)
        keep = task.get("keep", [])
        kept = Kept.of_scenario(Path(task["kept"]), scenario, keep, inputs) if keep else None
        with _time_limit(task["limit_s"], Path(task["watch"])):
            result = run_to_folder(
                scenario,
                Path(task["target"]),
                command=task["command"],
                outcomes=kept,
                judge=lambda found: not is_finished(found, task["run_id"]),
                stated=task.get("stated"),
            )
    except InvariantError as error:
        return outcome("failed", f"InvariantError: {error}")
    except (UserError, OSError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        if isinstance(cause, OSError) and not isinstance(error, OwnCodeError):
            return outcome("unwritable" if cause.errno in FATAL else "failed", str(error), is_final=False)
        return outcome("failed", str(error))
    except Exception as error:  # noqa: BLE001 - one bad point must not stop a sweep; the error is kept and shown
        return outcome("failed", f"{type(error).__name__}: {error}", is_final=False)
    done = outcome("finished")
    if task.get("tells"):
        done["numbers"] = numbers_of(result)
    if kept is not None:
        done |= {"policies_taken": sorted(kept.taken), "policies_run": sorted(kept.run)}
    return done


def _scenario(plain: Mapping[str, Any]) -> Scenario:
    """Return the scenario of a task; what differs in nothing but its seed is checked once, if no file is behind it."""
    from discosim.config import load_scenario
    from discosim.runs.provenance import foreign_parts, inputs_of

    first = _checked(json.dumps({**plain, "seed": 0}))
    if foreign_parts(first) or any(kind == "file" for _, _, kind in inputs_of(first)):
        return load_scenario(plain)
    return replace(first, seed=plain["seed"])


@lru_cache(maxsize=1024)
def _checked(text: str) -> Scenario:
    from discosim.config import load_scenario

    plain = json.loads(text)
    return _with_known_sections(load_scenario(plain), plain)


def _with_known_sections(scenario: Scenario, plain: Mapping[str, Any]) -> Scenario:
    """Return the same scenario, made of sections of earlier ones where they are equal to the type of each number.

    Points of a sweep have most sections in common, and what is made of a section is kept under who it is.
    """
    held = {}
    for name, said in plain.items():
        box, section = _known(name, json.dumps(said)), getattr(scenario, name)
        if not box:
            box.append(section)
        if box[0] == section:
            held[name] = box[0]
    return replace(scenario, **held)


@lru_cache(maxsize=1024)
def _known(name: str, text: str) -> list[Any]:  # noqa: ARG001 - they are the key
    """Return where the section that was written so is put by whoever meets it first."""
    return []


def _why_refused(task: Task, scenario: Scenario, inputs: dict[str, str]) -> str:
    """Return why this worker must not take the task, or ''."""
    from discosim.runs.identity import code_facts, differences, run_id
    from discosim.runs.provenance import measured

    if changed := differences(task["code"], code_facts()):
        return f"the worker has another version than the driver: {', '.join(changed)}"
    if run_id(scenario, inputs) == task["run_id"]:
        return ""
    asked = task.get("inputs_sha256", inputs)
    if changed := differences(asked, inputs):
        names = sorted({key.partition(": ")[2] for key in inputs if inputs[key] != asked.get(key)})
        if measured(asked) == measured(inputs) and all(".py:" in name for name in names):
            return f"{', '.join(names)} was edited while the sweep ran; give the command again: what is finished stays"
        return f"the worker reads other inputs than the driver: {', '.join(changed)}"
    return "the worker reads other inputs than the driver, or makes another scenario of the same configuration"


def is_finished(folder: Path, run_id: str) -> bool:
    """Tell whether somebody else has finished this run in the meantime."""
    from discosim.runs.whole import Seen, whole_run

    facts, _ = whole_run(folder, Seen())
    return facts is not None and facts["run_id"] == run_id


@contextmanager
def _time_limit(limit_s: float | None, watch: Path) -> Iterator[None]:
    """End this process when the run takes too long, and leave a trace of where it hung.

    A watchdog thread below Python does it, so that no loop and no library can hold it up. The driver sees a dead
    worker, and the file says why.
    """
    if limit_s is None:
        yield
        return
    with watch.open("w", encoding="utf-8") as file:
        faulthandler.dump_traceback_later(limit_s, exit=True, file=file)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
    watch.unlink(missing_ok=True)


def prepare_worker() -> None:
    """Make a worker process leave Ctrl-C to the driver, and die with it."""
    import signal
    import threading
    from multiprocessing import parent_process

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    driver = parent_process()
    if driver is None:
        return

    def follow() -> None:
        driver.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
