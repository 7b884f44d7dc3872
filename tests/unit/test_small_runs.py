"""Small runs: their files leave out what says nothing, and what runs have in common is made once, to the same bytes."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyarrow import parquet

from discosim.config import dump_scenario, load_scenario
from discosim.config.dump import dump_whole
from discosim.core.rng import RandomStreams
from discosim.metrics.definitions import definition
from discosim.metrics.stats import change_of_means, compare, paired_difference, t_interval
from discosim.metrics.summary import SummaryTable
from discosim.metrics.summary_definitions import SUMMARY_METRICS
from discosim.report.tables import read_summary
from discosim.runs.apart import ApartLuck, RunLuck
from discosim.runs.identity import policy_id, run_id
from discosim.runs.provenance import fingerprints
from discosim.runs.slim import full_summary, slim_summary, slim_table
from discosim.runs.store import execute_to_folder, write_json
from discosim.runs.tables import FEW, SMALL, request_table, write_parquet
from discosim.world.law import RawSeries
from discosim.world.link import Link, LinkModel

NUMBERS = {"ttft_mean_s": 1.5, "n_failed": 0.0, "tpot_mean_s": float("nan"), "e2e_mean_s": float("inf")}
OTHERS = {"ttft_mean_s": 1.2, "n_failed": 2.0, "tpot_mean_s": 0.1, "e2e_mean_s": 3.0}

FLOATS = st.floats() | st.sampled_from([0.0, -0.0, 1.0])


@pytest.mark.parametrize("baseline", ["a", "b"])
def test_one_replication_is_compared_as_many_are(baseline: str) -> None:
    held = {"a": [NUMBERS], "b": [OTHERS]}
    for row in compare(held, baseline):
        own, base = ([run[row.metric] for run in held[name]] for name in (row.policy, baseline))
        with np.errstate(invalid="ignore"):
            known = t_interval(own), paired_difference(own, base), change_of_means(own, base)
        assert repr((row.value, row.diff, row.change_pct)) == repr(known), row.metric


@pytest.mark.parametrize("n", [1, 2])
def test_what_a_summary_leaves_out_comes_back(n: int) -> None:
    numbers = NUMBERS if n == 1 else {**NUMBERS, "e2e_mean_s": 4.0}
    whole = SummaryTable.of({"a": [numbers] * n, "b": [OTHERS] * n}, "a").to_json_dict()
    slim = slim_summary(whole)
    assert json.dumps(full_summary(slim)) == json.dumps(whole) == json.dumps(full_summary(whole))
    cells = slim["policies"]["b"]
    if n == 1:
        assert cells["n_failed"] == {"mean": 2.0, "diff": 2.0, "change_pct": None}
        assert "n" in slim["policies"]["a"]["e2e_mean_s"], "an infinite mean is null, but not missing"
    else:
        assert slim == whole


@given(numbers=st.lists(st.tuples(FLOATS, FLOATS), min_size=1, max_size=8), n=st.integers(1, 2))
@example(numbers=[(1.5, 0.0), (math.inf, 2.0), (math.nan, 1.0), (-0.0, 0.0), (1.0, math.inf), (1e300, 1e-300)], n=1)
def test_a_summary_is_written_as_its_cells_say(numbers: list[tuple[float, float]], n: int) -> None:
    """Straight from the numbers, and by way of an object for each cell: the same text, digit by digit."""
    names = [metric.name for metric in SUMMARY_METRICS][: len(numbers)]
    held = {
        policy: [{name: pair[i] for name, pair in zip(names, numbers, strict=True)}] * n
        for i, policy in enumerate("ab")
    }
    with np.errstate(all="ignore"):
        for baseline in held:
            table = SummaryTable.of(held, baseline)
            assert json.dumps(slim_table(table)) == json.dumps(slim_summary(table.to_json_dict()))


def test_a_small_run_says_units_and_is_read_like_every_other(tmp_path: Path) -> None:
    scenario = load_scenario("quickstart", overrides=["replications=1", "workload.n_requests=20"])
    result = execute_to_folder(scenario, tmp_path / "run")
    written = json.loads((tmp_path / "run/summary.json").read_text())
    (cell,) = {tuple(cell) for cells in written["policies"].values() for cell in cells.values()}
    assert cell == ("mean", "diff", "change_pct")
    read = read_summary(tmp_path / "run/summary.json")
    assert read["policies"] == json.loads(json.dumps(result.printed_summary["policies"]))
    for name in ("requests", "replications"):
        for field in parquet.read_schema(tmp_path / f"run/{name}.parquet"):
            assert (field.metadata or {})[b"unit"].decode() == definition(field.name).unit
    assert sum(path.stat().st_size for path in (tmp_path / "run").iterdir()) < 120_000


def test_a_large_table_says_what_its_columns_mean(tmp_path: Path) -> None:
    def written(n: int) -> Any:
        columns = {"request_id": np.arange(n), "ttft_s": np.linspace(0, 1, n)}
        write_parquet(request_table(columns), tmp_path / "x.parquet")
        return parquet.ParquetFile(tmp_path / "x.parquet")

    small, large = written(SMALL - 1), written(SMALL)
    assert b"description" not in small.schema_arrow.field("ttft_s").metadata
    assert large.schema_arrow.field("ttft_s").metadata[b"description"].decode() == definition("ttft_s").description
    assert (
        small.metadata.row_group(0).column(1).statistics is None,
        large.metadata.row_group(0).column(1).statistics is None,
    ) == (True, False)


@pytest.mark.parametrize("n", [0, 1, FEW - 1, FEW, SMALL - 1, SMALL])
@pytest.mark.parametrize("has_times", [False, True])
def test_a_table_of_any_size_is_read_as_it_was(n: int, has_times: bool, tmp_path: Path) -> None:
    """However it is packed: the same numbers, types, categories and units, for Arrow, pandas and DuckDB."""
    columns = {
        "request_id": np.arange(n),
        "policy": np.array([f"p{i % 3}" for i in range(n)], dtype=object),
        "is_device_dispatched": np.arange(n) % 3 == 0,
        "ttft_s": np.random.default_rng(1).random(n),
        "tpot_s": np.where(np.arange(n) % 5 == 0, np.nan, -0.0),
    }
    table, path = request_table(columns), tmp_path / "x.parquet"
    write_parquet(table, path, has_times=has_times)
    read = parquet.read_table(path)
    assert read.schema.equals(table.schema, check_metadata=True)
    for name, values in columns.items():
        assert read[name].to_numpy().tobytes() == values.tobytes() or values.dtype == object
    frame = pd.read_parquet(path)
    assert [str(kind) for kind in frame.dtypes] == ["int64", "category", "bool", "float64", "float64"]
    assert frame["policy"].astype(str).tolist() == columns["policy"].tolist()
    numbers = duckdb.sql(f"select request_id, ttft_s, policy from '{path}'").fetchnumpy()
    assert numbers["ttft_s"].tolist() == columns["ttft_s"].tolist()
    assert list(numbers["policy"]) == columns["policy"].tolist()


@pytest.mark.parametrize("name", ["quickstart", "engine", "pice", "all-systems"])
def test_sections_that_scenarios_share_are_written_and_hashed_as_ever(name: str) -> None:
    first = load_scenario(name)
    for scenario in (first, replace(first, seed=99), load_scenario(name, overrides=["seed=99", "replications=3"])):
        assert dump_whole(scenario) == dump_scenario(scenario)
        apart = load_scenario(name, overrides=[f"seed={scenario.seed}", f"replications={scenario.replications}"])
        assert run_id(scenario) == run_id(apart)
        policy = scenario.policies[-1].name
        assert policy_id(scenario, policy) == policy_id(apart, policy)
        for spec in scenario.policies:
            alone = replace(scenario, policies=(spec,), baseline=None)
            assert policy_id(scenario, spec.name) == run_id(alone)
            assert policy_id(scenario, spec.name, fingerprints(scenario)) == run_id(alone)
    assert run_id(first) != run_id(replace(first, seed=99))


def test_policies_apart_share_draws_and_know_what_they_asked_for() -> None:
    model, law = LinkModel(), RawSeries((1.0, 2.0, 3.0))
    streams = RandomStreams(3, 0)
    common = RunLuck(streams, 5, model, 2)
    one, two = ApartLuck(common), ApartLuck(common)
    assert one.series("server.ttft.0", law) is two.series("server.ttft.0", law)
    assert one.uniform_list("a") == two.uniform_list("a")
    two.uniform("b")
    assert one.asked() == {"server.ttft.0", "a"}
    assert two.asked() == {"server.ttft.0", "a", "b"}
    assert one.shared("link", lambda _: pytest.fail("drawn")) is two.shared("link", lambda _: pytest.fail("drawn"))
    other = RunLuck(RandomStreams(3, 0), 9, model, 2).shared("link", lambda s: Link(model, 2, s))
    assert other is one.shared("link", lambda _: pytest.fail("drawn"))
    assert RunLuck(RandomStreams(4, 0), 5, model, 2).shared("link", lambda s: Link(model, 2, s)) is not other


def test_json_of_runs_is_text_that_ends(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"ü": {"a": 1}})
    assert (tmp_path / "x.json").read_bytes() == '{\n "ü": {"a": 1}\n}\n'.encode()
