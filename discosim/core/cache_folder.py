"""Where copies are kept that can be had again: inputs that travelled to this machine, results of an object store."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

VARIABLE = "DISCOSIM_CACHE"


def cache_folder(name: str) -> Path:
    """Return a folder for copies, which anybody may remove at any time.

    Below ``DISCOSIM_CACHE``, else ``XDG_CACHE_HOME/discosim``, else ``~/.cache/discosim``; where none of them can be
    written, as on nodes without a home, below the folder for temporary files, for this user alone.

    Raises
    ------
    OSError
        If nothing can be written anywhere.
    """
    own, shared = os.environ.get(VARIABLE), os.environ.get("XDG_CACHE_HOME")
    places = [Path(own)] if own else [Path(shared or Path("~/.cache").expanduser()) / "discosim"]
    for place in places:
        folder = place / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if folder.is_absolute() and os.access(folder, os.W_OK | os.X_OK):
            return folder
    user = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir()) / f"discosim-{user}" / name
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and folder.parent.stat().st_uid != os.getuid():  # somebody else was there first
        folder = Path(tempfile.mkdtemp(prefix="discosim-")) / name
    folder.mkdir(exist_ok=True)
    return folder
