"""What a reader sees: nothing sticks out, lies on something else or is faint, in the dark and on paper too."""

from __future__ import annotations

import io
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from browsing import Visit
from matplotlib.image import imread

KINDS = ("run", "sweep", "figures", "validate")
ALWAYS = (("run", 1280, "light"), ("sweep", 390, "dark"), ("figures", 390, "light"))
LOOKS = [
    pytest.param(*look, marks=() if look in ALWAYS else pytest.mark.long)
    for look in product(KINDS, (1280, 390), ("light", "dark"))
]
LONG_KINDS = [pytest.param(kind, marks=() if kind == "run" else pytest.mark.long) for kind in KINDS]

OVERLAPS = """() => {
  const found = [];
  for (const picture of document.querySelectorAll(".chart > svg")) {
    const texts = [...picture.querySelectorAll("text")].map((node) => [node.textContent, node.getBoundingClientRect()])
      .filter(([, box]) => box.width);
    texts.forEach(([a, p], i) => texts.slice(i + 1).forEach(([b, q]) => {
      const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
      const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
      if (wide > 1 && high > 3) found.push(`${a} | ${b}`);
    }));
  }
  return found;
}"""
"""Texts of charts that lie on each other; boxes of lines of text may share the room of their ascenders."""

FAINT = """() => {
  const channels = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const over = ([r, g, b, a = 1], below) => [r, g, b].map((v, i) => a * v + (1 - a) * below[i]);
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    const layers = [];
    for (let at = node; at; at = at.parentElement) layers.push(channels(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const found = [];
  for (const node of document.querySelectorAll("main *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || !node.getClientRects().length || node.closest("[aria-pressed=false], option")) continue;
    const style = getComputedStyle(node);
    const ground = behind(node);
    const ink = over(channels(node instanceof SVGElement ? style.fill : style.color), ground);
    const [a, b] = [light(ink), light(ground)].sort((p, q) => q - p);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (isLarge ? 3 : 4.5)) found.push(`${node.textContent.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return found;
}"""
"""Texts with less contrast than WCAG 2.2 asks for at level AA."""


@pytest.mark.parametrize(("kind", "width", "scheme"), LOOKS)
def test_nothing_sticks_out_overlaps_or_is_faint(kind: str, width: int, scheme: str, visit: Any) -> None:
    page = visit(kind, width, scheme).page
    page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(OVERLAPS) == []
    assert page.evaluate(FAINT) == []


@pytest.mark.parametrize("width", [pytest.param(1280, marks=pytest.mark.long), 390])
def test_labels_of_no_timeline_lie_on_each_other(width: int, visit: Any) -> None:
    opened = visit("run", width)
    boxes = [opened.view("requests").get_by_label(label, exact=True) for label in ("request", "policy")]
    n_requests, n_policies = (box.locator("option").count() for box in boxes)
    n_handed_over = 0
    for policy in range(n_policies):
        opened.choose("requests", "policy", policy)
        for request in range(n_requests):
            opened.choose("requests", "request", request)
            assert opened.page.evaluate(OVERLAPS) == []
            n_handed_over += opened.view("requests").get_by_text("handed over at token").count()
    assert n_handed_over > 0


def test_what_nobody_saw_has_a_place_in_a_lane(visit: Any) -> None:
    """The server gave three tokens and made two more; the device lost the race without a token."""
    page = visit("run").page
    vain = '[{ by: "server", tok: 2, prompt: 0 }, { by: "device", tok: 0, prompt: 50 }]'
    answer = f'{{ by: ["server", "server", "server"], made: [1, 1.5, 2], shown: [1.1, 1.6, 2.1], vain: {vain} }}'
    drawn = "({ label, bars }) => [label, bars.map((bar) => [bar.x0, bar.x1, Boolean(bar.isVain)])]"
    lanes = page.evaluate(f"lanesOf({answer}).map({drawn})")
    assert lanes == [["server", [[1, 2, False], [2, 3, True]]], ["device", [[0, 1.1, True]]]]
    assert page.evaluate(f"lanesOf({answer})[1].bars[0].tip()") == [
        "device: nobody saw this",
        "50 prompt tokens read in vain",
        "when is estimated",
    ]


def brightness(element: Any) -> float:
    """Return the mean brightness of what is seen of an element, from 0 to 1."""
    return float(imread(io.BytesIO(element.screenshot()))[:, :, :3].mean())


def test_pictures_are_dark_in_the_dark_and_white_on_paper(visit: Any) -> None:
    page = visit("figures", scheme="dark").page
    picture = page.locator("figure img").first
    assert brightness(picture) < 0.2
    page.emulate_media(media="print", color_scheme="light")
    assert brightness(picture) > 0.85
    page.emulate_media(media="screen", color_scheme="light")
    assert brightness(picture) > 0.85


def test_a_picture_opens_in_a_dialog_and_the_keyboard_is_enough(visit: Any) -> None:
    page = visit("figures").page
    link = page.locator("a.enlarge").first
    link.focus()
    link.press("Enter")
    dialog = page.locator("dialog.large")
    assert dialog.is_visible()
    assert dialog.locator("p").text_content() == "more waits"
    dialog.press("ArrowRight")
    assert dialog.locator("p").text_content() == "waits"
    page.keyboard.press("Escape")
    assert dialog.is_hidden()
    page.wait_for_function("document.activeElement.dataset.name === 'waits'")  # the closed dialog gives the focus back


def test_without_a_script_a_picture_is_a_plain_link_to_itself(browser: Any, reports: dict[str, Path]) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 900, "height": 700})
    page = context.new_page()
    page.goto(reports["figures"].as_uri())
    frame = page.locator("#large-waits")
    page.locator("a.enlarge").nth(1).click()
    box = frame.bounding_box()
    assert (box["x"], box["y"], box["width"], box["height"]) == (0, 0, 900, 700)
    frame.get_by_text("Close").click()
    assert frame.bounding_box()["height"] < 700
    assert page.locator(".scroll table").first.is_visible()
    context.close()


@pytest.mark.parametrize("kind", LONG_KINDS)
def test_a_print_has_no_cut_edges(kind: str, browser: Any, reports: dict[str, Path]) -> None:
    """A4 less the margins of the style sheet is 688 px wide."""
    opened = Visit(browser, reports[kind], 688)
    opened.page.emulate_media(media="print")
    opened.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    opened.page.wait_for_timeout(50)
    assert opened.page.locator("details:not([open])").count() == 0
    cut = """() => [...document.querySelectorAll("main *")].filter((node) => {
      const box = node.getBoundingClientRect();
      const clips = getComputedStyle(node).overflowX !== "visible" && node.scrollWidth > node.clientWidth + 1;
      return box.width && !node.closest("svg, .legend, nav, .controls") && (box.right > 689 || clips);
    }).map((node) => `${node.tagName} ${node.className} ${node.textContent.slice(0, 40)}`)"""
    assert opened.page.evaluate(cut) == []
    opened.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert opened.page.locator("details[open]").count() == 0
    opened.page.close()
    assert opened.troubles == []


def test_a_phone_shows_the_columns_that_matter_and_the_rest_on_demand(visit: Any) -> None:
    page = visit("run", 390).page
    wide = page.locator(".columns").first
    heads = wide.locator("thead th")
    assert 2 <= sum(head.is_visible() for head in heads.all()) <= 3
    wide.get_by_label("all columns").check()
    assert all(head.is_visible() for head in heads.all())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert wide.locator(".cue").is_visible()


@pytest.mark.long
def test_headings_of_numbers_stand_above_them(visit: Any) -> None:
    for kind in ("run", "sweep", "validate"):
        page = visit(kind).page
        off = """() => [...document.querySelectorAll("table")].flatMap((table) => {
          const heads = [...table.querySelectorAll("thead th")];
          const rows = [...table.querySelectorAll("tbody tr:not(.group)")];
          return rows.flatMap((row) => [...row.children].map((cell, k) => {
            const [a, b] = [cell, heads[k]].map((node) => getComputedStyle(node).textAlign);
            return cell.classList.contains("num") && a !== b ? `${heads[k].textContent} ${cell.textContent}` : "";
          }));
        }).filter(Boolean)"""
        assert page.evaluate(off) == [], kind


def test_a_link_into_a_folded_part_opens_it(browser: Any, reports: dict[str, Path]) -> None:
    opened = Visit(browser, reports["figures"])
    opened.page.locator(".tally a").first.click()
    claim = opened.page.locator("#claim-mean")
    assert claim.is_visible()
    claim.get_by_role("link", name="waits").click()
    assert opened.page.evaluate("location.hash") == "#figure-waits"
    opened.page.locator("#figure-waits figcaption").get_by_role("link", name="tail").click()
    assert opened.page.evaluate("location.hash") == "#claim-tail"
    opened.page.close()
