"""A sweep in an object store: worked on in a copy on this machine, whose finished runs go to the store one by one."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from discosim.core.cache_folder import cache_folder
from discosim.core.errors import UserError
from discosim.core.files import write_whole
from discosim.core.owners import hold, let_go
from discosim.core.places import remove
from discosim.runs.facts import FACTS
from discosim.sweep.drive import Watcher
from discosim.sweep.object_store import ObjectStore
from discosim.sweep.plan import Run
from discosim.sweep.store import CODE, COMPARISONS, FAILURES, INDEX, PLAN, RUNS, Store
from discosim.sweep.worker import Outcome

Watch = Callable[[int, int], Watcher]
_STATE, _SWEEP = "state.json", "sweep"
_PARTS = frozenset({PLAN, INDEX, COMPARISONS, RUNS, FAILURES, CODE})
"""What a sweep consists of: nothing else at an address is read, written or removed."""
_N_AT_ONCE = 8
_N_COPIES = 64


@dataclass
class Mirror:
    """A folder that is kept like the store.

    The store is what counts: at the beginning the copy is made like it, and a run is finished there when its run.json
    is, which goes last, with the sha256 of all other files. So whoever is cut off leaves nothing that is taken for a
    run, and several processes, as of a job array, may write to one address. Source: our choice; with a copy, all that
    reads folders reads stores.

    Parameters
    ----------
    store : ObjectStore
        Where the sweep is.
    folder : Path
        The copy.
    """

    store: ObjectStore
    folder: Path
    _known: dict[str, list[str]] = field(default_factory=dict)
    """Name -> what the store said of it, and the sha256 of the copy."""
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_N_AT_ONCE))
    _going: list[Future[None]] = field(default_factory=list)

    # --- from the store ---------------------------------------------------------------------------------------

    def pull(self, only: Collection[str] = ()) -> None:
        """Make the copy like the store, or only some of its files; what has not changed is not read again."""
        with suppress(OSError, ValueError):
            self._known = dict(json.loads((self.folder.parent / _STATE).read_text(encoding="utf-8")))
        found = self.store.listing()
        there = {name: tag for name, tag in found.items() if _is_ours(name)}
        if found and not there:
            raise UserError("is not empty and holds no sweep; name another one", where=self.store.url)
        wanted = {name: tag for name, tag in there.items() if not only or name in only}
        changed = [name for name, tag in wanted.items() if not self._has(name, tag)]
        for name in [name for name in self._local() if name not in there]:
            remove(self.folder / name)
        ordered = sorted(changed, key=_is_marker)
        for name, body in zip(ordered, self._pool.map(self.store.read, ordered), strict=True):
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, body)
            self._known[name] = [wanted[name], hashlib.sha256(body).hexdigest()]
        for empty in sorted((self.folder / RUNS).glob("*")):
            with suppress(OSError):
                empty.rmdir()
        self._known = {name: said for name, said in self._known.items() if name in there}
        self._remember()

    def _has(self, name: str, tag: str) -> bool:
        path = self.folder / name
        if self._known.get(name, [""])[0] != tag or not path.is_file():
            return False
        return hashlib.sha256(path.read_bytes()).hexdigest() == self._known[name][1]

    def _local(self) -> list[str]:
        paths = (path.relative_to(self.folder) for path in sorted(self.folder.rglob("*")) if path.is_file())
        return [path.as_posix() for path in paths if _is_ours(path.as_posix())]

    # --- to the store -----------------------------------------------------------------------------------------

    def watching(self, watch: Watch | None) -> Watch:
        """Return a watch that also sends each run to the store as soon as it is finished."""

        def both(n_finished: int, n_runs: int) -> Watcher:
            self._send([PLAN])
            return _Both(self, None if watch is None else watch(n_finished, n_runs))

        return both

    def send_run(self, run: Run) -> None:
        """Begin to send a run; an earlier one that could not be sent is said now."""
        self._said()
        self._going.append(self._pool.submit(self._send_run, f"{RUNS}/{run.folder}"))

    def _send_run(self, name: str) -> None:
        files = {f"{name}/{path.name}": path.read_bytes() for path in sorted((self.folder / name).iterdir())}
        marker = f"{name}/{FACTS}"
        if marker in self._known:  # what was there is no run any more until the new one is whole
            self.store.remove([marker])
        self.store.write({key: body for key, body in files.items() if key != marker})
        self.store.write({marker: files[marker]})
        self._known |= {key: ["", hashlib.sha256(body).hexdigest()] for key, body in files.items()}

    def _said(self, *, is_last: bool = False) -> None:
        for future in [future for future in self._going if is_last or future.done()]:
            self._going.remove(future)
            future.result()

    def push(self) -> None:
        """Send what is not there yet, and remove there what was removed here; what others have added stays."""
        self._said(is_last=True)
        local = self._local()
        for run in sorted({name.rpartition("/")[0] for name in local if name.startswith(f"{RUNS}/")}):
            if (self.folder / run / FACTS).is_file() and self._differ(run, local):
                self._send_run(run)
        self._send([name for name in local if not name.startswith(f"{RUNS}/")])
        gone = sorted(set(self._known) - set(local), key=lambda name: not _is_marker(name))
        self.store.remove(gone)
        for name in gone:
            del self._known[name]
        self._remember()

    def _differ(self, run: str, local: list[str]) -> bool:
        return any(name.startswith(f"{run}/") and name not in self._known for name in local)

    def _send(self, names: list[str]) -> None:
        bodies = {name: (self.folder / name).read_bytes() for name in names if (self.folder / name).is_file()}
        hashes = {name: hashlib.sha256(body).hexdigest() for name, body in bodies.items()}
        new = [name for name in bodies if self._known.get(name, ["", ""])[1] != hashes[name]]
        if new:
            self.store.write({name: bodies[name] for name in new})
            self._known |= {name: ["", hashes[name]] for name in new}

    def _remember(self) -> None:
        write_whole(self.folder.parent / _STATE, json.dumps(self._known))

    def close(self) -> None:
        """Wait for what is going."""
        self._pool.shutdown(wait=True)


@dataclass(frozen=True)
class _Both:
    """Sends a run that is finished, and tells the other watcher."""

    mirror: Mirror
    other: Watcher | None

    def done(self, run: Run, outcome: Outcome) -> None:
        """Hear of a run."""
        if outcome["status"] == "finished":
            self.mirror.send_run(run)
        if self.other is not None:
            self.other.done(run, outcome)


@contextmanager
def mirrored(url: str, *, only: Collection[str] = (), is_read: bool = False) -> Iterator[Mirror]:
    """Give a copy of what lies at an address, and send back what has become of it.

    Parameters
    ----------
    url : str
        Of an object store.
    only : collection of str
        Files that are wanted; all by default.
    is_read : bool
        Send nothing back.

    Raises
    ------
    UserError
        If the address cannot be used, or what was done in the copy says so; messages name the address.
    """
    store = ObjectStore.at(url)
    folder, lock = _copy(store.url)
    mirror = Mirror(store, folder)
    try:
        if not is_read:
            store.probe()
        mirror.pull(only)
        try:
            yield mirror
        except BaseException:
            if not is_read:
                with suppress(Exception):  # the first error is the one to say
                    mirror.push()
            raise
        if not is_read:
            mirror.push()
    except UserError as error:
        here = str(folder)
        raise UserError(error.message.replace(here, store.url), where=error.where.replace(here, store.url)) from error
    finally:
        mirror.close()
        let_go(lock)


@contextmanager
def opened(place: Path | str, *, is_read: bool = False) -> Iterator[Store]:
    """Give the folder of a sweep, wherever it lies; of an address a copy, whose changes go back unless it is read."""
    if isinstance(place, Path):
        yield Store(place)
        return
    with mirrored(place, is_read=is_read) as mirror:
        yield Store(mirror.folder, mirror.store.url)


def _copy(url: str) -> tuple[Path, int | None]:
    """Return a folder for the copy of an address that no other process has, and the lock that says so."""
    name = f"{PurePosixPath(url).name[:40]}-{hashlib.sha256(url.encode()).hexdigest()[:16]}"
    base = cache_folder("stores")
    for i in range(_N_COPIES):
        folder = base / (name if i == 0 else f"{name}-{i + 1}")
        (folder / _SWEEP).mkdir(parents=True, exist_ok=True)
        if (lock := hold(folder)) is not None:
            return folder / _SWEEP, lock
    folder = Path(tempfile.mkdtemp(prefix="discosim-store-")) / _SWEEP  # where there are no locks
    folder.mkdir()
    return folder, None


def _is_ours(name: str) -> bool:
    """Tell whether a file belongs to a sweep: hidden ones are temporary, and what is kept of policies stays here."""
    parts = PurePosixPath(name).parts
    return bool(parts) and parts[0] in _PARTS and not any(part.startswith(".") for part in parts)


def _is_marker(name: str) -> bool:
    return name.endswith(f"/{FACTS}")
