"""A scheduler that is no part of the package: given to ``simulate``, or named by an entry point."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pandas as pd
import pytest

from discosim import load_scenario, simulate
from discosim.core.errors import UserError
from discosim.world.engine.replica import Replica
from discosim.world.engine.schedulers.base import Orders, Scheduler
from discosim.world.engine.schedulers.fcfs import Fcfs

SHORT = ["replications=1", "workload.n_requests=60", "workload.arrivals.rate_per_s=4"]
PACKAGE = '''\
"""A scheduler of somebody else."""
from discosim.world.engine.schedulers.fcfs import Fcfs


class Mine(Fcfs):
    """First come, first served, again."""

    kind = "mine"
    source = "Our choice."
'''


class OneByOne(Scheduler):
    """Serves one request at a time: the slowest scheduler that is fair."""

    kind: ClassVar[str] = ""

    def schedule(self, replica: Replica) -> Orders:
        job = next(iter(replica.waiting), None)
        if job is not None and not replica.n_resident and replica.fits(job):
            replica.admit(job)
            return Orders([(job, job.prefill_left_tok)], decode=False)
        return Orders()


def test_a_scheduler_of_a_notebook_takes_the_place_of_the_scenarios() -> None:
    scenario = load_scenario("engine", overrides=SHORT)
    usual, own = simulate(scenario), simulate(scenario, scheduler=OneByOne)
    assert own.summary.value("server_only", "ttft_mean_s").mean > usual.summary.value("server_only", "ttft_mean_s").mean
    assert "scheduler: OneByOne, in place of the scenario's" in own.notes
    assert not any(note.startswith("scheduler:") for note in usual.notes)


def test_the_scenarios_own_scheduler_given_by_hand_changes_nothing() -> None:
    scenario = load_scenario("engine", overrides=SHORT)
    pd.testing.assert_frame_equal(simulate(scenario).requests, simulate(scenario, scheduler=Fcfs).requests)


def test_what_is_no_scheduler_is_refused() -> None:
    with pytest.raises(UserError, match=r"needs `server.kind: engine`"):
        simulate(load_scenario("quickstart", overrides=["replications=1"]), scheduler=Fcfs)
    scenario = load_scenario("engine", overrides=SHORT)
    with pytest.raises(UserError, match="expected a class"):
        simulate(scenario, scheduler=Fcfs())  # type: ignore[arg-type]  # what a user may try
    with pytest.raises(UserError, match=r"makes a Scheduler \(got int\)"):
        simulate(scenario, scheduler=int)  # type: ignore[arg-type]  # as above


@pytest.mark.long
def test_a_scheduler_of_another_package_is_explained_and_run(tmp_path: Path) -> None:
    site = tmp_path / "site"
    facts = site / "my_scheduler-1.0.dist-info"
    facts.mkdir(parents=True)
    (site / "my_scheduler.py").write_text(PACKAGE, encoding="utf-8")
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: my-scheduler\nVersion: 1.0\n", encoding="utf-8")
    (facts / "entry_points.txt").write_text("[discosim.schedulers]\nmine = my_scheduler:Mine\n", encoding="utf-8")
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])

    def discosim(*arguments: str) -> str:
        command = [sys.executable, "-m", "discosim", *arguments]
        env = {**os.environ, "PYTHONPATH": path}
        return subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    assert discosim("explain", "scheduler", "mine").startswith("mine: First come, first served, again.")
    changes = [word for change in SHORT for word in ("--set", change)]
    assert "\nserver_only " in discosim("run", "engine", *changes, "--set", "server.scheduler.kind=mine")
    assert '"my-scheduler": "1.0"' in (tmp_path / "results" / "engine" / "run.json").read_text(encoding="utf-8")


class Swapper(Fcfs):
    """Says of itself that it puts requests in the place of others at once."""

    kind: ClassVar[str] = ""
    may_decide_ahead: ClassVar[bool] = False


def test_a_scheduler_that_cannot_decide_ahead_is_refused_where_it_has_to() -> None:
    scenario = load_scenario("engine", overrides=[*SHORT, "server.async_scheduling=true"])
    with pytest.raises(UserError, match=r"^scheduler: Swapper says that it cannot decide ahead .*async_scheduling"):
        simulate(scenario, scheduler=Swapper)
    simulate(scenario, scheduler=Fcfs)
    simulate(load_scenario("engine", overrides=SHORT), scheduler=Swapper)
