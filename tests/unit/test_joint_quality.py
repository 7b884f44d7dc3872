"""Who is right: joint tables, a router's score, accuracy, and the published gap of an oracle router."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import rankdata
from worlds import model, play, profile, requests, server

from discosim import load_scenario, simulate
from discosim.core.errors import UserError
from discosim.core.joint_quality import JointTable, LengthBand
from discosim.core.rng import RandomStreams
from discosim.metrics.accuracy import accuracy_numbers, right_column
from discosim.policies.device_only import DeviceOnly
from discosim.policies.router import Router
from discosim.policies.server_only import ServerOnly
from discosim.runs.identity import run_id
from discosim.traces.catalogue import load_digest
from discosim.traces.quality_digest import QualityDigest
from discosim.world.joint import BOTH, NEITHER, ONLY_STRONG, ONLY_WEAK, JointModel, Judge, shift, threshold
from discosim.world.luck import Luck

N = 20_000
TABLE = JointTable(both=50, only_strong=30, only_weak=5, neither=15)
SHORT = np.full(N, 10)


def judge(joint: JointModel, seed: int = 1, n: int = N) -> Judge:
    return Judge(joint, Luck(RandomStreams(seed), n))


def digest(name: str) -> QualityDigest:
    held = load_digest(name, "quality")
    assert isinstance(held, QualityDigest)
    return held


# --- the digests ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("questions", "published"),
    [("mmlu", (14_042, 0.628, 0.178, 0.053, 0.141)), ("gsm8k", (1_319, 0.566, 0.290, 0.072, 0.071))],
)
def test_the_digests_hold_the_published_shares(questions: str, published: tuple[float, ...]) -> None:
    held = digest(f"routellm-{questions}")
    assert held.n == published[0]
    assert [count / held.n for count in held.table.counts] == pytest.approx(published[1:], abs=0.00051)


@pytest.mark.parametrize("questions", ["mmlu", "gsm8k"])
def test_the_digests_count_the_raw_rows(raw_traces: Path, questions: str) -> None:
    held = digest(f"routellm-{questions}")
    with (raw_traces / "routellm-joint-quality" / "joint.csv").open() as lines:
        rows = [row for row in csv.DictReader(lines) if row["benchmark"] == questions]
    low = 0
    for band in held.bands:
        mine = [row for row in rows if low < int(row["prompt_chars"]) <= band.longest_chars]
        cells = [("1", "1"), ("0", "1"), ("1", "0"), ("0", "0")]  # weak, strong
        found = [sum((row["weak_ok"], row["strong_ok"]) == cell for row in mine) for cell in cells]
        assert found == list(band.table.counts)
        # quarters, but for prompts of one length
        assert len(mine) == pytest.approx(held.n / 4, rel=0.03)
        low = band.longest_chars


# --- draws ------------------------------------------------------------------------------------------------------


def test_right_answers_come_as_counted_and_correlated() -> None:
    cells = judge(JointModel.of(TABLE)).cells(SHORT)
    shares = [np.mean(cells == cell) for cell in (BOTH, ONLY_STRONG, ONLY_WEAK, NEITHER)]
    # binomial: 4 SE of the largest is 0.0142; a false alarm in 4,000 seeds
    assert shares == pytest.approx([0.5, 0.3, 0.05, 0.15], abs=0.0142)


def test_bands_hold_questions_of_their_length() -> None:
    bands = (
        LengthBand(longest_chars=40, table=JointTable(both=1, only_strong=0, only_weak=0, neither=0)),
        LengthBand(longest_chars=80, table=JointTable(both=0, only_strong=1, only_weak=0, neither=0)),
        LengthBand(longest_chars=120, table=JointTable(both=0, only_strong=0, only_weak=0, neither=1)),
    )
    joint = JointModel(bands)
    prompt_tok = np.array([1, 10, 11, 20, 21, 30, 31, 5000])  # four characters each
    found = judge(joint, n=8).cells(prompt_tok)
    assert found.tolist() == [BOTH, BOTH, ONLY_STRONG, ONLY_STRONG, NEITHER, NEITHER, NEITHER, NEITHER]
    assert joint.only_strong_share(prompt_tok) == 2 / 8
    sure = judge(joint, n=8)
    assert [sure.score(i, int(tok), 1.0) > 500 for i, tok in enumerate(prompt_tok)] == [x == ONLY_STRONG for x in found]


@pytest.mark.parametrize("auc", [0.5, 0.7, 0.9])
def test_a_score_has_the_auc_that_is_stated(auc: float) -> None:
    held = judge(JointModel.of(TABLE))
    scores = np.array([held.score(i, 10, auc) for i in range(N)])
    wins = held.cells(SHORT) == ONLY_STRONG
    # Mann-Whitney: the share of pairs in which the request that needs the strong model has the higher score
    n_wins = int(wins.sum())
    found = (rankdata(scores)[wins].sum() - n_wins * (n_wins + 1) / 2) / (n_wins * (N - n_wins))
    # Hanley and McNeil: SE below 0.005 for 6,000 against 14,000; 4 SE
    assert found == pytest.approx(auc, abs=0.02)


def test_a_score_that_never_errs_parts_the_two_kinds() -> None:
    held = judge(JointModel.of(TABLE), n=2000)
    scores = np.array([held.score(i, 10, 1.0) for i in range(2000)])
    wins = held.cells(np.full(2000, 10)) == ONLY_STRONG
    assert scores[wins].min() > scores[~wins].max()


@pytest.mark.parametrize(("auc", "budget"), [(0.5, 0.3), (0.8, 0.3), (0.8, 0.01), (1.0, 0.1), (1.0, 0.5)])
def test_the_threshold_meets_the_budget(auc: float, budget: float) -> None:
    held = judge(JointModel.of(TABLE))
    at = threshold(0.3, auc, budget)
    used = np.mean([held.score(i, 10, auc) >= at for i in range(N)])
    # binomial: 4 SE
    assert used == pytest.approx(budget, abs=4 * math.sqrt(budget * (1 - budget) / N) + 0.013 * (auc == 1.0))


def test_budgets_of_all_and_nothing() -> None:
    assert threshold(0.3, 0.8, 0.0) == math.inf
    assert threshold(0.3, 0.8, 1.0) == -math.inf
    assert shift(0.5) == 0.0


# --- accuracy ---------------------------------------------------------------------------------------------------


def test_the_main_writer_decides_by_hand() -> None:
    columns = {
        "n_tok_server": np.array([6, 4, 5, 5, 0, 0, 0]),
        "n_tok_device": np.array([4, 6, 5, 5, 0, 0, 0]),
        "n_tok_edge": np.array([0, 0, 0, 0, 9, 0, 0]),
        "first_endpoint": np.array(["device", "server", "server", "device", "edge", "", ""], dtype=object),
        "status": np.array(["finished"] * 5 + ["failed", "rejected"], dtype=object),
    }
    strong, weak = np.ones(7, dtype=bool), np.zeros(7, dtype=bool)
    found = right_column(columns, weak, strong)
    np.testing.assert_array_equal(found["is_right"], [1, 0, 1, 0, 0, 0, np.nan])
    assert accuracy_numbers(found) == {"accuracy": pytest.approx(2 / 6)}


def test_a_request_is_as_hard_under_every_policy() -> None:
    parts = model(device=profile(prefill_s_per_tok=0.0), service=server(), joint=JointModel.of(TABLE))
    table = requests(400, output_tok=3)
    device, both = play(DeviceOnly(), parts, table), play(Router(auc=0.8, budget=0.4), parts, table)
    cells = device.world.setting.judge.cells(table.prompt_tok)
    np.testing.assert_array_equal(both.world.setting.judge.cells(table.prompt_tok), cells)
    more = play(Router(auc=0.8, budget=0.6), parts, table)
    at_server = [np.array([r.first_endpoint == "server" for r in played.records]) for played in (both, more)]
    assert (at_server[1] >= at_server[0]).all()  # the same scores: more budget takes none away
    assert at_server[0].sum() < at_server[1].sum()


def test_where_one_endpoint_refuses_the_other_answers() -> None:
    parts = model(device=profile(), service=server(failure_share=1.0), joint=JointModel.of(TABLE))
    table = requests(40, output_tok=3)
    assert all(r.status == "finished" for r in play(Router(budget=0.5), parts, table).records)
    parts = model(device=profile(max_context_tok=1), service=server(), joint=JointModel.of(TABLE))
    assert all(r.first_endpoint == "server" for r in play(Router(budget=0.0), parts, table).records)
    parts = model(device=profile(max_context_tok=1), service=server(failure_share=1.0), joint=JointModel.of(TABLE))
    assert all(r.status == "failed" for r in play(Router(), parts, table).records)
    assert all(r.status == "failed" for r in play(ServerOnly(), parts, table).records)


# --- in a scenario ----------------------------------------------------------------------------------------------


def scenario(questions: str, policies: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": "s",
        "replications": 4,
        "workload": {
            "kind": "generate",
            "n_requests": 1_000,
            "n_users": 200,
            "arrivals": {"kind": "poisson", "rate_per_s": 1},
            "lengths": {"kind": "constant", "prompt_tok": 20, "output_tok": 2},
        },
        "devices": [{"profile": "iphone-llama-3.2-3b"}],
        "server": {
            "kind": "replay",
            "digest": "openrouter-gpt-5.4",
            "prices": {"prompt_usd_per_mtok": 1, "output_usd_per_mtok": 2},
        },
        "quality": {"kind": "joint", "digest": f"routellm-{questions}"},
        "cost": {"exchange_rate_usd_per_j": 1e-7},
        "policies": policies,
    }


@pytest.mark.parametrize(
    ("questions", "only_strong", "weak", "strong", "neither"),
    [("gsm8k", 0.290, 0.638, 0.857, 0.071), pytest.param("mmlu", 0.178, 0.681, 0.806, 0.141, marks=pytest.mark.long)],
)
def test_the_gap_of_an_oracle_router_comes_out_as_published(
    questions: str, only_strong: float, weak: float, strong: float, neither: float
) -> None:
    kinds = [
        {"kind": "device_only"},
        {"kind": "server_only"},
        {"kind": "router", "name": "oracle", "auc": 1, "budget": only_strong},
        {"kind": "router", "name": "coin", "auc": 0.5, "budget": 0.5},
    ]
    result = simulate(load_scenario(scenario(questions, kinds)))
    found = {name: result.summary.value(name, "accuracy").mean for name in result.summary.policies}
    # 4,000 requests: SE of a share at most 0.0075; 4 SE
    assert found["device_only"] == pytest.approx(weak, abs=0.03)
    assert found["server_only"] == pytest.approx(strong, abs=0.03)
    assert found["coin"] == pytest.approx((weak + strong) / 2, abs=0.03)
    # who asks the strong model just where only it is right is right wherever one of them is
    assert found["oracle"] == pytest.approx(1 - neither, abs=0.03)
    gap = result.summary.against("device_only", ["accuracy"]).cells["oracle", "accuracy"].diff
    assert gap.mean == pytest.approx(only_strong, abs=4 * math.sqrt(only_strong * (1 - only_strong) / 4000) + 0.001)
    assert gap.half_width > 0
    assert "right" in str(result).split("\n")[4] + str(result).split("\n")[3]


def test_the_assumed_form_is_meant_where_no_kind_is_written() -> None:
    plain = scenario("mmlu", [{"kind": "server_only"}])
    runs = [load_scenario({**plain, "quality": quality}) for quality in ({}, {"kind": "assumed"}, {"cloud": 0.9})]
    assert runs[0] == runs[1] == runs[2]
    assert len({run_id(run) for run in runs}) == 1
    plain["workload"]["n_requests"], plain["replications"] = 20, 1
    result = simulate(load_scenario({**plain, "quality": {}}))
    assert result.requests["quality_assumed"].eq(0.9).all()
    assert not {"is_right"} & set(result.columns)
    assert "accuracy" not in result.summary.metrics


@pytest.mark.parametrize(
    ("quality", "message"),
    [
        ({"kind": "joint"}, r"quality\.digest: is missing"),
        ({"kind": "joint", "digest": "routellm-mmlo"}, "did you mean 'routellm-mmlu'"),
        ({"kind": "joint", "digest": "azure-conv"}, "a quality digest is needed"),
        ({"kind": "joind", "digest": "routellm-mmlu"}, "unknown kind 'joind'; did you mean 'joint'"),
        ({"kind": "assumed", "digest": "routellm-mmlu"}, "digest"),
        (None, r"policy 'router' needs to know which models are right"),
        ({}, r"policy 'router' needs to know which models are right"),
    ],
)
def test_what_cannot_be_meant_is_refused(quality: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_scenario({**scenario("mmlu", [{"kind": "router"}]), "quality": quality})


@pytest.mark.parametrize("option", [{"auc": 0.4}, {"auc": 1.1}, {"budget": -0.1}])
def test_options_out_of_range_are_refused(option: dict) -> None:
    with pytest.raises(UserError, match=next(iter(option))):
        load_scenario(scenario("mmlu", [{"kind": "router", **option}]))
