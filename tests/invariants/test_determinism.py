"""Same scenario, same bytes; same request, same luck."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Generator
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from worlds import (
    SKEWED_S,
    assert_same_records,
    constant_link,
    edge_box,
    law,
    long,
    model,
    past,
    play,
    profile,
    requests,
    server,
)

from discosim.config import load_scenario
from discosim.core.rng import RandomStreams
from discosim.core.scenario import Outage
from discosim.policies import Policy, known_policies
from discosim.policies.disco import Disco
from discosim.policies.race import Race
from discosim.policies.server_only import ServerOnly
from discosim.policies.stochastic import Stochastic
from discosim.runs import execute_to_folder, simulate
from discosim.runs.build import build
from discosim.world.link import LinkModel
from discosim.world.luck import Luck
from discosim.world.world import World

SCENARIO: dict[str, Any] = {
    "name": "same-bytes",
    "seed": 5,
    "replications": 2,
    "workload": {
        "kind": "generate",
        "n_requests": 120,
        "n_users": 30,
        "arrivals": {"kind": "digest", "digest": "azure-conv"},
        "lengths": {"kind": "digest", "digest": "azure-conv"},
    },
    "devices": [
        {
            "profile": "snapdragon-8-elite-llama-3.2-3b",
            "context": "extrapolate",
            "residual": {"kind": "lognormal", "prefill_cv": 0.3, "decode_cv": 0.1, "memory": 0.4, "stall_share": 0.05},
        },
        {
            "profile": "pixel-7-pro-bloom-560m",
            "context": "extrapolate",
            "share": 2.0,
            "heat": {"kind": "given", "heating_s": 40.0, "cooling_s": 90.0, "floor": 0.5},
        },
    ],
    "server": {
        "kind": "replay",
        "digest": "openrouter-deepseek-v3.2",
        "tbt_jitter_p99_over_p50": 1.5,
        "failures": "measured",
        "failure_share": 0.1,
        "prices": {"prompt_usd_per_mtok": 0.15, "output_usd_per_mtok": 0.6},
    },
    "link": {"kind": "digest", "digest": "starlink-seattle"},
    "reader": {"tok_per_s": "reading"},
    "cost": {"exchange_rate_usd_per_j": 1e-7},
    "policies": [
        {"kind": "server_only"},
        {"kind": "stochastic", "name": "Stoch-S"},
        {"kind": "disco", "name": "DiSCo-S", "constraint": "server"},
        {"kind": "disco", "name": "DiSCo-D", "constraint": "device"},
        {"kind": "oracle"},
    ],
}
RUN = """
import json, sys
from pathlib import Path
from discosim.config import load_scenario
from discosim.runs import execute_to_folder
execute_to_folder(load_scenario(json.loads(sys.argv[1])), Path(sys.argv[2]), tokens=True)
"""


def changed(**keys: Any) -> dict[str, Any]:
    """Return the scenario with other values; ``n_requests`` goes into its workload."""
    scenario = deepcopy(SCENARIO)
    if "n_requests" in keys:
        scenario["workload"]["n_requests"] = keys.pop("n_requests")
    return {**scenario, **keys}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the result folder of a run in this process."""
    folder = tmp_path_factory.mktemp("here") / "run"
    execute_to_folder(load_scenario(SCENARIO), folder, tokens=True)
    return folder


@pytest.mark.parametrize("hash_seed", [long("0"), "1", long("random")])
def test_another_process_and_hash_seed_write_the_same_bytes(here: Path, tmp_path: Path, hash_seed: str) -> None:
    folder = tmp_path / "there"
    command = [sys.executable, "-c", RUN, json.dumps(SCENARIO), str(folder)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": hash_seed})
    for name in ("requests.parquet", "summary.json", "config.yaml", "example_tokens.parquet", "tokens.parquet"):
        assert sha256(folder / name) == sha256(here / name), name


def test_the_order_of_policies_changes_no_byte_of_the_requests(here: Path, tmp_path: Path) -> None:
    backwards = changed(policies=SCENARIO["policies"][::-1], baseline="server_only")
    execute_to_folder(load_scenario(backwards), tmp_path / "run")
    assert sha256(tmp_path / "run" / "requests.parquet") == sha256(here / "requests.parquet")


def test_another_policy_changes_nobodys_rows() -> None:
    few = simulate(load_scenario(changed(policies=SCENARIO["policies"][2:3]))).requests
    more = [*SCENARIO["policies"], {"kind": "race"}, {"kind": "optimal_wait"}]
    many = simulate(load_scenario(changed(policies=more))).requests
    mine = many[many["policy"] == "DiSCo-S"].reset_index(drop=True)
    assert mine.astype(few.dtypes.to_dict()).equals(few)


def test_another_seed_changes_the_rows() -> None:
    one, two = (simulate(load_scenario(changed(seed=s, replications=1))).requests for s in (5, 6))
    assert not one["ttft_s"].equals(two["ttft_s"])


def test_the_first_requests_do_not_depend_on_how_many_follow() -> None:
    short, long = (build(load_scenario(changed(n_requests=n))) for n in (60, 200))
    few, many = short.requests(0), long.requests(0)
    for name in ("arrival_s", "prompt_tok", "output_tok", "user_id", "reader_tok_per_s"):
        assert np.array_equal(getattr(few, name), getattr(many, name)[:60]), name
    streams = RandomStreams(5)
    one, two = World(short.model, few, Luck(streams, 60)), World(long.model, many, Luck(streams, 200))
    # users are the same people with the same devices and the same place on the link's tape, however many there are
    known = few.user_id
    assert [one.profile_of(u).name for u in known] == [two.profile_of(u).name for u in known]
    at_s = np.linspace(0.0, 500.0, known.size)
    assert np.array_equal(one.link.up_array_s(at_s, known), two.link.up_array_s(at_s, known))
    for draw in ("server_ttft_s", "device_ttft_s"):
        assert np.array_equal(getattr(one.draws, draw), getattr(two.draws, draw)[:60]), draw
    for law_name in ("server.tpot.0", "server.ttft.1"):
        values = [w.luck.series(law_name, short.model.server.tpot) for w in (one, two)]
        assert np.array_equal(values[0], values[1][:60])
    for role in ("policy.dispatch", "server.failure.0", "server.jitter.start"):
        assert np.array_equal(one.luck.uniform(role), two.luck.uniform(role)[:60])


@pytest.mark.parametrize("kind", sorted(k for k, p in known_policies().items() if "oracle" not in p.needs))
def test_records_of_the_first_requests_do_not_depend_on_how_many_follow(kind: str) -> None:
    policy = known_policies()[kind]
    # with boxes of their own: requests that share a pool of boxes meet, and later ones change earlier ones' rounds
    service = server(ttft=law(SKEWED_S, 0.5), failure_share=0.1, jitter_p99_over_p50=1.5)
    parts = model(service=service, edge=edge_box(sharing="own"))
    many = requests(80)
    first = {f: getattr(many, f)[:50] for f in ("arrival_s", "prompt_tok", "output_tok", "user_id", "rejected")}
    few = replace(many, **first, reader_tok_per_s=many.reader_tok_per_s[:50], ttft_target_s=many.ttft_target_s[:50])
    view = past(parts)
    one, two = (play(policy(), parts, table, view=view) for table in (few, many))
    assert_same_records(one.records, two.records[:50])


# --- common random numbers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["server", "device"])
def test_server_only_meets_the_draw_that_discos_server_had(side: Any) -> None:
    parts = model(
        service=server(ttft=law(SKEWED_S, 0.5), jitter_p99_over_p50=2.0, failure_share=0.1),
        link=LinkModel(rtt=law(SKEWED_S.scaled(0.05), 0.3), tick_s=0.3, loss_share=0.05),
    )
    table = requests(300)
    alone = play(ServerOnly(), parts, table)
    disco = play(Disco(constraint=side, budget=0.7, migration=False), parts, table)
    draws = alone.world.draws
    spoke = np.isfinite(draws.server_ttft_s)
    assert 0.05 < 1 - spoke.mean() < 0.2
    assert np.array_equal(np.isfinite(alone.ttft_s), spoke), "the draws know who is refused"
    np.testing.assert_allclose(alone.ttft_s[spoke], draws.server_ttft_s[spoke], rtol=0, atol=1e-9)
    won = [i for i, record in enumerate(disco.records) if record.first_endpoint == "server"]
    assert len(won) > 50
    for i in won:
        assert np.array_equal(disco.records[i].delivered_s, alone.records[i].delivered_s), "token for token"
    lost = [i for i, r in enumerate(disco.records) if r.first_endpoint == "device" and r.is_server_dispatched]
    assert all(disco.ttft_s[i] <= draws.server_ttft_s[i] + 1e-9 for i in lost)


@pytest.mark.parametrize("jitter", [1.0, 2.0])
@pytest.mark.parametrize("packet", [1, 3, 8])
def test_the_draws_are_what_is_met_also_where_tokens_share_packets(packet: int, jitter: float) -> None:
    link = LinkModel(rtt=law(SKEWED_S.scaled(0.05), 0.3), tick_s=0.3, tokens_per_packet=packet)
    parts = model(service=server(ttft=law(SKEWED_S, 0.5), jitter_p99_over_p50=jitter), link=link)
    lengths = np.random.default_rng(1).integers(1, 12, 200)  # some answers fill no packet
    alone = play(ServerOnly(), parts, requests(200, output_tok=lengths))
    np.testing.assert_allclose(alone.ttft_s, alone.world.draws.server_ttft_s, rtol=0, atol=1e-9)


def test_every_policy_throws_the_same_coin() -> None:
    parts, table = model(), requests(200)
    exclusive = play(Stochastic(variant="exclusive", budget=0.4), parts, table)
    racing = play(Stochastic(variant="racing", budget=0.4), parts, table)
    coin = exclusive.world.luck.uniform("policy.dispatch")
    for played in (exclusive, racing):
        assert [r.is_server_dispatched for r in played.records] == (coin < 0.4).tolist()


def test_one_luck_object_serves_several_policies_without_mixing_them() -> None:
    parts, table = model(link=constant_link(0.1)), requests(100)
    luck = Luck(RandomStreams(1), len(table))
    view = past(parts)
    for policy in (Disco(constraint="server"), Race(), Disco(constraint="server")):
        policy.prepare(view)
        records: list[Any] = []
        World(parts, table, luck).run(policy, records.append)
        records.sort(key=lambda r: r.request_id)
        assert_same_records(records, play(policy, parts, table, view=view).records)


# --- who may see the future ----------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Peeper(Policy):
    """Remember what the view showed."""

    kind: ClassVar[str] = "peeper"

    def prepare(self, view: Any) -> None:
        SEEN[self.kind].append(view.draws)

    def serve(self, session: Any) -> Generator[Any, Any, None]:
        assert not hasattr(session, "oracle")
        assert not hasattr(session, "output_tok")
        device = session.start("device")
        yield session.first_token_of(device)
        session.keep(device)
        yield session.finished()


@dataclass(kw_only=True)
class Prophet(Peeper):
    """Remember what the view showed, having declared the need."""

    kind: ClassVar[str] = "prophet"
    needs: ClassVar[frozenset[str]] = frozenset({"oracle"})


SEEN: dict[str, list[Any]] = {"peeper": [], "prophet": []}
"""Outside the classes: what these hold is put back after each replication."""


def test_only_a_policy_that_declares_the_need_sees_the_draws() -> None:
    for held in SEEN.values():
        held.clear()
    simulate(load_scenario(changed(replications=1)), policies=[Peeper(), Prophet()])
    assert SEEN["peeper"] == [None]
    assert len(SEEN["prophet"]) == 1
    assert SEEN["prophet"][0].server_ttft_s.shape == (120,)


def test_shipped_policies_other_than_the_oracle_declare_no_need() -> None:
    for kind, policy in known_policies().items():
        if policy.__module__.startswith("discosim."):
            assert policy.needs == ({"oracle"} if kind == "oracle" else set())


def test_the_past_is_not_the_future() -> None:
    # the history a policy learns from shares no draw with any replication
    parts = build(load_scenario(SCENARIO))
    table = parts.requests(0)
    n = len(table)
    assert not np.array_equal(parts.view.prompt_tok[:n], table.prompt_tok)
    world = World(parts.model, table, Luck(RandomStreams(5), n))
    finite = world.draws.server_ttft_s[np.isfinite(world.draws.server_ttft_s)]
    assert not np.intersect1d(finite, parts.view.server_ttft_s).size
    outage = replace(parts.model.server, outages=(Outage(start_s=0.0, end_s=1e9),))
    assert outage.outages  # outages are the future too: none in the history
    assert np.isfinite(parts.view.server_ttft_s).mean() == pytest.approx(0.9, abs=0.01)
    assert profile().name not in {device.name for device, _ in parts.model.fleet}
