"""`Migration.gate` says beforehand what DiSCo does: hand over after the first token at which both rules hold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from discosim import load_scenario, simulate
from discosim.policies.disco import Disco
from discosim.policies.migration import Gate, Migration
from discosim.runs.build import build

N = 200
SLACK = 1e-6


@pytest.fixture(scope="module")
def run():
    policies = "policies=[{kind: disco, name: DiSCo, constraint: device, budget: 0.3}]"
    size = ["baseline=DiSCo", "replications=1", f"workload.n_requests={N}", "workload.n_users=100000"]
    scenario = load_scenario("quickstart", overrides=[policies, *size])
    tokens: list[pd.DataFrame] = []
    result = simulate(scenario, token_sink=lambda _policy, _replication, columns: tokens.append(pd.DataFrame(columns)))
    return build(scenario).view, result.requests.set_index("request_id"), tokens[0]


def gate_of(view, request: pd.Series) -> Gate:
    gate = Migration(view).gate(
        "server",
        view.fleet[0][0],
        prompt_tok=int(request["prompt_tok"]),
        reader_tok_per_s=float(request["reader_tok_per_s"]),
        n_tok=int(request["output_tok"]),
    )
    assert gate is not None
    return gate


def test_the_hand_over_follows_the_first_token_at_which_both_rules_hold(run) -> None:
    view, requests, tokens = run
    answered_first = requests[requests["first_endpoint"] == "server"]
    n_moved = n_stayed = 0
    for request_id, request in answered_first.iterrows():
        gate = gate_of(view, request)
        rows = tokens[(tokens["request_id"] == request_id) & (tokens["endpoint"] == "server")]
        buffer_tok = request["reader_tok_per_s"] * (rows["displayed_s"] - rows["delivered_s"]).to_numpy() + 1.0
        is_enough = buffer_tok >= gate.need_tok[rows["token_index"]] - SLACK
        if request["n_migrations"]:
            n_moved += 1
            assert is_enough[-1]
            assert not is_enough[:-1].any()
        else:  # the last token leaves nothing to hand over
            n_stayed += 1
            assert not is_enough[:-1].any()
    assert n_moved > 20
    assert n_moved + n_stayed == len(answered_first)


def test_the_gate_is_shut_where_nothing_is_saved(run) -> None:
    view, requests, _ = run
    gate = gate_of(view, requests.iloc[0])
    assert gate.target == "device"
    np.testing.assert_array_equal(np.isinf(gate.need_tok), gate.margin_usd <= 0.0)
    phone = view.fleet[0][0]  # decodes for less than the server: nothing is saved by leaving it
    assert Migration(view).gate("device", phone, prompt_tok=10, reader_tok_per_s=5.0, n_tok=10) is None


def test_the_threshold_splits_the_prompt_tokens_of_the_past(run) -> None:
    view = run[0]
    disco = Disco(constraint="server", budget=0.3)
    disco.prepare(view)
    longer = view.prompt_tok[view.prompt_tok > disco.threshold_tok].sum() / view.prompt_tok.sum()
    at_least = view.prompt_tok[view.prompt_tok >= disco.threshold_tok].sum() / view.prompt_tok.sum()
    assert longer <= 0.3 <= at_least
