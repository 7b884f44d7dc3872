"""What is worked out in arrays is what SimPy makes of it, to the bit: each column, each number, each token (INV-22)."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from batch_runs import assert_same, run
from hypothesis import given
from hypothesis import strategies as st
from test_every_policy import links, policies, residuals, services
from worlds import (
    DEAR_DEVICE,
    DEAR_SERVER,
    NO_LINK,
    bursts,
    constant,
    constant_link,
    examples,
    exhaustive,
    law,
    long,
    model,
    past,
    profile,
    requests,
    server,
)

from discosim.config import load_scenario
from discosim.core.device_law import Residual
from discosim.core.empirical import QuantileTable
from discosim.policies import known_policies
from discosim.runs import replay_kernel
from discosim.runs.store import execute_to_folder
from discosim.world.link import LinkModel
from discosim.world.meter import Meter
from discosim.world.world import WorldModel

PLANNED = sorted(kind for kind, policy in known_policies().items() if "plan" in vars(policy))

devices = st.builds(
    profile,
    name=st.sampled_from(["one", "two"]),
    residual=st.none() | residuals.map(lambda law: replace(law, first=1.0)),
    prefill_s_per_tok=st.sampled_from([0.0, 0.0001, 0.02]),
    prefill_intercept_s=st.sampled_from([0.0, 0.5]),
    chunk_tok=st.sampled_from([None, 64]),
    decode_tok_per_s=st.floats(2.0, 60.0),
    max_context_tok=st.sampled_from([None, None, 100, 350]),
)
worlds = st.builds(
    lambda fleet, service, link, meter: replace(
        model(
            fleet=fleet, service=replace(service, outages=(), hours=None), link=replace(link, outages=()), meter=meter
        ),
        edge=None,
        joint=None,
    ),
    st.lists(st.tuples(devices, st.floats(0.1, 5)), min_size=1, max_size=2, unique_by=lambda pair: pair[0].name),
    services,
    links,
    st.sampled_from([DEAR_SERVER, DEAR_DEVICE]),
)


def check_equality(kind: str, n_examples: int, n_requests: int, users: list[int]) -> None:
    n_taken = 0

    @examples(n_examples)
    @given(st.data(), worlds, st.sampled_from([0.05, 2.0, 30.0]), st.sampled_from(users), st.integers(0, 2**20))
    def check(data: st.DataObject, parts: WorldModel, gap_s: float, n_users: int, seed: int) -> None:
        nonlocal n_taken
        policy = data.draw(policies(kind))
        view = past(parts, n=101, seed=seed)
        rate = data.draw(st.sampled_from([2.0, 4.8, 30.0]))
        table = requests(n_requests, seed=seed, gap_s=gap_s, n_users=n_users, reader_tok_per_s=rate)
        if data.draw(st.booleans()):  # as traces in whole seconds
            table = replace(table, arrival_s=np.floor(table.arrival_s))
        table = replace(table, rejected=np.arange(n_requests) % 17 == 3)
        with mock.patch.object(replay_kernel, "LEAST_SHARE", 0.0), mock.patch.object(replay_kernel, "AT_ONCE", 7):
            found = run(policy, parts, table, view, seed, "auto")
        n_taken += found.kernels.get("replay", 0)
        assert sum(found.kernels.values()) == n_requests
        assert_same(found, run(policy, parts, table, view, seed, "simpy"))

    check()
    assert n_taken > 0.05 * n_examples * n_requests, "hardly anything was worked out in arrays"


@pytest.mark.parametrize("kind", PLANNED)
def test_arrays_and_simpy_agree_to_the_bit(kind: str) -> None:
    check_equality(kind, 4, 40, [20, 300, 200_000])


@pytest.mark.long
@pytest.mark.parametrize("kind", PLANNED)
def test_arrays_and_simpy_agree_to_the_bit_in_many_worlds(kind: str) -> None:
    check_equality(kind, 15, 200, [20, 300, 3000, 200_000])


# --- worlds in which much is going on -------------------------------------------------------------------------


NOISY = Residual(
    prefill=law(QuantileTable((0.0, 1.0), (0.5, 3.0)), 0.5), decode=law(QuantileTable((0.0, 1.0), (0.8, 2.0)))
)
LOSERS = ("finish_prefill", "run_on")
LATE_S = 1e5
"""Far from time 0, where clocks round."""


def busy_world(meter: Meter, **changes: Any) -> WorldModel:
    """Return a world of noise, jitter, lost packets and refusals in which the cheaper endpoint goes on."""
    wandering = law(QuantileTable((0.0, 0.5, 0.9, 1.0), (0.0, 0.0, 0.06, 0.9)), 0.5)
    parts = {
        "device": profile(residual=NOISY, max_context_tok=500),
        "service": server(jitter_p99_over_p50=3.0, failure_share=0.05),
        "link": LinkModel(rtt=wandering, tick_s=0.1, loss_share=0.1, uplink_bit_per_s=1e5),
    }
    return replace(model(meter=meter, **(parts | changes)), edge=None, joint=None)


AT_ONCE = {"service": server(tpot=constant(1e-12)), "link": NO_LINK}
BUSY = {
    "to the device": (busy_world(DEAR_SERVER), "device"),
    "to the server": (busy_world(DEAR_DEVICE), "server"),
    "packets": (busy_world(DEAR_SERVER, link=constant_link(0.1, tokens_per_packet=4)), "device"),
    "chunks": (busy_world(DEAR_SERVER, service=server(chunks=bursts())), "device"),
    # levels and needs are equal but for rounding: two tokens of reading time
    "just enough": (
        busy_world(DEAR_SERVER, device=profile(prefill_s_per_tok=0.0, prefill_intercept_s=0.5), **AT_ONCE),
        "device",
    ),
    # what goes on comes with its cause, and may be rounded to before it
    "no work": (busy_world(DEAR_SERVER, device=profile(prefill_s_per_tok=0.0), link=constant_link(0.1)), "device"),
}

CASES = [
    *((case, "device", "cancel") for case in BUSY if case != "to the server"),
    *((case, "server", "cancel") for case in ("to the device", "to the server", "chunks")),
    *(("to the device", constraint, losers) for constraint in ("server", "device") for losers in LOSERS),
]


@pytest.mark.parametrize(("case", "constraint", "losers"), CASES)
def test_hand_overs_agree_to_the_bit(case: str, constraint: str, losers: str) -> None:
    parts, target = BUSY[case]
    table = requests(90, n_users=100_000, reader_tok_per_s=4.0)
    strides_s = 1.1 * 2.3 ** np.arange(-9.0, 9.0)  # each is farther from the one before than that is from 0
    early_s = np.sort(np.concatenate((strides_s, np.linspace(0.001, 0.3, 40))))  # so is what happens to these
    table = replace(table, arrival_s=np.concatenate((early_s, LATE_S + table.arrival_s[early_s.size :])))
    policy = known_policies()["disco"](constraint=constraint, budget=0.6, losers=losers)
    view = past(parts, n=501)
    found = run(policy, parts, table, view, 1, "auto")
    assert found.kernels["replay"] > 60
    if losers == "cancel":  # else the device is still busy with what it lost
        assert (found.columns["n_migrations"] > 0).sum() > 10
        assert found.columns[f"n_tok_{target}"].sum() > 0
    assert_same(found, run(policy, parts, table, view, 1, "simpy"))


# --- files ----------------------------------------------------------------------------------------------------


def check_files(name: str, folder: Path, *overrides: str) -> dict[str, dict[str, int]]:
    """Run a scenario both ways, compare the files of results, and return who did what."""
    shares = {}
    for kernel in ("auto", "simpy"):
        execute_to_folder(load_scenario(name, overrides=[f"kernel={kernel}", *overrides]), folder / kernel)
        shares[kernel] = json.loads((folder / kernel / "run.json").read_text())["kernels"]
    for file in ("requests.parquet", "replications.parquet", "summary.json", "example_tokens.parquet"):
        assert (folder / "auto" / file).read_bytes() == (folder / "simpy" / file).read_bytes(), file
    assert all(set(done) == {"simpy"} for done in shares["simpy"].values())
    auto: dict[str, dict[str, int]] = shares["auto"]
    return auto


def test_quickstart_leaves_the_same_files(tmp_path: Path) -> None:
    shares = check_files(
        "quickstart", tmp_path, "workload.n_requests=120", "replications=1", "cost.energy_range=reprice"
    )
    assert all(done["replay"] > 100 and sum(done.values()) == 120 for done in shares.values())


SHIPPED = [
    *map(long, ("quickstart", "bounds", "engine", "pd-device-exact")),
    *map(exhaustive, ("pd-device", "pice", "all-systems")),
]


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_scenarios_leave_the_same_files(name: str, tmp_path: Path) -> None:
    shares = check_files(name, tmp_path, "replications=1")
    if name in {"quickstart", "bounds"}:
        assert all(done["replay"] > 0.9 * sum(done.values()) for done in shares.values())
