"""Where the compiled library comes from, and when it is refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from discosim.kernel import library
from discosim.kernel.build import SOURCE, build, source_sha


def test_a_library_of_another_text_is_refused(tmp_path, monkeypatch, kernel):
    other = tmp_path / "kernel.c"
    other.write_text(SOURCE.read_text(encoding="utf-8") + "/* changed */\n", encoding="utf-8")
    monkeypatch.setattr(library, "SOURCE", other)
    library._loaded.cache_clear()
    assert library.load() is None
    assert "compiled from another kernel.c" in library.why_not()
    assert "python -m discosim.kernel build" in library.why_not()
    library._loaded.cache_clear()


def test_every_part_of_the_text_counts(tmp_path):
    for path in SOURCE.parent.glob("*.[ch]"):
        shutil.copy(path, tmp_path)
    copy = tmp_path / SOURCE.name
    before = source_sha(copy)
    assert before == source_sha()
    with (tmp_path / "rows.h").open("a") as file:
        file.write("/* changed */\n")
    assert source_sha(copy) != before


def test_no_library_and_a_broken_one_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.delenv(library.SWITCH, raising=False)
    monkeypatch.setattr(library, "LIBRARY", tmp_path / "none.so")
    assert library.load() is None
    assert "was not compiled" in library.why_not()
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"no library")
    monkeypatch.setattr(library, "LIBRARY", broken)
    assert library.load() is None
    assert "cannot be used" in library.why_not()


@pytest.mark.usefixtures("kernel")
def test_the_switch_turns_it_off_at_any_time(monkeypatch):
    assert library.load() is not None
    monkeypatch.setenv(library.SWITCH, "1")
    assert library.load() is None
    assert library.why_not() == "DISCOSIM_NO_KERNEL is set"
    monkeypatch.setenv(library.SWITCH, "0")
    assert library.load() is not None


def test_a_build_that_fails_says_why_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("CC", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "no C compiler was found" in build(library=tmp_path / "kernel.so")
    compiler = tmp_path / "cc"
    compiler.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('kernel.c:1: wrong')\n", encoding="utf-8")
    compiler.chmod(0o755)
    assert build(library=tmp_path / "kernel.so") == f"{compiler} failed with exit code 1: kernel.c:1: wrong"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cc"]


def test_the_command_says_how_things_stand():
    env = {**os.environ, library.SWITCH: "1"}
    command = [sys.executable, "-m", "discosim.kernel", "status"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    assert done.returncode == 1
    assert done.stdout == "not used: DISCOSIM_NO_KERNEL is set\n"
