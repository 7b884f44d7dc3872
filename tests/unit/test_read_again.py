"""Files that are opened once are opened again as soon as anything about them changes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from discosim.core.read_again import SETTLED_NS, content_of


def written(path: Path, text: str, *, age_s: float) -> Path:
    """Write a file that says of itself that it was written a while ago."""
    path.write_text(text, encoding="utf-8")
    then_ns = path.stat().st_mtime_ns - round(age_s * 1e9)
    os.utime(path, ns=(then_ns, then_ns))
    return path


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the files that were opened, in a process whose clock is an hour ahead: all are settled."""
    found: list[Path] = []
    real = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: found.append(path) or real(path))
    monkeypatch.setattr("discosim.core.read_again.time.time_ns", lambda: 1 << 62)
    return found


def test_a_file_that_stands_is_opened_once(tmp_path: Path, opened: list[Path]) -> None:
    path = written(tmp_path / "a.json", '{"é": 1}', age_s=0)
    first, again = content_of(path), content_of(path)
    assert first is again
    assert first.text == '{"é": 1}'
    assert first.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(opened) == 2  # once by it, once by the line above


@pytest.mark.parametrize("age_s", [0, 5])
def test_one_of_the_same_size_is_opened_again(tmp_path: Path, opened: list[Path], age_s: float) -> None:
    path = written(tmp_path / "a.json", "one", age_s=0)
    assert content_of(path).text == "one"
    assert content_of(written(path, "two", age_s=age_s)).text == "two"
    assert len(opened) == 2


def test_one_that_took_its_place_with_the_same_times_is_opened_again(tmp_path: Path, opened: list[Path]) -> None:
    path = written(tmp_path / "a.json", "one", age_s=0)
    assert content_of(path).text == "one"
    other = written(tmp_path / "b.json", "two", age_s=0)
    times = path.stat()
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(path)
    assert content_of(path).text == "two"
    assert len(opened) == 2


def test_a_young_file_is_opened_every_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its times may stay what they are when it is written once more in the same tick of the clock."""
    path = written(tmp_path / "a.json", "one", age_s=0)
    times = path.stat()
    now_ns = max(times.st_mtime_ns, times.st_ctime_ns) + SETTLED_NS // 2
    monkeypatch.setattr("discosim.core.read_again.time.time_ns", lambda: now_ns)
    first, again = content_of(path), content_of(path)
    assert first == again
    assert first is not again


def test_a_missing_one_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        content_of(tmp_path / "none.json")
