"""The engine as an endpoint: policies run on it unchanged, see no future, and pay until their cancel takes effect."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from engines import LINES
from hypothesis import given
from hypothesis import strategies as st
from worlds import (
    DEAR_SERVER,
    NO_LINK,
    assert_same_records,
    constant_link,
    examples,
    law,
    model,
    past,
    play,
    profile,
    requests,
)

from discosim.core.empirical import QuantileTable
from discosim.core.errors import UserError
from discosim.policies import Policy
from discosim.policies.device_only import DeviceOnly
from discosim.policies.disco import Disco
from discosim.policies.oracle import Oracle
from discosim.policies.race import Race
from discosim.policies.server_only import ServerOnly
from discosim.world.engine.engine import EngineModel, PrefillPool
from discosim.world.engine.floor import ReplicaModel
from discosim.world.engine.schedulers.fcfs import Fcfs
from discosim.world.engine.schedulers.fcfs_chunked import FcfsChunked
from discosim.world.link import LinkModel
from discosim.world.world import WorldModel

REPLICA = ReplicaModel(LINES, kv_blocks=120, block_tok=16, max_batch=16)
WANDERING = LinkModel(rtt=law(QuantileTable((0.0, 0.5, 1.0), (0.01, 0.08, 0.9)), 0.3), tick_s=0.2)
PACKETS = replace(WANDERING, tokens_per_packet=4)


def engine(**changes) -> EngineModel:
    plain = EngineModel(REPLICA, 1, Fcfs, fastest_iteration_s=0.01)
    return replace(plain, **changes)


def world(server: EngineModel, link: LinkModel = NO_LINK, **changes) -> WorldModel:
    return WorldModel(((profile(**changes), 1.0),), server, link, DEAR_SERVER)


def view(parts: WorldModel, ttft_s: float = 0.4):
    known = past(model(), n=100, ttft_s=np.full(100, ttft_s))
    return replace(known, fleet=parts.fleet, meter=parts.meter)


def served(policy: Policy, parts: WorldModel, table):
    return play(policy, parts, table, view=view(parts))


POLICIES = [
    ServerOnly(),
    DeviceOnly(),
    Race(),
    Race(losers="run_on"),
    Disco(constraint="device", budget=0.4),
    Disco(constraint="server", budget=0.6),
]


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
@pytest.mark.parametrize("link", [NO_LINK, WANDERING, PACKETS], ids=["no link", "wandering", "packets"])
@pytest.mark.parametrize("scheduler", [Fcfs, FcfsChunked])
def test_every_policy_runs_against_the_engine_unchanged(policy, link, scheduler):
    parts = world(engine(scheduler=scheduler, n_replicas=2, router="shortest_queue"), link)
    played = served(policy, parts, requests(120, gap_s=0.15))
    assert all(record.status == "finished" for record in played.records)
    again = served(policy, parts, requests(120, gap_s=0.15))
    assert_same_records(played.records, again.records)
    figures = played.world.engine_figures()
    assert figures is not None
    assert figures["engine_kv_peak_share"] <= 1.0
    # what requests were charged is what the engine was busy for, cancelled work included
    assert sum(record.gpu_s for record in played.records) == pytest.approx(figures["engine_gpu_s"], rel=1e-9)
    for replica in played.world.server.engine.replicas:
        assert (replica.n_live, replica.pending_tok) == (0, 0)
        assert replica.memory.free_blocks == replica.memory.total_blocks


# --- no look into the future ----------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Peek(Policy):
    """Look at the server's stream now and then, and wait for the buffer, but change nothing."""

    kind = ""
    need_tok: float = 12.0
    looks: list = field(default_factory=list)
    fired: dict = field(default_factory=dict)

    def __deepcopy__(self, memo):
        return self

    def prepare(self, view):
        pass

    def serve(self, session):
        server = session.start("server")
        yield session.first_token_of(server)
        session.keep(server)
        token = yield session.buffer_reaches(lambda first, n: np.full(n, self.need_tok))
        self.fired[session.request_id] = (session.now_s, token or 0)
        ended = session.finished()
        while not ended.processed:
            self.looks.append((session.request_id, session.now_s, server.generated_s.copy(), server.arrival_s.copy()))
            yield session.wait(0.07) | ended


@pytest.mark.parametrize("link", [NO_LINK, WANDERING, PACKETS], ids=["no link", "wandering", "packets"])
@pytest.mark.parametrize("need_tok", [2.0, 12.0, 1e9])
def test_a_stream_shows_its_past_and_the_running_iteration_only(link, need_tok):
    policy = Peek(need_tok=need_tok)
    tight = engine(replica=replace(REPLICA, kv_blocks=60))
    played = served(policy, world(tight, link), requests(60, gap_s=0.12, reader_tok_per_s=6.0))
    final = {record.request_id: record for record in played.records}
    assert sum(record.n_preemptions for record in played.records) > 0
    n_growing = 0
    for request_id, now_s, generated_s, arrival_s in policy.looks:
        whole = final[request_id].generated_s
        np.testing.assert_allclose(generated_s, whole[: generated_s.size], rtol=1e-12)
        np.testing.assert_allclose(arrival_s, final[request_id].delivered_s[: arrival_s.size], rtol=1e-12)
        made = int(np.searchsorted(whole, now_s - 1e-9))
        assert made <= generated_s.size <= made + 1  # the running iteration's token at most
        n_growing += generated_s.size < whole.size
    assert n_growing > 100 or need_tok == 1e9  # there the buffer is waited for to the end
    for request_id, (now_s, token) in policy.fired.items():
        assert (now_s, token) == pytest.approx(first_sufficient(final[request_id], need_tok, 6.0), rel=1e-9)


def first_sufficient(record, need_tok: float, rate: float):
    """Return when, and with which token (0 for none), the reader's buffer first holds ``need_tok``, token by token."""
    clock = -math.inf
    for k, at_s in enumerate(record.delivered_s.tolist(), start=1):
        clock = max(at_s, clock + 1 / rate)
        if rate * (clock - at_s) + 1 + 1e-9 >= need_tok and k < record.output_tok:
            return at_s, k
    return float(record.delivered_s[-1]), 0


@examples(25)
@given(st.integers(0, 10**6), st.floats(1.5, 40.0), st.sampled_from([0.02, 0.1, 1.0]))
def test_the_buffer_is_met_at_the_same_token_as_with_hindsight(seed, need_tok, gap_s):
    policy = Peek(need_tok=need_tok)
    played = served(policy, world(engine(), WANDERING), requests(25, seed=seed, gap_s=gap_s, reader_tok_per_s=9.0))
    for record in played.records:
        assert policy.fired[record.request_id] == pytest.approx(first_sufficient(record, need_tok, 9.0), rel=1e-9)


# --- cancels --------------------------------------------------------------------------------------------------


def test_a_lost_race_is_paid_until_the_next_iteration_boundary():
    # one request: prefill, then iterations of known length; the device speaks in the middle of one
    parts = world(engine(), prefill_s_per_tok=0.0105, prefill_intercept_s=0.0)
    table = requests(1, prompt_tok=100, output_tok=150)
    record = served(Race(), parts, table).records[0]
    assert record.first_endpoint == "server"  # 20 ms of prefill win against a second
    assert record.device_prefill_tok < 100
    late = world(
        engine(replica=replace(REPLICA, cost=replace(LINES, prefill=(1.2, 0.0, 0.0)))), prefill_s_per_tok=0.0105
    )
    played = served(Race(), late, table)
    record = played.records[0]
    assert record.first_endpoint == "device"
    # the prefill was running when the device spoke: it ends, and its token is made, paid and wasted
    assert (record.server_prompt_tok, record.server_output_tok, record.n_tok_wasted) == (100, 1, 1)
    figures = played.world.engine_figures()
    assert figures["engine_gpu_s"] == pytest.approx(1.2)


def test_a_cancel_takes_the_way_up_and_then_the_rest_of_an_iteration():
    @dataclass(kw_only=True)
    class StopAfter(Policy):
        kind = ""

        def prepare(self, view):
            pass

        def serve(self, session):
            server = session.start("server")
            yield session.first_token_of(server)
            yield session.wait(0.2)
            server.stop()
            session.fail()

    flat = replace(REPLICA, cost=replace(LINES, prefill=(0.1, 0, 0), decode_small=(0.03, 0, 0)))
    parts = world(engine(replica=flat), constant_link(0.1))
    record = served(StopAfter(), parts, requests(1, prompt_tok=10, output_tok=500)).records[0]
    # up 0.05, prefill to 0.15, token at the client at 0.20, stop at 0.40, at the server at 0.45: 10 decodes of 0.03
    assert record.status == "failed"
    assert record.server_output_tok == 1 + 10
    assert record.gpu_s == pytest.approx(0.1 + 10 * 0.03)


# --- pools, prefixes, limits ----------------------------------------------------------------------------------


def test_pools_pass_the_cache_on_and_the_second_token_waits_for_it():
    pool = PrefillPool(replace(REPLICA, role="prefill"), 1, Fcfs, transfer_s_per_tok=2e-3, transfer_latency_s=0.05)
    apart = engine(replica=replace(REPLICA, role="decode"), prefill_pool=pool)
    table = requests(80, gap_s=0.3, prompt_tok=100)
    played = served(ServerOnly(), world(apart), table)
    assert all(record.status == "finished" for record in played.records)
    gaps = [record.generated_s[1] - record.generated_s[0] for record in played.records if record.output_tok > 1]
    assert min(gaps) >= 0.05 + 100 * 2e-3
    decoder, prefiller = played.world.server.engine.replicas[0], played.world.server.engine.prefillers[0]
    assert prefiller.steps.n == 0
    assert decoder.memory.free_blocks == decoder.memory.total_blocks
    assert prefiller.memory.free_blocks == prefiller.memory.total_blocks
    # a race lost while the cache is on its way
    fast = world(apart, prefill_s_per_tok=1.5e-3)
    assert all(record.status == "finished" for record in served(Race(), fast, table).records)


def test_routers_spread_the_load():
    table = requests(200, gap_s=0.05, output_tok=20)
    shares = {}
    for rule in ("round_robin", "least_loaded", "shortest_queue"):
        played = served(ServerOnly(), world(engine(n_replicas=4, router=rule)), table)
        shares[rule] = [replica.busy_s for replica in played.world.server.engine.replicas]
        assert all(record.status == "finished" for record in played.records)
    assert max(shares["round_robin"]) < 1.5 * min(shares["round_robin"])
    assert shares["least_loaded"] != shares["round_robin"]


def test_what_never_fits_is_rejected_and_counted():
    table = requests(3, prompt_tok=[100, 3000, 100], output_tok=[20, 20, 2500])
    played = served(ServerOnly(), world(engine(max_context_tok=2048)), table)
    assert [record.status for record in played.records] == ["finished", "rejected", "rejected"]
    assert played.world.server.engine.n_refused == 2
    # without a context limit, the memory is the limit: 120 blocks of 16
    played = served(ServerOnly(), world(engine()), table)
    assert [record.status for record in played.records] == ["finished", "rejected", "rejected"]
    # with a device there is another way
    played = served(Race(), world(engine(max_context_tok=2048)), table)
    assert [record.status for record in played.records] == ["finished"] * 3
    assert [record.first_endpoint for record in played.records] == ["server", "device", "device"]


def test_the_oracle_is_told_why_it_cannot_run():
    with pytest.raises(UserError, match="clairvoyant"):
        served(Oracle(), world(engine()), requests(3))


def test_offloading_relieves_the_server():
    table = requests(300, gap_s=0.04)
    parts = world(engine())
    alone = served(ServerOnly(), parts, table)
    relieved = served(Disco(constraint="server", budget=0.5, migration=False), parts, table)
    at_server = np.array([record.is_server_dispatched for record in relieved.records])
    assert 0.1 < at_server.mean() < 0.9
    peak = [played.world.engine_figures()["engine_queue_peak"] for played in (alone, relieved)]
    assert peak[1] < peak[0]
