"""The rule that a device names one profile: a shipped one, or a file of one's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from discosim.config.keypath import KeyPath


def profile_findings(values: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Yield (path inside the section, message) where a device names two profiles."""
    if any(key not in values for key in ("profile", "profile_file")):
        return
    given = [key for key in ("profile", "profile_file") if values[key] is not None]
    if len(given) == 2:
        yield ("profile_file",), "says the same as profile; leave one of the two"
