"""The page of a sweep: each metric against what was varied, the paired differences, and where it all comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discosim.core.errors import UserError
from discosim.metrics.labels import key_label
from discosim.metrics.targets import TARGET_NUMBERS, targets_text
from discosim.report.cases import counted, listed
from discosim.report.html.conditions import config_section, inputs_section, machine_facts, provenance_section
from discosim.report.html.grid import Axis, axis_of, grid
from discosim.report.html.looks import policy_looks
from discosim.report.html.markup import Html, details, join, table, tag
from discosim.report.html.page import Page, Section, chart_host, opening
from discosim.report.html.requests import examples_data
from discosim.report.html.run_answer import FEW_REPLICATIONS
from discosim.report.html.sweep_differences import data_of, sentences, sweep_differences, tables
from discosim.report.tables import read_summary
from discosim.runs.facts import read_facts
from discosim.runs.kept_targets import kept_targets
from discosim.runs.provenance import WARNING
from discosim.sweep import load_results
from discosim.sweep.axes import shown
from discosim.sweep.finished_inputs import value_half_widths
from discosim.sweep.plan import Run
from discosim.sweep.rules import HEAD
from discosim.sweep.store import Store
from discosim.sweep.table import policies_of
from discosim.sweep.targets import table_with_targets

if TYPE_CHECKING:
    import pandas as pd

FIRST = ("ttft_mean_s", "ttft_p99_s", "qoe_andes_mean", "unified_cost_mean_usd")
"""Metrics that come first; those that the sweep compares come before them."""


def sweep_page(folder: Path, targets: Mapping[str, float] | None = None) -> Page:
    """Return the page of a sweep's folder; targets that are kept in it count where none are given.

    Raises
    ------
    UserError
        If plan.json or a run cannot be read, or no run is finished yet.
    """
    store = Store(folder)
    plan = store.read_plan()
    results, targets = load_results(folder), targets or kept_targets(folder)
    if targets:
        results = table_with_targets(store, results, targets)
    finished = results[results["status"] == "finished"]
    if finished.empty:
        raise UserError("no run of this sweep is finished yet, so there is nothing to report", where=str(folder))
    state = store.state(store.planned())
    differences, why = sweep_differences(folder, plan, results, store)
    first_run = store.path(state.finished[0]) if state.finished else None
    summary = read_summary(first_run / "summary.json") if first_run is not None else {}
    # in the order of the scenario, so that each policy has the colour it has in the figures of a run
    policies = list(dict.fromkeys([*summary.get("policies", ()), *policies_of(finished)]))
    paths = [path for axis in plan["axes"] for path in axis["paths"]]
    sections = []
    if differences is not None:
        body = [chart_host("differences"), tables(differences, paths)]
        if why:
            body.append(tag("p", f"Intervals are by luck alone: {why}.", class_="about"))
        sections.append(Section(name="differences", title="Paired differences", body=join(*body)))
    sections.append(Section(name="metrics", title="Against what was varied", body=chart_host("grid")))
    if examples := examples_data(_first_runs(store, plan, state.finished), policies):
        sections.append(Section(name="requests", title="Single requests", body=chart_host("requests")))
    if state.failed:
        sections.append(Section(name="failures", title="Failed runs", body=_failures(state.failures, plan)))
    if state.damaged:
        rows = [[tag("code", name), reason] for name, reason in state.damaged.items()]
        body_of_damaged = join(
            table(("run", "what is wrong"), rows, "Damaged runs", flows_on_phones=True), tag("p", AGAIN)
        )
        sections.append(Section(name="damaged", title="Damaged runs", body=body_of_damaged))
    inputs = [point.get("inputs_sha256", {}) for point in plan["points"]]
    sections.append(inputs_section(*inputs, notes=summary.get("notes", ())))
    run = read_facts(first_run) if first_run is not None else {}
    config = None
    if first_run is not None:
        words = "Of the first run; the others differ in seed and in what was varied."
        config = config_section(first_run / "config.yaml", words)
    of_one_run = {"wall time", "peak memory", "command"}
    machine = [(name, value) for name, value in machine_facts(run) if name not in of_one_run]
    axes = [("varied: " + ", ".join(axis["paths"]), _values(axis)) for axis in plan["axes"]]
    seeds: tuple[str, object] = ("seeds", ", ".join(map(str, plan["seeds"])))
    sections.append(provenance_section([*axes, seeds, *machine], [config]))
    data = {
        "kind": "sweep",
        "policies": policy_looks(policies),
        "grids": [_grid(plan, finished, policies, differences, store, targets)],
        **({} if differences is None else {"differences": data_of(differences, paths)}),
        **({"examples": examples} if examples else {}),
    }
    name = f"{plan['name']}, profile {plan['profile']}" if plan.get("profile") else str(plan["name"])
    n = (len(state.finished), len(state.failed), len(state.missing))
    said, rest = _answer(finished, differences, policies, plan, n)
    minds = [note.removeprefix(WARNING).strip() for note in summary.get("notes", ()) if note.startswith(WARNING)]
    minds += [f"{' and '.join(TARGET_NUMBERS)}: {targets_text(targets)}"] if targets else []
    lead = opening(_question(plan, differences, policies), said, rest, minds)
    return Page(title=f"Sweep {name}", lead=lead, sections=sections, data=data)


def _question(plan: Mapping[str, Any], differences: pd.DataFrame | None, policies: Sequence[str]) -> str:
    """Return what is compared, and what was varied."""
    varied = listed([f"{_label(axis['paths'])} ({_values(axis)})" for axis in plan["axes"]]) if plan["axes"] else ""
    if differences is None:
        subject = f"How do {listed(policies)} fare"
    else:
        pairs = differences[["policy", "baseline"]].drop_duplicates().to_dict("records")
        beside: dict[str, list[str]] = {}
        for pair in pairs:
            beside.setdefault(str(pair["policy"]), []).append(str(pair["baseline"]))
        subject = (
            f"How does {'; how does '.join(f'{own} compare with {listed(others)}' for own, others in beside.items())}"
        )
    n_points, n_seeds = len(plan["points"]), len(plan["seeds"])
    size = f"{counted(n_points, 'point')}, {counted(n_seeds, 'seed')} each"
    return (
        f"{subject} as {varied} change{'s' if len(plan['axes']) == 1 else ''}? {size}."
        if varied
        else f"{subject}? {size}."
    )


def _answer(
    finished: pd.DataFrame,
    differences: pd.DataFrame | None,
    policies: Sequence[str],
    plan: Mapping[str, Any],
    counts: tuple[int, int, int],
) -> tuple[object, list[object]]:
    n_finished, n_failed, n_missing = counts
    state = f"{n_finished} runs finished, {n_failed} failed, {n_missing} missing."
    n_seeds = len(plan["seeds"])
    sure = "A seed is one replication of every point, and the sample of all intervals."
    if n_seeds == 1:
        sure = "There is one seed, so nothing says how much is luck."
    elif n_seeds < FEW_REPLICATIONS:
        sure += f" There are only {n_seeds}, so the intervals themselves are known badly."
    if differences is None:
        return _lowest(finished, policies), [state, sure]
    found = sentences(differences)
    said = found[0] if len(found) == 1 else tag("span", *(tag("span", each, class_="each") for each in found))
    n_rows = len(differences)
    chance = f"Of {n_rows} intervals about {max(1, round(0.05 * n_rows))} will miss the truth by chance alone."
    return said, [*([chance] if n_rows >= 20 else []), state, sure]


def _lowest(finished: pd.DataFrame, policies: Sequence[str]) -> str:
    """Return who has the lowest mean waiting at how many points; not tested, as nobody asked for a comparison."""
    means = finished.pivot_table(index="point", columns="policy", values="ttft_mean_s", sort=False).dropna(how="all")
    if means.empty or len(policies) < 2:
        return "The sweep asks for no comparison; its numbers are below."
    best = means.idxmin(axis=1).value_counts()
    parts = [f"{policy} at {counted(int(best[policy]), 'point')}" for policy in policies if policy in best]
    return (
        f"The shortest mean time to first token is that of {listed(parts)}; by means alone, as the sweep asks for no "
        "comparison (`compare:`)."
    )


def _values(axis: Mapping[str, Any]) -> str:
    return ", ".join(_step_text(step) for step in axis["values"])


def _step_text(step: Mapping[str, Any]) -> str:
    """Return one step of an axis; paths that go together and have one value show it once."""
    return " / ".join(dict.fromkeys(shown(value) for value in step.values()))


def _grid(
    plan: Mapping[str, Any],
    finished: pd.DataFrame,
    policies: Sequence[str],
    differences: pd.DataFrame | None,
    store: Store,
    targets: Mapping[str, float],
) -> dict[str, Any]:
    axes, steps = _axes(plan)
    places_of_point = [
        [_place(axis, steps[k], plan["axes"][k]["values"], point["values"]) for k, axis in enumerate(axes)]
        for point in plan["points"]
    ]
    skipped = {*HEAD, "policy", *(path for axis in plan["axes"] for path in axis["paths"])}
    compared = [] if differences is None else list(dict.fromkeys(differences["metric"]))
    known = [name for name in finished.columns if name not in skipped]
    metrics = [name for name in dict.fromkeys([*compared, *FIRST, *known]) if name in known]
    places = [places_of_point[int(point)] for point in finished["point"]]
    first = compared[0] if compared else FIRST[0]
    asked = [name for name in dict.fromkeys([*compared, *FIRST, *TARGET_NUMBERS]) if name in known]
    halves = value_half_widths(store, finished, asked, targets)
    wide = {(tuple(places_of_point[point]), policy, name): half for (point, policy, name), half in halves.items()}
    return grid(plan["name"], finished, axes, places, policies, metrics, first=first, wide=wide)


def _axes(plan: Mapping[str, Any]) -> tuple[list[Axis], list[list[Any]]]:
    """Return the axes, and for each its steps as the values that the axis is made of."""
    axes, steps = [], []
    for axis in plan["axes"]:
        values = [_one_value(step) for step in axis["values"]]
        steps.append(values)
        axes.append(axis_of(_label(axis["paths"]), values))
    return axes, steps


def _label(paths: Sequence[str]) -> str:
    """Return what was varied in words, or all paths that go together where their words differ."""
    words = list(dict.fromkeys(key_label(path) for path in paths))
    return words[0] if len(words) == 1 else ", ".join(paths)


def _one_value(step: Mapping[str, Any]) -> Any:
    distinct = list({shown(value): value for value in step.values()}.values())
    is_number = len(distinct) == 1 and isinstance(distinct[0], int | float) and not isinstance(distinct[0], bool)
    return distinct[0] if is_number else _step_text(step)


def _place(axis: Axis, values: Sequence[Any], steps: Sequence[Mapping[str, Any]], point: Mapping[str, Any]) -> int:
    """Return where on an axis a point lies."""
    for value, step in zip(values, steps, strict=True):
        if all(point.get(path) == wanted for path, wanted in step.items()):
            return axis.numbers.index(float(value)) if axis.numbers is not None else axis.values.index(str(value))
    return 0


def _first_runs(store: Store, plan: Mapping[str, Any], runs: Sequence[Run]) -> dict[str, Path]:
    """Return one finished run of each point, by the values of the point."""
    found: dict[int, Run] = {}
    for run in sorted(runs, key=lambda run: (run.point, run.seed)):
        found.setdefault(run.point, run)
    return {f"{_point_text(plan['points'][point])}, seed {run.seed}": store.path(run) for point, run in found.items()}


def _point_text(point: Mapping[str, Any]) -> str:
    """Return the values of a point in a few words; paths that end alike and have one value show it once."""
    words = {f"{key_label(path)} = {shown(value)}": None for path, value in point["values"].items()}
    return ", ".join(words)


def _failures(failures: Mapping[str, Mapping[str, Any]], plan: Mapping[str, Any]) -> Html:
    rows = []
    for name, failure in failures.items():
        i = failure.get("point", -1)
        point = plan["points"][i]["values"] if isinstance(i, int) and 0 <= i < len(plan["points"]) else {}
        values = ", ".join(f"{path} = {shown(value)}" for path, value in point.items())
        rows.append([tag("code", name), values, str(failure.get("error", ""))])
    return join(
        table(("run", "point", "error"), rows, "Failed runs", flows_on_phones=True),
        details("What to do", tag("p", AGAIN)),
    )


AGAIN = "The command that made the sweep makes failed, missing and damaged runs again; failures/ holds each traceback."
