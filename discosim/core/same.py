"""Values that a cache knows by who they are, not by what they hold."""

from __future__ import annotations

from typing import Any


class Same:
    """A value under its identity: equal to itself alone, and hashed without a look at its content.

    For caches of what is made of frozen data that is costly to hash or holds mappings. The cache keeps the value
    alive, so that no other one can take its place.

    Parameters
    ----------
    held : object
        Data that nobody changes.
    """

    __slots__ = ("held",)

    def __init__(self, held: Any) -> None:
        self.held = held

    def __eq__(self, other: object) -> bool:
        """Tell whether it is the very same value."""
        return isinstance(other, Same) and other.held is self.held

    def __hash__(self) -> int:
        """Return a hash of who it is."""
        return id(self.held)
