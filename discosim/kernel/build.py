"""Compiles the C files, of which `kernel.c` includes all others.

Uses the standard library alone: the build of a wheel runs this file before anything is installed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("kernel.c")
LIBRARY = Path(__file__).with_name("kernel.so")
FLAGS = ("-O2", "-std=c99", "-ffp-contract=off", "-fno-fast-math", "-fPIC", "-shared")
"""Contraction of ``a * b + c`` into one rounding would change bits, and does by default on some machines."""

MOST_S = 120.0


def source_sha(source: Path = SOURCE) -> str:
    """Return what a library must have been compiled from: the file, and the parts beside it that it includes."""
    parts = [source, *sorted(source.parent.glob("*.h"))]
    return hashlib.sha256(b"".join(part.name.encode() + b"\n" + part.read_bytes() for part in parts)).hexdigest()


def compiler() -> str | None:
    """Return the C compiler: the one that the environment variable CC names, or cc, gcc or clang; None without one."""
    named = os.environ.get("CC", "").split()
    return next((found for name in (*named[:1], "cc", "gcc", "clang") if (found := shutil.which(name))), None)


def build(source: Path = SOURCE, library: Path = LIBRARY) -> str:
    """Compile; return why there is no library, or '' where there is one.

    The library appears whole or not at all, so that several processes may build it at the same time.
    """
    command = compiler()
    if command is None:
        return "no C compiler was found (cc, gcc, clang, or the one that CC names)"
    with tempfile.TemporaryDirectory(dir=library.parent, prefix=".kernel-") as folder:
        made = Path(folder) / library.name
        sha = f'-DSOURCE_SHA="{source_sha(source)}"'
        try:
            done = subprocess.run(  # noqa: S603 - the compiler of whoever builds, without a shell
                [command, *FLAGS, sha, "-o", str(made), str(source), "-lm"],
                capture_output=True,
                text=True,
                timeout=MOST_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{command} did not run: {error}"
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()
            return f"{command} failed with exit code {done.returncode}: {said[0] if said else 'no message'}"
        made.replace(library)
    return ""
