"""Where each input of a finished run comes from, by the fingerprints that its run.json or a sweep's plan.json holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from discosim.core.errors import UserError
from discosim.runs.provenance import POLICY_CODE, SCHEDULER_CODE
from discosim.traces.catalogue import digest_sha256, find_digest, load_digest
from discosim.traces.digest import Card, DeviceDigest

CODE = {
    role: f"source of a {role.partition(' ')[0]} that is not discosim's; the notes of the run name its package"
    for role in (POLICY_CODE, SCHEDULER_CODE)
}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """How one figure of an input, or all of them (``*``), is known."""

    name: str
    status: str
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """One input of a run.

    Parameters
    ----------
    role, name, sha256 : str
        What it serves for, its name, and the fingerprint that the run recorded.
    kind : str
        Kind of digest; ``file`` for a user's own; ``code`` for the source of a policy or scheduler.
    card : Card or None
        Source, commit, licence, method. None where this installation ships no digest of that name, or another one.
    figures : tuple of Figure
        How its numbers are known; empty for a user's file.
    note : str
        What a reader must know of the link between the fingerprint and the card; empty where they agree.
    """

    role: str
    name: str
    sha256: str
    kind: str = "file"
    card: Card | None = None
    figures: tuple[Figure, ...] = ()
    note: str = ""


def origins(*inputs_sha256: Mapping[str, str]) -> list[Origin]:
    """Return the origin of every input, in the given order.

    Parameters
    ----------
    inputs_sha256 : mapping of str to str
        ``role: name`` to sha256, as :func:`discosim.runs.provenance.fingerprints` gives it, of a run or of each
        point of a sweep. Roles that share an input share an origin; files of one name in several folders have one each.
    """
    roles: dict[tuple[str, str], dict[str, None]] = {}
    for inputs in inputs_sha256:
        for key, sha256 in inputs.items():
            role, _, name = key.partition(": ")
            roles.setdefault((name, sha256), {})[role] = None
    return [_origin(", ".join(named), name, sha256) for (name, sha256), named in roles.items()]


def _origin(role: str, name: str, sha256: str) -> Origin:
    if role in CODE:
        return Origin(role=role, name=name, sha256=sha256, kind="code", note=CODE[role])
    try:
        kind = find_digest(name).kind
    except UserError:
        return Origin(role=role, name=name, sha256=sha256, note="a file of the user's own; its origin is not recorded")
    if digest_sha256(name) != sha256:
        note = "the digest of this name that is installed now is another one, so its card is not shown"
        return Origin(role=role, name=name, sha256=sha256, kind=kind, note=note)
    digest = load_digest(name)
    if isinstance(digest, DeviceDigest):
        figures = [Figure(name=n, status=p.status, source=p.source) for n, p in digest.provenance.items()]
    else:
        figures = [Figure(name=n, status=status) for n, status in digest.card.status.items()]
    return Origin(role=role, name=name, sha256=sha256, kind=kind, card=digest.card, figures=tuple(figures))
