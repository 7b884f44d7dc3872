"""A verdict could have come out otherwise: ceilings, floors, cells in which nothing happened, the rule of bounds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from tiny_paper import CLAIMS, TABLES, write_paper

from discosim.cli import main
from discosim.core.errors import UserError
from discosim.core.json_text import read_json
from discosim.reproduce.estimates import Cell, cells_of
from discosim.reproduce.experiment import load_experiment
from discosim.reproduce.files import Claim, Expect, Statistic
from discosim.reproduce.forest import forest
from discosim.reproduce.reach import metric_range
from discosim.reproduce.rows import as_json, chosen_verdicts
from discosim.reproduce.run import judge_all
from discosim.reproduce.text import bounds_text, reach_text
from discosim.reproduce.verdict import Verdict, side_of

ROWS = pd.DataFrame(
    [
        (cell, seed, policy, qoe, qoe / 2)
        for cell, base, new in (("idle", 0.8, 0.8), ("busy", 0.5, 0.9))
        for seed in range(3)
        for policy, qoe in (("base", base + 0.01 * seed), ("new", new + 0.01 * seed))
    ],
    columns=["cell", "seed", "policy", "qoe_mean", "wait_s"],
)
RATIO = Statistic(kind="ratio", table="t", metric="qoe_mean", policy="new", baseline="base", by=("cell",))


def verdicts_of(root: Path, old: str = "", new: str = "") -> list[Verdict]:
    """Return the verdicts of the tiny paper, in whose claims one text is replaced."""
    assert old in CLAIMS
    experiment = load_experiment(write_paper(root, claims=CLAIMS.replace(old, new)) / "tiny")
    rows = [(s, p, "a", f * (1 + s)) for s in range(4) for p, f in (("base", 1.0), ("new", 0.7))]
    tables = {
        "waits": pd.DataFrame(rows, columns=["seed", "policy", "service", "wait_s"]),
        "exact": pd.DataFrame({"seed": [0, 1], "policy": ["new"] * 2, "n_tok": [20, 20]}),
        "timing": pd.DataFrame({"seed": [0, 1], "policy": ["new"] * 2, "took_ms": [1.0, 2.0]}),
    }
    return judge_all(experiment, tables)


# --- what could have come out -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "floor", "ceiling"),
    [
        ("ratio", 0.0, 1 / 0.51),  # a QoE lies in [0, 1], and that of the baseline is 0.51 on average
        ("difference", -0.51, 0.49),
        ("change_pct", -100.0, 100 * (1 / 0.51 - 1)),
        ("reduction_pct", -100 * (1 / 0.51 - 1), 100.0),
        ("mean", 0.0, 1.0),
    ],
)
def test_the_reach_of_a_cell_is_that_of_the_metric_beside_its_baseline(kind, floor, ceiling) -> None:
    cell = cells_of(replace(RATIO, kind=kind, where={"cell": "busy"}), ROWS)[0]
    assert (cell.floor, cell.ceiling) == pytest.approx((floor, ceiling))
    assert cell.floor <= cell.mean <= cell.ceiling


def test_the_extreme_of_several_cells_could_be_the_extreme_of_their_ceilings() -> None:
    (largest,) = cells_of(replace(RATIO, pick="largest"), ROWS)
    assert largest.name == "cell=busy"
    assert largest.ceiling == pytest.approx(1 / 0.51)
    (smallest,) = cells_of(replace(RATIO, pick="smallest"), ROWS)
    assert smallest.ceiling == pytest.approx(1 / 0.81)


def test_of_a_time_only_the_floor_is_known() -> None:
    assert metric_range("e2e_p99_s") == (0.0, float("inf"))
    assert metric_range("whatever") == (-float("inf"), float("inf"))
    cell = cells_of(replace(RATIO, metric="wait_s", kind="reduction_pct"), ROWS)[0]
    assert (cell.floor, cell.ceiling) == (-float("inf"), 100.0)


def test_a_claim_above_its_ceiling_is_no_claim(tmp_path: Path) -> None:
    """A wait cannot fall by 150 %: nothing that runs could show it, so nothing that runs refutes it."""
    verdict = verdicts_of(tmp_path, "expect: {low: 25, high: 35}", "expect: {low: 150}")[0]
    assert verdict.sides == ("beyond",)
    assert (verdict.word, verdict.text) == ("not testable here", "not testable here")
    assert verdict.reason == "no outcome could meet the bounds in this scenario"
    assert reach_text(verdict) == "at most 100 %"


def test_a_claim_that_cannot_fail_is_no_claim(tmp_path: Path) -> None:
    """Tokens are counted from 0: to find at least none is nothing found."""
    verdict = verdicts_of(tmp_path, "expect: {low: 19, high: 21}", "expect: {low: 0}")[1]
    assert verdict.sides == ("certain",)
    assert verdict.word == "not testable here"
    assert verdict.reason.startswith("holds whatever happens")
    assert reach_text(verdict) == "at least 0"


@pytest.mark.parametrize(
    ("metric", "kind", "said"),
    [
        ("wait_s", "ratio", ""),  # a ratio of waits is at least 0 whatever the baseline waits
        ("wait_s", "change_pct", ""),
        ("wait_s", "reduction_pct", ""),
        ("wait_s", "mean", ""),
        ("qoe_mean", "mean", ""),
        ("wait_s", "difference", "at least -0.255 u"),  # no wait falls by more than there is
        ("qoe_mean", "difference", "-0.51 to 0.49 u"),
        ("qoe_mean", "ratio", "at most 1.96 u"),
        ("qoe_mean", "change_pct", "at most 96.1 u"),
        ("qoe_mean", "reduction_pct", "at least -96.1 u"),
    ],
)
def test_a_limit_that_every_statistic_of_its_kind_has_is_not_told(metric, kind, said) -> None:
    statistic = replace(RATIO, metric=metric, kind=kind, where={"cell": "busy"})
    claim = Claim(
        id="t",
        says="t",
        published="t",
        known_from="abstract",
        scenario="t",
        would_change="t",
        statistic=statistic,
        unit="u",
    )
    (cell,) = cells_of(statistic, ROWS)
    assert reach_text(Verdict("tiny", claim, "reproduced", (cell,), ("agrees",), (), {})) == said


def test_where_nothing_happened_nothing_is_shown() -> None:
    """'At least as good' would hold there by half a hundredth, and 'better' would fail by nothing."""
    idle, busy = cells_of(replace(RATIO, kind="difference"), ROWS)
    for expect in (Expect(low=-0.005), Expect(high=0.0), Expect(low=0.0)):
        assert side_of(idle, expect) == "idle"
    assert side_of(busy, Expect(low=0.0)) == "agrees"
    assert side_of(Cell("", 0.0, 0.0, 0.0, 3), Expect(high=0.0)) == "unclear"


def test_every_shipped_claim_says_what_its_cells_could_be() -> None:
    """The one that every simulation of that size refuses: no QoE is 2.56 times another of 0.72."""
    verdict = Verdict(
        "andes",
        load_experiment(Path(__file__).parents[2] / "experiments" / "andes").claims.claims[2],
        "not testable here",
        (Cell("rate_per_s=10", 1.18, 1.17, 1.2, 4, 0.0, 1.38),),
        ("beyond",),
        (),
        {},
    )
    assert bounds_text(verdict) == "at least 2.56 x (four fifths of 3.2 at least; more is no breach of 'up to')"
    assert reach_text(verdict) == "0 to 1.38 x"  # it decides
    assert reach_text(replace(verdict, sides=("agrees",))) == "at most 1.38 x"


# --- bounds -------------------------------------------------------------------------------------------------------


def test_one_figure_of_a_paper_gives_bounds_by_one_rule() -> None:
    assert Expect(about=10.0).bounds == pytest.approx((8.0, 12.0))
    assert Expect(up_to=10.0).bounds == (pytest.approx(8.0), float("inf"))
    assert side_of(Cell("", 30.0, 29.0, 31.0, 5), Expect(up_to=10.0)) == "agrees"


@pytest.mark.parametrize(
    "expect", ["{}", "{low: 1, about: 2}", "{up_to: 3, about: 2}", "{low: 3, high: 2}", "{up_to: -1}", "{about: 0}"]
)
def test_bounds_come_in_one_form(tmp_path: Path, expect: str) -> None:
    claims = CLAIMS.replace("expect: {low: 25, high: 35}", f"expect: {expect}")
    root = write_paper(tmp_path, claims=claims)
    with pytest.raises(UserError, match=r"claims\.yaml"):
        load_experiment(root / "tiny")


def test_a_negative_verdict_says_what_it_rests_on_as_well(tmp_path: Path) -> None:
    verdict = verdicts_of(tmp_path, "expect: {low: 25, high: 35}", "expect: {low: 50, high: 60}")[0]
    assert verdict.text == "not reproduced, on assumed inputs"


# --- what is printed ----------------------------------------------------------------------------------------------


def test_claims_are_three_lists_and_the_tally_counts_papers_alone(tmp_path: Path, capsys) -> None:
    claims = CLAIMS.replace(
        "known_from: secondary\n    scenario: none\n    inputs",
        "known_from: secondary\n    role: check\n    scenario: none\n    inputs",
    )
    root = write_paper(tmp_path / "papers", claims=claims, tables=TABLES)
    out = ("--experiments", str(root), "--out", str(tmp_path / "out"))
    assert main(["figures", "tiny", *out, "--executor", "serial", "--json"]) == 0
    made = read_json(capsys.readouterr().out)  # one document; where the files are is said on stderr
    assert (made["verb"], made["folders"], made["breaches"]) == ("figures", [str(tmp_path / "out" / "tiny-quick")], [])
    assert {"tiny-reduction", "tiny-time"} <= {claim["claim"] for claim in made["claims"]}
    assert main(["claims", "tiny", *out]) == 0
    printed = capsys.readouterr().out
    assert "Checks of our own code, which hold by construction:" in printed
    assert printed.index("tiny-unknowable") < printed.index("Checks of our own code") < printed.index("tiny-count")
    assert printed.splitlines()[-1].startswith("3 claims of papers: 1 reproduced (1 on assumed inputs), 1 too few runs")
    assert printed.splitlines()[-1].endswith("1 checks of our own code: 0 hold")
    assert main(["claims", "tiny", *out, "--summary", "--only", "reproduced"]) == 0
    summary = capsys.readouterr().out
    assert "tiny-reduction" in summary
    assert "tiny-time" not in summary
    assert main(["claims", "tiny", *out, "--only", "tiny-reductoin"]) == 2
    assert "did you mean 'tiny-reduction'?" in capsys.readouterr().err
    assert main(["claims", "tiny", *out, "--summary", "--role", "derived"]) == 0
    assert "tiny-reduction" not in capsys.readouterr().out
    assert main(["claims", "tiny", *out, "--summary", "--role", "paper"]) == 0
    assert "tiny-reduction" in capsys.readouterr().out


def test_json_holds_bounds_and_cells_as_numbers(tmp_path: Path) -> None:
    verdicts = verdicts_of(tmp_path)
    (first, *_, last) = json.loads(as_json(verdicts))
    assert first["bounds"] == {"low": 25.0, "high": 35.0}
    assert first["cells"][0]["mean"] == pytest.approx(30.0)
    assert (first["cells"][0]["floor"], first["cells"][0]["side"]) == (None, "agrees")
    assert (last["bounds"], last["cells"]) == ({"low": None, "high": None}, [])
    assert [v.claim.id for v in chosen_verdicts(verdicts, ["reduction", "not testable"])] == [
        "tiny-reduction",
        "tiny-unknowable",
    ]


def test_the_picture_has_a_row_per_claim_with_cells(tmp_path: Path) -> None:
    verdicts = verdicts_of(tmp_path)
    axes = forest(verdicts).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["tiny-time", "tiny-count", "tiny-reduction"]
    with pytest.raises(UserError, match="nothing to draw"):
        forest(verdicts[-1:])
