"""The folder of a sweep: what is finished stays, what is half-written is never read, what changed is said."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discosim.core.errors import UserError
from discosim.runs.identity import SCHEMA_VERSION, code_facts, differences
from discosim.runs.store import FACTS, is_abandoned, owner
from discosim.sweep.plan import Plan, Run

PLAN, INDEX, RUNS, FAILURES = "plan.json", "index.parquet", "runs", "failures"


@dataclass(frozen=True)
class State:
    """Where each run of a plan stands.

    Parameters
    ----------
    finished, failed, missing : tuple of Run
        In the order of the plan.
    failures : mapping of str to mapping
        Folder name -> what is known about a failed run.
    strangers : tuple of str
        Folders of finished runs that belong to no point of the plan.
    """

    finished: tuple[Run, ...]
    failed: tuple[Run, ...]
    missing: tuple[Run, ...]
    failures: Mapping[str, Mapping[str, Any]]
    strangers: tuple[str, ...]


@dataclass(frozen=True)
class Store:
    """The folder of one sweep.

    Parameters
    ----------
    folder : Path
        ``results/<name>``.
    """

    folder: Path

    # --- beginning --------------------------------------------------------------------------------------------

    def prepare(self, plan: Plan, *, accept_version: bool = False) -> list[str]:
        """Make the folder ready for a plan, and return what a person should know about what is in it already.

        Raises
        ------
        UserError
            If the folder cannot be written or holds something else; or, unless ``accept_version``, if finished runs
            were made by another version of the code, or an input has changed since.
        """
        self._check_is_sweep()
        notes = self._changes(plan)
        if notes and not accept_version:
            raise UserError(
                f"holds results that must not be mixed with new ones: {'; '.join(notes)}. Make them anew after "
                f"`discosim sweep clean {self.folder} --stale`, name another folder with --out, or go on with "
                "--accept-version",
                where=str(self.folder),
            )
        try:
            for name in (RUNS, FAILURES):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
            self.remove_abandoned()
        except OSError as error:
            raise unwritable(self.folder, error) from error
        return notes

    def _check_is_sweep(self) -> None:
        if not self.folder.exists():
            return
        if not self.folder.is_dir():
            raise UserError("exists and is not a folder", where=str(self.folder))
        names = {path.name for path in self.folder.iterdir()}
        if names and not names & {PLAN, RUNS}:
            raise UserError("is not empty and holds no sweep; name another folder with --out", where=str(self.folder))

    def _changes(self, plan: Plan) -> list[str]:
        """Say which inputs and which code differ from those of the runs that are here."""
        made = [facts for _, facts in self.finished_facts()]
        now: dict[str, str] = {}
        for point in plan.points:
            now |= point.inputs_sha256
        inputs = {
            key for facts in made for key, old in facts.get("inputs_sha256", {}).items() if now.get(key, old) != old
        }
        notes = [f"the input '{key}' has changed" for key in sorted(inputs)]
        others = [facts.get("code", {}) for facts in made if facts.get("code", {}) != code_facts()]
        if others:
            changed = sorted({text for old in others for text in differences(old, code_facts())})
            notes.append(f"{len(others)} of {len(made)} runs were made by another version ({', '.join(changed)})")
        return notes

    def write_plan(self, plan: Plan, seeds: Sequence[int]) -> None:
        """Write plan.json: everything that was decided before the first run."""
        file = plan.file
        content = {
            "schema_version": SCHEMA_VERSION,
            "name": file.name,
            "profile": plan.profile,
            "seeds": list(seeds),
            "axes": [
                {
                    "paths": list(axis.paths),
                    "values": [{setting.path: setting.value for setting in step} for step in axis.steps],
                }
                for axis in plan.axes
            ],
            "points": [{"values": dict(p.values), "inputs_sha256": dict(p.inputs_sha256)} for p in plan.points],
            "runs": [
                {"folder": run.folder, "point": run.point, "seed": run.seed, "run_id": run.id}
                for run in plan.runs(seeds)
            ],
            "code": code_facts(),
        }
        self.write_text(PLAN, json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    def read_plan(self) -> dict[str, Any]:
        """Return plan.json.

        Raises
        ------
        UserError
            If the folder holds no sweep.
        """
        path = self.folder / PLAN
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError("no such file; expected the folder of a sweep", where=str(path)) from None
        except (OSError, ValueError) as error:
            raise UserError(f"cannot be read ({error})", where=str(path)) from None
        return content

    def planned(self) -> list[Run]:
        """Return the runs of plan.json, in their order."""
        return [Run(run["point"], run["seed"], run["run_id"]) for run in self.read_plan()["runs"]]

    # --- what is there ----------------------------------------------------------------------------------------

    def path(self, run: Run) -> Path:
        """Return the folder of a run, finished or not."""
        return self.folder / RUNS / run.folder

    def facts(self, run: Run) -> dict[str, Any] | None:
        """Return run.json of a finished run, or None where it is not finished, not whole, or another run."""
        facts = _whole_run(self.path(run))
        return facts if facts is not None and facts.get("run_id") == run.id else None

    def finished_facts(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield name and run.json of every whole run in the folder, whichever plan it belongs to."""
        runs = self.folder / RUNS
        for path in sorted(runs.iterdir()) if runs.is_dir() else ():
            if not path.name.startswith(".") and (facts := _whole_run(path)) is not None:
                yield path.name, facts

    def state(self, runs: Iterable[Run]) -> State:
        """Look at the disk: what is finished, failed or missing."""
        finished, failed, missing = [], [], []
        failures = self.failures()
        known = set()
        for run in runs:
            known.add(run.folder)
            if self.facts(run) is not None:
                finished.append(run)
            elif run.folder in failures:
                failed.append(run)
            else:
                missing.append(run)
        strangers = tuple(name for name, _ in self.finished_facts() if name not in known)
        return State(tuple(finished), tuple(failed), tuple(missing), failures, strangers)

    def failures(self) -> dict[str, dict[str, Any]]:
        """Return what is known about failed runs, by folder name."""
        found = {}
        for path in sorted((self.folder / FAILURES).glob("*.json")):
            if not path.name.startswith("."):
                found[path.stem] = json.loads(path.read_text(encoding="utf-8"))
        return found

    # --- writing ----------------------------------------------------------------------------------------------

    def write_failure(self, run: Run, content: Mapping[str, Any]) -> None:
        """Keep the error of a run."""
        text = json.dumps({"run_id": run.id, "point": run.point, "seed": run.seed, **content}, indent=1)
        self.write_text(f"{FAILURES}/{run.folder}.json", text + "\n")

    def forget_failure(self, run: Run) -> None:
        """Remove the error of a run that has finished since."""
        (self.folder / FAILURES / f"{run.folder}.json").unlink(missing_ok=True)

    def write_text(self, name: str, text: str) -> None:
        """Write a small file in one step; an unchanged one is left alone."""
        path = self.folder / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            return
        with self.replacing(name) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def replacing(self, name: str) -> _Replacing:
        """Return a context that gives a temporary path, which takes the place of ``name`` if all goes well."""
        return _Replacing(self.folder / name)

    # --- tidying ----------------------------------------------------------------------------------------------

    def remove_abandoned(self, *, everyone: bool = False) -> list[str]:
        """Remove what processes left that died on the way: those of this host, or with ``everyone`` all."""
        removed = []
        for path in (*self._hidden(RUNS), *self._hidden(FAILURES), *self._hidden(".")):
            if everyone or is_abandoned(path):
                _remove(path)
                removed.append(path.name)
        return removed

    def _hidden(self, name: str) -> list[Path]:
        folder = self.folder / name
        return sorted(path for path in folder.iterdir() if path.name.startswith(".")) if folder.is_dir() else []

    def clean(self, *, stale: bool = False) -> list[str]:
        """Remove what no plan needs, and return the names: leftovers, strangers, damaged runs, kept errors.

        Parameters
        ----------
        stale : bool
            Also remove runs that another version of the code has made.
        """
        planned = {run.folder: run for run in self.planned()}
        try:
            removed = self.remove_abandoned(everyone=True)
            for path in sorted((self.folder / RUNS).iterdir()):
                run = planned.get(path.name)
                facts = None if run is None else self.facts(run)
                if facts is None or (stale and facts.get("code") != code_facts()):
                    _remove(path)
                    removed.append(path.name)
            for path in sorted((self.folder / FAILURES).iterdir()):
                _remove(path)
                removed.append(path.name)
            if removed:
                _remove(self.folder / INDEX)
        except OSError as error:
            raise unwritable(self.folder, error) from error
        return removed


class _Replacing:
    """A file that is written beside its place and then takes it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._temporary = path.parent / f".{path.name}.{owner()}.tmp"

    def __enter__(self) -> Path:
        return self._temporary

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        try:
            if kind is None:
                with self._temporary.open("rb") as file:
                    os.fsync(file.fileno())
                self._temporary.replace(self._path)
        except OSError as late:
            raise unwritable(self._path, late) from late
        finally:
            self._temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise unwritable(self._path, error) from error


def _whole_run(path: Path) -> dict[str, Any] | None:
    """Return run.json if it is there and every file that it names has the size it names."""
    try:
        facts: dict[str, Any] = json.loads((path / FACTS).read_text(encoding="utf-8"))
        files = facts["files"]
        is_whole = all((path / name).stat().st_size == file["bytes"] for name, file in files.items())
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return facts if is_whole else None


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def unwritable(path: Path, error: OSError) -> UserError:
    """Return the error of a folder that cannot be written, with what the system says."""
    return UserError(f"cannot be written ({error.strerror or error})", where=str(path))
