"""Plain data and files as one run of bytes: what travels between driver and nodes, and nothing in it is code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

MAGIC = b"discosim parcel 1\n"
_LENGTH, _HASH = 8, 32
"""Bytes that hold the length of the header, and its sha256."""


class DamagedParcelError(Exception):
    """What came is not what was sent."""


def pack(content: Mapping[str, Any], files: Mapping[str, bytes] | None = None) -> bytes:
    """Return plain data and named files as bytes, with the sha256 of every part.

    Examples
    --------
    >>> unpack(pack({"n": 1}, {"a/b": b"xy"}))
    ({'n': 1}, {'a/b': b'xy'})
    """
    held = files or {}
    about = [[name, len(body), hashlib.sha256(body).hexdigest()] for name, body in held.items()]
    header = json.dumps({"content": content, "files": about}, separators=(",", ":")).encode()
    seal = hashlib.sha256(header).digest()
    return b"".join([MAGIC, len(header).to_bytes(_LENGTH, "big"), seal, header, *held.values()])


def unpack(parcel: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return what was packed.

    Raises
    ------
    DamagedParcelError
        If it is not whole, or no parcel of this version.
    """
    length = len(MAGIC) + _LENGTH
    start = length + _HASH
    if not isinstance(parcel, bytes) or parcel[: len(MAGIC)] != MAGIC:
        raise DamagedParcelError("it is no parcel of this version of discosim")
    end = start + int.from_bytes(parcel[len(MAGIC) : length], "big")
    if hashlib.sha256(parcel[start:end]).digest() != parcel[length:start]:
        raise DamagedParcelError("its header is not whole")
    try:
        header = json.loads(parcel[start:end])
        content, about = header["content"], [(str(name), int(size), str(sha)) for name, size, sha in header["files"]]
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedParcelError("its header is none") from error
    files: dict[str, bytes] = {}
    for name, size, sha256 in about:
        body = parcel[end : end + size]
        if size < 0 or hashlib.sha256(body).hexdigest() != sha256:
            raise DamagedParcelError(f"its file {name[:80]} is not whole")
        files[name] = body
        end += size
    if not isinstance(content, dict) or end != len(parcel):
        raise DamagedParcelError("its length is another")
    return content, files
