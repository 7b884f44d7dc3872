"""Several services by name: who is asked, what each costs, whose columns they fill, and whose luck they have."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
from worlds import (
    DEAR_SERVER,
    NO_LINK,
    Played,
    assert_same_records,
    constant,
    constant_link,
    law,
    model,
    past,
    play,
    requests,
    server,
)

from discosim.core.errors import InvariantError
from discosim.core.timelines import Timelines
from discosim.metrics.endpoints import ENDPOINT_FIELDS, endpoint_columns
from discosim.metrics.timeline import request_columns
from discosim.policies import Policy
from discosim.policies.race import Race
from discosim.policies.server_only import ServerOnly
from discosim.runs.checks import check_columns, check_endpoints
from discosim.world.api_server import ApiServerModel
from discosim.world.meter import Meter
from discosim.world.quality import QualityModel
from discosim.world.world import Service, WorldModel

PROMPT_TOK, OUTPUT_TOK = 100, 40
DEAR, CHEAP = Meter(10e-6, 40e-6, 9.0), Meter(0.5e-6, 2e-6, 9.0)  # of a service, only the prices count
Serve = Callable[[Any], Generator[Any, Any, None]]


@dataclass(kw_only=True)
class By(Policy):
    """Serves as a function says."""

    kind: ClassVar[str] = "by"
    how: Serve

    def serve(self, session: Any) -> Generator[Any, Any, None]:
        return self.how(session)


def steady(ttft_s: float, tpot_s: float, **changes: Any) -> ApiServerModel:
    """Return a service without any luck."""
    return ApiServerModel(ttft=constant(ttft_s), tpot=constant(tpot_s), **changes)


def services(**held: ApiServerModel) -> dict[str, Service]:
    meters = {"fast": DEAR, "cheap": CHEAP}
    return {name: Service(service, meters.get(name, DEAR), NO_LINK) for name, service in held.items()}


def steady_world(**more: Any) -> WorldModel:
    """``server`` speaks after 0.5 s, ``fast`` after 0.25 s, ``cheap`` after 1 s."""
    others = services(fast=steady(0.25, 0.01), cheap=steady(1.0, 0.1))
    return model(service=steady(0.5, 0.05), services=others, **more)


def serve_one(how: Serve, parts: WorldModel) -> Played:
    table = requests(1, prompt_tok=PROMPT_TOK, output_tok=OUTPUT_TOK)
    return play(By(how=how), parts, table, view=past(parts))


def keep_first(*names: str) -> Serve:
    def how(session: Any) -> Generator[Any, Any, None]:
        session.keep((yield session.first_token_of(*(session.start(name) for name in names))))
        yield session.finished()

    return how


def test_each_name_is_paid_at_its_own_price_and_the_role_is_their_sum() -> None:
    played = serve_one(keep_first("cheap", "fast", "server"), steady_world())
    record = played.records[0]
    assert [(s.endpoint, s.role, s.first_token, s.last_token) for s in record.segments] == [("fast", "server", 1, 40)]
    assert np.allclose(record.delivered_s - record.arrival_s, 0.25 + 0.01 * np.arange(40))
    by_name = {work.endpoint: work for work in record.work}
    assert list(by_name) == ["cheap", "fast", "server"]  # as they were asked
    usd = {
        "fast": 100 * 10e-6 + 40 * 40e-6,
        "cheap": 100 * 0.5e-6,  # cancelled at 0.25 s, before its first token
        "server": 100 * DEAR_SERVER.prompt_usd_per_tok,
    }
    assert {name: work.cost_usd for name, work in by_name.items()} == pytest.approx(usd)
    assert {(work.role, work.n_streams, work.prompt_tok) for work in by_name.values()} == {("server", 1, 100.0)}
    assert [by_name[name].output_tok for name in ("cheap", "fast", "server")] == [0, 40, 0]
    assert record.first_endpoint == "server"
    assert (record.server_prompt_tok, record.server_output_tok) == (300, 40)
    assert record.server_cost_usd == pytest.approx(sum(usd.values()))
    assert record.unified_cost_usd == pytest.approx(sum(usd.values()))
    assert (played.columns["n_tok_server"][0], played.columns["n_tok_wasted"][0]) == (40, 0)


def switch(session: Any) -> Generator[Any, Any, None]:
    """Ten tokens of the fast service, the rest from the cheap one."""
    fast = session.start("fast", at_most_tok=10)
    session.keep((yield session.first_token_of(fast)))
    rest = session.start("cheap", after_token=10)
    yield session.first_token_of(rest)
    session.hand_over(rest)
    yield session.finished()


def test_a_hand_over_between_two_services_is_one_and_both_count_as_the_server() -> None:
    parts = steady_world(quality=QualityModel(cloud=0.8, device=0.3, edge=0.2))
    played = serve_one(switch, parts)
    record = played.records[0]
    assert [(s.endpoint, s.last_token, s.counts_as) for s in record.segments] == [
        ("fast", 10, "server"),
        ("cheap", 40, "server"),
    ]
    columns = played.columns
    assert (columns["n_migrations"][0], columns["n_tok_server"][0], columns["n_tok_device"][0]) == (1, 40, 0)
    assert record.quality_assumed == pytest.approx(0.8)
    rows = endpoint_columns(Timelines.of(played.records))
    assert list(rows) == [name for name in ENDPOINT_FIELDS if name not in {"policy", "replication"}]
    shown = dict(zip(rows["endpoint"].tolist(), rows["n_tok_shown"].tolist(), strict=True))
    assert shown == {"fast": 10, "cheap": 30}
    assert rows["prompt_tok"].tolist() == [100.0, 110.0]


def test_sums_over_names_are_the_columns_of_their_roles() -> None:
    """A busy mixture: services that refuse, a device, hand-overs; sums by a plain loop."""
    others = services(fast=server(failure_share=0.3), cheap=server(ttft=constant(0.4), ttft_s_per_prompt_tok=1e-3))

    def how(session: Any) -> Generator[Any, Any, None]:
        losers = "run_on" if session.coin() < 0.3 else "cancel"
        if session.request_id % 3 == 0:
            device = session.start("device", at_most_tok=20)
            session.keep((yield session.first_token_of(device)))
            yield session.finished()
            if not session.is_whole(device):
                for name in ("fast", "cheap"):  # the fast one may refuse
                    rest = session.start(name, after_token=20)
                    if (yield session.first_token_of(rest)) is not None:
                        session.hand_over(rest)
                        break
        else:
            names = ("fast", "server", "cheap")[session.request_id % 3 - 1 :]
            session.keep((yield session.first_token_of(*map(session.start, names))), losers=losers)
        yield session.finished()

    parts = model(service=server(), services=others)
    table = requests(300, gap_s=0.5)
    played = play(By(how=how), parts, table, view=past(parts))
    prices = {"server": DEAR_SERVER, "fast": DEAR, "cheap": CHEAP}
    asked = set()
    for record in played.records:
        usd = 0.0
        for work in record.work:
            asked.add(work.endpoint)
            if work.role == "server":
                assert work.cost_usd == pytest.approx(
                    prices[work.endpoint].server_usd(work.prompt_tok, work.output_tok)
                )
                usd += work.cost_usd
        assert record.server_cost_usd == pytest.approx(usd)
        of = {role: [work for work in record.work if work.role == role] for role in ("server", "device")}
        assert record.server_output_tok == sum(work.output_tok for work in of["server"])
        assert record.server_prompt_tok == sum(work.prompt_tok for work in of["server"])
        assert record.is_server_dispatched == any(work.is_dispatched for work in of["server"])
        assert record.device_energy_j == pytest.approx(sum(work.energy_j for work in of["device"]))
    assert asked == {"server", "fast", "cheap", "device"}
    assert played.columns["n_migrations"].max() == 1


def test_a_service_meets_the_same_luck_under_every_policy_and_beside_any_other() -> None:
    fast = server(ttft=law(rho=0.4), jitter_p99_over_p50=2.0, failure_share=0.2)
    table = requests(60)
    one, many = (
        model(service=server(), services=held) for held in (services(fast=fast), services(cheap=server(), fast=fast))
    )

    def starts(played: Played) -> list[Any]:
        return [record.generated_s if record.generated_s.size else None for record in played.records]

    def alone(session: Any) -> Generator[Any, Any, None]:
        stream = session.start("fast")
        if (yield session.first_token_of(stream)) is None:
            session.fail()
            return
        session.keep(stream)
        yield session.finished()

    def beside(session: Any) -> Generator[Any, Any, None]:
        session.start("server")
        yield from alone(session)

    three = [
        starts(play(By(how=how), parts, table, view=past(one)))
        for parts, how in ((one, alone), (one, beside), (many, alone))
    ]
    for a, b, c in zip(*three, strict=True):
        assert (a is None) == (b is None) == (c is None)
        if a is not None:
            np.testing.assert_array_equal(a, b)
            np.testing.assert_array_equal(a, c)


def test_two_services_of_one_law_have_draws_of_their_own() -> None:
    twin = server(jitter_p99_over_p50=2.0)
    parts = model(service=twin, services=services(fast=twin))
    table = requests(30, output_tok=50)
    here, there = (play(By(how=keep_first(name)), parts, table, view=past(parts)) for name in ("server", "fast"))
    equal = [np.array_equal(a.generated_s, b.generated_s) for a, b in zip(here.records, there.records, strict=True)]
    assert not any(equal)


@pytest.mark.parametrize("policy", [ServerOnly(), Race()], ids=lambda policy: policy.kind)
def test_a_service_that_nobody_asks_moves_no_bit(policy: Policy) -> None:
    twin = server(failure_share=0.1, jitter_p99_over_p50=2.0)
    table = requests(60)
    one, two = model(service=twin), model(service=twin, services=services(fast=server()))
    plain, named = (play(policy, parts, table, view=past(one)) for parts in (one, two))
    assert_same_records(plain.records, named.records, but=["work"])
    assert all(record.work == () for record in plain.records)
    assert all(len(record.work) == len({"race": ("a", "b")}.get(policy.kind, "a")) for record in named.records)


def test_a_service_may_lie_behind_a_last_hop_of_its_own() -> None:
    far, near = constant_link(0.2), constant_link(0.1)
    parts = model(service=steady(0.5, 0.05), link=far, services={"near": Service(steady(0.5, 0.05), DEAR, near)})
    ttft_s = [float(serve_one(keep_first(name), parts).ttft_s[0]) for name in ("server", "near")]
    assert ttft_s == pytest.approx([0.7, 0.6])


def test_a_name_that_nobody_has_is_refused_with_those_that_there_are() -> None:
    known = "did you mean 'fast'? Known: cheap, device, edge, fast, server"
    with pytest.raises(InvariantError, match="request 0: no endpoint 'fats'") as caught:
        serve_one(keep_first("fats"), steady_world())
    assert str(caught.value).endswith(known)


def test_who_cannot_be_looked_into_has_no_load() -> None:
    seen: list[Any] = []

    def how(session: Any) -> Generator[Any, Any, None]:
        seen.extend([session.load_of("fast"), session.load_of("edge").n_boxes, session.edge_load.n_boxes])
        yield from keep_first("fast")(session)

    serve_one(how, steady_world())
    assert seen == [None, 1, 1]


@pytest.mark.parametrize(
    ("change", "number"),
    [
        ({"cost_usd": 0.1}, 4),
        ({"output_tok": 41}, 4),
        ({"prompt_tok": 99.0}, 4),
        ({"role": "edge"}, 4),
        ({"endpoint": "fast"}, 4),
    ],
    ids=str,
)
def test_the_checks_bite(change: dict[str, Any], number: int) -> None:
    played = serve_one(switch, steady_world())
    good = Timelines.of(played.records)
    columns = request_columns(good, pacer=True)
    usd = check_endpoints(columns, good, steady_world().meters, "by")
    check_columns(columns, DEAR_SERVER, "by", usd)
    with pytest.raises(InvariantError, match="INV-4"):  # at the price of the first service alone
        check_columns(columns, DEAR_SERVER, "by")
    record = played.records[0]
    first, second = record.work
    bad = Timelines.of([replace(record, work=(first, replace(second, **change)))])
    with pytest.raises(InvariantError, match=f"INV-{number}: request 0 under by"):
        check_endpoints(columns, bad, steady_world().meters, "by")


def test_a_name_that_shows_more_than_it_made_is_found_out() -> None:
    played = serve_one(switch, steady_world())
    record = played.records[0]
    fast, cheap = record.work
    meters = {**steady_world().meters, "fast": CHEAP}  # so that prices do not tell
    moved = (
        replace(fast, output_tok=fast.output_tok - 3, cost_usd=CHEAP.server_usd(fast.prompt_tok, fast.output_tok - 3)),
        replace(
            cheap, output_tok=cheap.output_tok + 3, cost_usd=CHEAP.server_usd(cheap.prompt_tok, cheap.output_tok + 3)
        ),
    )
    bad = replace(record, work=moved, server_cost_usd=math.fsum(work.cost_usd for work in moved))
    flat = Timelines.of([bad])
    with pytest.raises(InvariantError, match="INV-5: request 0 under by"):
        check_endpoints(request_columns(flat, pacer=True), flat, meters, "by")
