"""What a word stands for, what is drawn when nobody says it, and what is refused."""

from __future__ import annotations

import pytest
from plot_samples import BUDGETS, POLICIES, one_setting, requests, rows

from discosim.core.errors import UserError
from discosim.report.plots.choice import NOTHING, Asked, Choice, choose
from discosim.report.plots.source import Dim, source_of


def chosen(given=None, **asked) -> Choice:
    for name in ("y", "facet", "policies", "average"):
        if isinstance(asked.get(name), str):
            asked[name] = tuple(asked[name].split(","))
    return choose(source_of(rows() if given is None else given), Asked(**asked))


@pytest.mark.parametrize("word", ["budget", "policies.race.budget", "policies.own.budget"])
def test_a_key_is_found_by_its_last_word_or_whole(word: str) -> None:
    x = chosen(x=word, y="ttft_p99_s").x
    assert isinstance(x, Dim)
    assert set(x.paths) == {"policies.race.budget", "policies.own.budget"}
    assert x.values == BUDGETS
    assert word in (x.name, "budget")


def test_any_word_of_a_key_finds_it() -> None:
    assert chosen(x="budget", y="ttft_p99_s", facet="server").columns.name == "server.digest"


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ({"x": "budget", "y": "ttft_p99_s"}, "lines"),
        ({"y": "ttft_p99_s"}, "lines"),
        ({"x": "server", "y": "ttft_p99_s"}, "bars"),
        ({"x": "policy", "y": "ttft_p99_s"}, "bars"),
        ({"x": "unified_cost_mean_usd", "y": "ttft_p99_s"}, "pareto"),
        ({"x": "budget", "y": "server", "z": "ttft_p99_s"}, "heat"),
    ],
)
def test_the_kind_follows_from_x(asked, kind) -> None:
    assert chosen(**asked).kind == kind


def test_of_a_single_setting_policies_are_bars() -> None:
    choice = chosen(one_setting(), y="ttft_p99_s")
    assert (choice.kind, choice.x.values, choice.series) == ("bars", POLICIES, NOTHING)


def test_a_column_of_requests_is_a_distribution() -> None:
    assert chosen(requests(), x="ttft_s").kind == "cdf"
    assert chosen(requests(), y="ttft_s").x == "ttft_s"


def test_what_varies_and_nobody_named_is_a_panel_and_is_said() -> None:
    choice = chosen(x="budget", y="ttft_p99_s")
    assert choice.columns.name == "server.digest"
    assert "a panel for each server.digest" in choice.notes[0]


def test_nothing_is_hidden_in_a_mean() -> None:
    table = rows().assign(**{"link.rtt_s": rows()["seed"] % 2})
    table = table.assign(users=[i % 3 for i in range(len(table))])
    with pytest.raises(UserError, match=r"hide that more was varied: users \(0, 1, 2\); pick values with --where"):
        choose(source_of(table), Asked(x="budget", y=("ttft_p99_s",)))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"x": "budgt", "y": "ttft_p99_s"}, r"--x: nothing like 'budgt' was varied; did you mean 'budget'\? Known: "),
        ({"x": "budget", "y": "ttft_p9_s"}, r"--y: unknown metric 'ttft_p9_s'; did you mean 'ttft_p99_s'\? Known: "),
        ({"x": "budget", "y": "e2e_mean_s"}, r"--y: these results hold no 'e2e_mean_s'; "),
        ({"y": "ttft_p99_s", "policies": "rase"}, r"--policies: unknown policy 'rase'; did you mean 'race'\? Known: "),
        ({"y": "ttft_p99_s", "where": {"server": "gtp"}}, r"--where: 'server' never was 'gtp'; did you mean 'gpt'\?"),
        ({"y": "ttft_p99_s", "where": {"budget": "0.3"}}, r"--where: 'budget' never was '0.3'; "),
        ({"y": "ttft_p99_s", "kind": "line"}, r"--kind: unknown kind 'line'; did you mean 'lines'\?"),
        ({"x": "budget"}, r"--y: is needed, for example --y ttft_p99_s"),
        ({"x": "n_requests", "y": "ttft_p99_s"}, r"--kind pareto: 'n_requests' is better neither low nor high"),
        ({"x": "budget", "y": "ttft_p99_s", "best": True}, r"--kind heat: a heat map takes what was varied"),
        ({"kind": "lines", "x": "budget", "y": "ttft_p99_s", "z": "ttft_p99_s"}, r"--z: is the metric of a heat map"),
        ({"y": "ttft_p99_s", "facet": "server,policy,budget"}, r"--facet: takes at most two names"),
        ({"x": "budget", "y": "ttft_p99_s", "facet": "budget"}, r"--facet: 'budget' has its place already"),
        ({"y": "ttft_p99_s", "facet": "ttft_p99_s"}, r"--facet: 'ttft_p99_s' is a metric and was not varied"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_what_is_there(asked, message) -> None:
    with pytest.raises(UserError, match=message):
        chosen(**asked)


def test_the_order_of_policies_is_that_of_the_user() -> None:
    choice = chosen(x="budget", y="ttft_p99_s", policies="own,race")
    assert choice.series.values == ("own", "race")


def test_a_value_is_found_by_a_part_of_it() -> None:
    assert chosen(y="ttft_p99_s", where={"server": "deep"}).kept == {"server.digest": ("deepseek",)}
    with pytest.raises(UserError, match="'server=p' may be gpt, deepseek; write more of it"):
        chosen(y="ttft_p99_s", where={"server": "p"})


def test_a_word_that_means_two_keys_is_refused() -> None:
    table = rows().assign(**{"policies.x.budget": rows()["seed"]})
    with pytest.raises(UserError, match=r"'budget' may be policies.race.budget, policies.x.budget; write one of them"):
        choose(source_of(table), Asked(x="budget", y=("ttft_p99_s",)))
