"""A plan of somebody else's that contradicts its serve is found out in the first replication."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest

from discosim import Policy, load_scenario, simulate
from discosim.core.errors import UserError
from discosim.world.batch.dispatch import Dispatch

SMALL = ["workload.n_requests=400", "replications=2", "policies=[{kind: server_only}]"]
SERVED: Counter[str] = Counter()


@dataclass(kw_only=True)
class Planned(Policy):
    """Ask the service, or the device for prompts of some lengths."""

    device_from_tok: float = np.inf
    serve_from_tok: float = np.inf
    every: int = 0
    _n: int = field(init=False, default=0)

    def plan(self, view, requests, coins):
        is_device = requests.prompt_tok >= self.device_from_tok
        n = len(requests)
        if self.every:
            is_device = np.arange(n) % self.every == 0
        return Dispatch(np.where(is_device, np.inf, 0.0), np.where(is_device, 0.0, np.inf), falls_back=False)

    def serve(self, session):
        SERVED["all"] += 1
        is_device = session.prompt_tok >= self.serve_from_tok
        if self.every:
            is_device = self._n % self.every == 0
            self._n += 1
        stream = session.start("device" if is_device else "server")
        if (yield session.first_token_of(stream)) is None:
            session.fail()
            return
        session.keep(stream)
        yield session.finished()


def run(**options: float) -> None:
    simulate(load_scenario("quickstart", overrides=SMALL), policies={"mine": Planned(**options)})


def test_a_plan_that_says_the_same_is_looked_at_once_and_goes_through() -> None:
    SERVED.clear()
    result = simulate(load_scenario("quickstart", overrides=SMALL), policies={"mine": Planned()})
    assert result.kernels["mine"]["replay"] == 800
    assert SERVED["all"] == 46, "the first 16 and 32 of all, every 12.9th, which have two in common"


def test_a_plan_that_contradicts_names_policy_request_and_column() -> None:
    first = int(simulate(load_scenario("quickstart", overrides=SMALL)).requests["prompt_tok"].iloc[0])
    said = r"policy mine: its `plan` contradicts its `serve`: request 0 has first_endpoint device by plan and server by"
    with pytest.raises(UserError, match=said):
        run(device_from_tok=first)


def test_one_that_differs_for_some_lengths_is_found_out_too() -> None:
    lengths = simulate(load_scenario("quickstart", overrides=SMALL)).requests["prompt_tok"]
    with pytest.raises(UserError, match="contradicts"):
        run(device_from_tok=np.inf, serve_from_tok=float(np.quantile(lengths[:400], 0.8)))


def test_one_that_hangs_on_who_was_served_before_is_refused() -> None:
    with pytest.raises(UserError, match="contradicts"):
        run(every=5)


def test_simpy_alone_asks_for_no_plan() -> None:
    simulate(load_scenario("quickstart", overrides=[*SMALL, "kernel=simpy"]), policies={"mine": Planned(every=3)})
