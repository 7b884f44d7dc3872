"""Addresses of object stores (`s3://`, `gs://`, ...) told from folders."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from discosim.core.errors import UserError

_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")


def is_url(place: object) -> bool:
    """Tell whether a place is that of an object store rather than a folder.

    Examples
    --------
    >>> is_url("s3://bucket/sweep"), is_url("results/sweep")
    (True, False)
    """
    return isinstance(place, str) and _URL.match(place) is not None


def place_of_text(text: str) -> str | Path:
    """Return what a text names: a folder, also as ``file://``, or the address of an object store.

    Raises
    ------
    UserError
        If a ``file://`` address names no folder of this machine.
    """
    if not is_url(text):
        return Path(text)
    if text.lower().startswith("file://"):
        parts = urlsplit(text)
        if parts.netloc not in {"", "localhost"} or not parts.path:
            raise UserError(f"expected file:///folder (got '{text}')", where=text)
        return Path(unquote(parts.path))
    return text
