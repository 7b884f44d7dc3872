"""Nobody looks by the clock while nothing can change: events follow what happens, not how long it takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import simpy
from engines import LINES
from worlds import DEAR_SERVER, constant_link, model, past, play, profile, requests

from discosim.policies import Policy
from discosim.policies.server_only import ServerOnly
from discosim.world.engine.costs.base import fastest_s
from discosim.world.engine.engine import EngineModel, PrefillPool
from discosim.world.engine.floor import ReplicaModel
from discosim.world.engine.schedulers.fcfs import Fcfs
from discosim.world.engine.schedulers.fcfs_chunked import FcfsChunked
from discosim.world.link import LinkModel
from discosim.world.world import WorldModel

REPLICA = ReplicaModel(LINES, kv_blocks=200, block_tok=16, max_batch=16)
PACKETS = constant_link(0.05, tokens_per_packet=4)
FASTEST_S = fastest_s(LINES, 16)
A_REQUEST = (
    8  # events that a request may cost: arrival, way up, batch, first token, packet, end, and a look at either end
)


@dataclass(kw_only=True)
class Watches(Policy):
    """Wait for a level of the buffer from the very start, through queues and preemptions."""

    kind = ""
    need_tok: float = 1e9

    def serve(self, session: Any) -> Any:
        server = session.start("server")
        session.keep(server)
        yield session.buffer_reaches(lambda _, n: np.full(n, self.need_tok))
        yield session.finished()


def n_events(policy: Policy, server: EngineModel, link: LinkModel, table: Any, monkeypatch: Any) -> tuple[int, Any]:
    """Run a world; return how many events SimPy has processed, and the world."""
    parts = WorldModel(((profile(), 1.0),), server, link, DEAR_SERVER)
    count = 0
    step = simpy.Environment.step

    def counted(env: simpy.Environment) -> None:
        nonlocal count
        count += 1
        step(env)

    monkeypatch.setattr(simpy.Environment, "step", counted)
    known = replace(past(model(), ttft_s=np.full(10, 0.4)), fleet=parts.fleet)
    played = play(policy, parts, table, view=known)
    monkeypatch.undo()
    assert {record.status for record in played.records} == {"finished"}
    return count, played


def pools(transfer_s_per_tok: float) -> EngineModel:
    pool = PrefillPool(replace(REPLICA, role="prefill"), 1, Fcfs, transfer_s_per_tok)
    decode = replace(REPLICA, role="decode")
    return EngineModel(decode, 1, Fcfs, prefill_pool=pool, fastest_iteration_s=FASTEST_S)


def engine(**changes: Any) -> EngineModel:
    return EngineModel(replace(REPLICA, **changes), 1, Fcfs, fastest_iteration_s=FASTEST_S)


@pytest.mark.parametrize("policy", [ServerOnly(), Watches(), Watches(need_tok=3.0)], ids=repr)
def test_a_cache_that_travels_for_hours_costs_no_more_events_than_one_that_is_there_at_once(policy, monkeypatch):
    table = requests(20, gap_s=1.0, prompt_tok=100, output_tok=20)
    quick, _ = n_events(policy, pools(1e-9), PACKETS, table, monkeypatch)
    slow, played = n_events(policy, pools(100.0), PACKETS, table, monkeypatch)
    assert max(record.delivered_s[-1] for record in played.records) > 3600.0
    n_iterations = played.world.engine_figures()["engine_n_iterations"]
    assert slow <= quick + 2 * 20  # two looks more each at most
    assert slow <= A_REQUEST * 20 + 2 * n_iterations


@pytest.mark.parametrize("link", [LinkModel(), PACKETS], ids=["instant", "packets"])
@pytest.mark.parametrize("policy", [ServerOnly(), Watches()], ids=repr)
def test_a_long_queue_costs_an_event_per_change_and_not_per_request_and_iteration(policy, link, monkeypatch):
    # 300 requests at once, one decodes at a time: 300 * 300 / 2 * 40 pairs of a waiting request and an iteration
    table = requests(300, gap_s=1e-3, prompt_tok=20, output_tok=40)
    count, played = n_events(policy, engine(max_batch=1), link, table, monkeypatch)
    assert played.world.engine_figures()["engine_n_iterations"] > 40 * 300 - 1
    assert count <= (A_REQUEST + 10) * 300  # the ten: looks that halve what is left of 40 tokens


@pytest.mark.parametrize("preemption", ["recompute", "swap"])
@pytest.mark.parametrize("policy", [ServerOnly(), Watches()], ids=repr)
def test_a_request_that_was_put_aside_is_woken_when_it_comes_back(policy, preemption, monkeypatch):
    # memory for two answers of three: whoever is put aside waits for hundreds of iterations
    server = engine(kv_blocks=130, preemption=preemption, host_blocks=1000, swap_s_per_block=1e-4)
    table = requests(30, gap_s=0.1, prompt_tok=16, output_tok=1000)
    count, played = n_events(policy, server, PACKETS, table, monkeypatch)
    n_preemptions = sum(record.n_preemptions for record in played.records)
    assert n_preemptions > 10
    assert played.world.engine_figures()["engine_n_iterations"] > 8000
    assert count <= A_REQUEST * (30 + n_preemptions)


def test_chunks_of_others_wake_nobody_before_the_first_token(monkeypatch):
    # a prompt of 1,600 tokens in chunks of 8: 200 iterations, of which 19 requests in the queue have to hear nothing
    server = replace(engine(kv_blocks=4000, max_batch=1), scheduler=lambda: FcfsChunked(token_budget=8))
    table = requests(20, gap_s=1e-3, prompt_tok=1600, output_tok=8)
    count, played = n_events(Watches(), server, PACKETS, table, monkeypatch)
    n_iterations = played.world.engine_figures()["engine_n_iterations"]
    assert n_iterations > 20 * 200
    assert count <= A_REQUEST * 20 + 1.1 * n_iterations
