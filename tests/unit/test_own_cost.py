"""A cost model of another package: found by its entry point, and part of what a run is."""

from __future__ import annotations

from pathlib import Path

import installed
import pytest

from discosim import load_scenario
from discosim.core.errors import UserError
from discosim.core.scenario import EngineServer
from discosim.runs.build_engine import engine_model
from discosim.runs.identity import run_id

COST = """
from dataclasses import dataclass
from discosim.world.engine.costs.registry import OwnCost

@dataclass(frozen=True, kw_only=True)
class Pol(OwnCost):
    kind = "flat"
    decode_s: float = 0.01

    def prefill_s(self, tok, square_tok, later=()):
        return 0.5

    def decode_line(self, n):
        return self.decode_s, 0.0

    def mixed_s(self, tok, square_tok, n, context_tok, later=()):
        return 0.5
"""


def scenario(options: str = "{}"):
    iterations = f"server.iterations={{kind: plugin, cost: flat, options: {options}}}"
    return load_scenario("engine", overrides=[iterations, "server.kv_tok=9000"])


def test_it_is_found_and_its_source_is_in_the_identity(tmp_path: Path) -> None:
    names = set()
    for i, text in enumerate((COST, COST.replace("0.5", "0.6"))):
        with installed.site(tmp_path / str(i)) as site:
            site.install("mycosts", text, group="discosim.costs")
            held = scenario("{decode_s: 0.02}")
            assert isinstance(held.server, EngineServer)
            assert engine_model(held.server).replica.cost.decode_line(3) == (0.02, 0.0)
            names |= {run_id(held), run_id(scenario())}
    assert len(names) == 4


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with installed.site(tmp_path / "site"):
        server = scenario().server
        assert isinstance(server, EngineServer)
        with pytest.raises(UserError, match="unknown cost model 'flat'"):
            engine_model(server)
