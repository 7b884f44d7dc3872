"""Result folders are complete and describe themselves, and a result in memory is what they hold."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet
from stored_scenario import FILES, SCENARIO, TOKEN_COLUMNS, contents, scenario

import discosim
from discosim.config import load_scenario
from discosim.core.errors import UserError
from discosim.metrics.definitions import definition
from discosim.policies.race import Race
from discosim.policies.server_only import ServerOnly
from discosim.runs import execute_to_folder, simulate

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


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store") / "run"
    execute_to_folder(scenario(), folder, tokens=True, command="discosim run store.yaml")
    return folder


# --- what is in it --------------------------------------------------------------------------------------------


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


# --- simulate in a notebook -----------------------------------------------------------------------------------


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
