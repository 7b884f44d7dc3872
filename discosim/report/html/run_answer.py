"""What a run was asked, and what it answers, in sentences a reader meets first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from discosim.report.cases import listed
from discosim.report.html.numbers import Metric, texts
from discosim.report.html.policy_groups import is_bound
from discosim.report.html.ties import ties
from discosim.report.input_rows import counted_inputs, few_rows
from discosim.report.tables import PlainSummary, number

WAIT, COST = "ttft_mean_s", "unified_cost_mean_usd"
FEW_REPLICATIONS = 5
"""Below so many, intervals are said to rest on little. Source: our choice; t is 2.8 with five, 12.7 with two."""


def question(summary: PlainSummary, config: Mapping[str, object]) -> str:
    """Return what is compared, on what."""
    policies, baseline, n = list(summary["policies"]), str(summary["baseline"]), int(summary["n_replications"])
    each = number(summary, baseline, "n_requests")
    what = f"{each:,.0f} requests" if math.isfinite(each) else "the same requests"
    where = _setting(config)
    with_ = f" with {where}" if where else ""
    times = "once" if n == 1 else f"{n} times with other luck"
    others = [policy for policy in policies if policy != baseline]
    if not others:
        return f"How long do readers wait, and what does it cost, under {baseline}? {what}{with_}, run {times}."
    subject = listed(others) if len(others) <= 6 else f"each of {len(others)} policies"
    return (
        f"How long do readers wait for the first token, and what does it cost, under {subject} compared with "
        f"{baseline}? All meet the same {what}{with_}, {times}."
    )


def _setting(config: Mapping[str, object]) -> str:
    """Return device, server and last hop of a scenario in a few words."""
    devices, server, link = config.get("devices"), config.get("server"), config.get("link")
    parts = []
    names = [str(one.get("profile") or one.get("name") or "") for one in _dicts(devices)]
    if any(names):
        parts.append(f"the device {names[0]}" if len(names) == 1 else f"{len(names)} kinds of devices")
    if isinstance(server, dict) and server.get("kind"):
        name = server.get("digest") or (server.get("iterations") or {}).get("digest") or ""
        word = "an engine" if server["kind"] == "engine" else "the service"
        parts.append(f"{word} {name}".strip() if name else f"a server of kind {server['kind']}")
    if isinstance(link, dict) and link.get("kind") not in (None, "none"):
        parts.append(f"the last hop {link['digest']}" if link.get("digest") else f"a last hop of kind {link['kind']}")
    return ", ".join(parts)


def _dicts(value: object) -> list[dict[str, object]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def answer(summary: PlainSummary, folder: Path, seed: int, kinds: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return the answer in a sentence, and what else belongs to it.

    The sentence goes by the mean time to first token. A bound is no answer: it knows what a service would not. Who
    cannot be told from the best one by paired differences is named.
    """
    policies, baseline = list(summary["policies"]), str(summary["baseline"])
    wait, cost = Metric(WAIT, summary, policies), Metric(COST, summary, policies)
    running = [p for p in policies if math.isfinite(wait.numbers(p)[0]) and not is_bound(p, kinds)]
    if not running:
        return "No request was answered, so there is no time to first token to compare.", []
    best = min(running, key=lambda p: wait.numbers(p)[0])
    n = int(summary["n_replications"])
    rest: list[str] = []
    if len(running) == 1:
        said = f"Under {best} the mean time to first token is {wait.text(best)}."
    elif n < 2:
        said = (
            f"{best} has the shortest mean time to first token here, {wait.text(best)}"
            f"{_against(wait, best, baseline)}; with one replication nothing says how much of that is luck."
        )
    else:
        others = [p for p in running if p != best]
        same, is_whole = ties(folder, seed, best, others, WAIT, has_few_rows=bool(counted_inputs(summary)))
        said = _sentence(wait, best, baseline, same, others)
        if not is_whole:
            rest.append(
                "Who is like the best was judged by luck alone: an input of the run is not to be had as it was."
            )
    rest += _costs(cost, best, baseline, running)
    bounds = [p for p in policies if is_bound(p, kinds) and math.isfinite(wait.numbers(p)[0])]
    if bounds:
        reached = "; ".join(f"{p} {wait.text(p)}" for p in bounds)
        rest.append(f"Bounds, for comparison: {reached}.")
    return said, [*rest, *_how_sure(summary, n)]


def _against(wait: Metric, best: str, baseline: str) -> str:
    if best == baseline or not math.isfinite(wait.numbers(baseline)[0]):
        return ""
    return f" against {wait.text(baseline)} under {baseline}"


def _sentence(wait: Metric, best: str, baseline: str, same: Sequence[str], others: Sequence[str]) -> str:
    alike = [p for p in same if p != baseline]
    beside = f"; {listed(alike)} cannot be told from it" if alike else ""
    if len(same) == len(others):
        return (
            f"No policy can be told from another by its mean time to first token: the differences may be chance "
            f"(shortest: {best}, {wait.text(best)})."
        )
    if best == baseline:
        return (
            f"Nobody gives the first token sooner than the baseline {baseline} ({wait.text(best)} on average){beside}."
        )
    if baseline in same:
        return (
            f"{best} has the shortest mean time to first token, {wait.text(best)}, but it cannot be told from the "
            f"baseline {baseline} ({wait.text(baseline)}){beside}."
        )
    change, half = wait.numbers(best, "change_pct")
    less = f", {_percent(change, half)} than under the baseline {baseline}" if math.isfinite(change) else ""
    return f"{best} gives the first token soonest: after {wait.text(best)} on average{less}{beside}."


def _costs(cost: Metric, best: str, baseline: str, running: Sequence[str]) -> list[str]:
    known = [p for p in running if math.isfinite(cost.numbers(p)[0])]
    if best not in known or len(known) < 2 or all(cost.numbers(p)[0] == 0.0 for p in known):
        return []
    per = cost.unit.per
    change, half = cost.numbers(best, "change_pct")
    beside = ""
    if best != baseline and math.isfinite(change):
        unsure = math.isfinite(half) and abs(change) <= half
        beside = f", about what {baseline} costs" if unsure else f", {_percent(change, half)} than {baseline}"
    cheapest = min(known, key=lambda p: cost.numbers(p)[0])
    sentence = f"{best} costs {cost.text(best)} {per}{beside}"
    return [
        f"{sentence}, and nobody costs less."
        if cheapest == best
        else f"{sentence}; {cheapest} costs least, {cost.text(cheapest)}."
    ]


def _percent(change: float, half: float) -> str:
    """Return a change as ``54 % less`` or ``7 ± 2 % more``."""
    size, width = texts(abs(change), half)
    return f"{size}{f' ± {width}' if width else ''}\xa0% {'less' if change < 0.0 else 'more'}"


def _how_sure(summary: PlainSummary, n: int) -> list[str]:
    """Return what makes the answer weaker than it looks."""
    said = []
    failed = {p: number(summary, p, "n_failed") for p in summary["policies"]}
    some = [p for p, value in failed.items() if math.isfinite(value) and value > 0.0]
    if some:
        shares = (f"{p} {failed[p] / number(summary, p, 'n_requests'):.2%}" for p in some)
        said.append(f"Times are of finished requests; not answered were: {', '.join(shares)}.")
    if 2 <= n < FEW_REPLICATIONS:
        word = {2: "two", 3: "three", 4: "four"}[n]
        said.append(f"There are only {word} replications, so the intervals themselves are known badly.")
    if n > 1 and (rows := few_rows(summary)):
        said.append(f"Intervals hold luck and what few rows of inputs leave open ({rows}).")
    return said
