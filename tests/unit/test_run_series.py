"""series.parquet: a white-box server by the second, in the folder of a run."""

from __future__ import annotations

import json

import numpy as np
from pyarrow import parquet

from discosim.config import load_scenario
from discosim.runs import series as run_series
from discosim.runs.simulate import simulate
from discosim.runs.store import run_to_folder
from discosim.runs.tables import SERIES_FIELDS
from discosim.runs.whole import checked_facts

ENGINE = {
    "kind": "engine",
    "iterations": {"kind": "constant", "prefill_s": 0.3, "decode_s": 0.07},
    "kv_tok": 1600,
    "max_batch": 4,
    "pilot_requests": 20,
}
API = {"kind": "replay", "digest": "openrouter-gpt-5.4"}


def scenario(server, policies=("server_only", "race")):
    return load_scenario(
        {
            "name": "series",
            "replications": 2,
            "workload": {
                "kind": "generate",
                "n_requests": 12,
                "n_users": 4,
                "arrivals": {"kind": "poisson", "rate_per_s": 1.0},
                "lengths": {"kind": "constant", "prompt_tok": 40, "output_tok": 25},
            },
            "devices": [{"profile": "snapdragon-8-elite-llama-3.2-3b"}],
            "server": server | {"prices": {"prompt_usd_per_mtok": 1, "output_usd_per_mtok": 1}},
            "cost": {"exchange_rate_usd_per_j": 0},
            "policies": [{"kind": kind} for kind in policies],
        }
    )


def test_the_file_holds_every_world_and_all_that_the_server_made(tmp_path):
    folder = tmp_path / "run"
    result = run_to_folder(scenario(ENGINE), folder)
    assert checked_facts(folder, needed=["series.parquet"])
    table = parquet.read_table(folder / "series.parquet")
    assert table.column_names == list(SERIES_FIELDS)
    assert [table.field(name).metadata[b"unit"].decode() for name in SERIES_FIELDS] == [
        u for u, _ in SERIES_FIELDS.values()
    ]
    rows, requests = table.to_pandas(), result.requests
    for key, mine in rows.groupby(["policy", "replication"], observed=True):
        assert mine["t_s"].tolist() == list(range(1, len(mine) + 1)), key
        made = requests[(requests["policy"] == key[0]) & (requests["replication"] == key[1])]
        assert mine["output_tok_per_s"].sum() == made["server_output_tok"].sum()
        assert mine["prompt_tok_per_s"].sum() == made["server_prompt_tok"].sum()
        assert mine["running"].max() <= 4
    assert rows.groupby(["policy", "replication"], observed=True).ngroups == 4


def test_running_is_what_the_requests_say(tmp_path):
    result = simulate(scenario(ENGINE, ["server_only"]))
    series, requests = result.server_series, result.requests
    for replication in (0, 1):
        mine = series[series["replication"] == replication]
        there = requests[requests["replication"] == replication]
        begin = (there["arrival_s"] + there["scheduled_s"]).to_numpy()
        end = (there["arrival_s"] + there["e2e_s"]).to_numpy()  # without a last hop the client hears at once
        for t_s, running, waiting in zip(mine["t_s"], mine["running"], mine["waiting"], strict=True):
            assert running == int(((begin < t_s) & (end >= t_s)).sum())
            assert waiting == int(((there["arrival_s"].to_numpy() < t_s) & (begin >= t_s)).sum())


def test_a_black_box_has_no_such_file(tmp_path):
    folder = tmp_path / "run"
    result = run_to_folder(scenario(API), folder)
    assert result.series_columns == {}
    assert not (folder / "series.parquet").exists()
    assert "series.parquet" not in json.loads((folder / "run.json").read_text(encoding="utf-8"))["files"]


def test_a_series_that_ends_before_its_run_says_so(monkeypatch):
    whole = simulate(scenario(ENGINE, ["server_only"]))
    monkeypatch.setattr(run_series, "MOST_S", 5.0)
    part = simulate(scenario(ENGINE, ["server_only"]))
    assert not [note for note in whole.notes if "series.parquet" in note]
    assert [note for note in part.notes if "series.parquet ends after" in note and "in 2 of 2" in note]
    for name, values in part.columns.items():
        np.testing.assert_array_equal(values, whole.columns[name])
    assert part.server_series["t_s"].max() <= 5.0


def test_the_order_of_policies_changes_no_byte(tmp_path):
    for name, policies in (("a", ("server_only", "race")), ("b", ("race", "server_only"))):
        run_to_folder(scenario(ENGINE, policies), tmp_path / name)
    one, other = ((tmp_path / name / "series.parquet").read_bytes() for name in ("a", "b"))
    assert one == other
