"""The one function that a cluster is given: it works, and says what is missing, on a node without this package too."""

from __future__ import annotations

from types import FunctionType


def enter(parcel: bytes) -> bytes:
    """Hand a parcel to this package on the node, or say why there is none; nothing but Python itself is needed here."""
    try:
        from discosim.sweep.node import answer
    except Exception as error:  # noqa: BLE001 - a broken installation may raise anything
        import json
        import os
        import socket
        import sys

        said = {"node": f"{socket.gethostname()} (process {os.getpid()} in {os.getcwd()})"}  # noqa: PTH109 - stays small
        said["python"] = sys.executable
        said["error"] = f"{type(error).__name__}: {error}"
        return b"no discosim here\n" + json.dumps(said).encode()
    return answer(parcel)


def by_value() -> FunctionType:
    """Return `enter` so that Ray and Dask send its code along, and not only its name."""
    made = FunctionType(enter.__code__, {"__builtins__": __builtins__, "__name__": "__main__"}, "enter_discosim")
    made.__module__, made.__qualname__ = "__main__", "enter_discosim"
    return made
