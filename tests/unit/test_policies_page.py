"""The page of policies, generated from their headers."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_samples import Dice, small_world

from discosim.core.errors import UserError
from discosim.policies import known_policies
from discosim.policies.describe import explain, list_policies, options, policies_page

PAGE = Path(__file__).parents[2] / "docs" / "policies.md"


def test_the_committed_page_is_up_to_date() -> None:
    command = "python -m discosim.policies.describe > docs/policies.md"
    assert PAGE.read_text(encoding="utf-8") == policies_page(), f"run: {command}"


def test_every_policy_states_its_paper_and_departures_and_describes_its_options() -> None:
    for kind, policy in known_policies().items():
        assert policy.paper, kind
        assert policy.departures, kind
        for option in options(policy):
            assert option.meaning, f"{kind}.{option.name}"
        assert f"## {kind}" in policies_page()


def test_explain_says_what_a_policy_needs_and_takes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    small_world(monkeypatch, tmp_path)
    assert explain("dice").splitlines() == [
        "dice: Throw a die.",
        "",
        f"Paper: {Dice.paper}",
        "",
        "Departures: not stated",
        "",
        "Must know: estimates and history",
        "",
        "Options:",
        "  budget (required)",
        "    Share of requests. Must be >= 0 and <= 1.",
        "  side (default server)",
        "    Where to. One of server, device.",
        "  waits_s (default ())",
        "    Waits. [s] Must be >= 0.",
        "  retries (default 0)",
        "    Retries. Must be >= 0.",
        "  is_fair (default true)",
        "    Fair or not.",
        "  bias (default null)",
        "    Bias. Must be > 0.",
    ]


def test_unknown_policies_get_a_close_match(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    small_world(monkeypatch, tmp_path)
    with pytest.raises(UserError, match="unknown policy 'dise'; did you mean 'dice'"):
        explain("dise")


def test_the_list_has_one_line_for_each_policy() -> None:
    assert len(list_policies().splitlines()) == len(known_policies())
