"""Folders that appear whole whenever Ctrl-C comes."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from filled_folders import KIND, held, make, standing_in, whole, writer

from discosim.core import folders, interrupts, owners, places, take_place
from discosim.core.folders import fill
from discosim.core.interrupts import listening
from discosim.core.places import place_of


def interrupted_at(k: int, call: Callable[[], None], *, opcodes: bool) -> bool:
    """Send Ctrl-C to this process before the k-th step of our code; tell whether there were so many."""
    files = {module.__file__ for module in (folders, interrupts, owners, places, take_place)}
    left = k

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if frame.f_code.co_filename not in files:
            return None
        frame.f_trace_opcodes = opcodes
        if event in {"line", "opcode"}:
            left -= 1
            if left == 0:
                sys.settrace(None)
                signal.raise_signal(signal.SIGINT)
        return trace

    sys.settrace(trace)
    try:
        call()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(None)
    return left <= 0


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Let Ctrl-C be what it is in a fresh process."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def as_command(call: Callable[[], None]) -> None:
    with listening() as listener:
        try:
            listener.open()
            call()
        finally:
            listener.close()


def as_notebook(call: Callable[[], None]) -> None:
    call()


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("kind", ["new", "beside", "inside"])
@pytest.mark.parametrize("around", [as_command, pytest.param(as_notebook, marks=pytest.mark.long)])
@pytest.mark.parametrize("opcodes", [False, pytest.param(True, marks=pytest.mark.long)], ids=["lines", "opcodes"])
def test_ctrl_c_at_any_step_leaves_the_old_or_the_new(
    tmp_path: Path, opcodes: bool, around: Callable[[Callable[[], None]], None], kind: str
) -> None:
    """Interrupted before every step in turn; what stands there is whole, and there is no other trace."""
    place = tmp_path / "x" / "out"
    old = {} if kind == "new" else {f"x/out/{name}": text for name, text in whole("old").items()}
    new = {f"x/out/{name}": text for name, text in whole().items()}
    for k in range(1, 1_000_000):
        places.remove(place.parent)
        if kind != "new":
            make(place, "old")
        with standing_in(place if kind == "inside" else tmp_path):
            is_over = not interrupted_at(k, lambda: around(lambda: make(place)), opcodes=opcodes)
        if is_over:
            break
        assert held(tmp_path) in (old, new), f"step {k}"
        assert held(tmp_path) or not list(tmp_path.iterdir()), f"step {k} leaves a folder"
        assert not list(tmp_path.rglob(".*")), f"step {k} leaves a temporary"
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, f"step {k} leaves its handler"
    assert held(tmp_path) == new
    assert k > 100


@pytest.mark.usefixtures("ctrl_c")
def test_a_second_ctrl_c_does_not_stop_the_tidying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(folder: Path) -> None:
        writer("half")(folder)
        signal.raise_signal(signal.SIGINT)

    def remove(path: Path) -> None:
        signal.raise_signal(signal.SIGINT)
        places.remove(path)

    monkeypatch.setattr(folders, "remove", remove)
    with pytest.raises(KeyboardInterrupt):
        as_command(lambda: fill(place_of(tmp_path / "x" / "out"), KIND, write, lambda _: True))
    assert list(tmp_path.iterdir()) == []
