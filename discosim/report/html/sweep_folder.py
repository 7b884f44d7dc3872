"""The page of a sweep: each metric against what was varied, the paired differences, and where it all comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discosim.core.errors import UserError
from discosim.metrics.definitions import DEFINITIONS
from discosim.report.columns import decimals_for
from discosim.report.html.conditions import config_section, inputs_section, machine_facts
from discosim.report.html.grid import Axis, axis_of, grid
from discosim.report.html.looks import policy_looks
from discosim.report.html.markup import Html, badge, details, facts, join, shown_number, table, tag
from discosim.report.html.page import Page, Section, chart_host
from discosim.report.html.requests import examples_data
from discosim.report.tables import read_summary
from discosim.runs.facts import read_facts
from discosim.sweep import load_results
from discosim.sweep.axes import shown
from discosim.sweep.compare import Place, differences_of
from discosim.sweep.file import Compare
from discosim.sweep.plan import Run
from discosim.sweep.rules import HEAD
from discosim.sweep.run import differences_table
from discosim.sweep.store import COMPARISONS, Store
from discosim.sweep.table import policies_of

if TYPE_CHECKING:
    import pandas as pd

FIRST = ("ttft_mean_s", "ttft_p99_s", "qoe_andes_mean", "unified_cost_mean_usd")
"""Metrics that come first; those that the sweep compares come before them."""

VERDICTS = {"better": "firm", "no worse": "firm", "equal": "firm", "worse": "against"}
"""How the words of a comparison look; every other one is open."""


def sweep_page(folder: Path) -> Page:
    """Return the page of a sweep's folder.

    Raises
    ------
    UserError
        If plan.json or a run cannot be read, or no run is finished yet.
    """
    store = Store(folder)
    plan = store.read_plan()
    results = load_results(folder)
    finished = results[results["status"] == "finished"]
    if finished.empty:
        raise UserError("no run of this sweep is finished yet, so there is nothing to report", where=str(folder))
    state = store.state(store.planned())
    differences = _comparisons(folder, plan, results)
    first_run = store.path(state.finished[0]) if state.finished else None
    summary = read_summary(first_run / "summary.json") if first_run is not None else {}
    # in the order of the scenario, so that each policy has the colour it has in the figures of a run
    policies = list(dict.fromkeys([*summary.get("policies", ()), *policies_of(finished)]))
    sections = [Section(name="metrics", title="Against what was varied", body=chart_host("grid"))]
    if differences is not None:
        paths = [path for axis in plan["axes"] for path in axis["paths"]]
        sections.append(Section(name="differences", title="Paired differences", body=_differences(differences, paths)))
    if examples := examples_data(_first_runs(store, plan, state.finished), policies):
        sections.append(Section(name="requests", title="Single requests", body=chart_host("requests")))
    inputs = [point.get("inputs_sha256", {}) for point in plan["points"]]
    sections.append(inputs_section(*inputs, notes=summary.get("notes", ())))
    if state.failed:
        sections.append(Section(name="failures", title="Failed runs", body=_failures(state.failures, plan)))
    if state.damaged:
        rows = [[tag("code", name), reason] for name, reason in state.damaged.items()]
        body = join(table(("run", "what is wrong"), rows, "Damaged runs", flows_on_phones=True), tag("p", AGAIN))
        sections.append(Section(name="damaged", title="Damaged runs", body=body))
    run = read_facts(first_run) if first_run is not None else {}
    config = config_section(first_run / "config.yaml") if first_run is not None else None
    if config is not None:
        words = tag("p", "Of the first run; the others differ in seed and in what was varied.")
        sections.append(Section(name=config.name, title=config.title, body=join(words, config.body)))
    data = {
        "kind": "sweep",
        "policies": policy_looks(policies),
        "grids": [_grid(plan, finished, policies, differences)],
        **({"examples": examples} if examples else {}),
    }
    name = f"{plan['name']}, profile {plan['profile']}" if plan.get("profile") else str(plan["name"])
    n = (len(state.finished), len(state.failed), len(state.missing))
    return Page(title=f"Sweep {name}", lead=_lead(plan, run, n), sections=sections, data=data)


def _lead(plan: Mapping[str, Any], run: Mapping[str, Any], counts: tuple[int, int, int]) -> Html:
    n_points, n_seeds = len(plan["points"]), len(plan["seeds"])
    finished, failed, missing = counts
    what = (
        f"{n_points} points with {n_seeds} seeds each: {finished} runs finished, {failed} failed, {missing} missing. "
        "A seed is one replication of every point, and the replication is the sample of all intervals."
    )
    of_one_run = {"wall time", "peak memory", "command"}
    machine = [(name, value) for name, value in machine_facts(run) if name not in of_one_run]
    axes = [(", ".join(axis["paths"]), _values(axis)) for axis in plan["axes"]]
    pairs = [("seeds", ", ".join(map(str, plan["seeds"]))), *machine]
    return join(
        tag("p", what),
        tag("p", "Varied:"),
        tag("ul", *(tag("li", tag("code", path), ": ", values) for path, values in axes)),
        facts([(name, value) for name, value in pairs]),
    )


def _values(axis: Mapping[str, Any]) -> str:
    return ", ".join(_step_text(step) for step in axis["values"])


def _step_text(step: Mapping[str, Any]) -> str:
    """Return one step of an axis; paths that go together and have one value show it once."""
    return " / ".join(dict.fromkeys(shown(value) for value in step.values()))


def _grid(
    plan: Mapping[str, Any], finished: pd.DataFrame, policies: Sequence[str], differences: pd.DataFrame | None
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
    return grid(plan["name"], finished, axes, places, policies, metrics, first=first)


def _axes(plan: Mapping[str, Any]) -> tuple[list[Axis], list[list[Any]]]:
    """Return the axes, and for each its steps as the values that the axis is made of."""
    axes, steps = [], []
    for axis in plan["axes"]:
        values = [_one_value(step) for step in axis["values"]]
        steps.append(values)
        axes.append(axis_of(_label(axis["paths"]), values))
    return axes, steps


def _label(paths: Sequence[str]) -> str:
    """Return the last word of the paths that go together, or all of them where the last words differ."""
    words = list(dict.fromkeys(path.rpartition(".")[2] for path in paths))
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


def _comparisons(folder: Path, plan: Mapping[str, Any], results: pd.DataFrame) -> pd.DataFrame | None:
    """Return the paired differences, from the runs; of a sweep by an earlier version, as comparisons.csv has them."""
    if plan.get("compare") is not None:
        compares = [Compare(**entry) for entry in plan["compare"]]
        places = [Place(i, point["values"]) for i, point in enumerate(plan["points"])]
        computed = differences_of(compares, places, results, plan["seeds"])
        return differences_table(computed) if computed else None
    path = folder / COMPARISONS
    if not path.is_file():
        return None
    import pandas as pd

    try:
        found = pd.read_csv(path)
    except (ValueError, OSError) as error:
        raise UserError(f"not a readable CSV file ({error})", where=str(path)) from None
    numbers = ("n", "mean", "baseline_mean", "diff", "low", "high")
    for name in ("compare", "metric", "policy", "baseline", "verdict", *numbers):
        if name not in found.columns or (name in numbers and found[name].dtype.kind not in "iuf"):
            raise UserError(f"no column '{name}'{' of numbers' if name in numbers else ''}", where=str(path))
    return found if len(found) else None


def _differences(found: pd.DataFrame, paths: Sequence[str]) -> Html:
    parts = [tag("p", "Intervals are paired over the same luck. Amber marks what the seeds do not decide.")]
    for name, rows in found.groupby("compare", sort=False):
        first = rows.iloc[0]
        known = DEFINITIONS.get(str(first["metric"]))
        varied = [path for path in paths if path in rows.columns]
        labels = {path: path.rpartition(".")[2] for path in varied}
        chosen = list({(labels[path], *map(str, rows[path])): path for path in reversed(varied)}.values())[::-1]
        unit = "" if known is None else f" [{known.unit}]"
        head = [
            *(labels[path] for path in chosen), "n", str(first["policy"]), f"against {first['baseline']}",
            f"difference{unit}", "interval", "verdict",
        ]  # fmt: skip
        places = decimals_for([*rows["mean"], *rows["baseline_mean"]])
        change = max(places, decimals_for(rows["diff"].tolist()))
        body = [
            [
                *(f"{row[path]}" for path in chosen),
                f"{row['n']}",
                *(shown_number(row[column], places) for column in ("mean", "baseline_mean")),
                shown_number(row["diff"], change, "+"),
                f"[{shown_number(row['low'], change, '+')}, {shown_number(row['high'], change, '+')}]",
                badge(str(row["verdict"]), VERDICTS.get(str(row["verdict"]), "weak")),
            ]
            for _, row in rows.iterrows()
        ]
        words = "" if known is None or known.direction == "neutral" else f"; {known.direction} is better"
        inner = join(tag("h3", f"{name}{words}"), table(head, body, str(name), flows_on_phones=True))
        parts.append(inner)
    return join(*parts)


def _first_runs(store: Store, plan: Mapping[str, Any], runs: Sequence[Run]) -> dict[str, Path]:
    """Return one finished run of each point, by the values of the point."""
    found: dict[int, Run] = {}
    for run in sorted(runs, key=lambda run: (run.point, run.seed)):
        found.setdefault(run.point, run)
    return {f"{_point_text(plan['points'][point])}, seed {run.seed}": store.path(run) for point, run in found.items()}


def _point_text(point: Mapping[str, Any]) -> str:
    """Return the values of a point in a few words; paths that end alike and have one value show it once."""
    words = {f"{path.rpartition('.')[2]} = {shown(value)}": None for path, value in point["values"].items()}
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
