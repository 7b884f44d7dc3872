"""The report in a real browser: what a reader clicks works, nothing is loaded, nothing complains, no name runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from browsing import Visit
from report_folders import HOSTILE, MARKUP

KINDS = ("run", "sweep", "figures")


def tip_at(chart: Any, mark: int) -> list[str]:
    """Point at a mark of a chart and return the lines of the tip."""
    chart.locator(".mark").nth(mark).hover(force=True)
    tip = chart.locator(".tip")
    assert tip.is_visible()
    beside, mark_box = tip.bounding_box(), chart.locator(".mark").nth(mark).bounding_box()
    assert abs(beside["y"] - mark_box["y"]) < 40
    return list(tip.locator("div").all_text_contents())


def test_hovering_a_policy_shows_its_value_interval_and_unit(visit: Any) -> None:
    chart = visit("run").view("policies").locator(".chart")
    lines = tip_at(chart, 1)
    assert lines[0] == "A"
    assert lines[1].startswith("mean time to first token: ")
    assert lines[1].endswith("\u00a0s")
    assert lines[2].startswith("95 % interval ")
    assert lines[3].startswith("by luck alone ± ")
    assert lines[4].startswith("against server_only: ")
    assert tip_at(chart, 2)[0] == HOSTILE


def test_the_arrow_keys_visit_the_points_too(visit: Any) -> None:
    chart = visit("run").view("cost").locator(".chart")
    chart.locator("svg").focus()
    seen = []
    for _ in range(3):
        chart.locator("svg").press("ArrowRight")
        seen.append(chart.locator(".tip div").first.text_content())
    assert seen == ["server_only (baseline)", "A", HOSTILE]
    chart.locator("svg").press("Escape")
    assert chart.locator(".tip").is_hidden()


def test_the_legend_hides_a_policy_in_every_chart(visit: Any) -> None:
    opened = visit("run")
    button = opened.view("cdf").get_by_role("button", name="A", exact=True)
    marks = opened.view("cost").locator(".mark")
    lines = opened.view("cdf").locator("path.line")
    before = marks.count(), lines.count()
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    # the legend of the costs has a marker per policy, hidden ones too
    assert (marks.count(), lines.count()) == (before[0] - 1, before[1] - 1)
    button.click()
    assert (marks.count(), lines.count()) == before


def test_another_metric_and_the_paired_difference_can_be_chosen(visit: Any) -> None:
    opened = visit("run")
    opened.choose("policies", "metric", "QoE")
    opened.choose("policies", "show", 1)
    chart = opened.view("policies").locator(".chart")
    assert "QoE: difference to the baseline server_only" in chart.locator("h3").text_content()
    assert chart.locator(".mark").count() == 2  # without the baseline


def test_the_server_over_time_is_drawn_by_quantity(visit: Any) -> None:
    opened = visit("engine")
    chart = opened.view("series").locator(".chart")
    for label in ("waiting", "KV share", "output [tok/s]", "running"):
        opened.choose("series", "show", label)
        assert chart.locator("h3").text_content() == f"The server over time: {label}"
        assert chart.locator("path.line").count() == 1  # nothing was asked of the server under device_only


def test_the_tail_of_the_ttft_is_drawn(visit: Any) -> None:
    opened = visit("run")
    opened.choose("cdf", "show", "tail")
    chart = opened.view("cdf").locator(".chart")
    assert chart.locator("h3").text_content() == "Time to first token: the tail"
    assert chart.locator("path.line").count() == 3


def test_a_request_opens_with_its_tokens(visit: Any) -> None:
    opened = visit("run")
    view = opened.view("requests")
    opened.choose("requests", "policy", HOSTILE)
    assert "The device gave the first token after" in view.locator("p").nth(1).text_content()
    opened.choose("requests", "request", 1)
    title = view.locator(".chart h3").first.text_content()
    assert title.startswith("Request ")
    assert title.endswith(f"under {HOSTILE}")
    timeline = view.locator(".chart").first
    lines = tip_at(timeline, 3)
    assert lines[0].startswith("token ")
    assert lines[1].startswith("made by the device at ")
    view.get_by_role("button", name="next").click()
    assert view.locator(".chart h3").first.text_content() != title


def test_a_request_of_any_point_of_a_sweep_opens(visit: Any) -> None:
    opened = visit("sweep")
    view = opened.view("requests")
    opened.choose("requests", "policy", "server_only")
    before = tip_at(view.locator(".chart").first, 0)
    opened.choose("requests", "run", 1)
    opened.choose("requests", "policy", "server_only")
    after = tip_at(view.locator(".chart").first, 0)
    assert before[0] == after[0]  # the same token of the same request
    assert before[2] != after[2]  # over another last hop it comes at another time


def test_a_sweep_is_seen_along_every_axis(visit: Any) -> None:
    opened = visit("sweep")
    chart = opened.view("grid").locator(".chart")
    assert chart.locator("h3").text_content() == "Mean time to first token against budget; link = none"
    lines = tip_at(chart, 0)
    assert lines[1:3] == ["budget = 0.2", "link = none"]
    assert lines[-2].endswith("3 replications")
    assert lines[-1].startswith("with inputs ± ")
    opened.choose("grid", "against", "link")
    opened.choose("grid", "metric", "QoE")
    assert chart.locator("h3").text_content() == "QoE against link; budget = 0.2"
    opened.view("grid").get_by_role("button", name=MARKUP).click()
    assert chart.locator(".mark").count() == 2 * 2


def test_a_papers_table_is_a_chart_and_its_figure_a_picture(visit: Any) -> None:
    opened = visit("figures")
    assert tip_at(opened.view("grid").locator(".chart"), 3)[0] == HOSTILE
    assert opened.page.locator("figure img").first.evaluate("image => image.complete && image.naturalWidth > 0")


@pytest.mark.parametrize("kind", KINDS)
def test_on_a_phone_the_page_does_not_scroll_sideways(kind: str, visit: Any) -> None:
    opened = visit(kind, width=390)
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 390
    boxes = opened.page.locator(".chart > svg").evaluate_all("nodes => nodes.map(n => n.getBoundingClientRect().right)")
    assert boxes
    assert max(boxes) <= 390
    hidden = "nodes => nodes.filter(n => n.scrollWidth > n.clientWidth + 1).map(n => n.textContent)"
    assert opened.page.locator(".flows, .claim, .claim *").evaluate_all(hidden) == []


def test_the_policy_of_the_page_stops_what_slips_in(browser: Any, reports: dict[str, Path], tmp_path: Path) -> None:
    """Even if an escape were forgotten: markup that is put into the page by hand neither runs nor loads."""
    page = reports["run"].read_text(encoding="utf-8")
    path = tmp_path / "broken.html"
    slipped = f"<main>{MARKUP}<script>document.title = 'run'</script>"
    path.write_text(page.replace("<main>", slipped, 1), encoding="utf-8")
    opened = Visit(browser, path)
    assert opened.page.title() == "small"
    assert "dialog" not in opened.troubles
    assert sum("Content Security Policy" in trouble for trouble in opened.troubles) >= 2
    opened.page.close()
