"""How far a sweep is, for people: a bar on stderr with rate, time left and failures."""

from __future__ import annotations

import sys
from typing import Any

from discosim.core.printable import for_stream
from discosim.runs.progress import open_bar
from discosim.sweep.plan import Run
from discosim.sweep.worker import Outcome


class Bar:
    """A watcher that moves a bar.

    Parameters
    ----------
    n_finished, n_runs : int
        Runs that are on disk already, and all runs.
    is_shown : bool
        Whether anybody looks: a terminal or a notebook; failures are said in any case.
    """

    def __init__(self, n_finished: int, n_runs: int, *, is_shown: bool = True) -> None:
        self._n_failed = 0
        self._bar: Any = open_bar(n_runs, unit="run", is_shown=is_shown, done=n_finished)

    def done(self, run: Run, outcome: Outcome) -> None:
        """Count a run; say at once if it failed."""
        if outcome["status"] == "failed":
            self._n_failed += 1
            self._bar.set_postfix_str(f"{self._n_failed} failed")
            line = f"discosim: {run.folder} failed: {' '.join(outcome['error'].split())}"
            self._bar.write(for_stream(line, sys.stderr), file=sys.stderr)
        self._bar.update()
        if self._bar.n >= (self._bar.total or 0):
            self._bar.close()
