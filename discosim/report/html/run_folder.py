"""The page of one run: policies compared, TTFT, cost, single requests, and where it all comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discosim.core.errors import UserError
from discosim.metrics.definitions import DEFINITIONS
from discosim.metrics.targets import TARGET_NUMBERS
from discosim.report.cells import half_width
from discosim.report.folder_summary import folder_summary
from discosim.report.html.conditions import (
    config_section,
    files_section,
    inputs_section,
    machine_facts,
    provenance_section,
)
from discosim.report.html.looks import policy_looks
from discosim.report.html.markup import Group, Html, details, join, table, tag
from discosim.report.html.numbers import Metric
from discosim.report.html.page import Page, Section, chart_host, opening
from discosim.report.html.policy_groups import groups_of, kinds_of
from discosim.report.html.requests import examples_data
from discosim.report.html.run_answer import answer, question
from discosim.report.input_rows import beyond_sentence, counted_inputs, with_inputs
from discosim.report.tables import PlainSummary, number, read_columns
from discosim.runs.folder import SERIES
from discosim.runs.kept_targets import kept_targets
from discosim.runs.provenance import WARNING
from discosim.runs.whole import checked_facts

if TYPE_CHECKING:
    import pandas as pd

CDF_POINTS = 200
"""Most points of one curve."""

LOG_FROM_RATIO = 100.0
COLUMNS = (
    "ttft_mean_s", "ttft_p99_s", "unified_cost_mean_usd", "server_cost_mean_usd", "device_energy_mean_j", "accuracy",
    "quality_assumed_mean", "qoe_andes_mean", "tbt_pooled_p99_s",
)  # fmt: skip
"""Columns of the table, where the run knows them."""
MORE = (
    "e2e_mean_s", "tpot_mean_s", "n_tok_late_mean", "ttft_target_attainment", "budget_used_server",
    "budget_used_device", "n_migrations_mean", "n_tok_wasted_share",
)  # fmt: skip
"""Columns of the folded one."""
ON_PHONES = ("ttft_mean_s", "unified_cost_mean_usd")
"""Those that a narrow screen shows first."""
CHANGES = ("ttft_mean_s", "ttft_p99_s", "qoe_andes_mean", "unified_cost_mean_usd")
FIELDS = (
    "mean", "half_width", "diff", "diff_half_width", "change_pct", "change_half_width_pct", "luck_half_width",
    "luck_diff_half_width", "luck_change_half_width_pct",
)  # fmt: skip
"""Numbers of a metric and policy that the chart gets; half-widths are those with inputs, luck alone where apart."""


def run_page(folder: Path, targets: Mapping[str, float] | None = None) -> Page:
    """Return the page of a result folder; targets that are kept in it count where none are given.

    Raises
    ------
    UserError
        If summary.json or run.json is missing, or a file is not as the run wrote it. Other files may be missing: what
        would be made of them is left out.
    """
    run = checked_facts(folder)
    summary = folder_summary(folder, targets or kept_targets(folder))
    config = _config(folder)
    title = str(config.get("name") or folder.resolve().name)
    policies, kinds = list(summary["policies"]), kinds_of(config)
    groups = groups_of(policies, kinds, summary["baseline"])
    sections = [Section(name="policies", title="Policies compared", body=_policies(summary, groups))]
    data: dict[str, Any] = {
        "kind": "run",
        "policies": policy_looks(policies, summary["baseline"]),
        "order": [policies.index(policy) for names in groups.values() for policy in names],
        "summary": _summary_data(summary),
    }
    requests_file = folder / "requests.parquet"
    if requests_file.is_file():
        data["cdf"] = _cdf_data(requests_file, policies)
        sections.append(Section(name="ttft", title="Time to first token", body=chart_host("cdf")))
    sections.append(Section(name="cost", title="Cost against waiting", body=chart_host("cost")))
    if examples := examples_data({title: folder}, policies):
        data["examples"] = examples
        sections.append(Section(name="requests", title="Single requests", body=chart_host("requests")))
    if (folder / SERIES).is_file() and (series := _series_data(folder / SERIES, policies)):
        data["series"] = series
        sections.append(Section(name="server", title="The server over time", body=chart_host("series")))
    sections.append(inputs_section(run.get("inputs_sha256", {}), notes=summary.get("notes", ())))
    others = [config_section(folder / "config.yaml"), files_section(folder, run.get("files", {}))]
    sections.append(
        provenance_section(
            [("seed", run.get("seed", "")), ("replications", summary["n_replications"]), *machine_facts(run)],
            others,
        )
    )
    seed = int(run.get("seed") or 0)
    said, rest = answer(summary, folder, seed, kinds)
    minds = [note.removeprefix(WARNING).strip() for note in summary.get("notes", ()) if note.startswith(WARNING)]
    minds += _missing(folder, run.get("files", {}))
    lead = opening(question(summary, config), said, rest, minds)
    return Page(title=title, lead=lead, sections=sections, data=data)


def _missing(folder: Path, recorded: Iterable[str]) -> list[str]:
    """Return a sentence about what the run wrote and the folder no longer holds."""
    names = [name for name in recorded if not (folder / name).exists()]
    return [f"Not there any more: {', '.join(names)}. What it held is not on this page."] if names else []


def _config(folder: Path) -> dict[str, Any]:
    """Return the resolved scenario as plain data; {} where the folder has none."""
    path = folder / "config.yaml"
    if not path.is_file():
        return {}
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"not a readable YAML file ({error})", where=str(path)) from None
    return content if isinstance(content, dict) else {}


def _policies(summary: PlainSummary, groups: Mapping[str, Sequence[str]]) -> Html:
    policies = [policy for names in groups.values() for policy in names]
    n = int(summary["n_replications"])
    words = (
        f"Mean ± half-width of the {_level(summary)} interval over {n} replications{with_inputs(summary)}."
        if n > 1
        else "Means of one replication, so there are no intervals."
    )
    body = [
        chart_host("policies"),
        _table(summary, groups, (*COLUMNS, *TARGET_NUMBERS), "Policies"),
        tag("p", words, class_="about"),
    ]
    if sentence := beyond_sentence(summary):
        body.append(tag("p", f"* {sentence[0].upper()}{sentence[1:]}.", class_="about"))
    more = details("More numbers", _table(summary, groups, MORE, "More numbers"))
    return join(*body, *_changes(summary, policies), more, *_rows_behind(summary, policies))


def _table(summary: PlainSummary, groups: Mapping[str, Sequence[str]], names: Sequence[str], label: str) -> Html:
    policies = [policy for group in groups.values() for policy in group]
    known = [metric for name in names if (metric := Metric(name, summary, policies)).is_known]
    rows = [
        Group(group if len(groups) > 1 else "", [[p, *(metric.cells([p])[0] for metric in known)] for p in of_group])
        for group, of_group in groups.items()
    ]
    first = {0, *(k + 1 for k, metric in enumerate(known) if metric.name in ON_PHONES)}
    return table(("policy", *(head(metric) for metric in known)), rows, label, first=first if len(first) > 1 else ())


def head(metric: Metric) -> Html:
    """Return the heading of a metric's column: its name, and below the unit."""
    unit = metric.unit.head
    return join(metric.words, *([" ", tag("span", unit, class_="unit")] if unit else []))


def _level(summary: PlainSummary) -> str:
    return f"{100 * float(summary.get('level', 0.95)):g} %"


def _changes(summary: PlainSummary, policies: Sequence[str]) -> list[Html]:
    """Return the paired changes to the baseline."""
    n, baseline = int(summary["n_replications"]), str(summary["baseline"])
    others = [policy for policy in policies if policy != baseline]
    known = [metric for name in CHANGES if (metric := Metric(name, summary, policies)).is_known]
    if not others or not known:
        return []
    heads: list[object] = ["policy"]
    columns: list[Sequence[object]] = [others]
    first = {0}
    for metric in known:
        if metric.name in ON_PHONES:
            first.add(len(heads) + 1)
        heads += [head(metric), join(metric.words, " ", tag("span", "%", class_="unit"))]
        columns += [metric.cells(others, "diff"), metric.cells(others, "change_pct")]
    rows = list(zip(*columns, strict=True))
    paired = f", paired over {n} replications with the same luck" if n > 1 else ""
    return [details(f"Change against {baseline}{paired}", table(heads, rows, "Changes", first=first))]


def _rows_behind(summary: PlainSummary, policies: Sequence[str]) -> list[Html]:
    """Return half-widths by luck alone beside those with inputs; [] where no input has few rows."""
    if not counted_inputs(summary) or int(summary["n_replications"]) < 2:
        return []
    parts: list[Html] = []
    others = [policy for policy in policies if policy != summary["baseline"]]
    for prefix, whose, what in (
        ("", policies, "Half-widths by luck alone, the rows behind the inputs taken for the truth, and with inputs."),
        ("diff_", others, f"The same of the change against {summary['baseline']}."),
    ):
        heads: list[object] = ["policy"]
        columns: list[Sequence[object]] = [whose]
        for metric in (Metric(name, summary, policies) for name in CHANGES):
            for said, key in (("luck", f"luck_{prefix}half_width"), ("with inputs", f"{prefix}half_width")):
                halves = [metric.unit.factor * number(summary, policy, metric.name, key) for policy in whose]
                unit = f"{metric.unit.head}, {said}" if metric.unit.head else said
                heads.append(join(metric.words, " ", tag("span", unit, class_="unit")))
                columns.append([half_width(half) for half in halves])
        if whose:
            rows = list(zip(*columns, strict=True))
            parts += [tag("p", what), table(heads, rows, "Luck and inputs", first={0, 1, 2})]
    return [details("How much of the intervals is luck, and how much the inputs", *parts)]


def _summary_data(summary: PlainSummary) -> dict[str, Any]:
    """Return every metric that is defined for some policy, in a unit to be read, as rows of numbers per policy."""
    metrics, policies = [], list(summary["policies"])
    for name, facts_of_metric in summary.get("metrics", {}).items():
        metric = Metric(name, summary, policies)
        if not metric.is_known:
            continue
        factors = [1.0 if "pct" in field else metric.unit.factor for field in FIELDS]
        rows = [[f * number(summary, p, name, key) for f, key in zip(factors, FIELDS, strict=True)] for p in policies]
        known = DEFINITIONS.get(name)
        metrics.append(
            {
                "name": name,
                "label": metric.words,
                "unit": metric.unit.unit,
                "prefix": metric.unit.prefix,
                "per": metric.unit.per,
                "direction": facts_of_metric["direction"],
                "about": "" if known is None else known.description,
                "rows": rows,
            }
        )
    return {"n": int(summary["n_replications"]), "level": float(summary.get("level", 0.95)), "metrics": metrics}


def _cdf_data(path: Path, policies: list[str]) -> dict[str, Any]:
    """Return the distribution of TTFT per policy: the picture's table, at fewer points."""
    from discosim.report.figures.ttft_cdf import COLUMNS, ttft_cdf_table

    table_of_all = ttft_cdf_table(read_columns(path, COLUMNS), policies)
    curves = []
    for policy in policies:
        rows = table_of_all[table_of_all["policy"] == policy]
        curves.append(_curve(rows) if len(rows) else None)
    known = [curve for curve in curves if curve is not None]
    low = min((min(curve["x"]) for curve in known), default=1.0)
    high = max((max(curve["x"]) for curve in known), default=1.0)
    return {"curves": curves, "isLog": low > 0.0 and high / low > LOG_FROM_RATIO}


def _series_data(path: Path, policies: list[str]) -> dict[str, Any]:
    """Return the server over time per policy: the picture's table, first replication; empty where it did nothing."""
    from discosim.report.figures.server_series import COLUMNS, PANELS, server_series_table

    series = read_columns(path, COLUMNS)
    known = set(series["policy"].unique())
    table_of_all = server_series_table(series, [policy for policy in policies if policy in known])
    if table_of_all.empty:
        return {}
    curves: list[dict[str, list[float]] | None] = []
    for policy in policies:
        rows = table_of_all[table_of_all["policy"] == policy]
        columns = ("t_s", *(name for name, _ in PANELS))
        curves.append({name: rows[name].tolist() for name in columns} if len(rows) else None)
    panels = [{"name": name, "label": label} for name, label in PANELS]
    return {"curves": curves, "panels": panels, "stepS": float(table_of_all["step_s"].iloc[0])}


def _curve(rows: pd.DataFrame) -> dict[str, Any]:
    """Thin out one curve to points that lie evenly along its way: in time, in share, and in the tail's logarithm."""
    import numpy as np

    share = rows["share"].to_numpy()
    left = np.log10(np.maximum(1.0 - share, 1e-5))
    way = np.concatenate([[0.0], np.cumsum(1.0 / len(rows) + np.abs(np.diff(share)) + np.abs(np.diff(left)) / 5.0)])
    kept = np.searchsorted(way, np.linspace(0.0, way[-1], CDF_POINTS // 2)).clip(0, len(rows) - 1)
    # with the point before each, so that a step stays a step
    thin = rows.iloc[np.unique(np.concatenate([kept, np.maximum(kept - 1, 0)]))]
    return {
        "x": thin["ttft_s"].tolist(),
        "share": thin["share"].tolist(),
        "low": thin["share_low"].tolist(),
        "high": thin["share_high"].tolist(),
        "failed": float(rows["failed_share"].iloc[0]),
        "n": int(rows["n_served"].iloc[0]),
    }
