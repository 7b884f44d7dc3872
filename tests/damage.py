"""What hands and disks do to files: every kind of damage, the same for the same seed."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

Damage = Callable[[Path, random.Random], None]


def _cut(path: Path, luck: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: luck.randrange(len(content))])


def _flipped(path: Path, luck: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[luck.randrange(len(content))] ^= 1 << luck.randrange(8)
    path.write_bytes(content)


def _digit(path: Path, luck: random.Random) -> None:
    """Change one digit: the file stays what it is, and says something else."""
    content = bytearray(path.read_bytes())
    places = [i for i, byte in enumerate(content) if byte in b"0123456789"]
    if places:
        place = luck.choice(places)
        content[place] = ord(str((int(chr(content[place])) + luck.randrange(1, 10)) % 10))
    path.write_bytes(content)


def _longer(path: Path, luck: random.Random) -> None:
    path.write_bytes(path.read_bytes() + luck.randbytes(7))


def _zeroed(path: Path, luck: random.Random) -> None:
    """Write zeros over a part, as a power cut does; the size stays."""
    content = bytearray(path.read_bytes())
    start = luck.randrange(len(content))
    content[start:] = bytes(len(content) - start)
    path.write_bytes(content)


def _folder(path: Path, _: random.Random) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside.txt").write_text("x")


def _link_to_nothing(path: Path, _: random.Random) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def _pipe(path: Path, _: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def _holding(content: str | bytes) -> Damage:
    def write(path: Path, _: random.Random) -> None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    return write


def _numbers_as_text(path: Path, _: random.Random) -> None:
    def texts(value: object) -> object:
        if isinstance(value, dict):
            return {key: texts(item) for key, item in value.items()}
        if isinstance(value, list):
            return [texts(item) for item in value]
        return str(value) if isinstance(value, int | float) else value

    try:
        path.write_text(json.dumps(texts(json.loads(path.read_text()))))
    except ValueError:
        path.write_text("a,b\nx,y\n")


def _key_twice(path: Path, luck: random.Random) -> None:
    """Give a key of a JSON object again, with a wrong value; the last one is the one that Python would take."""
    try:
        content = json.loads(path.read_text())
    except ValueError:
        path.write_text("a: 1\na: 2\n")
        return
    key = luck.choice(sorted(content))
    text = json.dumps(content)
    path.write_text(f"{text[:-1]}, {json.dumps(key)}: {json.dumps({'runs': 1e9})}}}")


def _key_gone(path: Path, luck: random.Random) -> None:
    try:
        content = json.loads(path.read_text())
        del content[luck.choice(sorted(content))]
    except (ValueError, TypeError):
        content = {}
    path.write_text(json.dumps(content))


KINDS: dict[str, Damage] = {
    "cut": _cut,
    "flipped": _flipped,
    "another digit": _digit,
    "longer": _longer,
    "zeroed": _zeroed,
    "empty": _holding(""),
    "gone": lambda path, _: path.unlink(),
    "a folder": _folder,
    "a link to nothing": _link_to_nothing,
    "a pipe": _pipe,
    "no UTF-8": _holding(b"\xff\xfe\x00name: caf\xe9"),
    "a list": _holding("[1, 2]"),
    "a number": _holding("1e9"),
    "null": _holding("null"),
    "an empty object": _holding("{}"),
    "deep": _holding("[" * 100_000),
    "deep object": _holding('{"runs":' * 5_000 + "1" + "}" * 5_000),
    "a huge number": _holding('{"runs": 1e9, "seeds": ' + "9" * 5_000 + "}"),
    "not a number": _holding('{"runs": NaN, "points": Infinity}'),
    "numbers as text": _numbers_as_text,
    "a key twice": _key_twice,
    "a key gone": _key_gone,
    "escapes": _holding("\x1b[31m\u202e: \x07\r\n\x1b]0;x\x07"),
}


BY_LUCK = ("cut", "flipped", "another digit", "zeroed")
"""Kinds whose outcome depends on the place that they hit."""


def remove(path: Path) -> None:
    """Remove whatever is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()
