"""Results are the bytes they were: no golden truth, but no number moves without somebody saying so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_worlds import HASHES, SHIPPED, WORLDS, Plain, hashes_of, scenario, shipped

from discosim.policies import known_policies
from discosim.runs.simulate import simulate
from discosim.world.engine.schedulers.registry import known_schedulers

KNOWN: dict[str, dict[str, dict[str, str]]] = json.loads(HASHES.read_text(encoding="utf-8"))
RENEW = (
    "results moved. If they were meant to: run `python tests/same_bytes/small_worlds.py`, and add a **results change** "
    "entry to CHANGELOG.md that names the cause"
)


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world["name"])
def test_small_worlds_give_the_same_bytes(world: Plain, tmp_path: Path) -> None:
    assert hashes_of(simulate(scenario(world, tmp_path))) == KNOWN["small"][world["name"]], RENEW


@pytest.mark.long
@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_scenarios_give_the_same_bytes(name: str) -> None:
    assert hashes_of(simulate(shipped(name))) == KNOWN["shipped"][name], RENEW


@pytest.mark.long
def test_an_older_processor_gives_the_same_bytes() -> None:
    """An older cannot be asked what a younger would do: `tests/unit/test_portable.py` looks for what hangs on it."""
    older = {"NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4", "OPENBLAS_CORETYPE": "Nehalem"}
    code = "import json, small_worlds; print(json.dumps(small_worlds.all_hashes(['quickstart'])))"
    said = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=HASHES.parent,
        env=os.environ | older,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(said.stdout)
    assert found["small"] == KNOWN["small"], RENEW
    assert found["shipped"] == {"quickstart": KNOWN["shipped"]["quickstart"]}, RENEW


def test_every_policy_and_scheduler_is_among_them() -> None:
    policies = {policy["kind"] for world in WORLDS for policy in world["policies"]}
    schedulers = {world["server"].get("scheduler", {}).get("kind") for world in WORLDS}
    assert policies == {kind for kind, policy in known_policies().items() if policy.__module__.startswith("discosim.")}
    assert schedulers - {None} == {
        kind for kind, held in known_schedulers().items() if held.__module__.startswith("discosim.")
    }
