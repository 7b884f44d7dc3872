"""Result folders: complete or not there, never silently replaced, self-describing."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from copy import deepcopy
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet

import discosim
from discosim import load_results
from discosim.config import load_scenario
from discosim.core.errors import InvariantError, UserError
from discosim.metrics.definitions import definition
from discosim.policies import Policy
from discosim.policies.race import Race
from discosim.policies.server_only import ServerOnly
from discosim.runs import execute_to_folder, simulate
from discosim.runs import store as store_module
from discosim.runs.store import owner
from discosim.runs.whole import NEEDED, checked_facts

SCENARIO: dict[str, Any] = {
    "name": "store",
    "seed": 3,
    "replications": 2,
    "workload": {
        "kind": "generate",
        "n_requests": 40,
        "n_users": 10,
        "arrivals": {"kind": "poisson", "rate_per_s": 0.2},
        "lengths": {"kind": "digest", "digest": "azure-conv"},
        "max_prompt_tok": 2500,
    },
    "devices": [{"profile": "snapdragon-8-elite-llama-3.2-3b", "context": "extrapolate"}],
    "server": {
        "kind": "replay",
        "digest": "openrouter-deepseek-v3.2",
        "failures": "measured",
        "failure_share": 0.1,
        "prices": {"prompt_usd_per_mtok": 0.15, "output_usd_per_mtok": 0.6, "source": "a price list"},
    },
    "link": {"kind": "digest", "digest": "starlink-seattle"},
    "cost": {"exchange_rate_usd_per_j": 1e-7},
    "policies": [{"kind": "server_only"}, {"kind": "disco", "name": "DiSCo-D", "constraint": "device"}],
}
FILES = {
    "config.yaml",
    "requests.parquet",
    "replications.parquet",
    "example_tokens.parquet",
    "summary.json",
    "inputs.json",
    "run.json",
}
REQUEST_COLUMNS = [
    "policy",
    "replication",
    "request_id",
    "user_id",
    "arrival_s",
    "prompt_tok",
    "output_tok",
    "reader_tok_per_s",
    "ttft_target_s",
    "first_endpoint",
    "ttft_s",
    "e2e_s",
    "tpot_s",
    "tbt_max_s",
    "tbt_p99_s",
    "stall_s",
    "n_stalls",
    "qoe_andes",
    "n_tok_device",
    "n_tok_server",
    "n_tok_wasted",
    "n_migrations",
    "n_tok_late",
    "server_prompt_tok",
    "server_output_tok",
    "device_prefill_tok",
    "device_decode_tok",
    "server_cost_usd",
    "device_energy_j",
    "unified_cost_usd",
    "status",
]
TOKEN_COLUMNS = [
    "policy",
    "replication",
    "request_id",
    "token_index",
    "endpoint",
    "generated_s",
    "delivered_s",
    "displayed_s",
]


def scenario(**changes: Any) -> Any:
    return load_scenario({**deepcopy(SCENARIO), **changes})


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store") / "run"
    execute_to_folder(scenario(), folder, tokens=True, command="discosim run store.yaml")
    return folder


# --- what is in it -------------------------------------------------------------------------------------------------


def test_the_folder_holds_what_the_contract_says_and_nothing_else(run: Path) -> None:
    assert {path.name for path in run.iterdir()} == FILES | {"tokens.parquet"}
    assert [path.name for path in run.parent.iterdir()] == ["run"], "temporary folders are gone"


def test_tokens_are_written_only_when_asked_for(tmp_path: Path) -> None:
    execute_to_folder(scenario(replications=1), tmp_path / "run")
    assert {path.name for path in (tmp_path / "run").iterdir()} == FILES


def test_every_request_has_its_row_and_every_column_its_unit(run: Path) -> None:
    table = parquet.read_table(run / "requests.parquet")
    assert set(REQUEST_COLUMNS) <= set(table.column_names)
    assert table.num_rows == 2 * 2 * 40
    for field in table.schema:
        known = definition(field.name)
        metadata = {key.decode(): value.decode() for key, value in field.metadata.items() if key != b"PARQUET:field_id"}
        assert metadata == {"unit": known.unit}, "what large tables say besides would outweigh these rows"
        for suffix, unit in (("_s", "s"), ("_usd", "USD"), ("_j", "J"), ("_tok_per_s", "tok/s")):
            if field.name.endswith(suffix) and not (suffix == "_s" and field.name.endswith(("_per_s", "_tok_s"))):
                assert metadata["unit"] == unit, field.name
    rows = table.to_pandas()
    assert rows[["policy", "replication", "request_id"]].equals(
        rows[["policy", "replication", "request_id"]].sort_values(["policy", "replication", "request_id"])
    )
    assert set(rows["status"]) == {"finished", "failed", "rejected"}


def test_token_rows_are_the_records_token_by_token(run: Path) -> None:
    tokens = parquet.read_table(run / "tokens.parquet").to_pandas()
    rows = parquet.read_table(run / "requests.parquet").to_pandas()
    assert tokens.columns.tolist() == TOKEN_COLUMNS
    finished = rows[rows["status"] == "finished"].set_index(["policy", "replication", "request_id"])
    grouped = tokens.groupby(["policy", "replication", "request_id"], observed=True)
    assert len(grouped) == len(finished)
    for key, token in grouped:
        row = finished.loc[key]
        assert token["token_index"].tolist() == list(range(1, row["output_tok"] + 1))
        delivered, displayed = token["delivered_s"].to_numpy(), token["displayed_s"].to_numpy()
        assert delivered[0] - row["arrival_s"] == pytest.approx(row["ttft_s"], abs=1e-9)
        assert delivered[-1] - row["arrival_s"] == pytest.approx(row["e2e_s"], abs=1e-9)
        assert (displayed >= delivered).all()
        assert (np.diff(displayed) >= 1 / row["reader_tok_per_s"] - 1e-9).all()
        assert (token["endpoint"] == "device").sum() == row["n_tok_device"]
        assert (token["endpoint"] == "server").sum() == row["n_tok_server"]
        assert (token["endpoint"] != token["endpoint"].shift()).sum() - 1 == row["n_migrations"]
        assert token["endpoint"].iloc[0] == row["first_endpoint"]


def test_example_tokens_are_rows_of_all_tokens(run: Path) -> None:
    tokens, examples = (parquet.read_table(run / f"{n}.parquet").to_pandas() for n in ("tokens", "example_tokens"))
    assert 1 <= examples["request_id"].nunique() <= 4
    assert (examples["replication"] == 0).all()
    keys = ["policy", "replication", "request_id", "token_index"]
    for frame in (tokens, examples):
        frame["policy"], frame["endpoint"] = frame["policy"].astype(str), frame["endpoint"].astype(str)
    merged = examples.merge(tokens, on=keys, suffixes=("", "_all"))
    assert len(merged) == len(examples)
    for name in ("endpoint", "generated_s", "delivered_s", "displayed_s"):
        assert (merged[name] == merged[f"{name}_all"]).all()


def test_run_json_says_where_the_figures_come_from(run: Path) -> None:
    facts = json.loads((run / "run.json").read_text())
    assert facts["discosim"] == discosim.__version__
    assert facts["command"] == "discosim run store.yaml"
    assert facts["seed"] == 3
    assert facts["wall_s"] > 0
    assert facts["peak_memory_mib"] > 10
    assert {"numpy", "scipy", "pandas", "simpy", "pyarrow"} <= set(facts["libraries"])
    assert {"python", "platform", "commit"} <= set(facts)
    digests = facts["inputs_sha256"]
    assert all(len(value) == 64 for value in digests.values())
    for name in ("azure-conv", "snapdragon-8-elite-llama-3.2-3b", "openrouter-deepseek-v3.2", "starlink-seattle"):
        assert any(key.endswith(name) for key in digests), name


def test_wall_clock_facts_stand_in_run_json_alone(run: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    execute_to_folder(scenario(), again, tokens=True, command="another command")
    one, two = contents(run), contents(again)
    assert set(one) == set(two)
    assert [name for name in one if one[name] != two[name]] == ["run.json"]


def test_the_config_in_the_folder_gives_the_same_run_again(run: Path, tmp_path: Path) -> None:
    execute_to_folder(load_scenario(run / "config.yaml"), tmp_path / "run", tokens=True)
    assert (tmp_path / "run" / "requests.parquet").read_bytes() == (run / "requests.parquet").read_bytes()
    assert (tmp_path / "run" / "config.yaml").read_bytes() == (run / "config.yaml").read_bytes()


def test_the_summary_is_what_the_result_says(run: Path) -> None:
    written = json.loads((run / "summary.json").read_text())
    result = simulate(scenario())
    assert {key: value for key, value in written.items() if key != "notes"} == json.loads(
        json.dumps(result.summary.to_json_dict())
    )
    assert written["notes"] == list(result.notes)
    assert any("a price list" in note for note in written["notes"])


def test_the_frame_of_a_result_is_the_file(run: Path) -> None:
    rows = parquet.read_table(run / "requests.parquet").to_pandas()
    frame = simulate(scenario()).requests
    for name in frame.columns:
        one, two = frame[name], rows[name]
        if one.dtype.kind in "if":
            np.testing.assert_array_equal(one, two, err_msg=name)
        else:
            assert one.astype(str).tolist() == two.astype(str).tolist(), name


# --- where it may be written ---------------------------------------------------------------------------------------


def test_the_same_scenario_may_run_again_into_its_own_folder(tmp_path: Path) -> None:
    target = tmp_path / "run"
    execute_to_folder(scenario(replications=1), target)
    first = (target / "requests.parquet").read_bytes()
    execute_to_folder(scenario(replications=1), target)
    assert (target / "requests.parquet").read_bytes() == first
    assert {path.name for path in target.iterdir()} == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_another_run_is_replaced_by_force_alone(tmp_path: Path) -> None:
    target = tmp_path / "run"
    execute_to_folder(scenario(replications=1), target)
    before = contents(target)
    with pytest.raises(UserError, match=r"holds another run; .*--out .*--force"):
        execute_to_folder(scenario(replications=1, seed=4), target)
    assert contents(target) == before
    execute_to_folder(scenario(replications=1, seed=4), target, force=True)
    assert json.loads((target / "run.json").read_text())["seed"] == 4


def test_what_the_user_laid_beside_a_run_survives_the_next_one(tmp_path: Path) -> None:
    target = tmp_path / "run"
    execute_to_folder(scenario(replications=1), target, tokens=True)
    (target / "notes.md").write_text("the tail is the device's queue")
    (target / "mine").mkdir()
    (target / "mine" / "fig.svg").write_text("<svg/>")
    execute_to_folder(scenario(replications=1), target)
    assert (target / "notes.md").read_text() == "the tail is the device's queue"
    assert (target / "mine" / "fig.svg").is_file()
    assert {path.name for path in target.iterdir()} == {*FILES, "notes.md", "mine"}  # the old tokens are gone


def test_a_folder_of_something_else_is_never_touched_not_even_by_force(tmp_path: Path) -> None:
    target = tmp_path / "thesis"
    target.mkdir()
    (target / "chapter-1.txt").write_text("years of work")
    for force in (False, True):
        with pytest.raises(UserError, match="holds no run"):
            execute_to_folder(scenario(), target, force=force)
    assert contents(target) == {"chapter-1.txt": b"years of work"}
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(UserError, match="is not a folder"):
        execute_to_folder(scenario(), file, force=True)


def test_an_empty_folder_may_be_used(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    execute_to_folder(scenario(replications=1), tmp_path / "run")
    assert {path.name for path in (tmp_path / "run").iterdir()} == FILES


def test_an_unwritable_place_is_said_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "simulate", lambda *_, **__: pytest.fail("ran before looking at the place"))
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(UserError, match="cannot be written") as raised:
        execute_to_folder(scenario(), file / "below" / "run")
    assert raised.value.where == str(file / "below" / "run")
    assert file.read_text() == "x"
    if os.geteuid() != 0:  # root may write everywhere
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o500)
        with pytest.raises(UserError, match="cannot be written"):
            execute_to_folder(scenario(), closed / "run")


def test_a_disk_that_fills_up_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "run"
    execute_to_folder(scenario(replications=1), target)
    before = contents(target)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store_module, "write_parquet", full)
    for place in (target, tmp_path / "new"):
        with pytest.raises(UserError, match="No space left on device"):
            execute_to_folder(scenario(replications=1), place)
    assert contents(target) == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_of_two_runs_into_one_folder_the_second_is_refused_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one begins later and ends first; of the same scenario both may, for they are the same."""
    target, small = tmp_path / "run", {"replications": 1}
    plain, others = simulate, [scenario(**small, seed=4)]

    def slowly(*given: Any, **named: Any) -> Any:
        result = plain(*given, **named)
        if others:
            execute_to_folder(others.pop(), target)
        return result

    monkeypatch.setattr(store_module, "simulate", slowly)
    with pytest.raises(UserError, match=r"holds another run; .*; what was computed lies in ") as raised:
        execute_to_folder(scenario(**small), target)
    assert json.loads((target / "run.json").read_text())["seed"] == 4
    (kept,) = (path for path in tmp_path.iterdir() if path != target)
    facts = json.loads((kept / "run.json").read_text())
    assert (facts["seed"], kept.name) == (3, f"run-{facts['run_id'][:10]}")
    assert str(raised.value).endswith(str(kept))
    checked_facts(kept, needed=NEEDED)

    others.append(scenario(**small, seed=4))
    execute_to_folder(scenario(**small, seed=4), target)
    others.append(scenario(**small, seed=4))
    execute_to_folder(scenario(**small, seed=3), target, force=True)
    assert json.loads((target / "run.json").read_text())["seed"] == 3
    assert len(list(tmp_path.iterdir())) == 2


def test_what_a_dead_run_left_goes_with_the_next_one(tmp_path: Path) -> None:
    host = owner().partition("~")[0]
    dead, alive = (tmp_path / f".run.{token}.0a1b2c3d" for token in (f"{host}~999999999", owner()))
    other = tmp_path / f".run2.{host}~999999999.0a1b2c3d"
    for folder in (dead, alive, other):
        folder.mkdir()
    execute_to_folder(scenario(replications=1), tmp_path / "run")
    assert {path.name for path in tmp_path.iterdir()} == {"run", alive.name, other.name}


def test_a_run_whose_run_json_is_gone_is_known_and_made_anew(tmp_path: Path) -> None:
    target = tmp_path / "run"
    execute_to_folder(scenario(replications=1), target)
    before = {name: content for name, content in contents(target).items() if name != "run.json"}
    (target / "run.json").unlink()
    (target / "requests.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match="holds another run"):
        execute_to_folder(scenario(replications=1, seed=4), target)
    execute_to_folder(scenario(replications=1), target)
    assert {name: content for name, content in contents(target).items() if name != "run.json"} == before


def test_names_that_are_no_text_are_kept_as_escapes(tmp_path: Path) -> None:
    target = tmp_path / os.fsdecode(b"caf\xe9")
    execute_to_folder(scenario(replications=1), target, tokens=True, command=f"discosim run --out {target.name}")
    assert checked_facts(target)["command"] == "discosim run --out caf\\udce9"
    assert len(load_results(target)) == 2


@dataclass(kw_only=True)
class Forgetful(Policy):
    """End without an answer: a bug in a plug-in."""

    kind: ClassVar[str] = "forgetful"

    def serve(self, session: Any) -> Generator[Any, Any, None]:
        yield session.wait(0.1)


def test_a_run_that_breaks_an_invariant_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("discosim.runs.entrants"), "build_policy", lambda _: Forgetful())
    for tokens in (False, True):
        with pytest.raises(InvariantError, match="without an answer"):
            execute_to_folder(scenario(), tmp_path / "run", tokens=tokens)
    assert list(tmp_path.iterdir()) == []


def test_worlds_in_which_nobody_is_answered_can_be_stored(tmp_path: Path) -> None:
    server = {**SCENARIO["server"], "failure_share": 1.0}
    policies = [{"kind": "server_only"}, {"kind": "stochastic", "budget": 1.0}]
    execute_to_folder(scenario(server=server, policies=policies), tmp_path / "run", tokens=True)
    rows = parquet.read_table(tmp_path / "run" / "requests.parquet").to_pandas()
    assert set(rows["status"]) == {"failed", "rejected"}
    tokens = pd.read_parquet(tmp_path / "run" / "tokens.parquet")
    assert tokens.columns.tolist() == TOKEN_COLUMNS
    assert tokens.empty
    json.loads((tmp_path / "run" / "summary.json").read_text())


# --- simulate in a notebook ----------------------------------------------------------------------------------------


def test_policies_given_as_objects_run_beside_those_of_the_scenario() -> None:
    result = simulate(scenario(replications=1), policies=[Race()])
    assert set(result.requests["policy"]) == {"server_only", "DiSCo-D", "race"}
    named = simulate(scenario(replications=1), policies={"mine": Race()})
    assert set(named.requests["policy"]) == {"server_only", "DiSCo-D", "mine"}


def test_two_policies_of_one_name_are_refused() -> None:
    with pytest.raises(UserError, match="same name"):
        simulate(scenario(), policies=[Race(), Race(losers="run_on")])
    with pytest.raises(UserError, match="has a policy 'server_only' already"):
        simulate(scenario(), policies=[ServerOnly()])


def test_progress_is_counted_once_per_world() -> None:
    ticks: list[int] = []
    simulate(scenario(), tick=lambda: ticks.append(1))
    assert len(ticks) == 2 * 2
