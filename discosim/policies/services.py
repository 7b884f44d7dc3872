"""Services by name: the one that every scenario has, and those in its `services`."""

from __future__ import annotations

SERVER = "server"


def check_service(name: str) -> None:
    """Raise ValueError where a name means an endpoint that is no service."""
    if name in {"device", "edge"}:
        raise ValueError(f"expected a service: '{SERVER}', or a name in `services` (got '{name}')")
