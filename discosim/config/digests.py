"""Names of digests, checked where they are written rather than when the world is built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from discosim.config.keypath import KeyPath
from discosim.core import scenario as s
from discosim.core.errors import UserError, close_match

DIGEST_KEYS: dict[type, tuple[str, str]] = {
    s.DigestArrivals: ("digest", "workload"),
    s.ClientArrivals: ("digest", "clients"),
    s.DigestLengths: ("digest", ""),
    s.Device: ("profile", "device"),
    s.EdgeTier: ("profile", "device"),
    s.ReplayedServer: ("digest", "latency"),
    s.Chunks: ("digest", "chunks"),
    s.DigestIterations: ("digest", "engine"),
    s.DigestLink: ("digest", "rtt"),
    s.JointQuality: ("digest", "quality"),
}
"""Of each section that names a digest: the key, and the kind of digest; lengths come from two kinds."""
FILE_KEYS: dict[type, tuple[str, str]] = {
    s.Device: ("profile_file", "device"),
    s.ReplayedServer: ("digest_file", "latency"),
    s.Chunks: ("digest_file", "chunks"),
    s.FileIterations: ("file", "engine"),
    s.DigestLink: ("digest_file", "rtt"),
}
"""Of each section that names a digest of the user's own: the key, and what the file must hold."""
LENGTH_KINDS = ("workload", "clients")


def check_digest(section: type, values: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Yield (path inside the section, message) where a section names no digest: not a shipped one, or a bad file."""
    from discosim.traces.catalogue import find_digest

    if section is s.PhysicsIterations:
        yield from _model_and_gpu(values)
    if section in FILE_KEYS:
        yield from _own_digest(*FILE_KEYS[section], values)
    key, kind = DIGEST_KEYS.get(section, ("", ""))
    name = values.get(key)
    if not isinstance(name, str):
        return
    try:
        if kind:
            find_digest(name, kind)
        else:
            _find_lengths(name)
    except UserError as error:
        yield (key,), error.message


def _own_digest(key: str, kind: str, values: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    from discosim.traces.digest_file import read_own_digest

    if isinstance(values.get(key), str):
        try:
            read_own_digest(values[key], kind)
        except UserError as error:
            yield (key,), str(error)


def _model_and_gpu(values: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    from discosim.traces.gpu_sheet import find_gpu
    from discosim.traces.model_config import find_model, read_model

    looks = (("model", find_model), ("model_file", read_model), ("gpu", find_gpu))
    for key, look in looks:
        if isinstance(values.get(key), str):
            try:
                look(values[key])
            except UserError as error:
                yield (key,), str(error)


def _find_lengths(name: str) -> None:
    """Look for a digest of either kind that holds lengths."""
    from discosim.traces.catalogue import find_digest, list_digests

    held = [entry.name for kind in LENGTH_KINDS for entry in list_digests(kind)]
    if name in held:
        return
    try:
        problem = f"digest '{name}' is of kind {find_digest(name).kind} and has no lengths"
    except UserError:
        problem = f"unknown digest of lengths '{name}'"
    raise UserError(f"{problem}; {close_match(name, held)}")
