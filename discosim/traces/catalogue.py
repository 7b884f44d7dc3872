"""The digests, configurations and papers that travel with the package: where they are, and how to load them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from discosim.core.errors import UserError, close_match
from discosim.core.read_again import content_of
from discosim.core.shipped import SHIPPED as SHIPPED  # noqa: PLC0414 - others ask for it here
from discosim.core.shipped import shipped_folder as shipped_folder  # noqa: PLC0414 - likewise
from discosim.traces.digest_file import parse_digest
from discosim.traces.kinds import KINDS, Digest


def shipped_root() -> Path:
    """Return the folder of the shipped digests, ``<kind>/<name>.json`` below it."""
    return shipped_folder("traces")


@dataclass(frozen=True)
class Entry:
    """One shipped digest, not yet loaded."""

    name: str
    kind: str
    path: Path


def list_digests(kind: str | None = None) -> list[Entry]:
    """Return all shipped digests, or those of one kind, by kind and name."""
    root = shipped_root()
    kinds = KINDS if kind is None else (kind,)
    return [Entry(path.stem, k, path) for k in kinds for path in sorted((root / k).glob("*.json"))]


def find_digest(name: str, kind: str | None = None) -> Entry:
    """Return where a shipped digest lies.

    Parameters
    ----------
    name : str
        Name of the digest.
    kind : str, optional
        Kind that is needed: ``workload``, ``clients``, ``latency``, ``rtt``, ``device`` or ``engine``.

    Raises
    ------
    UserError
        For a name that is unknown (with the nearest known one) or of another kind.
    """
    found = _entry(name, kind)
    if found is not None and kind in {None, found.kind}:
        return found
    fitting = [entry.name for entry in list_digests(kind)]
    wanted = f"{kind} digest" if kind else "digest"
    if found is None:
        raise UserError(f"unknown {wanted} {name!r}; {close_match(name, fitting)}")
    article = "an" if wanted[0] in "aeiou" else "a"
    raise UserError(
        f"digest {name!r} is of kind {found.kind}, {article} {wanted} is needed; {close_match(name, fitting)}"
    )


def _entry(name: str, kind: str | None) -> Entry | None:
    """Look for a name without listing every folder: a sweep asks thousands of times."""
    return next((entry for entry in _places(shipped_root(), name, kind) if entry.path.is_file()), None)


@lru_cache(maxsize=256)
def _places(root: Path, name: str, kind: str | None) -> tuple[Entry, ...]:
    """Return where a digest of a name could lie, beginning with the kind that is needed."""
    if Path(name).name != name:
        return ()
    kinds = sorted(KINDS, key=lambda known: known != kind)
    return tuple(Entry(name, known, root / known / f"{name}.json") for known in kinds)


def load_digest(name: str, kind: str | None = None) -> Digest:
    """Load a shipped digest by name; see `find_digest` for the parameters and errors."""
    entry = find_digest(name, kind)
    digest = _parsed(content_of(entry.path).text, f"{entry.kind}/{entry.path.name}")
    if digest.name != entry.name:
        raise UserError(f"holds the digest {digest.name!r}", where=f"{entry.kind}/{entry.path.name}")
    return digest


@lru_cache(maxsize=32)
def _parsed(text: str, where: str) -> Digest:
    """Parse a digest once; it is frozen, and a search for a capacity asks for the same one hundreds of times."""
    return parse_digest(text, where=where)


def digest_sha256(name: str, kind: str | None = None) -> str:
    """Return the sha256 of a shipped digest's file, as recorded with every run; see `find_digest`."""
    return content_of(find_digest(name, kind).path).sha256


def list_configs() -> list[str]:
    """Return the names of the shipped configurations."""
    return sorted(path.stem for path in shipped_folder("configs").glob("*.yaml"))


def list_sweeps() -> list[str]:
    """Return the names of the shipped sweeps."""
    return sorted(path.stem for path in (shipped_folder("configs") / "sweeps").glob("*.yaml"))


def shipped_config(name: str) -> Path:
    """Return the path of a shipped configuration, for example ``quickstart``.

    Raises
    ------
    UserError
        For an unknown name, with the nearest known one.
    """
    known = list_configs()
    if name not in known:
        raise UserError(f"unknown configuration {name!r}; {close_match(name, known)}")
    return shipped_folder("configs") / f"{name}.yaml"
