"""Policies that write in parts, against an engine and an edge tier under pressure, with all run-time checks on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import (
    DEAR_SERVER,
    NO_LINK,
    Played,
    constant_link,
    edge_box,
    examples,
    past,
    play,
    profile,
    requests,
    server,
)

from discosim.config import load_scenario
from discosim.policies import Policy
from discosim.policies.edge_only import EdgeOnly
from discosim.policies.edge_router import EdgeRouter
from discosim.policies.fixed_rho import FixedRho
from discosim.policies.pice import Pice
from discosim.policies.skeleton_of_thought import SkeletonOfThought
from discosim.runs.simulate import simulate
from discosim.world.answers import AnswerModel
from discosim.world.edge.tier import EdgeModel
from discosim.world.engine.costs.distserve import DistServeCost
from discosim.world.engine.engine import EngineModel
from discosim.world.engine.floor import ReplicaModel
from discosim.world.engine.schedulers.andes_v2 import AndesV2
from discosim.world.engine.schedulers.fcfs import Fcfs
from discosim.world.link import LinkModel
from discosim.world.quality import QualityModel
from discosim.world.world import WorldModel

LINES = DistServeCost((0.02, 1e-4, 7e-9), (0.02, 6e-7, 4e-5), (0.007, 6e-7, 1.6e-4))
POLICIES = [
    EdgeOnly(),
    EdgeRouter(easy_tok=80.0),
    FixedRho(rho=0.4, width=2, class_error=0.3),
    FixedRho(rho=1.0, length_grouping=False, length_error=1.0),
    Pice(error_weight=0.0, min_tok=20.0),
    Pice(rule="smallest", width=3, q_min=0.0, recheck=False),
    SkeletonOfThought(class_error=0.2),
]
tiers: st.SearchStrategy[EdgeModel] = st.builds(
    edge_box,
    n_boxes=st.integers(1, 3),
    sharing=st.sampled_from(["pooled", "own"]),
    slots=st.integers(1, 5),
    memory_tok=st.sampled_from([200, 700, 4096]),
    age_limit_s=st.sampled_from([0.0, 3.0]),
    link=st.sampled_from([NO_LINK, constant_link(0.01, uplink_bit_per_s=1e6), None]),
)


def served(policy: Policy, edge: EdgeModel, link: LinkModel, kv_blocks: int, *, andes: bool, seed: int) -> Played:
    replica = ReplicaModel(LINES, kv_blocks=kv_blocks, max_batch=6)
    scheduler = AndesV2 if andes else Fcfs
    cloud = EngineModel(replica, 1, scheduler, max_context_tok=600, fastest_iteration_s=1e-3)
    parts = WorldModel(
        ((profile(), 1.0),),
        cloud,
        link,
        DEAR_SERVER,
        edge=edge,
        answers=AnswerModel(0.7, 15.0, 0.8),
        quality=QualityModel(),
    )
    view = past(replace(parts, server=server()), n=101, seed=seed)
    return play(policy, parts, requests(40, seed=seed, gap_s=0.3, n_users=25), seed=seed, view=view)


@examples(8)
@given(
    tiers,
    st.sampled_from([NO_LINK, constant_link(0.1), constant_link(0.1, tokens_per_packet=4)]),
    st.sampled_from([60, 400]),
    st.booleans(),
    st.integers(0, 2**20),
)
@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_every_check_holds_beside_an_engine(
    policy: Policy, edge: EdgeModel, link: LinkModel, kv_blocks: int, andes: bool, seed: int
) -> None:
    played = served(policy, edge, link, kv_blocks, andes=andes, seed=seed)  # raises on any breach of INV-1 to INV-5
    figures = played.world.engine_figures()
    assert figures is not None
    assert sum(r.gpu_s for r in played.records) == pytest.approx(figures["engine_gpu_s"], rel=1e-9)
    # nothing is left behind at the edge, and no box did two rounds at once or more than it has slots for
    tier = played.world.edge
    assert tier is not None
    for pool in tier._pools.values():
        assert pool.lists.n == pool.lists.n_tok == 0
        assert all(box.n_open == 0 for box in pool.boxes)
        assert pool.busy_s <= len(pool.boxes) * played.world.env.now * (1 + 1e-9)
        assert pool.used_slot_s <= edge.slots * pool.busy_s * (1 + 1e-9)
        assert pool.n_begun <= pool.n_rounds * edge.slots
    for record in played.records:
        if record.status == "finished":
            assert record.delivered_s.size == record.output_tok
        assert record.sketch_tok <= record.output_tok
        assert 0.0 <= record.quality_assumed <= 1.0


@pytest.mark.parametrize("name", ["pice", "all-systems"])
def test_shipped_comparisons_answer_every_request_under_every_policy(name: str) -> None:
    short = ["replications=1", "workload.n_requests=60", "workload.n_users=60", "server.pilot_requests=30"]
    result = simulate(load_scenario(name, overrides=short))
    for policy in result.summary.policies:
        assert result.summary.value(policy, "n_finished").mean == 60
        assert 0.6 < result.summary.value(policy, "quality_assumed_mean").mean <= 0.9


def test_the_worlds_above_do_sketch_write_in_parts_fall_back_and_refuse() -> None:
    sketched = served(POLICIES[2], edge_box(n_boxes=3), NO_LINK, 400, andes=False, seed=1).records
    assert sum(r.first_endpoint == "edge" and r.n_parts > 1 for r in sketched) > 10
    small = served(POLICIES[2], edge_box(memory_tok=200), NO_LINK, 400, andes=False, seed=1).records
    assert sum(r.sketch_tok > 0 and r.first_endpoint == "server" for r in small) > 3
    alone = served(EdgeOnly(), edge_box(memory_tok=200), NO_LINK, 400, andes=False, seed=1).records
    assert {r.status for r in alone} == {"finished", "failed"}
