"""The page of a paper's figures: which claims hold and on what that rests, the pictures, and the tables behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discosim.core.errors import UserError
from discosim.report.cases import counted, listed
from discosim.report.html.claims import answer, cards, claim_link, glance, tally_list
from discosim.report.html.conditions import inputs_section, machine_facts, provenance_section
from discosim.report.html.grid import axis_of, grid
from discosim.report.html.looks import policy_looks
from discosim.report.html.markup import badge, join, table, tag
from discosim.report.html.page import Page, Section, chart_host, opening
from discosim.report.html.pictures import picture_names, pictures
from discosim.report.html.run_answer import FEW_REPLICATIONS
from discosim.runs.figure_facts import read_figure_facts
from discosim.runs.whole import Seen, damage
from discosim.sweep.plan_file import read_plan

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("claim", "verdict", "published", "known_from", "ours", "weak_inputs", "turned_by")
"""What verdicts.csv has always held; ``says``, ``rests_on``, ``bounds``, ``role`` and others came later."""


def figures_page(folder: Path) -> Page:
    """Return the page of a folder that ``discosim figures`` made.

    Raises
    ------
    UserError
        If verdicts.csv or another file cannot be read, or is not as run.json says. Tables, pictures and run.json may be
        missing.
    """
    run = read_figure_facts(folder) if (folder / "run.json").exists() else {}
    if found := damage(folder, run.get("files", {}), Seen(), may_lack=True):
        raise UserError(f"is damaged: it {found[1]}; `discosim figures` makes it anew", where=str(folder / found[0]))
    verdicts = _verdicts(folder / "verdicts.csv")
    tables = {path.stem: _read(path) for path in sorted((folder / "tables").glob("*.csv"))}
    bears_on = _links(run, picture_names(folder / "figures"), verdicts)
    shown_in: dict[str, list[str]] = {}
    for name, of in bears_on.items():
        for claim in of:
            shown_in.setdefault(claim, []).append(name)
    at_a_glance = join(tally_list(verdicts), glance(verdicts, shown_in))
    sections = [Section(name="glance", title="All claims at a glance", body=at_a_glance)]
    drawn_from = {str(name): list(held.get("tables", ())) for name, held in (run.get("figures") or {}).items()}
    words = {name: f"drawn from {listed(tables_of)}" for name, tables_of in drawn_from.items() if tables_of}
    links = {name: [claim_link(claim) for claim in of] for name, of in bears_on.items()}
    if shown := pictures(folder / "figures", links, words):
        sections.append(Section(name="figures", title="Figures", body=shown))
    sections.append(Section(name="claims", title="Claims one by one", body=cards(verdicts, shown_in)))
    data: dict[str, Any] = {"kind": "figures"}
    charted = {name: rows for name, rows in tables.items() if {"policy", "seed"} <= set(rows.columns) and len(rows)}
    if charted:
        policies = list(dict.fromkeys(str(p) for rows in charted.values() for p in rows["policy"]))
        grids = [_grid(name, rows, policies) for name, rows in charted.items()]
        data |= {"policies": policy_looks(policies), "grids": [found for found in grids if found["metrics"]]}
        if data["grids"]:
            said = "Means over replications with their 95 % intervals, from the tables of this folder."
            left_out = [name for name in tables if name not in charted]
            if left_out:
                said += f" Without policies and replications, and so not here: {', '.join(left_out)}."
            sections.append(
                Section(name="tables", title="The tables as charts", body=join(tag("p", said), chart_host("grid")))
            )
    sections += _input_sections(folder, run)
    sections.append(provenance_section(_facts(folder, run, tables)))
    title = str(run.get("title") or folder.resolve().name)
    known = {str(row["claim"]) for row in verdicts}
    question = f"Which of its {counted(len(known), 'claim')} does the simulator bear out?"
    if run.get("profile"):
        question += f" Computed with the profile {run['profile']}."
    seeds = [rows["seed"].nunique() for rows in tables.values() if "seed" in rows.columns]
    few = [
        f"Some tables have only {counted(min(seeds), 'replication')}."
        if seeds and min(seeds) < FEW_REPLICATIONS
        else ""
    ]
    lead = opening(question, answer(verdicts), [each for each in few if each])
    return Page(title=title, lead=lead, sections=sections, data=data)


def _links(run: Mapping[str, Any], known: Sequence[str], verdicts: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """Return figure -> claims that it bears on; {} where run.json, by an earlier version, does not say."""
    claims = {row["claim"] for row in verdicts}
    named = {str(name): held.get("claims", ()) for name, held in (run.get("figures") or {}).items() if name in known}
    return {name: [str(claim) for claim in of if claim in claims] for name, of in named.items()}


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_csv(path)
    except (ValueError, OSError) as error:
        raise UserError(f"not a readable CSV file ({error})", where=str(path)) from None


def _verdicts(path: Path) -> list[dict[str, str]]:
    """Read verdicts.csv as text: every cell stands there as it is to be shown."""
    import pandas as pd

    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, OSError) as error:
        raise UserError(f"not a readable CSV file ({error})", where=str(path)) from None
    for name in COLUMNS:
        if name not in rows.columns:
            raise UserError(f"no column '{name}'", where=str(path))
    return [{str(name): str(value) for name, value in row.items()} for row in rows.to_dict("records")]


def _facts(folder: Path, run: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> list[tuple[str, object]]:
    """Return what made the folder, and how long it took."""
    seeds = [rows["seed"].nunique() for rows in tables.values() if "seed" in rows.columns]
    sample = f"{min(seeds)}" if seeds and min(seeds) == max(seeds) else f"{min(seeds)} to {max(seeds)}" if seeds else ""
    seconds = run.get("seconds_of_this_call") or {}
    memory = run.get("peak_mib_of_one_process")
    return [
        ("folder", folder.resolve().name),
        ("profile", run.get("profile", "")),
        ("replications", sample),
        *machine_facts(run),
        ("time of the last call", f"{sum(seconds.values()):,.0f} s (kept results cost nothing)" if seconds else ""),
        ("peak memory of a process", "" if memory is None else f"{memory:,} MiB"),
        ("executor", run.get("executor", "")),
    ]


def _grid(name: str, rows: pd.DataFrame, policies: Sequence[str]) -> dict[str, Any]:
    columns = [str(column) for column in rows.columns]
    varied = _varied(rows, columns)
    axes = [axis_of(column, rows[column].tolist()) for column in varied]
    places = [
        [
            axis.numbers.index(float(value)) if axis.numbers is not None else axis.values.index(str(value))
            for axis, value in zip(axes, values, strict=True)
        ]
        for values in (rows[varied].itertuples(index=False) if varied else [()] * len(rows))
    ]
    metrics = [c for c in columns if c not in {*varied, "policy", "seed"} and rows[c].dtype.kind in "fiub"]
    first = metrics[0] if metrics else ""
    return grid(name, rows.astype({"policy": str}), axes, places, policies, metrics, first=first)


def _varied(rows: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Return the columns that name a point.

    These are the columns before ``policy`` and ``seed``, columns of words, and as many whole numbers as are needed to
    tell rows apart. Source: our choice; tables of papers name their points first, but nothing in a CSV file says so.
    """
    last = max(columns.index("policy"), columns.index("seed"))
    others = [column for column in columns if column not in {"policy", "seed"}]
    varied = [c for c in others if columns.index(c) < last or rows[c].dtype.kind not in "fiub"]
    for column in others:
        if not rows.duplicated(["policy", "seed", *varied]).any():
            break
        if column not in varied and rows[column].dtype.kind in "iu":
            varied.append(column)
    return varied


def _input_sections(folder: Path, run: Mapping[str, Any]) -> list[Section]:
    """Return what the claims rest on, and the digests that the sweeps of the folder used."""
    found: dict[str, str] = {}
    for path in sorted((folder / "sweeps").glob("*/plan.json")):
        for point in read_plan(path.parent)["points"]:
            found |= point["inputs_sha256"]
    given = run.get("inputs") or {}
    sections = []
    if given:
        rows = [[tag("code", name), badge(entry["kind"]), tag("span", entry["what"])] for name, entry in given.items()]
        body = join(
            tag("p", "Amber marks what nobody can look up."),
            table(("input", "known from", "what it is"), rows, "What the claims rest on", flows_on_phones=True),
        )
        sections.append(Section(name="claims-inputs", title="What the claims rest on", body=body))
    if found:
        sections.append(inputs_section(dict(sorted(found.items()))))
    return sections
