"""What a result gives to Python: folders, tidy tables, LaTeX, HTML, labelled arrays; numbers worked out from rows."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from discosim import load_results, load_scenario, simulate
from discosim.core.errors import UserError
from discosim.core.json_text import finite
from discosim.metrics.targets import TARGETABLE, parse_targets
from discosim.policies import Policy
from discosim.report.html import write_report
from discosim.report.latex import escaped, run_latex
from discosim.report.notebook import run_html
from discosim.runs import RunResult, execute_to_folder
from discosim.sweep.diff import diff_folders

SMALL = ["replications=3", "workload.n_requests=30"]


@pytest.fixture(scope="module")
def scenario():
    return load_scenario("quickstart", overrides=SMALL)


@pytest.fixture(scope="module")
def result(scenario) -> RunResult:
    return simulate(scenario)


# --- folders ----------------------------------------------------------------------------------------------------


def test_a_written_result_is_the_folder_of_a_run(result: RunResult, scenario, tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    assert result.write(mine, figures=False) == mine
    execute_to_folder(scenario, theirs)
    assert {path.name for path in mine.iterdir()} == {path.name for path in theirs.iterdir()}
    for path in mine.iterdir():
        if path.name != "run.json":
            assert path.read_bytes() == (theirs / path.name).read_bytes(), path.name
    facts, others = (json.loads((folder / "run.json").read_text()) for folder in (mine, theirs))
    assert {key for key in others if facts[key] != others[key]} <= {"wall_s", "peak_memory_mib", "command"}
    assert facts["wall_s"] is None
    assert len(load_results(mine)) == 3 * len(result.summary.policies)
    assert all(row.diff.mean == 0.0 for row in diff_folders(mine, theirs).rows)
    result.write(mine, figures=False)  # the same run again takes its own place


@pytest.mark.long
def test_a_written_result_gets_a_report_without_the_numbers_of_targets(result: RunResult, tmp_path: Path) -> None:
    folder = result.with_targets(ttft_s=0.5).write(tmp_path / "mine", figures=False)
    assert "slo_attainment" not in (folder / "summary.json").read_text()
    assert "server_only" in write_report(folder, None).read_text(encoding="utf-8")


@pytest.mark.long
def test_a_written_result_has_its_figures(result: RunResult, tmp_path: Path) -> None:
    assert any(path.suffix == ".png" for path in (result.write(tmp_path / "mine") / "figures").iterdir())


def test_another_run_is_replaced_by_force_only(result: RunResult, tmp_path: Path) -> None:
    other = replace(result, scenario=replace(result.scenario, seed=99))
    result.write(tmp_path / "r", figures=False)
    before = (tmp_path / "r" / "config.yaml").read_bytes()
    with pytest.raises(UserError, match="holds another run; name another folder or replace it with force=True"):
        other.write(tmp_path / "r", figures=False)
    assert (tmp_path / "r" / "config.yaml").read_bytes() == before
    other.write(tmp_path / "r", force=True, figures=False)
    assert (tmp_path / "r" / "config.yaml").read_bytes() != before
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("mine")
    with pytest.raises(UserError, match="holds no run"):
        result.write(tmp_path / "full", force=True)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.tex"]


class Mine(Policy):
    """Ask the server."""

    kind = "mine"

    def serve(self, session):
        winner = yield session.first_token_of(session.start("server"))
        if winner is None:
            session.fail()
            return
        session.keep(winner)


def test_a_policy_object_is_named_in_the_folder(scenario, tmp_path: Path) -> None:
    alone = replace(scenario, policies=scenario.policies[:1], replications=1)
    added = simulate(alone, policies=Mine())
    folder = added.write(tmp_path / "r", figures=False)
    assert set(load_results(folder)["policy"]) == {"server_only", "mine"}
    if "mine" not in (spec.name for spec in added.scenario.policies):
        with pytest.raises(UserError, match="another run"):  # the same config.yaml but for the name of the policy
            execute_to_folder(alone, tmp_path / "r")


# --- tables -----------------------------------------------------------------------------------------------------


def test_a_result_is_one_short_line(result: RunResult, tmp_path: Path) -> None:
    assert repr(result) == "<RunResult 'quickstart': 5 policies x 3 replications x 30 requests, seed 1>"
    assert repr(replace(result, folder=Path("a/b"))).endswith("seed 1, in 'a/b'>")


def test_a_tidy_table_has_the_numbers_that_are_printed(result: RunResult) -> None:
    table = result.to_frame(["ttft_mean_s", "budget_used_device"], ["DiSCo-S", "server_only"])
    assert table[["policy", "metric"]].to_numpy().tolist() == [
        ["DiSCo-S", "ttft_mean_s"],
        ["DiSCo-S", "budget_used_device"],
        ["server_only", "ttft_mean_s"],
        ["server_only", "budget_used_device"],
    ]
    row = table.iloc[0]
    rows = result.by_replication.query("policy == 'DiSCo-S'")["ttft_mean_s"]
    half = result.printed_summary["policies"]["DiSCo-S"]["ttft_mean_s"]["half_width"]
    assert row["value"] == pytest.approx(rows.mean())
    assert (row["low"], row["high"]) == pytest.approx((rows.mean() - half, rows.mean() + half))
    assert (row["unit"], row["n"]) == ("s", 3)
    assert table.attrs["baseline"] == "server_only"
    assert table.attrs["units"] == {"ttft_mean_s": "s", "budget_used_device": "1"}
    assert table.query("policy == 'server_only'")["diff"].tolist() == [0.0, 0.0]
    assert len(result.to_frame()) == 5 * len(result.summary.metrics)


def test_tables_carry_their_units(result: RunResult) -> None:
    assert result.requests.attrs["units"]["server_cost_usd"] == "USD"
    assert result.by_replication.attrs["units"]["throughput_tok_per_s"] == "tok/s"
    assert result.example_tokens.attrs["units"]["delivered_s"] == "s"
    assert set(result.requests.attrs["units"]) == set(result.requests.columns)


@pytest.mark.parametrize("how", ["to_frame", "to_latex"])
@pytest.mark.parametrize(
    ("columns", "policies", "message"),
    [
        (["ttft_mean"], None, "did you mean ttft_mean_s"),
        (["ttft_s"], None, "no number of a summary"),
        (["goodput_rps"], None, "needs targets"),
        ([], None, "at least one"),
        (None, ["DiSCo_S"], "did you mean 'DiSCo-S'"),
    ],
)
def test_unknown_names_are_refused(result: RunResult, how: str, columns, policies, message: str) -> None:
    with pytest.raises(UserError, match=message):
        getattr(result, how)(columns, policies)


LATEX = r"""
\begin{tabular}{lrr}
\toprule
policy & mean TTFT [s] & server cost [USD per 1,000 requests] \\
\midrule
a\_b \& c & $1.75 \pm 0.35$ & $0.304$ \\
d & -- & $0$ \\
\bottomrule
\end{tabular}
"""


def plain_summary(n: int = 3) -> dict:
    def cell(mean, half):
        return {"mean": mean, "half_width": half, "n": n}

    return {
        "baseline": "d",
        "n_replications": n,
        "metrics": {"ttft_mean_s": {"unit": "s"}, "server_cost_mean_usd": {"unit": "USD"}},
        "policies": {
            "a_b & c": {"ttft_mean_s": cell(1.747, 0.350), "server_cost_mean_usd": cell(0.0003042, 0.0)},
            "d": {"ttft_mean_s": cell(None, None), "server_cost_mean_usd": cell(0.0, 0.0)},
        },
    }


def test_latex_letter_by_letter() -> None:
    text = run_latex(plain_summary(), ["ttft_mean_s", "server_cost_mean_usd"])
    assert text.partition("\n")[2] == LATEX.lstrip("\n")
    whole = run_latex(plain_summary(2), ["ttft_mean_s"], ["d"], caption="100 % mine", label="tab:mine")
    assert "one degree of freedom" in whole
    assert "\\begin{table}\n\\centering\n\\caption{100 \\% mine}\n\\label{tab:mine}\n\\begin{tabular}{lr}" in whole
    assert escaped("a\nb \\x^2") == r"a b \textbackslash{}x\textasciicircum{}2"


def test_html_is_escaped_and_says_what_two_are() -> None:
    held = plain_summary(2)
    held["policies"]["<script>alert(1)</script>"] = held["policies"]["d"]
    html = run_html(held, "<b>x</b>", ["ttft_mean_s", "server_cost_mean_usd"])
    assert "<script" not in html
    assert "<b>x" not in html
    assert "&lt;script&gt;" in html
    assert ">1.75 ± 0.35<" in html
    assert ">0.304<" in html  # no interval of nothing
    assert "one degree of freedom" in html
    assert "one degree" not in run_html(plain_summary(3), "x", ["ttft_mean_s"])


def test_a_notebook_shows_the_headline(result: RunResult) -> None:
    html = result._repr_html_()
    assert html.count("<tr>") == 6
    assert "unified cost [USD per 1,000 requests]" in html


# --- arrays -----------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_arrays_have_policies_and_replications(result: RunResult) -> None:
    pytest.importorskip("xarray")
    held = result.to_xarray(["ttft_mean_s", "qoe_andes_mean"], ["DiSCo-D", "server_only"])
    assert dict(held.sizes) == {"policy": 2, "replication": 3}
    rows = result.by_replication.query("policy == 'server_only' and replication == 2")
    assert float(held["ttft_mean_s"].sel(policy="server_only", replication=2)) == float(rows["ttft_mean_s"].iloc[0])
    assert held["ttft_mean_s"].attrs["units"] == "s"


def test_without_xarray_one_line_says_what_to_install(result: RunResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(UserError, match=r"pip install 'discosim\[xarray\]'"):
        result.to_xarray()


# --- targets ----------------------------------------------------------------------------------------------------


def test_attainment_and_goodput_are_those_of_a_plain_loop(result: RunResult) -> None:
    seen = result.with_targets(ttft_s=0.6, tpot_s=0.09)
    rows = result.requests
    for policy in ("server_only", "DiSCo-D"):
        shares, rates = [], []
        for k in range(3):
            good = served = 0
            ends, starts = [], []
            for row in rows[(rows["policy"] == policy) & (rows["replication"] == k)].to_dict("records"):
                served += row["status"] != "rejected"
                starts.append(row["arrival_s"])
                if row["status"] == "finished":
                    ends.append(row["arrival_s"] + row["e2e_s"])
                    good += row["ttft_s"] <= 0.6 and (math.isnan(row["tpot_s"]) or row["tpot_s"] <= 0.09)
            shares.append(good / served)
            rates.append(good / (max(ends) - min(starts)))
        assert seen.summary.value(policy, "slo_attainment").mean == pytest.approx(np.mean(shares))
        assert seen.summary.value(policy, "goodput_rps").mean == pytest.approx(np.mean(rates))
    assert 0.0 < seen.summary.value("DiSCo-D", "slo_attainment").mean < 1.0
    assert "ttft_s <= 0.6 s, tpot_s <= 0.09 s" in seen.notes[-1]
    other = seen.with_targets(ttft_s=30.0)  # the last word counts
    assert other.summary.metrics.count("slo_attainment") == 1
    assert other.summary.value("DiSCo-D", "slo_attainment").mean == 1.0


def test_an_attainment_holds_the_few_rows_of_an_input(result: RunResult) -> None:
    """The service was probed 22 times: what the attainment of who asks it says rests on those rows."""
    cell = result.with_targets(ttft_s=1.3).printed_summary["policies"]["server_only"]["slo_attainment"]
    assert cell["half_width"] > cell["luck_half_width"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ttft=0.5", "did you mean 'ttft_s'"),
        ("ttft_s", "expected targets as"),
        ("ttft_s=fast", "expected targets as"),
        ("ttft_s=1,ttft_s=2", "two targets"),
        ("ttft_s=0", "above 0"),
        ("ttft_s=inf", "above 0"),
        ("qoe_andes=0.9", "no duration"),
        ("", "expected targets as"),
    ],
)
def test_targets_that_are_none(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_targets(text)


def test_targets_are_read() -> None:
    assert parse_targets(" ttft_s=0.5, tpot_s = .1") == {"ttft_s": 0.5, "tpot_s": 0.1}
    assert {"ttft_s", "tpot_s", "e2e_s", "tbt_max_s", "tbt_p99_s"} <= set(TARGETABLE)


def test_plain_data_is_strict_json() -> None:
    held = {"a": np.float64("nan"), "b": [np.int64(3), math.inf, None, True], 5: "x", "p": Path("y")}
    assert json.dumps(finite(held), allow_nan=False) == '{"a": null, "b": [3, null, null, true], "5": "x", "p": "y"}'
