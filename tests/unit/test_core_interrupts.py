"""Signals that end a command: heard, never lost, never in the middle of a step, and nothing of them is left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from discosim.core.interrupts import ENDS, listening, uninterrupted

SIGNALS = [getattr(signal, name) for name in ENDS]


@pytest.fixture(autouse=True)
def _as_in_a_fresh_process() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in SIGNALS[1:]:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_each_of_them_is_an_interrupt_and_is_put_back(number: int) -> None:
    before = signal.getsignal(number)
    with listening() as listener:
        listener.open()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        assert listener.was_asked
    assert signal.getsignal(number) is before


def test_what_is_ignored_stays_ignored() -> None:
    """As under nohup, and for Ctrl-C in background commands of a script."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    with listening() as listener:
        listener.open()
        for number in SIGNALS:
            signal.raise_signal(number)
        assert not listener.was_asked


def test_it_waits_until_it_is_opened() -> None:
    with listening() as listener:
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            listener.open()
        listener.open()
        listener.close()
        signal.raise_signal(signal.SIGINT)  # when all is done it comes too late


@pytest.mark.parametrize("is_listening", [True, False])
def test_a_step_is_whole_and_its_opened_part_is_not(is_listening: bool) -> None:
    done = []

    def steps() -> None:
        with uninterrupted() as step:
            signal.raise_signal(signal.SIGINT)
            done.append("first")
            with step.opened():
                done.append("never")
            done.append("never")

    def listened() -> None:
        with listening() as listener:
            listener.open()
            steps()

    def nested() -> None:
        with uninterrupted(), uninterrupted():
            signal.raise_signal(signal.SIGINT)
            done.append("second")

    for part in (listened if is_listening else steps, nested):
        with pytest.raises(KeyboardInterrupt):
            part()
    assert done == ["first", "second"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_of_somebody_else_is_asked_later() -> None:
    seen: list[str] = []
    signal.signal(signal.SIGINT, lambda *_: seen.append("theirs"))
    with uninterrupted() as step:
        signal.raise_signal(signal.SIGINT)
        seen.append("first")
        with step.opened():
            seen.append("second")
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        seen.append("last")
    assert seen == ["first", "theirs", "second", "theirs", "last", "theirs"]


def test_one_that_is_swallowed_comes_again() -> None:
    """A destructor cannot raise: Python drops the interrupt, and would go on as if nobody had asked."""

    class Swallows:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    with listening() as listener:
        listener.open()
        gone = Swallows()
        del gone
        with pytest.raises(KeyboardInterrupt):
            time.sleep(5)


def test_another_thread_hears_and_changes_nothing() -> None:
    seen = []

    def work() -> None:
        with listening() as listener:
            listener.open()
            with uninterrupted() as step, step.opened():
                seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


@pytest.mark.parametrize("how", ["exec('raise KeyboardInterrupt')", "signal.raise_signal(signal.SIGTERM)", "lost()"])
def test_the_exit_code_is_ours(how: str) -> None:
    """Also where the interrupt came inside ``exec``, which Python notes, or a library made another error of it."""
    program = (
        "import signal, sys\n"
        "from discosim import cli\n"
        "def lost():\n"
        "    try: signal.raise_signal(signal.SIGINT)\n"
        "    except KeyboardInterrupt: raise SystemError('initialization of x raised unreported exception')\n"
        f"def verb(_): {how}\n"
        "cli._schema = verb\n"
        "sys.exit(cli.main(['schema']))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "discosim: interrupted\n")
