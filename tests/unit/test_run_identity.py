"""What a run is called: the same for ever, whatever keys are added to a scenario later."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import installed
import numpy as np
import pytest
from installed import POLICY, Site

from discosim.config import as_plain, load_scenario
from discosim.config.shape import keys_of
from discosim.core.scenario import Cost, EngineServer, Scenario, SchedulerSpec
from discosim.core.spec import spec
from discosim.policies import known_policies
from discosim.runs.identity import hashed_form, run_id
from discosim.runs.origins import origins
from discosim.runs.provenance import fingerprints, foreign_parts, input_notes

STORED = Path(__file__).parent / "stored_runs"
"""``config.yaml`` as version 0.1.0 wrote it, and the identity that it gave each run, inputs aside."""


@pytest.mark.parametrize(("name", "stored"), json.loads((STORED / "run_ids.json").read_text()).items())
def test_stored_runs_keep_their_names(name, stored):
    assert run_id(load_scenario(STORED / f"{name}.yaml"), {}) == stored


@dataclass(frozen=True, kw_only=True)
class Inner:
    rate: float = spec(1.0, doc="A rate.")


@dataclass(frozen=True, kw_only=True)
class Section:
    kind: Literal["old"] = spec("old", doc="Which.")
    n: int = spec(3, doc="A number.")
    later: int = spec(7, doc="A key that came later.", since="0.2", ge=0)
    inner: Inner = spec(Inner, doc="A section that came later.", since="0.2")
    many: tuple[int, ...] = field(default=())


def test_a_later_key_leaves_no_trace_at_its_default():
    assert hashed_form(Section()) == {"kind": "old", "n": 3, "many": []}


def test_a_later_key_counts_where_it_says_something_else():
    assert hashed_form(Section(later=8))["later"] == 8
    assert hashed_form(Section(inner=Inner(rate=2.0)))["inner"] == {"rate": 2.0}


def test_the_version_of_a_key_is_no_range():
    assert dict(keys_of(Section)["later"].limits) == {"ge": 0}


# --- files ----------------------------------------------------------------------------------------------------

REPLAY_KEYS = ("series_unit", "failure_run", "ttft_slope", "start_hour", "capacity", "rate_limit", "quota")
"""Keys of a replayed service that came after the first release."""
ROW = '{"arrival_s": 0, "prompt_tok": 5, "output_tok": 5}\n'


def with_files(folder: Path, **changes: Any) -> Scenario:
    """Return a scenario that names two files."""
    given: dict[str, Any] = {
        "name": "two-files",
        "workload": {"kind": "replay", "file": str(folder / "a" / "mine.jsonl")},
        "devices": [{"profile": "snapdragon-8-elite-llama-3.2-3b"}],
        "server": {
            "kind": "replay",
            "series": str(folder / "b" / "mine.jsonl"),
            "prices": {"prompt_usd_per_mtok": 1, "output_usd_per_mtok": 1},
        },
        "cost": {"exchange_rate_usd_per_j": 0},
        "policies": [{"kind": "server_only"}],
    }
    return load_scenario({**given, **changes})


def write_two(folder: Path, first: str, second: str) -> Path:
    """Write two files of one name into two folders."""
    for name, text in (("a", first), ("b", second)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "mine.jsonl").write_text(text)
    return folder


def test_files_of_one_name_do_not_meet(tmp_path: Path) -> None:
    one = with_files(write_two(tmp_path / "x", ROW, ROW * 2))
    assert {"server: mine.jsonl", "workload: mine.jsonl"} < set(fingerprints(one))
    elsewhere = with_files(write_two(tmp_path / "y", ROW, ROW * 2))
    swapped = with_files(write_two(tmp_path / "z", ROW * 2, ROW))
    assert run_id(one) == run_id(elsewhere) != run_id(swapped)


def test_a_file_counts_by_its_name_as_it_always_did(tmp_path: Path) -> None:
    """The name of a run as it was first made: the text of the scenario, with the names of files in place of paths."""
    scenario = with_files(write_two(tmp_path, ROW, ROW))
    plain = as_plain(scenario)
    later = {
        "workload": ("time_unit", "past_share", "columns"),
        "server": (*REPLAY_KEYS, "chunks"),
        "cost": ("energy_range",),
        "reader": ("ttft_prompt_tok_per_s",),
    }
    for section, keys in later.items():
        for key in keys:
            del plain[section][key]
    for device in plain["devices"]:
        for key in ("name", "prefill_tok_per_s", "chunk_tok", "max_context_tok", "battery"):
            del device[key]
    del plain["services"], plain["inputs"], plain["kernel"]
    for device in plain["devices"]:
        for key in ("residual", "heat", "waiting", "profile_file", "decode_j_per_tok_per_b", "decode_over_prefill"):
            del device[key]
    for policy in plain["policies"]:
        for option in ("service", "retry_service"):
            policy.pop(option, None)
    text = json.dumps(plain, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    assert text.count(str(tmp_path)) == 2
    for folder in "ab":
        text = text.replace(f"{tmp_path}/{folder}/mine.jsonl", "mine.jsonl")
    facts = {"inputs_sha256": {"x": "y"}, "scenario": text, "schema_version": 1}
    expected = hashlib.sha256(json.dumps(facts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
    assert run_id(scenario, {"x": "y"}) == expected


def test_a_text_that_looks_like_a_file_is_a_text(tmp_path: Path) -> None:
    """Only what names a file is shortened; the same path in another key counts as it stands."""
    write_two(tmp_path, ROW, ROW)
    prices = {"prompt_usd_per_mtok": 1, "output_usd_per_mtok": 1}
    ids = set()
    for source in ("mine.jsonl", str(tmp_path / "b" / "mine.jsonl"), "b"):
        server = {
            "kind": "replay",
            "series": str(tmp_path / "b" / "mine.jsonl"),
            "prices": {**prices, "source": source},
        }
        ids.add(run_id(with_files(tmp_path, server=server)))
    policies = [{"kind": "server_only", "name": "mine.jsonl"}]
    assert len({*ids, run_id(with_files(tmp_path, policies=policies))}) == 4


def test_files_of_one_name_have_an_origin_each() -> None:
    points = [{"workload: mine.csv": "a" * 64}, {"workload: mine.csv": "b" * 64}, {"server: mine.csv": "a" * 64}]
    found = [(origin.role, origin.name, origin.sha256[0]) for origin in origins(*points)]
    assert found == [("workload, server", "mine.csv", "a"), ("workload", "mine.csv", "b")]


# --- scenarios put together in Python -------------------------------------------------------------------------


def test_what_python_leaves_out_counts_as_its_default() -> None:
    loaded = load_scenario("pice")
    assert isinstance(loaded.server, EngineServer)
    assert loaded.server.scheduler.options
    bare = replace(loaded, server=replace(loaded.server, scheduler=SchedulerSpec()))
    assert run_id(bare, {}) == run_id(loaded, {})
    named = [replace(policy, options=dict(list(policy.options.items())[:0])) for policy in loaded.policies]
    assert run_id(replace(loaded, policies=tuple(named)), {}) == run_id(load_scenario(_without_options(loaded)), {})


def _without_options(scenario: Scenario) -> dict[str, Any]:
    given: dict[str, Any] = as_plain(scenario)
    return {**given, "policies": [{"kind": p["kind"], "name": p["name"]} for p in given["policies"]]}


def test_numbers_of_python_count_as_those_of_a_file() -> None:
    loaded = load_scenario("quickstart", overrides=["cost.exchange_rate_usd_per_j=2"])
    for number in (2, np.float64(2), np.int64(2), np.float32(2)):
        other = replace(loaded, cost=replace(loaded.cost, exchange_rate_usd_per_j=number), seed=np.int64(loaded.seed))
        assert run_id(other, {}) == run_id(loaded, {})
    nothing = [replace(loaded, cost=Cost(exchange_rate_usd_per_j=zero)) for zero in (0, 0.0, -0.0)]
    assert len({run_id(scenario, {}) for scenario in nothing}) == 1


# --- code of other packages -----------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Return a folder into which packages are installed."""
    with installed.site(tmp_path / "site") as made:
        yield made


def named(kind: str) -> Scenario:
    return load_scenario("quickstart", overrides=[f"policies=[{{kind: server_only}}, {{kind: {kind}}}]"])


def test_ours_leave_no_trace() -> None:
    assert not [key for key in fingerprints(load_scenario("quickstart")) if "code" in key]
    assert foreign_parts(load_scenario("engine")) == []


def test_the_source_of_a_foreign_policy_decides_the_name_of_a_run(site: Site) -> None:
    site.install("mine", POLICY.format(kind="mine"))
    (part,) = foreign_parts(named("mine"))
    assert (part.role, part.kind, part.package, part.code.parts) == ("policy code", "mine", "mine 1.0", ("mine",))
    first = run_id(named("mine"))
    assert fingerprints(named("mine"))["policy code: mine"] == part.code.sha256
    (site.folder / "mine.py").write_text(POLICY.format(kind="mine") + "\n# another thought\n")
    assert run_id(named("mine")) == first, "what was imported is what runs"
    site.forget()
    assert run_id(named("mine")) != first
    (site.folder / "mine.py").write_text(POLICY.format(kind="mine"))
    site.forget()
    assert run_id(named("mine")) == first
    assert run_id(named("race")) == run_id(named("race"))


def test_a_plug_in_that_is_not_used_renames_nothing(site: Site) -> None:
    before = run_id(load_scenario("quickstart"))
    site.install("mine", POLICY.format(kind="mine"))
    site.forget()
    assert run_id(load_scenario("quickstart")) == before


def test_a_policy_without_source_is_said_to_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    space: dict[str, Any] = {"__name__": "a_cell"}
    exec("from discosim import Policy\nclass Cell(Policy):\n    kind = 'cell'", space)
    known = {**known_policies(), "cell": space["Cell"]}
    for place in ("discosim.policies", "discosim.policies.registry"):
        monkeypatch.setattr(f"{place}.known_policies", lambda: known)
    scenario = named("cell")
    assert fingerprints(scenario)["policy code: cell"] == "unknown"
    assert run_id(scenario)
    (note,) = [note for note in input_notes(scenario, (), {}) if "policy code" in note]
    assert note.startswith("warning: policy code 'cell': its source cannot be read")


def test_a_page_calls_foreign_code_by_what_it_is(site: Site) -> None:
    site.install("mine", POLICY.format(kind="openrouter-gpt-5.4"))  # a digest has this name too
    (origin,) = [o for o in origins(fingerprints(named("openrouter-gpt-5.4"))) if o.kind == "code"]
    assert origin.role == "policy code"
    assert "not discosim's" in origin.note
