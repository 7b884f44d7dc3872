"""A page is markup made by tags alone: it runs no name as code, loads nothing, and those who hear it find their way."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from parsed_page import Parsed
from report_folders import HOSTILE, MARKUP

from discosim.report.html.markup import json_block, tag, text

KINDS = ("run", "sweep", "figures", "validate")
LOADING = {"src", "srcset", "href", "data", "action", "poster", "background"}


# --- safety ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_hostile_name_is_only_text(kind: str, parsed: dict[str, Parsed], reports: dict[str, Path]) -> None:
    page = parsed[kind]
    name = MARKUP if kind == "sweep" else HOSTILE
    assert kind == "validate" or name in [policy["name"] for policy in page.data["policies"]]
    assert not [1 for name, attributes in page.elements if name == "img" and attributes.get("src") == "x"]
    assert not [1 for _, attributes in page.elements if any(key.startswith("on") for key in attributes)]
    assert len(page.scripts) == 2
    assert MARKUP not in reports[kind].read_text(encoding="utf-8")
    assert name in page.words


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_loaded(kind: str, parsed: dict[str, Parsed]) -> None:
    for name, attributes in parsed[kind].elements:
        for key in LOADING & attributes.keys():
            value = attributes[key] or ""
            assert value.startswith(("data:", "#")) or (name, key) == ("a", "href"), (name, key, value)
    sheets = "".join(part for part in parsed[kind].scripts[1:])
    assert not re.search(r"\b(fetch|XMLHttpRequest|import|eval|innerHTML|outerHTML|insertAdjacentHTML)\b", sheets)


@pytest.mark.parametrize("kind", KINDS)
def test_the_policy_of_the_page_names_its_own_script_and_no_other(kind: str, parsed: dict[str, Parsed]) -> None:
    (policy,) = [a["content"] for name, a in parsed[kind].elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    digest = base64.b64encode(hashlib.sha256(parsed[kind].scripts[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy


def test_markup_is_made_by_tags_alone() -> None:
    assert text(tag("b", HOSTILE)) == "<b>&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;</b>"
    assert tag("p", "x", title='"><script>') == '<p title="&quot;&gt;&lt;script&gt;">x</p>'
    block = json_block({"a": HOSTILE, "b": "<!--\u2028&", "c": float("nan"), "d": 0.123456789})
    assert not set("<>&\u2028\u2029") & set(block)
    assert json.loads(block) == {"a": HOSTILE, "b": "<!--\u2028&", "c": None, "d": 0.123457}


def test_what_steers_a_terminal_or_turns_a_line_around_is_written_out() -> None:
    evil = "a\x1b[31m\u202eb\u200b\x00<"
    shown = r"a\x1b[31m\u202eb\u200b\x00"
    assert str(tag("p", evil, title=evil)) == f'<p title="{shown}&lt;">{shown}&lt;</p>'
    assert json.loads(str(json_block({evil: [evil]}))) == {f"{shown}<": [f"{shown}<"]}


# --- structure ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_is_built_for_those_who_hear_it(kind: str, parsed: dict[str, Parsed]) -> None:
    elements = parsed[kind].elements
    levels = [int(name[1]) for name, _ in elements if re.fullmatch(r"h[1-6]", name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(attributes.get("scope") for name, attributes in elements if name == "th")
    assert all(attributes.get("alt") for name, attributes in elements if name == "img")
    assert all(attributes.get("aria-label") for _, attributes in elements if attributes.get("role") == "region")
    known = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(known) == len(set(known))
    inside = [str(a["href"])[1:] for name, a in elements if name == "a" and str(a.get("href")).startswith("#")]
    assert inside
    assert set(inside) <= set(known)


@pytest.mark.parametrize("kind", KINDS)
def test_no_number_needs_a_second_reading(kind: str, parsed: dict[str, Parsed]) -> None:
    words = re.sub(r"config\.yaml.*", "", parsed[kind].words, flags=re.DOTALL)
    for wrong in (r"\b0(\.0+)? ± 0(\.0+)?\b", r"\d[eE][-−]\d", r"\[1\]", r"\b(ttft|qoe|tbt)_\w+", r"\[USD\]"):
        assert re.findall(wrong, words.replace("exchange rate 1e-07 USD", "")) == [], wrong
