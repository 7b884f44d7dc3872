"""The page of a paper's figures: which claims hold and on what that rests, the pictures, and the tables behind."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discosim.core.errors import UserError
from discosim.report.html.conditions import inputs_section, machine_facts
from discosim.report.html.grid import axis_of, grid
from discosim.report.html.looks import policy_looks
from discosim.report.html.markup import Html, badge, facts, join, table, tag, tagged
from discosim.report.html.page import Page, Section, chart_host
from discosim.report.rule import RULE
from discosim.runs.figure_facts import read_figure_facts
from discosim.runs.whole import Seen, damage
from discosim.sweep.plan_file import read_plan

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("claim", "verdict", "published", "known_from", "ours", "weak_inputs", "turned_by")
"""What verdicts.csv has always held; ``says``, ``rests_on``, ``bounds``, ``role`` and others came later."""

ROLES = {
    "paper": "",
    "derived": "What we derive from the paper",
    "check": "Checks of our own code, which hold by construction",
}

VERDICTS = {"reproduced": "firm", "not reproduced": "against"}
"""How verdicts look; all others are amber."""

PNG_START = b"\x89PNG\r\n\x1a\n"
MAX_PICTURE_BYTES = 8_000_000


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
    sections = [Section(name="claims", title="Claims and verdicts", body=_claims(verdicts))]
    data: dict[str, Any] = {"kind": "figures"}
    charted = {name: rows for name, rows in tables.items() if {"policy", "seed"} <= set(rows.columns) and len(rows)}
    if charted:
        policies = list(dict.fromkeys(str(p) for rows in charted.values() for p in rows["policy"]))
        grids = [_grid(name, rows, policies) for name, rows in charted.items()]
        data |= {"policies": policy_looks(policies), "grids": [found for found in grids if found["metrics"]]}
        if data["grids"]:
            words = "Means over replications with their 95 % intervals, from the tables of this folder."
            left_out = [name for name in tables if name not in charted]
            if left_out:
                words += f" Without policies and replications, and so not here: {', '.join(left_out)}."
            sections.append(
                Section(name="tables", title="The tables as charts", body=join(tag("p", words), chart_host("grid")))
            )
    shown = pictures(folder / "figures")
    if shown:
        sections.append(Section(name="figures", title="Figures", body=shown))
    sections += _input_sections(folder, run)
    title = run.get("title") or folder.resolve().name
    return Page(title=str(title), lead=_lead(folder, run, verdicts, tables), sections=sections, data=data)


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


def _lead(
    folder: Path, run: Mapping[str, Any], verdicts: Sequence[Mapping[str, str]], tables: Mapping[str, pd.DataFrame]
) -> Html:
    words = [row["verdict"] for row in verdicts]
    tally = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
    seeds = [rows["seed"].nunique() for rows in tables.values() if "seed" in rows.columns]
    sample = f"{min(seeds)}" if seeds and min(seeds) == max(seeds) else f"{min(seeds)} to {max(seeds)}" if seeds else ""
    seconds = run.get("seconds_of_this_call") or {}
    memory = run.get("peak_mib_of_one_process")
    pairs: list[tuple[str, object]] = [
        ("folder", folder.resolve().name),
        ("profile", run.get("profile", "")),
        ("replications", sample),
        *machine_facts(run),
        ("time of the last call", f"{sum(seconds.values()):,.0f} s (kept results cost nothing)" if seconds else ""),
        ("peak memory of a process", "" if memory is None else f"{memory:,} MiB"),
        ("executor", run.get("executor", "")),
    ]
    return join(tag("p", f"{len(verdicts)} claims: {tally}."), facts(pairs))


def _claims(verdicts: Sequence[Mapping[str, str]]) -> Html:
    parts: list[Html] = [
        tag(
            "p",
            f"A verdict is computed from intervals, by one rule for all claims. {RULE} “On assumed inputs” says "
            "that the numbers rest on something nobody can look up.",
        )
    ]
    for role, head in ROLES.items():
        mine = [row for row in verdicts if row.get("role", "paper") == role]
        if mine and head:
            parts.append(tag("h3", head))
        parts += [_claim(row) for row in mine]
    return join(*parts)


def _claim(row: Mapping[str, str]) -> Html:
    """Return one claim as a card: verdict, the two figures side by side, and what both rest on."""
    rests = row.get("rests_on", "") or ("assumed or recollected: " + row["weak_inputs"] if row["weak_inputs"] else "")
    notes = [
        (tagged(rests), "rests on"),
        (row.get("scenario", ""), "what was simulated"),
        (row.get("reason", "") or row.get("lacking", ""), "not testable because"),
        (row["turned_by"], "another verdict under"),
        (row.get("would_change", ""), "would change it"),
    ]
    verdict = badge(row["verdict"], VERDICTS.get(row["verdict"], "weak"))
    return tag(
        "article",
        tag("h3", tag("code", row["claim"]), tag("strong", verdict)),
        *([tag("p", row["says"], class_="says")] if row.get("says") else []),
        facts(
            [
                ("ours", row["ours"]),
                ("the paper's figure", join(row["published"], " ", badge(row["known_from"]))),
                ("bounds", row.get("bounds", "")),
                ("could be", row.get("could_be", "")),
            ]
        ),
        *(tag("p", tag("span", f"{head}: ", class_="about"), words) for words, head in notes if words),
        class_="claim",
    )


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


def pictures(folder: Path) -> Html:
    """Return the pictures of a folder inside the page; files that are none, or huge, are named instead."""
    parts = []
    for path in sorted(folder.glob("*.png")):
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UserError(f"cannot be read ({error.strerror or error})", where=str(path)) from None
        if not content.startswith(PNG_START) or len(content) > MAX_PICTURE_BYTES:
            parts.append(tag("p", f"{path.name} is no picture that can be shown here."))
            continue
        source = f"data:image/png;base64,{base64.b64encode(content).decode()}"
        name = path.stem.replace("_", " ")
        parts.append(tag("figure", tag("img", src=source, alt=f"Figure: {name}"), tag("figcaption", path.name)))
    return join(*parts)


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
