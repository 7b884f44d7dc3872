"""A policy in a file of the user's, and one in a cell of a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from discosim import Policy, load_scenario
from discosim.core.scenario import Scenario
from discosim.runs.provenance import fingerprints

POLICY = '''
from __future__ import annotations

from dataclasses import dataclass
from discosim import Policy
from discosim.core.spec import spec


@dataclass(kw_only=True)
class Mine(Policy):
    """Ask the service."""

    wait_s: float = spec(0.0, doc="Wait before.", unit="s", ge=0)
    helped: bool = False

    def serve(self, session):
        yield session.wait(self.wait_s)
        stream = session.start("server")
        if (yield session.first_token_of(stream)) is None:
            session.fail()
            return
        session.keep(stream)
        yield session.finished()


class Other:
    pass
'''
SMALL = ["workload.n_requests=30", "replications=1"]


def scenario(folder: Path, **changes: Any) -> Scenario:
    policies = [{"kind": "server_only"}, {"kind": f"{folder / 'mine.py'}:Mine", "name": "mine", **changes}]
    return load_scenario({"base": "quickstart", "policies": policies, "baseline": None}, overrides=SMALL)


def written(folder: Path, text: str = POLICY, name: str = "mine.py") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder


def code_of(held: Scenario) -> str:
    return fingerprints(held)["policy code: mine.py:Mine"]


def as_other(folder: Path) -> dict[str, Any]:
    """Return the scenario with the first text of the policy, in a folder of its own."""
    written(folder / "first")
    policies = [{"kind": "server_only"}, {"kind": f"{folder / 'first' / 'mine.py'}:Mine", "name": "mine"}]
    held: dict[str, Any] = yaml.safe_load("workload: {n_requests: 30}\nreplications: 1\nbaseline: null\n")
    return {"base": "quickstart", **held, "policies": policies}


@dataclass(kw_only=True)
class Cell(Policy):
    """Ask the service after a while."""

    wait_s: float = 0.0

    def serve(self, session):
        yield session.wait(self.wait_s)
        stream = session.start("server")
        if (yield session.first_token_of(stream)) is None:
            session.fail()
            return
        session.keep(stream)
        yield session.finished()
