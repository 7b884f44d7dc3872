"""How far something is: bars in notebooks and on terminals only, and a sweep that somebody watches from outside."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest
from sweep_samples import SWEEP, sweep, write

from discosim import cli, load_scenario, simulate
from discosim.runs import progress
from discosim.sweep import views

TINY = ["replications=2", "workload.n_requests=5"]


class ZMQInteractiveShell:
    """What IPython calls the shell of a notebook's kernel."""


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that this process is the kernel of a notebook without widgets."""
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = ZMQInteractiveShell  # type: ignore[attr-defined]  # a stand-in
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setattr(progress, "find_spec", lambda name: None)
    monkeypatch.setattr(progress, "PATIENCE_S", 0.0)


def test_a_notebook_is_known_by_its_shell(notebook: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert progress.is_notebook()
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: None)
    assert not progress.is_notebook()
    monkeypatch.delitem(sys.modules, "IPython")
    assert not progress.is_notebook()


def test_a_run_in_a_notebook_shows_its_worlds(notebook: None, capsys: pytest.CaptureFixture[str]) -> None:
    simulate(load_scenario("quickstart", overrides=TINY))
    said = capsys.readouterr()
    assert "/10 [" in said.err  # five policies, two replications
    assert said.out == ""


def test_nobody_looks_nothing_is_shown() -> None:
    with progress.ticking(None, 10, "quickstart") as tick:
        assert tick is None
    assert views.notebook_bar() is None


@pytest.mark.long
def test_a_sweep_in_a_notebook_shows_its_runs(
    notebook: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, SWEEP, ("n: 3}", "n: 1}"), ("[0.2, 0.6]", "[0.2]"))
    sweep(path, tmp_path / "out")
    assert "/2 [" in capsys.readouterr().err
    assert "world" not in capsys.readouterr().err  # a run of a sweep has no bar of its own


def test_widgets_are_used_where_they_are(notebook: None, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, Any]] = []
    widgets = types.ModuleType("tqdm.notebook")
    widgets.tqdm = lambda **options: made.append(options)  # type: ignore[attr-defined]  # a stand-in
    monkeypatch.setitem(sys.modules, "tqdm.notebook", widgets)
    monkeypatch.setattr(progress, "find_spec", lambda name: object())
    progress.open_bar(3, unit="run", is_shown=True)
    assert made[0]["total"] == 3


def test_a_sweep_is_watched_until_nothing_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = write(tmp_path, SWEEP, ("n: 3}", "n: 2}"), ("[0.2, 0.6]", "[0.2]")), tmp_path / "out"
    sweep(path, out, shard=(1, 4))
    pauses: list[float] = []

    def others_work(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:  # at first nobody does anything
            sweep(path, out, shard=(2, 4))
        elif len(pauses) == 3:
            sweep(path, out)

    monkeypatch.setattr("discosim.cli_sweeps.sleep", others_work)
    capsys.readouterr()
    assert cli.main(["sweep", "status", str(out), "--watch", "0.5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert pauses == [0.5] * 3
    assert [line.split(": ")[1].partition(";")[0] for line in lines] == [
        "1 finished, 0 failed, 3 missing",
        "2 finished, 0 failed, 2 missing",
        "4 finished, 0 failed, 0 missing",
    ]
    assert "a minute, about" in lines[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--watch", "0"], "must be from 0.1"), (["--watch", "nan"], "must be from"), (["--watch", "--json"], "either")],
)
def test_a_watch_that_cannot_be(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["sweep", "status", str(tmp_path), *options]) == 2
    assert message in capsys.readouterr().err
