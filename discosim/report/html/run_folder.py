"""The page of one run: policies compared, TTFT, cost, single requests, and where it all comes from."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discosim.core.errors import UserError
from discosim.metrics.definitions import DEFINITIONS
from discosim.report.columns import decimals_for
from discosim.report.html.conditions import config_section, files_section, inputs_section, machine_facts
from discosim.report.html.looks import policy_looks
from discosim.report.html.markup import Html, facts, join, shown_number, table, tag
from discosim.report.html.page import Page, Section, chart_host
from discosim.report.html.requests import examples_data
from discosim.report.input_rows import HEADLINE as LUCK
from discosim.report.input_rows import beyond_sentence, counted_inputs, mark, with_inputs
from discosim.report.tables import PlainSummary, number, read_columns, read_summary
from discosim.runs.folder import SERIES
from discosim.runs.whole import checked_facts

if TYPE_CHECKING:
    import pandas as pd

CDF_POINTS = 200
"""Most points of one curve."""

PER_REQUESTS = 1000.0
LOG_FROM_RATIO = 100.0
HEADLINE: tuple[tuple[str, str, str, float, int | None], ...] = (
    ("mean TTFT", "s", "ttft_mean_s", 1.0, None),
    ("p99 TTFT", "s", "ttft_p99_s", 1.0, None),
    ("p99 TBT", "s", "tbt_pooled_p99_s", 1.0, None),
    ("QoE", "1", "qoe_andes_mean", 1.0, 3),
    ("late tokens", "tok", "n_tok_late_mean", 1.0, 3),
    ("server cost per 1,000", "USD", "server_cost_mean_usd", PER_REQUESTS, None),
    ("device energy per 1,000", "kJ", "device_energy_mean_j", 1.0, None),
    ("unified cost per 1,000", "USD", "unified_cost_mean_usd", PER_REQUESTS, None),
)
"""Columns of the table: label, unit, metric, factor, decimals (None: such that about three digits are shown). J per
request and kJ per 1,000 requests are the same number."""

CHANGES = ("ttft_mean_s", "ttft_p99_s", "qoe_andes_mean", "unified_cost_mean_usd")
FIELDS = ("mean", "half_width", "diff", "diff_half_width", "change_pct", "change_half_width_pct")


def run_page(folder: Path) -> Page:
    """Return the page of a result folder.

    Raises
    ------
    UserError
        If summary.json or run.json is missing, or a file is not as the run wrote it. Other files may be missing: what
        would be made of them is left out.
    """
    run = checked_facts(folder)
    summary = read_summary(folder / "summary.json")
    title = _name(folder)
    policies = list(summary["policies"])
    sections = [Section(name="policies", title="Policies compared", body=_policies(summary))]
    data: dict[str, Any] = {
        "kind": "run",
        "policies": policy_looks(policies, summary["baseline"]),
        "summary": _summary_data(summary),
    }
    requests_file = folder / "requests.parquet"
    if requests_file.is_file():
        data["cdf"] = _cdf_data(requests_file, policies)
        sections.append(Section(name="ttft", title="Time to first token (TTFT)", body=chart_host("cdf")))
    sections.append(Section(name="cost", title="Cost against TTFT", body=chart_host("cost")))
    if examples := examples_data({title: folder}, policies):
        data["examples"] = examples
        sections.append(Section(name="requests", title="Single requests", body=chart_host("requests")))
    if (folder / SERIES).is_file() and (series := _series_data(folder / SERIES, policies)):
        data["series"] = series
        sections.append(Section(name="server", title="The server over time", body=chart_host("series")))
    sections.append(inputs_section(run.get("inputs_sha256", {}), notes=summary.get("notes", ())))
    others = [config_section(folder / "config.yaml"), files_section(folder, run.get("files", {}))]
    sections += [section for section in others if section is not None]
    lead = join(_lead(summary, run), *_missing(folder, run.get("files", {})))
    return Page(title=title, lead=lead, sections=sections, data=data)


def _missing(folder: Path, recorded: Iterable[str]) -> list[Html]:
    """Return a sentence about what the run wrote and the folder no longer holds."""
    names = [name for name in recorded if not (folder / name).exists()]
    return [tag("p", f"Not there any more: {', '.join(names)}. What it held is not on this page.")] if names else []


def _name(folder: Path) -> str:
    """Return the scenario's name, or the folder's where there is no configuration."""
    path = folder / "config.yaml"
    if not path.is_file():
        return folder.resolve().name
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"not a readable YAML file ({error})", where=str(path)) from None
    return str(content.get("name", folder.resolve().name)) if isinstance(content, dict) else folder.resolve().name


def _lead(summary: PlainSummary, run: dict[str, Any]) -> Html:
    policies, n = list(summary["policies"]), int(summary["n_replications"])
    each = number(summary, policies[0], "n_requests")
    size = "" if math.isnan(each) else f" of {each:,.0f} requests per policy"
    sample = (
        f"The replication is the sample: intervals are {100 * float(summary.get('level', 0.95)):g} % over {n} of them."
        if n > 1
        else "There is one replication only, so there are no intervals."
    )
    what = f"{len(policies)} policies on the same luck, {n} replication{'' if n == 1 else 's'}{size}. {sample}"
    pairs: list[tuple[str, object]] = [
        ("seed", run.get("seed", "")),
        ("replications", n),
        ("baseline", summary["baseline"]),
        *machine_facts(run),
    ]
    return join(tag("p", what), facts(pairs))


def _policies(summary: PlainSummary) -> Html:
    policies, baseline = list(summary["policies"]), summary["baseline"]
    n = int(summary["n_replications"])
    columns = [
        (f"{label} [{unit}]", _cells(summary, policies, metric, factor, places))
        for label, unit, metric, factor, places in HEADLINE
    ]
    rows = [[policy, *(cells[i] for _, cells in columns)] for i, policy in enumerate(policies)]
    parts = [
        tag(
            "p",
            f"Mean ± half-width of the interval over {n} replications{with_inputs(summary)}."
            if n > 1
            else "Means of one replication.",
        ),
        table(("policy", *(head for head, _ in columns)), rows, "Policies"),
    ]
    others = [policy for policy in policies if policy != baseline]
    if others:
        named = {metric: (label, unit, factor, places) for label, unit, metric, factor, places in HEADLINE}
        heads, cells = [], []
        for metric in CHANGES:
            label, unit, factor, places = named[metric]
            heads += [f"{label} [{unit}]", f"{label} [%]"]
            cells += [
                _cells(summary, others, metric, factor, places, "diff"),
                _cells(summary, others, metric, 1.0, 1, "change_pct"),
            ]
        body = [[policy, *(column[i] for column in cells)] for i, policy in enumerate(others)]
        paired = f", paired over {n} replications with the same luck" if n > 1 else ""
        parts += [tag("p", f"Change against {baseline}{paired}."), table(("policy", *heads), body, "Changes")]
    return join(*parts, *_rows_behind(summary), chart_host("policies"))


def _rows_behind(summary: PlainSummary) -> list[Html]:
    """Return half-widths by luck alone beside those with inputs, and the legend of the mark; [] without few rows."""
    if not counted_inputs(summary):
        return []
    policies = list(summary["policies"])
    parts = []
    for field, whose, what in (
        ("", policies, "Half-widths by luck alone, the rows behind the inputs taken for the truth; then with inputs."),
        ("diff_", [p for p in policies if p != summary["baseline"]], "The same of the change."),
    ):
        heads, columns = ["policy"], [list(whose)]
        for label, unit, metric, factor in LUCK:
            for name, key in (("luck", f"luck_{field}half_width"), ("with inputs", f"{field}half_width")):
                values = [factor * number(summary, policy, metric, key) for policy in whose]
                heads.append(f"{label} [{unit}], {name}")
                columns.append([shown_number(value, decimals_for(values)) for value in values])
        if whose:
            parts += [tag("p", what), table(heads, list(zip(*columns, strict=True)), "Luck and inputs")]
    if sentence := beyond_sentence(summary):
        parts.append(tag("p", f"* {sentence[0].upper()}{sentence[1:]}."))
    return parts


def _cells(
    summary: PlainSummary, policies: list[str], metric: str, factor: float, places: int | None, field: str = "mean"
) -> list[str]:
    half = {"mean": "half_width", "diff": "diff_half_width", "change_pct": "change_half_width_pct"}[field]
    values = [factor * number(summary, policy, metric, field) for policy in policies]
    halves = [factor * number(summary, policy, metric, half) for policy in policies]
    decimals = decimals_for(values) if places is None else places
    return [
        shown_number(v, decimals, sign="" if field == "mean" else "+")
        + mark(summary, metric, policy, field)
        + ("" if math.isnan(h) else f" ± {shown_number(h, decimals)}")
        for policy, v, h in zip(policies, values, halves, strict=True)
    ]


def _summary_data(summary: PlainSummary) -> dict[str, Any]:
    """Return every metric that is defined for some policy, as rows of numbers per policy."""
    metrics = []
    for name, facts_of_metric in summary.get("metrics", {}).items():
        rows = [[number(summary, policy, name, field) for field in FIELDS] for policy in summary["policies"]]
        if all(math.isnan(row[0]) for row in rows):
            continue
        known = DEFINITIONS.get(name)
        metrics.append(
            {
                "name": name,
                "unit": facts_of_metric["unit"],
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
