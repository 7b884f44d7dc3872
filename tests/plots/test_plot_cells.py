"""The numbers of a picture: means, intervals over replications, distributions, and who is best."""

from __future__ import annotations

import numpy as np
import pytest
from plot_samples import BUDGETS, HALF, POLICIES, SERVERS, requests, rows, ttft

from discosim.core.errors import UserError
from discosim.report.plots.choice import Asked
from discosim.report.plots.latex import latex_table
from discosim.report.plots.panels import points_of
from discosim.report.plots.plan import plan_of


def test_a_point_is_the_mean_over_seeds_with_its_interval() -> None:
    table = plan_of(rows(), Asked(x="budget", y=("ttft_p99_s",), facet=("server",))).table
    assert len(table) == len(BUDGETS) * len(SERVERS) * len(POLICIES)
    for _, cell in table.iterrows():
        mean = ttft(cell["x"], cell["column"], cell["series"])
        assert cell["mean"] == pytest.approx(mean)
        assert (cell["low"], cell["high"]) == pytest.approx((mean - HALF, mean + HALF))
        assert cell["n"] == 4


def test_an_average_is_taken_within_each_replication() -> None:
    table = plan_of(rows(), Asked(x="budget", y=("ttft_p99_s",), average=("server",))).table
    first = table.iloc[0]
    assert first["mean"] == pytest.approx(np.mean([ttft(0.2, server, "race") for server in SERVERS]))
    assert first["n"] == 4
    assert first["high"] - first["mean"] == pytest.approx(HALF)


def test_dollars_count_for_a_thousand_requests() -> None:
    table = plan_of(rows(), Asked(x="budget", y=("unified_cost_mean_usd",), facet=("server",))).table
    assert table["mean"].iloc[0] == pytest.approx(20.0 - ttft(0.2, "gpt", "race"))


def test_shares_of_requests_end_below_one_where_some_failed() -> None:
    table = plan_of(requests(), Asked(x="ttft_s", kind="cdf")).table
    of = {policy: part.set_index("value")["share"] for policy, part in table.groupby("series")}
    assert of["a"][5.0] == pytest.approx(0.5)
    assert of["b"][10.0] == pytest.approx(0.5)
    assert of["b"].max() == pytest.approx(0.9)
    assert set(table["n"]) == {2}
    assert set(table["n_requests"]) == {20}


def test_the_front_holds_what_no_other_beats() -> None:
    table = rows()
    table.loc[table["policy"] == "own", "unified_cost_mean_usd"] += 0.02  # dear and slow
    asked = Asked(x="unified_cost_mean_usd", y=("ttft_p99_s",), where={"server": "gpt", "budget": 0.5})
    plan = plan_of(table, asked)
    points = points_of(plan.table, plan.choice).set_index("series")
    assert points["is_best"].to_dict() == {"race": True, "server_only": True, "own": False}


def test_where_more_is_better_the_front_turns_round() -> None:
    table = rows()
    asked = Asked(x="unified_cost_mean_usd", y=("qoe_andes_mean",), where={"server": "gpt", "budget": 0.5})
    table.loc[table["policy"] == "own", "qoe_andes_mean"] = 0.5
    table.loc[table["policy"] == "own", "unified_cost_mean_usd"] += 0.02
    plan = plan_of(table, asked)
    assert not points_of(plan.table, plan.choice).set_index("series").loc["own", "is_best"]


def test_the_best_of_a_cell_and_whether_that_is_clear() -> None:
    table = rows()
    is_close = (table["server.digest"] == "gpt") & (table["policies.race.budget"] == 0.8)
    # there server_only differs from race by luck alone: +-0.4 about 0.05
    table.loc[is_close & (table["policy"] == "server_only"), "ttft_p99_s"] = (
        ttft(0.8, "gpt", "race") + 0.05 + np.array([0.4, -0.4, 0.4, -0.4])
    )
    plan = plan_of(table, Asked(x="budget", y=("server",), z="ttft_p99_s", best=True))
    held = plan.table.set_index(["y", "x"])
    assert set(held["best"]) == {"race"}
    assert not held.loc[("gpt", 0.8), "is_clear"]
    assert held["is_clear"].sum() == len(held) - 1
    assert held.loc[("deepseek", 0.2), "gain"] == pytest.approx(2.0)
    assert "Hatched" in plan.caption


def test_rows_that_nothing_tells_apart_are_refused() -> None:
    table = rows().drop(columns=["server.digest"])
    with pytest.raises(UserError, match="several rows of one policy and replication"):
        plan_of(table, Asked(x="budget", y=("ttft_p99_s",)))


def test_the_caption_says_how_many_and_what_bands_are() -> None:
    caption = plan_of(rows(), Asked(x="budget", y=("ttft_p99_s",), facet=("server",))).caption
    assert caption == (
        "p99 TTFT against budget. Panels: server. Means over 4 replications of 100 requests; bands: 95 % interval over "
        "them, by luck alone."
    )
    single = plan_of(rows()[rows()["seed"] == 1], Asked(x="budget", y=("ttft_p99_s",))).caption
    assert "One replication of 100 requests, so no intervals." in single


def test_a_table_for_latex_holds_the_same_cells_with_their_digits() -> None:
    asked = Asked(x="budget", y=("ttft_p99_s",), where={"server": "gpt"}, policies=("server_only", "own"))
    lines = latex_table(plan_of(rows(), asked)).splitlines()
    assert r" & \multicolumn{3}{c}{p99 TTFT [s] by budget} \\" in lines
    assert r"policy & 0.2 & 0.5 & 0.8 \\" in lines
    assert pytest.approx(0.41, abs=0.005) == HALF
    assert r"server\_only & $11.00 \pm 0.41$ & $8.00 \pm 0.41$ & $5.00 \pm 0.41$ \\" in lines
    assert lines[0].startswith("% p99 TTFT against budget.")


def test_tables_of_every_kind_have_as_many_cells_in_each_row() -> None:
    kinds = [
        Asked(x="budget", y=("ttft_p99_s", "qoe_andes_mean"), facet=("server",)),
        Asked(x="policy", y=("ttft_p99_s",), facet=("server", "budget")),
        Asked(x="unified_cost_mean_usd", y=("ttft_p99_s",)),
        Asked(x="budget", y=("server",), z="ttft_p99_s"),
        Asked(x="budget", y=("server",), z="ttft_p99_s", best=True),
    ]
    for asked in [*kinds, Asked(x="ttft_s", kind="cdf")]:
        text = latex_table(plan_of(requests() if asked.kind == "cdf" else rows(), asked))
        lines = text.splitlines()
        spec = next(line for line in lines if line.startswith(r"\begin{tabular}"))
        n = len(spec.removeprefix(r"\begin{tabular}{").removesuffix("}"))
        body = lines[lines.index(r"\midrule") + 1 : lines.index(r"\bottomrule")]
        assert {line.count(" & ") + 1 for line in body if line.endswith(r"\\")} == {n}, asked
        assert " -- " not in text, asked
