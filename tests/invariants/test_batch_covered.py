"""Which requests are worked out in arrays, and which go through SimPy: whatever is not repeated does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from unittest import mock

import numpy as np
import pytest
from batch_runs import PLAIN, run
from worlds import DEAR_SERVER, JOINT, edge_box, gated, past, profile, requests, server

from discosim.core.device_law import Heat, Residual
from discosim.core.request import Loop, RequestTable
from discosim.core.scenario import Battery, Capacity, ColdStart, Outage, Throttle, Waiting
from discosim.policies import Policy
from discosim.policies.server_only import ServerOnly
from discosim.world.api_server import ApiServerModel
from discosim.world.batch.covered import REPEATED, is_repeated
from discosim.world.hours import HourLaw
from discosim.world.link import LinkModel
from discosim.world.quality import QualityModel
from discosim.world.world import Service, WorldModel

TABLE = requests(30)


def kernels_of(policy: Policy, parts: WorldModel, table: RequestTable = TABLE, kernel: str = "auto") -> dict[str, int]:
    return dict(run(policy, parts, table, past(PLAIN), 1, kernel).kernels)


@dataclass(frozen=True)
class Slower(ApiServerModel):
    """A service of another package."""


NOT_COVERED: dict[str, WorldModel] = {
    "edge": replace(PLAIN, edge=edge_box()),
    "joint": replace(PLAIN, joint=JOINT),
    "quality": replace(PLAIN, quality=QualityModel()),
    "services": replace(PLAIN, services={"other": Service(server(), DEAR_SERVER, LinkModel())}),
    "outage": replace(PLAIN, server=server(outages=(Outage(start_s=5.0, end_s=6.0),))),
    "hours": replace(PLAIN, server=server(hours=HourLaw(0.0, (0.5,) * 24, (1.0,) * 24))),
    "gate": replace(PLAIN, server=gated(server(), capacity=Capacity(concurrent=3))),
    "link outage": replace(PLAIN, link=LinkModel(outages=(Outage(start_s=5.0, end_s=6.0),))),
    "another service": replace(PLAIN, server=Slower(PLAIN.server.ttft, PLAIN.server.tpot)),
    "two kinds": replace(PLAIN, fleet=((profile(), 1.0), (profile(cold_start=ColdStart(load_s=1.0)), 1.0))),
    **{
        name: replace(PLAIN, fleet=((profile(**{name: part}), 1.0),))
        for name, part in {
            "throttle": Throttle(onset_s=1.0, sustained=0.5),
            "cold_start": ColdStart(load_s=1.0),
            "battery": Battery(capacity_wh=1.0),
            "waiting": Waiting(screen_w=1.0, wait_w=1.0),
            "heat": Heat(heating_s=1.0, cooling_s=1.0, onset=0.5, floor=0.5),
            "residual": Residual(prefill=PLAIN.server.ttft, first=2.0),
        }.items()
    },
}


@pytest.mark.parametrize("part", NOT_COVERED)
def test_parts_that_are_not_repeated_go_through_simpy(part: str) -> None:
    assert kernels_of(ServerOnly(), NOT_COVERED[part]) == {"simpy": 30}


def test_what_is_repeated_is_worked_out_in_arrays_unless_simpy_is_asked_for() -> None:
    assert kernels_of(ServerOnly(), PLAIN) == {"simpy": 0, "replay": 30}
    assert kernels_of(ServerOnly(), PLAIN, kernel="simpy") == {"simpy": 30}


def test_closed_loops_go_through_simpy() -> None:
    table = replace(TABLE, arrival_s=np.full(30, np.nan), user_id=np.arange(30) % 4, loop=Loop(4, np.ones(30)))
    assert kernels_of(ServerOnly(), PLAIN, table) == {"simpy": 30}


def test_a_new_field_of_a_part_goes_through_simpy_once_it_says_something() -> None:
    """As if the share of lost packets were new, and nobody had taught the arrays."""
    with mock.patch.dict(REPEATED, {LinkModel: REPEATED[LinkModel] - {"loss_share"}}):
        assert is_repeated(LinkModel())
        assert not is_repeated(LinkModel(loss_share=0.1))
        assert kernels_of(ServerOnly(), replace(PLAIN, link=LinkModel(loss_share=0.1))) == {"simpy": 30}


class Hasty(ServerOnly):
    """Serves otherwise than its parent, whose plan it would inherit."""


def test_a_plan_counts_only_in_the_class_that_states_it() -> None:
    assert kernels_of(Hasty(), PLAIN) == {"simpy": 30}
