"""The tours, followed literally: files are saved, commands given, and what they print compared, in one empty folder.

Run as a script in an empty folder, it follows a page with the `discosim` that the shell finds, and says what each
command took.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pages import ROOT, Block, blocks_of

TOURS = sorted((ROOT / "docs" / "tours").glob("*.md"))


@dataclass(frozen=True)
class Step:
    """A block of commands that was given: what it printed, how it ended, what the page shows of it, and its seconds."""

    commands: Block
    printed: str
    errors: str
    status: int
    shown: Block | None
    seconds: float


def file_of(block: Block) -> str:
    """Return the name of the file that a block is to be saved as; '' for others."""
    return next((tag for tag in block.tags if "." in tag), "")


def follow(page: Path, folder: Path, env: dict[str, str], *, is_whole: bool) -> Iterator[Step]:
    """Save each file and give each command of a page in a folder; those that take ``minutes`` only of the whole."""
    blocks = blocks_of(page)
    for i, block in enumerate(blocks):
        if name := file_of(block):
            (folder / name).write_text(block.code, encoding="utf-8")
        elif block.language == "sh" and (is_whole or "minutes" not in block.tags):
            started = time.perf_counter()
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block.code],
                cwd=folder,
                env=env,
                capture_output=True,
                text=True,
                check=False,
            )
            after = blocks[i + 1] if i + 1 < len(blocks) and "output" in blocks[i + 1].tags else None
            yield Step(block, done.stdout, done.stderr, done.returncode, after, time.perf_counter() - started)


if __name__ == "__main__":
    for step in follow(Path(sys.argv[1]).resolve(), Path(), dict(os.environ), is_whole=True):
        print(f"--- {step.seconds:.1f} s, exit code {step.status}\n{step.commands.code}{step.printed}{step.errors}")
