"""Named services of a scenario: what may be written, what a run leaves of them, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from pyarrow import parquet

from discosim.config import as_plain, dump_scenario, load_scenario
from discosim.core.errors import UserError
from discosim.metrics.endpoints import ENDPOINT_FIELDS
from discosim.policies import Policy, known_policies
from discosim.policies.race import Race
from discosim.policies.server_only import ServerOnly
from discosim.report.figures.timeline import LANES, draw_timeline, timeline_table
from discosim.report.style import ENDPOINT_COLOURS
from discosim.runs.build import build
from discosim.runs.identity import run_id
from discosim.runs.provenance import fingerprints
from discosim.runs.simulate import simulate
from discosim.runs.store import execute_to_folder
from discosim.sweep.plan import load_plan

Plain = dict[str, Any]
CHEAP = {"prompt_usd_per_mtok": 1.0, "output_usd_per_mtok": 2.0, "source": ""}
DEAR = {"prompt_usd_per_mtok": 10.0, "output_usd_per_mtok": 40.0, "source": ""}
MTOK = 1e-6


@pytest.fixture(autouse=True)
def small_past(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no policy here learn from 100,000 requests."""
    from discosim.runs import build as build_module

    monkeypatch.setattr(build_module, "HISTORY_N", 50)


def engine(prices: Plain = CHEAP, **changes: Any) -> Plain:
    """A service that speaks after 0.2 s and gives a token every 0.05 s, to one who is alone."""
    times = {"kind": "constant", "prefill_s": 0.2, "decode_s": 0.05}
    plain = {"kind": "engine", "iterations": times, "kv_tok": 4000, "pilot_requests": 5, "prices": prices}
    return plain | changes


def replayed(prices: Plain = CHEAP, **changes: Any) -> Plain:
    return {"kind": "replay", "digest": "openrouter-gpt-5.4", "prices": prices} | changes


def data(services: Plain, policies: list[Plain] | None = None, **parts: Any) -> Plain:
    """Ten requests of 100 prompt and 20 output tokens, far apart."""
    plain: Plain = {
        "name": "named",
        "replications": 2,
        "workload": {
            "kind": "generate",
            "arrivals": {"kind": "poisson", "rate_per_s": 0.01},
            "lengths": {"kind": "constant", "prompt_tok": 100, "output_tok": 20},
            "n_requests": 10,
        },
        "devices": [{"profile": "pixel-7-pro-bloom-1.1b"}],
        "server": engine(),
        "services": services,
        "cost": {"exchange_rate_usd_per_j": 1e-6},
        "policies": policies or [{"kind": "server_only"}],
    }
    return plain | parts


def refusal(plain: Plain, **overrides: Any) -> str:
    with pytest.raises(UserError) as caught:
        simulate(load_scenario(plain, **overrides))
    return str(caught.value)


# --- what may be written --------------------------------------------------------------------------------------


def test_services_are_kept_as_they_were_written() -> None:
    scenario = load_scenario(data({"fast": replayed(DEAR), "own": engine()}))
    assert list(scenario.services) == ["fast", "own"]
    assert scenario.services["own"] == scenario.server
    again = load_scenario(json.loads(json.dumps(as_plain(scenario))))
    assert again == scenario
    assert dump_scenario(again) == dump_scenario(scenario)


def test_a_scenario_without_services_has_the_name_that_it_always_had() -> None:
    bare = data({})
    del bare["services"]
    one, two, three = (load_scenario(plain) for plain in (bare, data({}), data({"fast": replayed()})))
    assert one == two
    assert run_id(one) == run_id(two) != run_id(three)
    assert run_id(three) != run_id(load_scenario(data({"quick": replayed()})))


def test_a_key_of_a_service_is_set_and_swept_by_its_name(tmp_path: Path) -> None:
    plain = data({"fast": replayed(DEAR)})
    changed = load_scenario(plain, overrides=["services.fast.prices.output_usd_per_mtok=3"])
    assert changed.services["fast"].prices.output_usd_per_mtok == 3
    (tmp_path / "base.yaml").write_text(json.dumps(plain))
    sweep = {"name": "s", "base": "base.yaml", "sweep": {"grid": {"services.fast.prices.output_usd_per_mtok": [1, 5]}}}
    (tmp_path / "s.yaml").write_text(json.dumps(sweep))
    points = [point.scenario for point in load_plan(tmp_path / "s.yaml").points]
    assert [point.services["fast"].prices.output_usd_per_mtok for point in points] == [1, 5]


def test_files_of_services_lie_beside_the_scenario_and_count_by_service(tmp_path: Path) -> None:
    row = '{"arrival_s": 0, "prompt_tok": 5, "output_tok": 5}\n'
    for folder, n in (("a", 1), ("b", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.jsonl").write_text(row * n)
    services = {
        name: {"kind": "replay", "series": f"{folder}/mine.jsonl", "prices": CHEAP}
        for name, folder in (("one", "a"), ("two", "b"))
    }
    path = tmp_path / "s.yaml"
    path.write_text(json.dumps(data(services)))
    scenario = load_scenario(path)
    assert [as_plain(service)["series"] for service in scenario.services.values()] == [
        str(tmp_path / "a/mine.jsonl"),
        str(tmp_path / "b/mine.jsonl"),
    ]
    held = fingerprints(scenario)
    assert held["service one: mine.jsonl"] != held["service two: mine.jsonl"]
    services["two"]["series"] = "c/mine.jsonl"
    path.write_text(json.dumps(data(services)))
    assert "services.two.series: no such file" in refusal(path)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["device", "server", "edge"])
def test_no_service_takes_the_name_of_another_endpoint(name: str) -> None:
    assert f"services.{name}: must not be called device, server or edge" in refusal(data({name: engine()}))


@pytest.mark.parametrize("name", ["", "a b", "1st", "gpt-5", "größe", "server.fast"])
def test_a_service_is_called_by_a_plain_word(name: str) -> None:
    assert "must be called by letters, digits and _, no digit first" in refusal(data({name: engine()}))


@pytest.mark.parametrize(
    ("policy", "place", "name"),
    [
        ({"kind": "server_only", "service": "fats"}, "policies[0].service", "fats"),
        ({"kind": "server_only", "n_retries": 1, "retry_service": "fats"}, "policies[0].retry_service", "fats"),
        ({"kind": "race", "service": "fats"}, "policies[0].service", "fats"),
    ],
    ids=["server_only", "retry", "race"],
)
def test_a_policy_that_asks_for_a_service_that_is_not_there_is_refused(policy: Plain, place: str, name: str) -> None:
    said = refusal(data({"fast": engine()}, [policy]))
    assert f"{place}: there is no endpoint '{name}' in this scenario; did you mean 'fast'? Known: device, fast" in said


@dataclass(kw_only=True)
class Mute(Policy):
    """A policy of somebody else, whose option bears the name of a method."""

    kind: ClassVar[str] = "mute"
    asks_for: str = "fast"  # type: ignore[assignment]  # as people write it


def test_an_option_by_the_name_of_the_method_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {**known_policies(), "mute": Mute}
    monkeypatch.setattr("discosim.policies.known_policies", lambda: known)
    monkeypatch.setattr("discosim.policies.registry.known_policies", lambda: known)
    said = refusal(data({"fast": engine()}, [{"kind": "mute"}]))
    assert said.endswith(
        "policies[0]: policy 'mute' does not say whom it asks for (TypeError: 'str' object is not callable)"
    )


def test_policies_that_are_objects_are_looked_at_as_well() -> None:
    scenario = load_scenario(data({"fast": engine()}))
    with pytest.raises(
        UserError, match="policy mine: there is no endpoint 'fats' in this scenario; did you mean 'fast'"
    ):
        simulate(scenario, policies={"mine": Race(service="fats")})


@pytest.mark.parametrize("policy", [ServerOnly, Race])
def test_device_and_edge_are_no_services(policy: Any) -> None:
    for name in ("device", "edge"):
        with pytest.raises(ValueError, match=f"expected a service: 'server', or a name in `services` \\(got '{name}'"):
            policy(service=name)
    with pytest.raises(ValueError, match="retry_service has no effect where n_retries is 0"):
        ServerOnly(retry_service="fast")


def test_what_is_wrong_with_a_service_is_said_of_it() -> None:
    assert refusal(data({"own": engine(kv_tok=3)})).startswith(
        "services.own.kv_tok: KV memory of 3 tokens holds no block"
    )
    said = refusal(data({"own": engine(prefix_cache_tok=4)}))
    assert said.startswith("services.own.prefix_cache_tok: reuse of prefixes needs a replayed trace")
    assert "services.fast.digest" in refusal(data({"fast": replayed(digest="openrouter-gtp-5.4")}))
    assert "services.fast.prices" in refusal(data({"fast": {"kind": "replay", "digest": "openrouter-gpt-5.4"}}))


# --- what a run leaves ----------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class TwoStep(Policy):
    """Five tokens of the dear service, the rest from the cheap one; the device is asked in vain."""

    kind: ClassVar[str] = "two_step"

    def serve(self, session: Any) -> Generator[Any, Any, None]:
        first = session.start("dear", at_most_tok=5)
        session.keep((yield session.first_token_of(first)))
        rest = session.start("cheap", after_token=5)
        yield session.first_token_of(rest)
        session.hand_over(rest)
        yield session.finished()


def test_each_service_has_its_own_bill() -> None:
    result = simulate(load_scenario(data({"dear": engine(DEAR), "cheap": engine()})), policies={"two": TwoStep()})
    rows = result.by_endpoint
    assert list(rows.columns) == list(ENDPOINT_FIELDS)
    two = rows[rows["policy"] == "two"]
    assert len(two) == 2 * 10 * 2
    bills = {
        "dear": (100, 5, 5, (100 * 10 + 5 * 40) * MTOK),
        "cheap": (105, 15, 15, (105 * 1 + 15 * 2) * MTOK),
    }
    for name, (prompt_tok, output_tok, shown, usd) in bills.items():
        mine = two[two["endpoint"] == name]
        assert set(mine["prompt_tok"]) == {prompt_tok}
        assert set(mine["output_tok"]) == {output_tok}
        assert set(mine["n_tok_shown"]) == {shown}
        assert mine["cost_usd"].to_numpy() == pytest.approx(usd)
    only = rows[rows["policy"] == "server_only"]
    assert set(only["endpoint"]) == {"server"}
    requests = result.requests.set_index(["policy", "replication", "request_id"])
    assert set(requests.loc["two"]["first_endpoint"]) == {"server"}
    sums = rows[rows["role"] == "server"].groupby(["policy", "replication", "request_id"]).sum(numeric_only=True)
    for amount, column in (
        ("cost_usd", "server_cost_usd"),
        ("prompt_tok", "server_prompt_tok"),
        ("output_tok", "server_output_tok"),
        ("n_tok_shown", "n_tok_server"),
        ("gpu_s", "gpu_s"),
    ):
        pd.testing.assert_series_equal(sums[amount], requests[column], check_names=False, check_dtype=False)


def test_a_refused_request_is_tried_again_at_the_service_named_for_it() -> None:
    refusing = replayed(DEAR, failures="measured", failure_share=1.0, failure_after_s=0.25)
    policy = {"kind": "server_only", "service": "fast", "n_retries": 2, "retry_service": "own", "retry_after_s": 0.5}
    result = simulate(load_scenario(data({"fast": refusing, "own": engine()}, [policy])))
    assert result.requests["ttft_s"].to_numpy() == pytest.approx(0.25 + 0.5 + 0.2)
    assert result.requests["server_cost_usd"].to_numpy() == pytest.approx((100 * 1 + 20 * 2) * MTOK)
    n_asked = result.by_endpoint.groupby("endpoint")["n_streams"].sum()
    assert n_asked.to_dict() == {"fast": 20, "own": 20}
    assert not result.by_endpoint.set_index("endpoint").loc["fast", "is_dispatched"].any()


def test_the_order_in_which_services_are_written_changes_nothing() -> None:
    held = {"fast": replayed(DEAR), "own": engine(), "another": replayed()}
    policies = [{"kind": "server_only", "service": "fast"}, {"kind": "race", "service": "own"}]
    hop = {"kind": "digest", "digest": "lte-driving", "overlap": "remove_floor"}  # of which the notes speak
    a, b = (load_scenario(data(dict(pairs), policies, link=hop)) for pairs in (held.items(), reversed(held.items())))
    assert run_id(a) == run_id(b)
    first, second = simulate(a), simulate(b)
    pd.testing.assert_frame_equal(first.requests, second.requests)
    pd.testing.assert_frame_equal(first.by_endpoint, second.by_endpoint)
    assert first.notes == second.notes
    assert len([note for note in first.notes if "last hop lte-driving: its p1" in note]) == 2
    keys = first.by_endpoint[["policy", "replication", "request_id", "endpoint"]]
    pd.testing.assert_frame_equal(keys, keys.sort_values(list(keys)))


def test_a_service_that_nobody_asks_moves_no_number() -> None:
    policies = [{"kind": "server_only"}, {"kind": "disco", "constraint": "device", "budget": 0.5}]
    for server in (replayed(), engine()):
        with_it, without = (
            simulate(load_scenario(data(services, policies, server=server)))
            for services in ({"fast": replayed(DEAR), "own": engine(DEAR)}, {})
        )
        pd.testing.assert_frame_equal(with_it.requests, without.requests)
        pd.testing.assert_frame_equal(with_it.by_replication, without.by_replication)
        assert without.by_endpoint.empty


def test_each_service_is_freed_of_what_its_own_measurements_contain() -> None:
    """A TTFT measured over the wide area contains the floor of the round trip; an engine's time does not."""
    hop = {"kind": "digest", "digest": "lte-driving", "overlap": "remove_floor"}
    blueprint = build(load_scenario(data({"own": engine(), "far": replayed()}, server=replayed(), link=hop)))
    model = blueprint.model
    assert model.services["far"].link == model.link
    own, shared = model.services["own"].link.rtt, model.link.rtt
    assert own is not None
    assert shared is not None
    floor_s = own.table.ppf(0.01)
    assert floor_s > 0.005
    assert own.table.ppf(0.5) - shared.table.ppf(0.5) == pytest.approx(floor_s)
    taken_out = [note for note in blueprint.notes if "was taken out of every round trip" in note]
    assert [note.partition("lte-driving")[0] for note in taken_out] == ["last hop ", "service far: last hop "]


def test_the_notes_say_what_each_service_costs_and_what_is_of_one_alone() -> None:
    notes = simulate(load_scenario(data({"own": engine(DEAR), "fast": replayed()}))).notes
    assert "service own price 10 / 40 USD per million prompt / output tokens: source not given" in notes
    assert any(note.startswith("service fast openrouter-gpt-5.4: measured") for note in notes)
    assert "services: metrics engine_* are of `server` alone, not of own" in notes
    assert not [note for note in simulate(load_scenario(data({}))).notes if note.startswith("service")]


def test_a_run_leaves_one_more_file_with_units_and_its_hash(tmp_path: Path) -> None:
    scenario = load_scenario(data({"own": engine(DEAR)}, [{"kind": "server_only", "service": "own"}]))
    execute_to_folder(scenario, tmp_path / "two")
    facts = json.loads((tmp_path / "two" / "run.json").read_text())
    assert "endpoints.parquet" in facts["files"]
    schema = parquet.read_schema(tmp_path / "two" / "endpoints.parquet")
    assert schema.names == list(ENDPOINT_FIELDS)
    assert schema.field("cost_usd").metadata[b"unit"] == b"USD"
    assert all(schema.field(name).metadata[b"description"] for name in schema.names)
    execute_to_folder(load_scenario(data({})), tmp_path / "one")
    assert not (tmp_path / "one" / "endpoints.parquet").exists()
    assert load_scenario(tmp_path / "two" / "config.yaml") == scenario


def test_the_picture_shows_services_in_the_servers_lane() -> None:
    result = simulate(load_scenario(data({"dear": engine(DEAR), "cheap": engine()})), policies={"two": TwoStep()})
    table = timeline_table(result.example_tokens, result.requests, policies=["two"])
    assert list(dict.fromkeys(table["endpoint"])) == ["dear", "cheap"]
    drawn = draw_timeline(table).axes[0]
    bars = [bar for bar in drawn.patches if isinstance(bar, Rectangle)]
    assert {round(bar.get_y() + bar.get_height() / 2) for bar in bars} == {LANES["server"]}
    solid = [bar for bar in bars if not bar.get_hatch()]
    assert len(solid) == 2
    assert {to_hex(bar.get_facecolor()).upper() for bar in solid} == {ENDPOINT_COLOURS["server"]}


def test_what_named_services_left_goes_with_a_run_that_has_none(tmp_path: Path) -> None:
    """A file that the run did not write would be taken for its own; one of every kind of run is replaced with it."""
    out = tmp_path / "out"
    execute_to_folder(load_scenario(data({"fast": replayed()})), out)
    assert (out / "endpoints.parquet").exists()
    execute_to_folder(load_scenario(data({})), out, force=True)
    assert not (out / "endpoints.parquet").exists()
