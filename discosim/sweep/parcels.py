"""How runs are handed to nodes that may see another disk: in batches, with their inputs, and the results come back."""

from __future__ import annotations

import json
import math
import os
import secrets
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from discosim.config import as_plain
from discosim.core.errors import UserError
from discosim.core.folders import fill
from discosim.core.owners import temporary
from discosim.core.places import place_of
from discosim.core.take_place import flush
from discosim.runs.facts import FACTS
from discosim.runs.folder import RUN
from discosim.runs.identity import code_facts
from discosim.sweep.carried import MOST_BYTES, Carried, Luggage
from discosim.sweep.couriers import Came, command_of, died, error_of, watch_of
from discosim.sweep.executors import Engine
from discosim.sweep.parcel import DamagedParcelError, pack, unpack
from discosim.sweep.plan import Plan, Run
from discosim.sweep.store import KEPT, Store
from discosim.sweep.taken_over import kept_names
from discosim.sweep.terms import Terms
from discosim.sweep.worker import FATAL, Outcome, is_finished

MOST_RUNS = 64
"""Runs of the largest batch: what a node that dies takes with it."""
SPEND = 10.0
"""Times a batch's planned length after which a node sends back what it has not begun."""
_LATE_S = 5.0
"""How long a folder that a node has written may take to be seen here, over a network file system."""


@dataclass
class Parcels:
    """Nodes of a cluster.

    A node that sees a file which this driver has just written shares its folder, and writes there. Every other one
    sends back what a run has written, and this driver lets it take its place as a whole. Each node is asked with each
    batch, so one that joins later, or one of two that shares nothing, is no other case. Inputs are named by content,
    and sent to a node that has not got them. Source: our choice; a probe of all nodes at the beginning would miss
    those that come later.

    Parameters
    ----------
    plan, store, engine, terms
        As `carry_out` takes them.
    """

    plan: Plan
    store: Store
    engine: Engine
    terms: Terms
    _keep: list[tuple[str, ...]] = field(default_factory=list)
    _nonce: str = field(default_factory=lambda: secrets.token_hex(16))
    _luggage: Luggage = field(default_factory=Luggage)
    _points: dict[int, tuple[dict[str, Any], list[Carried]]] = field(default_factory=dict)
    _alone: set[Run] = field(default_factory=set)
    _needy: dict[Run, set[str]] = field(default_factory=dict)
    _wall_s: float = math.inf
    _probe: Path | None = None
    _came: dict[str, list[int]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        """Write the file by which nodes know this folder, and find out which policies several runs have in common."""
        self._keep = kept_names(self.plan)
        self._probe = temporary(self.store.folder.resolve() / "shared")
        self._probe.write_text(self._nonce, encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove it."""
        self._no_longer_shared()

    def notes(self) -> list[str]:
        """Return what a person should know about how the results came."""
        if not self._came:
            return []
        n, n_nodes = sum(len(sizes) for sizes in self._came.values()), len(self._came)
        size = sum(map(sum, self._came.values())) / 2**20
        runs = "1 run" if n == 1 else f"{n} runs"
        nodes = "1 worker process that shares" if n_nodes == 1 else f"{n_nodes} worker processes that share"
        return [f"{runs} ({size:,.1f} MiB) came back from {nodes} no folder with this machine"]

    # --- going ------------------------------------------------------------------------------------------------

    def batch(self, waiting: deque[Run]) -> tuple[Run, ...]:
        """Take as many runs as keep a node busy for a while, and no more than its share of what is left."""
        n = 1
        if self.terms.limit_s is None and self.engine.batch_s > 0:
            share = math.ceil(len(waiting) / max(1, self.engine.n_at_once))
            n = max(1, min(MOST_RUNS, share, int(self.engine.batch_s / max(self._wall_s, 1e-3))))
        runs = [waiting.popleft()]
        while waiting and len(runs) < n and not ({runs[0], waiting[0]} & self._alone):
            runs.append(waiting.popleft())
        return tuple(runs)

    def send(self, runs: Sequence[Run]) -> Future[Any]:
        """Hand runs to a node, with the inputs of which one was lacking elsewhere."""
        points = {run.point: self._point(run.point) for run in runs}
        inputs = {item.key + item.path: item for _, items in points.values() for item in items}
        wanted = set().union(*(self._needy.get(run, set()) for run in runs))
        blobs: dict[str, bytes] = {}
        for item in {item.key: item for item in inputs.values() if item.key in wanted}.values():
            blobs |= item.blobs()
        content = {
            "scenarios": {str(point): scenario for point, (scenario, _) in points.items()},
            "fingerprints": {str(point): dict(self.plan.points[point].inputs_sha256) for point in points},
            "runs": [self._plain(run) for run in runs],
            "inputs": [item.to_plain() for item in inputs.values()],
            "shared": None if self._probe is None else {"path": str(self._probe), "nonce": self._nonce},
            "kept": str((self.store.folder / KEPT).resolve()),
            "code": code_facts(),
            "command": command_of(self.terms, self.engine),
            "limit_s": self.terms.limit_s,
            "most_bytes": self.terms.most_bytes,
            "spend_s": SPEND * self.engine.batch_s,
        }
        return self.engine.executor.submit(self.engine.entry, pack(content, blobs))

    def _plain(self, run: Run) -> dict[str, Any]:
        return {
            "scenario": str(run.point),
            "keep": list(self._keep[run.point]),
            "seed": run.seed,
            "run_id": run.id,
            "target": str(self.store.path(run).resolve()),
            "watch": str(watch_of(self.store, run).resolve()),
        }

    def _point(self, index: int) -> tuple[dict[str, Any], list[Carried]]:
        if index not in self._points:
            scenario = self.plan.points[index].scenario
            data = as_plain(scenario)
            if json.loads(json.dumps(data)) != data:
                raise UserError("an option has keys that are no texts, which cannot travel to nodes", where="policies")
            self._points[index] = data, self._luggage.of(scenario)
        return self._points[index]

    # --- coming -----------------------------------------------------------------------------------------------

    def receive(self, future: Future[Any], runs: Sequence[Run]) -> Came:
        """Take what a node sends back."""
        error = error_of(future)
        if error is not None:
            yield from self._dead(error, runs)
            return
        raw = future.result()
        if isinstance(raw, bytes) and raw.startswith(b"no discosim here\n"):
            raise UserError(_no_package(json.loads(raw.partition(b"\n")[2])), where="--executor")
        try:
            content, files = unpack(raw)
            node = str(content["node"])
        except (DamagedParcelError, KeyError) as damage:
            what = f"what came back from its worker cannot be used: {damage}"
            yield from ((run, _failed(what)) for run in runs)
            return
        if "trouble" in content:
            raise UserError(f"node {node} {content['trouble']}", where="--executor")
        if "lacking" in content:
            self._note_lacking(node, set(content["lacking"]), runs)
            yield from ((run, None) for run in reversed(runs))
            return
        outcomes = content["outcomes"]
        for i, (run, outcome) in enumerate(zip(runs, outcomes, strict=False)):
            own = {name.partition("/")[2]: body for name, body in files.items() if name.startswith(f"{i}/")}
            yield run, self._settled(run, outcome, own, node)
        yield from ((run, None) for run in reversed(runs[len(outcomes) :]))

    def _dead(self, error: BaseException, runs: Sequence[Run]) -> Came:
        """Say what became of the runs of a node that is no more: of several nobody knows which one it was."""
        if len(runs) == 1:
            yield runs[0], died(error, runs[0], self.store, self.terms)
            return
        self._alone.update(runs)
        for run in reversed(runs):
            done = self.store.facts(run) is not None
            yield run, Outcome(status="finished", error="", traceback="", is_final=True, wall_s=0.0) if done else None

    def _note_lacking(self, node: str, keys: set[str], runs: Sequence[Run]) -> None:
        items = {item.key: item for run in runs for item in self._point(run.point)[1]}
        for key in keys & items.keys():
            item = items[key]
            if item.size > MOST_BYTES:
                raise UserError(
                    f"node {node} has not got this file, and its {item.size / 2**20:,.0f} MiB are more than the "
                    f"{MOST_BYTES / 2**20:,.0f} MiB that travel; put it there, at the same place",
                    where=item.path,
                )
        for run in runs:
            if keys <= self._needy.get(run, set()):
                raise UserError(f"node {node} says that it lacks inputs which were sent to it", where="--executor")
            self._needy[run] = self._needy.get(run, set()) | keys

    def _settled(self, run: Run, raw: Mapping[str, Any], files: Mapping[str, bytes], node: str) -> Outcome:
        try:
            outcome = Outcome(
                status=raw["status"],
                error=str(raw["error"]),
                traceback=str(raw["traceback"]),
                is_final=bool(raw["is_final"]),
                wall_s=float(raw["wall_s"]),
                policies_taken=list(map(str, raw.get("policies_taken", ()))),
                policies_run=list(map(str, raw.get("policies_run", ()))),
            )
            is_here = bool(raw["is_here"])
        except KeyError as error:
            return _failed(f"what came back from node {node} lacks {error}")
        if outcome["status"] == "refused":
            raise UserError(f"node {node}: {outcome['error']}; install there what this machine has", where=run.folder)
        if outcome["status"] != "finished":
            return {**outcome, "error": f"{outcome['error']} (node {node})"}
        self._wall_s = outcome["wall_s"] if self._wall_s == math.inf else 0.8 * self._wall_s + 0.2 * outcome["wall_s"]
        if is_here:
            return outcome if self._is_seen(run) else self._unseen(run, node)
        return self._landed(run, outcome, files, node)

    def _landed(self, run: Run, outcome: Outcome, files: Mapping[str, bytes], node: str) -> Outcome:
        """Let the folder of a run that was written elsewhere take its place here, the file that says so at the end."""
        if FACTS not in files or not files.keys() <= RUN.own:
            return _failed(f"node {node} sent back other files than a run writes")

        def write(folder: Path) -> None:
            for name in sorted(files, key=lambda name: name == FACTS):
                (folder / name).write_bytes(files[name])
            if not is_finished(folder, run.id):
                raise DamagedParcelError(f"the results that node {node} sent back are not whole")
            flush(folder)

        try:
            place = place_of(self.store.path(run), over_files=True)
            fill(place, RUN, write, lambda found: not is_finished(found, run.id))
        except DamagedParcelError as error:
            return _failed(str(error))
        except UserError as error:
            cause = error.__cause__
            is_fatal = isinstance(cause, OSError) and cause.errno in FATAL
            return {**_failed(str(error)), "status": "unwritable" if is_fatal else "failed"}
        self._came.setdefault(node, []).append(sum(map(len, files.values())))
        return outcome

    def _is_seen(self, run: Run) -> bool:
        """Tell whether a folder that a node has written can be seen here, or soon can."""
        until = time.monotonic() + _LATE_S
        while self.store.facts(run) is None:
            if time.monotonic() > until:
                return False
            with suppress(OSError):
                os.listdir(self.store.path(run).parent)  # noqa: PTH208 - makes network file systems look again
            time.sleep(0.05)
        return True

    def _unseen(self, run: Run, node: str) -> Outcome:
        self._no_longer_shared()
        where = self.store.path(run)
        return _failed(f"node {node} says that it has written {where}, and it is not there; results travel from now on")

    def _no_longer_shared(self) -> None:
        if self._probe is not None:
            with suppress(OSError):
                self._probe.unlink(missing_ok=True)
        self._probe = None


def _failed(error: str) -> Outcome:
    return Outcome(status="failed", error=error, traceback="", is_final=False, wall_s=0.0)


def _no_package(said: Mapping[str, Any]) -> str:
    from discosim import __version__

    return (
        f"node {said.get('node')} has no discosim ({said.get('error')}); install it there: "
        f"{said.get('python')} -m pip install discosim=={__version__}"
    )
