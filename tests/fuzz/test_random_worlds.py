"""Random scenarios of all features: what holds in every one of them, whatever it is."""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_scenarios import Plain, random_scenario
from recomputed import consumption, counted_columns, latency_columns, reading_columns, role_of
from worlds import exhaustive

from discosim.config import as_plain, dump_scenario, load_scenario
from discosim.config.yaml_loader import read_text
from discosim.core.errors import UserError
from discosim.core.scenario import Prices, Scenario
from discosim.runs import build as build_module
from discosim.runs.identity import run_id
from discosim.runs.result import RunResult
from discosim.runs.simulate import simulate

SEED = 20261126
N_QUICK, N_LONG, N_PARTS = 16, 2000, 20
LEAST_RUN_SHARE = 0.8
FIRST_QUICK = 9
"""The first of the worlds that the default suite tries: some among them toss coins."""
"""Share of the scenarios that must run: a generator of refusals would prove nothing."""

TOKEN_COLUMNS = ("endpoint", "generated_s", "delivered_s", "displayed_s")


@pytest.fixture(autouse=True)
def _short_past(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let policies learn from 2,000 past requests: a past of 100,000 costs more than these worlds."""
    monkeypatch.setattr(build_module, "HISTORY_N", 2000)
    monkeypatch.setattr(build_module, "PILOT_N", 40)


def scenarios(first: int, last: int, folder: Path) -> Iterator[tuple[int, Plain]]:
    for i in range(first, last):
        yield i, random_scenario(np.random.default_rng([SEED, i]), folder)


def outcome(data: Plain) -> tuple[Scenario | None, str]:
    """Return the scenario, or the refusal; anything but a UserError is a fault."""
    try:
        return load_scenario(data), ""
    except UserError as error:
        return None, str(error)


def run(scenario: Scenario) -> tuple[RunResult | None, dict[tuple[str, int], dict[str, Any]]]:
    """Run a scenario and keep every token; None where it is refused."""
    tokens: dict[tuple[str, int], dict[str, Any]] = {}

    def sink(policy: str, replication: int, columns: dict[str, Any]) -> None:
        tokens[policy, replication] = columns

    try:
        return simulate(scenario, token_sink=sink), tokens
    except UserError:
        return None, {}


def rows_of(result: RunResult) -> dict[tuple[str, int], str]:
    """Return a hash of the rows of each policy and replication."""
    hashes = {}
    columns = result.columns
    for policy in dict.fromkeys(columns["policy"].tolist()):
        for replication in range(result.scenario.replications):
            mine = (columns["policy"] == policy) & (columns["replication"] == replication)
            text = hashlib.sha256()
            for name, values in columns.items():
                held = values[mine]
                text.update(
                    name.encode() + (json.dumps(held.tolist()).encode() if held.dtype == object else held.tobytes())
                )
            hashes[policy, replication] = text.hexdigest()
    return hashes


def check_fixed_point(scenario: Scenario) -> None:
    """Written and read back, here or in a worker, a scenario is the same and is called the same."""
    again = load_scenario(read_text(dump_scenario(scenario), "dump").data)
    assert as_plain(again) == as_plain(scenario)
    assert run_id(again) == run_id(scenario)
    there = load_scenario(json.loads(json.dumps(as_plain(scenario))))
    assert run_id(there) == run_id(scenario)


def check_columns(result: RunResult, tokens: dict[tuple[str, int], dict[str, Any]]) -> None:
    """Columns equal what plain loops make of the tokens; bills equal what was processed."""
    table = result.requests
    bills = server_bills(result)
    for (policy, replication), columns in tokens.items():
        of_request: dict[int, dict[str, list[Any]]] = {}
        for i, request_id in enumerate(columns["request_id"].tolist()):
            held = of_request.setdefault(request_id, {name: [] for name in TOKEN_COLUMNS})
            for name in TOKEN_COLUMNS:
                held[name].append(columns[name][i].item())
        rows = table[(table["policy"] == policy) & (table["replication"] == replication)]
        for row in rows.to_dict("records"):
            work = bills(row)
            usd = sum(
                prompt * held.prompt_usd_per_mtok + output * held.output_usd_per_mtok for held, prompt, output in work
            )
            assert row["server_cost_usd"] == pytest.approx(usd / 1e6, rel=1e-9, abs=1e-15)
            assert row["server_prompt_tok"] == sum(prompt for _, prompt, _ in work)
            assert row["server_output_tok"] == sum(output for _, _, output in work)
            if row["status"] != "finished":
                assert row["request_id"] not in of_request
                assert math.isnan(row["ttft_s"])
                continue
            held = of_request[row["request_id"]]
            _check_row(row, held, result.scenario)


def server_bills(result: RunResult) -> Callable[[dict[str, Any]], list[tuple[Prices, float, int]]]:
    """Return what gives prices, prompt tokens and output tokens of each service that a request was asked of."""
    scenario = result.scenario
    if not scenario.services:
        return lambda row: [(scenario.server.prices, row["server_prompt_tok"], row["server_output_tok"])]
    services = {"server": scenario.server, **scenario.services}
    found: dict[tuple[str, int, int], list[tuple[Prices, float, int]]] = {}
    for row in result.by_endpoint.to_dict("records"):
        key = (row["policy"], row["replication"], row["request_id"])
        if row["role"] == "server":
            found.setdefault(key, []).append((services[row["endpoint"]].prices, row["prompt_tok"], row["output_tok"]))
    return lambda row: found.get((row["policy"], row["replication"], row["request_id"]), [])


def _check_row(row: dict[str, Any], held: dict[str, list[Any]], scenario: Scenario) -> None:
    since = {name: [t - row["arrival_s"] for t in held[name]] for name in TOKEN_COLUMNS[1:]}
    expected: dict[str, float] = latency_columns(row, since["delivered_s"], since["displayed_s"], since["generated_s"])
    paces_itself = _has_own_pacer(row, since, is_paced=scenario.reader.pacer)
    expected |= reading_columns(row, since["displayed_s"] if paces_itself else since["delivered_s"])
    expected |= counted_columns(held["endpoint"])
    scale_s = 1.0 + row["arrival_s"]
    for name, value in expected.items():
        assert row[name] == pytest.approx(value, rel=1e-9, abs=2e-9 * scale_s, nan_ok=True), (name, row)
    assert row["first_endpoint"] == role_of(held["endpoint"][0])
    shown = row["n_tok_device"] + row["n_tok_server"] + row["n_tok_edge"]
    assert shown == row["output_tok"] == len(held["endpoint"])
    made = row["server_output_tok"] + row["device_decode_tok"] + row["edge_decode_tok"]
    assert row["n_tok_wasted"] == made - shown - row["sketch_tok"]


def _has_own_pacer(row: dict[str, Any], since: dict[str, list[float]], *, is_paced: bool) -> bool:
    """Tell whether the screen shows something else than the scenario says."""
    delivered_s = since["delivered_s"]
    expected_s = consumption(delivered_s, row["reader_tok_per_s"]) if is_paced else delivered_s
    near_s = 1e-9 * (1.0 + row["arrival_s"] + delivered_s[-1])
    return any(abs(a - b) > near_s for a, b in zip(since["displayed_s"], expected_s, strict=True))


def check_company(scenario: Scenario, whole: RunResult) -> None:
    """Each policy alone, and all in reverse, give the rows that they gave together."""
    expected = rows_of(whole)
    backwards = replace(scenario, policies=scenario.policies[::-1], baseline=None)
    alone = replace(scenario, policies=scenario.policies[-1:], baseline=None)
    for other in (backwards, alone) if len(scenario.policies) > 1 else ():
        found = rows_of(simulate(other))
        assert found == {key: expected[key] for key in found}


FALSE_ALARM = 1e-9


class Coins:
    """What `stochastic` used beyond its budget, over many worlds; INV-13: its coin knows nothing of the request.

    With weights w of at most one and coins X of chance b, Hoeffding's inequality bounds the chance that
    ``sum w (X - b)`` exceeds ``sqrt(sum w^2 log(1 / a) / 2)`` by a, whatever the weights are.
    """

    def __init__(self) -> None:
        self.excess = self.squares = 0.0
        self.n = 0

    def add(self, prompt_tok: Any, is_used: Any, budget: float) -> None:
        weights = prompt_tok / prompt_tok.max()
        self.excess += float((weights * (is_used - budget)).sum())
        self.squares += float((weights**2).sum())
        self.n += weights.size

    def check(self) -> None:
        assert self.n > 0, "no world has tossed a coin"
        assert self.excess <= math.sqrt(self.squares * math.log(1.0 / FALSE_ALARM) / 2.0), (self.excess, self.n)


def check_budgets(result: RunResult, coins: Coins) -> None:
    """The oracle keeps to its budget in every replication; coins are handed on, those of one policy of a world."""
    has_coins = False
    for policy in result.scenario.policies:
        side, budget = policy.options.get("constraint"), policy.options.get("budget")
        if policy.kind not in {"oracle", "stochastic"} or side not in {"server", "device"}:
            continue
        mine = result.requests[result.requests["policy"] == policy.name]
        mine = mine[mine["status"] != "rejected"]
        if policy.kind == "stochastic" and not has_coins and len(mine):
            coins.add(mine["prompt_tok"].to_numpy(), mine[f"is_{side}_dispatched"].to_numpy(), budget)
            has_coins = True
        for _, rows in mine.groupby("replication") if policy.kind == "oracle" else ():
            used_tok = rows["prompt_tok"][rows[f"is_{side}_dispatched"]].sum()
            assert used_tok <= budget * rows["prompt_tok"].sum() * (1.0 + 1e-9), policy


def check_worlds(first: int, last: int, folder: Path) -> Counter[str]:
    counted: Counter[str] = Counter()
    coins = Coins()
    for i, data in scenarios(first, last, folder):
        try:
            scenario, refusal = outcome(data)
            if scenario is None:
                counted["refused"] += 1
                assert refusal
                continue
            check_fixed_point(scenario)
            result, tokens = run(scenario)
            if result is None:
                counted["refused"] += 1
                continue
            check_columns(result, tokens)
            check_budgets(result, coins)
            check_company(scenario, result)
            counted["run"] += 1
        except Exception as error:
            error.add_note(f"scenario {i}: {json.dumps(data)}")
            raise
    coins.check()
    return counted


def test_what_holds_in_every_world(tmp_path: Path) -> None:
    counted = check_worlds(FIRST_QUICK, FIRST_QUICK + N_QUICK, tmp_path)
    assert counted["run"] >= LEAST_RUN_SHARE * N_QUICK, counted


@pytest.mark.long
@pytest.mark.parametrize("part", [0, *(exhaustive(part) for part in range(1, N_PARTS))])
def test_what_holds_in_two_thousand_worlds(part: int, tmp_path: Path) -> None:
    n = N_LONG // N_PARTS
    counted = check_worlds(part * n, (part + 1) * n, tmp_path)
    assert counted["run"] >= (LEAST_RUN_SHARE - 0.1) * n, counted  # smaller samples scatter more


HASHES = """
import hashlib, json, sys
sys.path[:0] = json.loads(sys.argv[1])
from pathlib import Path
from discosim.runs import build
from test_random_worlds import outcome, rows_of, run, scenarios
build.HISTORY_N = 2000
for i, data in scenarios(int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])):
    scenario, _ = outcome(data)
    result = run(scenario)[0] if scenario else None
    print(i, sorted(rows_of(result).values()) if result else None)
"""


@pytest.mark.parametrize("last", [6, exhaustive(150)])
def test_other_processes_and_hash_seeds_give_the_same_bytes(last: int, tmp_path: Path) -> None:
    here = Path(__file__).parent
    command = [sys.executable, "-c", HASHES, json.dumps([str(here), str(here.parent)]), "0", str(last), str(tmp_path)]
    texts = {
        subprocess.run(
            command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1
    assert next(iter(texts)).count("\n") == last
