"""The folder of a sweep: what is finished stays, what is half-written is never read, what changed is said."""

from __future__ import annotations

import json
import os
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from discosim.core.errors import UserError
from discosim.core.files import real_path, replacing, status_of, unwritable
from discosim.core.owners import is_abandoned, temporary
from discosim.core.places import is_void, remove
from discosim.core.printable import unicode_text
from discosim.runs.identity import code_facts
from discosim.runs.shapes import check_shape, read_object
from discosim.runs.whole import Seen, whole_run
from discosim.sweep.changes import changes, inputs_today
from discosim.sweep.plan import Plan, Run
from discosim.sweep.plan_file import PLAN, plan_text, read_plan
from discosim.sweep.state import Failure, State

INDEX, COMPARISONS, RUNS, FAILURES = "index.parquet", "comparisons.csv", "runs", "failures"
CODE = "code"
"""Text of policies that were given as objects."""
KEPT = "kept"
"""What policies came to one by one, for other runs to take over."""


@dataclass(frozen=True)
class Store:
    """The folder of one sweep.

    Parameters
    ----------
    folder : Path
        ``results/<name>``.
    url : str
        Address of the object store that the folder is a copy of, or ''.
    """

    folder: Path
    url: str = ""
    _seen: Seen = field(default_factory=Seen, compare=False, repr=False)

    @property
    def shown(self) -> str:
        """What the user calls it."""
        return self.url or str(self.folder)

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
        try:
            old = self.read_plan()
        except UserError:  # there is none yet, or it is damaged; it is written anew
            old = None
        notes = changes(plan, self.finished_facts(), old)
        if notes and not accept_version:
            raise UserError(
                f"holds results that must not be mixed with new ones: {'; '.join(notes)}. Make them anew after "
                f"`discosim sweep clean {self.folder} --stale`, name another folder with --out, or go on with "
                "--accept-version",
                where=str(self.folder),
            )
        try:
            for name in (RUNS, FAILURES):
                (real_path(self.folder) / name).mkdir(parents=True, exist_ok=True)
                probe = temporary(self.folder / name / "probe")
                probe.touch()
                probe.unlink()
            self.remove_abandoned()
        except OSError as error:
            raise unwritable(self.folder, error) from error
        return notes

    def _check_is_sweep(self) -> None:
        if status_of(self.folder) is None:
            return
        if not self.folder.is_dir():
            raise UserError("exists and is not a folder", where=str(self.folder))
        try:
            is_other = not is_void(self.folder) and not any(
                (self.folder / name).exists() for name in (PLAN, RUNS, CODE)
            )
        except OSError as error:
            raise UserError(f"cannot be read ({error.strerror or error})", where=str(self.folder)) from error
        if is_other:
            raise UserError("is not empty and holds no sweep; name another folder with --out", where=str(self.folder))
        for name in (PLAN, INDEX, COMPARISONS):
            if (self.folder / name).is_dir():
                raise UserError(
                    "is a folder where the sweep writes a file; move it away", where=str(self.folder / name)
                )

    def write_plan(self, plan: Plan, seeds: Sequence[int]) -> None:
        """Write plan.json: everything that was decided before the first run."""
        self.write_text(PLAN, plan_text(plan, seeds))

    def read_plan(self) -> dict[str, Any]:
        """Return plan.json.

        Raises
        ------
        UserError
            If the folder holds no sweep, or the file is damaged.
        """
        return read_plan(self.folder)

    def planned(self) -> list[Run]:
        """Return the runs of plan.json, in their order."""
        return [Run(run["point"], run["seed"], run["run_id"]) for run in self.read_plan()["runs"]]

    # --- what is there ----------------------------------------------------------------------------------------

    def path(self, run: Run) -> Path:
        """Return the folder of a run, finished or not."""
        return self.folder / RUNS / run.folder

    def facts(self, run: Run) -> dict[str, Any] | None:
        """Return run.json of a finished run, or None where it is not finished, not whole, or another run."""
        return self._look(run)[0]

    def _look(self, run: Run) -> tuple[dict[str, Any] | None, str]:
        """Return run.json of a finished run; else None, and what is wrong with its folder if it has one."""
        path = self.path(run)
        if not os.path.lexists(path):
            return None, ""
        if not path.is_dir():
            return None, "is no folder"
        facts, reason = whole_run(path, self._seen)
        if facts is not None and (facts["run_id"], facts["seed"]) != (run.id, run.seed):
            return None, "holds another run"
        return facts, reason

    def finished_facts(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield name and run.json of every whole run in the folder, whichever plan it belongs to."""
        for path in self._run_folders():
            facts, _ = whole_run(path, self._seen)
            if facts is not None:
                yield path.name, facts

    def _run_folders(self) -> list[Path]:
        try:
            return sorted(path for path in (self.folder / RUNS).iterdir() if not path.name.startswith("."))
        except OSError:
            return []

    def state(self, runs: Iterable[Run]) -> State:
        """Look at the disk: what is finished, failed or missing."""
        finished, failed, missing = [], [], []
        failures, damaged = self.failures(), {}
        known = set()
        for run in runs:
            known.add(run.folder)
            facts, reason = self._look(run)
            if reason:
                damaged[run.folder] = reason
            if facts is not None:
                finished.append(run)
            elif run.folder in failures:
                failed.append(run)
            else:
                missing.append(run)
        others = (path for path in self._run_folders() if path.name not in known)
        strangers = tuple(path.name for path in others if whole_run(path, self._seen)[0] is not None)
        return State(tuple(finished), tuple(failed), tuple(missing), failures, strangers, damaged)

    def failures(self) -> dict[str, dict[str, Any]]:
        """Return what is known about failed runs, by folder name; of a damaged file, that it is."""
        found = {}
        for path in sorted((self.folder / FAILURES).glob("*.json")):
            if path.name.startswith("."):
                continue
            try:
                content = read_object(path)
                check_shape(Failure, content, path, "a failed run")
            except UserError as error:
                content = {"error": f"not known any more: {FAILURES}/{path.name} {error.message}"}
            found[path.stem] = content
        return found

    # --- writing ----------------------------------------------------------------------------------------------

    def write_failure(self, run: Run, content: Mapping[str, Any]) -> None:
        """Keep the error of a run."""
        name = f"{FAILURES}/{run.folder}.json"
        if (self.folder / name).is_dir():
            remove(self.folder / name)
        texts = {key: unicode_text(value) if isinstance(value, str) else value for key, value in content.items()}
        about = {"run_id": run.id, "point": run.point, "seed": run.seed, **texts}
        self.write_text(name, json.dumps(about, indent=1) + "\n")

    def forget_failure(self, run: Run) -> None:
        """Remove the error of a run that has finished since."""
        remove(self.folder / FAILURES / f"{run.folder}.json")

    def forget_kept(self, wanted: Container[str] = ()) -> None:
        """Remove what was kept of policies, save the files that are wanted; the folder goes with the last of them."""
        folder = self.folder / KEPT
        with suppress(OSError):
            for path in sorted(folder.iterdir()):
                if path.name not in wanted:
                    remove(path)
            folder.rmdir()

    def forget_tables(self) -> None:
        """Remove what was computed from all runs, when some of them are about to be made anew."""
        for name in (INDEX, COMPARISONS):
            (self.folder / name).unlink(missing_ok=True)

    def write_text(self, name: str, text: str) -> None:
        """Write a small file in one step; an unchanged one is left alone."""
        path = self.folder / name
        content = text.encode("utf-8")
        with suppress(OSError):
            if path.is_file() and path.read_bytes() == content:
                return
        with self.replacing(name) as part:
            part.write_bytes(content)

    def replacing(self, name: str) -> AbstractContextManager[Path]:
        """Return a context that gives a temporary path, which takes the place of ``name`` if all goes well."""
        return replacing(self.folder / name)

    # --- tidying ----------------------------------------------------------------------------------------------

    def remove_abandoned(self, *, everyone: bool = False) -> list[str]:
        """Remove what processes left that died on the way: those of this host, or with ``everyone`` all."""
        removed = []
        for path in (*self._hidden(RUNS), *self._hidden(FAILURES), *self._hidden(".")):
            if everyone or is_abandoned(path):
                remove(path)
                removed.append(path.name)
        return removed

    def _hidden(self, name: str) -> list[Path]:
        try:
            return sorted(path for path in (self.folder / name).iterdir() if path.name.startswith("."))
        except OSError:
            return []

    def clean(self, *, stale: bool = False) -> list[str]:
        """Remove what no plan needs, and return the names: leftovers, strangers, damaged runs, kept errors.

        Parameters
        ----------
        stale : bool
            Also remove runs that another version of the code has made, or that have read what has changed since, and
            what was kept of policies.
        """
        planned = {run.folder: run for run in self.planned()}
        removed = []
        of_point: dict[int, dict[str, str] | None] = {}  # the seeds of a point read the same
        for path in self._run_folders():
            run = planned.get(path.name)
            facts = None if run is None else self.facts(run)
            if run is None or facts is None or (stale and facts["code"] != code_facts()):
                removed.append(path)
            elif stale:
                if run.point not in of_point:
                    of_point[run.point] = inputs_today(path)
                if of_point[run.point] != facts["inputs_sha256"]:
                    removed.append(path)
        with suppress(OSError):
            removed += sorted(path for path in (self.folder / FAILURES).iterdir() if not path.name.startswith("."))
        hidden = self.remove_abandoned(everyone=True)
        if stale:
            self.forget_kept()
        try:
            for path in removed:
                remove(path)
                if os.path.lexists(path):
                    raise UserError("cannot be removed", where=str(path))
            if removed:
                self.forget_tables()
        except OSError as error:
            raise unwritable(self.folder, error) from error
        return [*hidden, *(path.name for path in removed)]


__all__ = ["COMPARISONS", "FAILURES", "INDEX", "PLAN", "RUNS", "State", "Store"]
