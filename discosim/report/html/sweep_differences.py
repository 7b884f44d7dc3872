"""The paired differences of a sweep: by luck alone and with inputs, from its runs, as data, tables and sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discosim.core.errors import UserError
from discosim.metrics.definitions import DEFINITIONS
from discosim.metrics.labels import key_label
from discosim.metrics.words import Readable, in_words, readable
from discosim.report.cases import counted
from discosim.report.cells import decimals_of, lone, number
from discosim.report.html.markup import Html, Number, badge, details, join, table, tag
from discosim.report.html.numbers import plain
from discosim.sweep.compare import Place, differences_of
from discosim.sweep.file import Compare
from discosim.sweep.finished_inputs import widened_of
from discosim.sweep.run import WITH_INPUTS, differences_table
from discosim.sweep.store import COMPARISONS, Store

if TYPE_CHECKING:
    import pandas as pd

VERDICTS = {"better": "firm", "no worse": "firm", "equal": "firm", "worse": "against"}
"""How the words of a comparison look; every other one is open."""


def sweep_differences(
    folder: Path, plan: Mapping[str, Any], results: pd.DataFrame, store: Store
) -> tuple[pd.DataFrame | None, str]:
    """Return the paired differences, from the runs, and why they lack intervals with inputs if they do.

    Those with inputs are taken from comparisons.csv where its other numbers are those of the runs, and computed where
    they are not. Of a sweep by an earlier version, which recorded no comparisons, the file is all there is.
    """
    if plan.get("compare") is None:
        return _written(folder), ""
    compares = [Compare(**entry) for entry in plan["compare"]]
    places = [Place(i, point["values"]) for i, point in enumerate(plan["points"])]
    by_luck = differences_of(compares, places, results, plan["seeds"])
    if not by_luck:
        return None, ""
    table = differences_table(by_luck)
    kept = _kept(folder, table)
    if kept is not None:
        return kept, ""
    widened, why = widened_of(by_luck, plan, results, store)
    return differences_table(widened), why


def _kept(folder: Path, computed: pd.DataFrame) -> pd.DataFrame | None:
    """Return the differences with the columns with inputs of comparisons.csv; None where it is not of these runs."""
    try:
        written = _written(folder)
    except UserError:
        return None
    if written is None or len(written) != len(computed):
        return None
    for name in ("compare", "metric", "policy", "baseline", "verdict"):
        if written[name].astype(str).tolist() != computed[name].astype(str).tolist():
            return None
    for name in ("mean", "diff", "low", "high"):
        for a, b in zip(written[name].tolist(), computed[name].tolist(), strict=True):
            if not (math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-12) or (math.isnan(a) and math.isnan(b))):
                return None
    wide = [name for name in WITH_INPUTS if name in written.columns]
    if wide and len(wide) != len(WITH_INPUTS):
        return None
    found = computed.assign(**{name: written[name] for name in wide})
    return found.assign(few_rows=found["few_rows"].fillna("")) if wide else found


def _written(folder: Path) -> pd.DataFrame | None:
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


# --- as a reader meets them ------------------------------------------------------------------------------------


def unit_of(rows: pd.DataFrame) -> Readable:
    """Return the unit of one comparison."""
    metric = str(rows["metric"].iloc[0])
    stored = DEFINITIONS[metric].unit if metric in DEFINITIONS else ""
    return readable(metric, stored, [*rows["mean"], *rows["baseline_mean"]])


def title_of(rows: pd.DataFrame) -> str:
    """Return what one comparison is about."""
    first = rows.iloc[0]
    return f"{in_words(str(first['metric']))}: {first['policy']} against {first['baseline']}"


def is_thin(rows: pd.DataFrame) -> bool:
    """Tell whether an input of few rows is behind any row of a comparison."""
    return "few_rows" in rows.columns and bool((rows["few_rows"].astype(str) != "").any())


def verdicts(rows: pd.DataFrame) -> list[str]:
    """Return the verdict of each row: with inputs where that is known."""
    if not is_thin(rows):
        return [str(word) for word in rows["verdict"]]
    pairs = zip(rows["verdict"], rows["verdict_with_inputs"], strict=True)
    return [str(luck if str(wide) in ("", "unknown", "nan") else wide) for luck, wide in pairs]


def sentences(found: pd.DataFrame) -> list[str]:
    """Return one sentence for each comparison: at how many points it goes which way."""
    said = []
    for _, rows in found.groupby("compare", sort=False):
        words = verdicts(rows)
        n = len(words)
        tally = [f"{word} at {words.count(word)}" for word in ORDER if word in words]
        tally += [f"{word} at {words.count(word)}" for word in dict.fromkeys(words) if word not in ORDER]
        first = rows.iloc[0]
        subject = f"{first['policy']} against {first['baseline']} in {in_words(str(first['metric']))}"
        only = words[0] if len(set(words)) == 1 else ""
        where = (
            f"{only} at {'all ' if n > 1 else ''}{counted(n, 'point')}" if only else f"{', '.join(tally)} of {n} points"
        )
        said.append(f"{subject}: {where}.")
    return said


ORDER = ("better", "no worse", "equal", "unclear", "not shown", "unknown", "worse", "lower", "higher")


def varied_columns(rows: pd.DataFrame, paths: Sequence[str]) -> dict[str, str]:
    """Return the columns that tell points apart -> their labels; paths that always have one value show it once."""
    varied = [path for path in paths if path in rows.columns]
    labels = {path: key_label(path) for path in varied}
    chosen = list({(labels[path], *map(str, rows[path])): path for path in reversed(varied)}.values())[::-1]
    return {path: labels[path] for path in chosen}


def data_of(found: pd.DataFrame, paths: Sequence[str]) -> list[dict[str, Any]]:
    """Return each comparison as the chart of differences takes it."""
    shown = []
    for _, rows in found.groupby("compare", sort=False):
        unit, first = unit_of(rows), rows.iloc[0]
        labels = varied_columns(rows, paths)
        known = DEFINITIONS.get(str(first["metric"]))
        shown.append(
            {
                "title": title_of(rows),
                "label": in_words(str(first["metric"])),
                "policy": str(first["policy"]),
                "baseline": str(first["baseline"]),
                "direction": "" if known is None else known.direction,
                "unit": unit.unit,
                "prefix": unit.prefix,
                "per": unit.per,
                "rows": [_point(row, unit, labels, is_thin=is_thin(rows)) for _, row in rows.iterrows()],
            }
        )
    return shown


def _point(row: pd.Series[Any], unit: Readable, labels: Mapping[str, str], *, is_thin: bool) -> dict[str, Any]:
    numbers = {name: unit.factor * float(row[name]) for name in ("mean", "baseline_mean", "diff", "low", "high")}
    wide = {}
    if is_thin:
        wide = {
            "lowWide": unit.factor * float(row["low_with_inputs"]),
            "highWide": unit.factor * float(row["high_with_inputs"]),
            "verdictWide": str(row["verdict_with_inputs"]),
        }
    at = [str(row[path]) for path in labels]
    return {
        "at": at,
        "names": list(labels.values()),
        "n": int(row["n"]),
        **numbers,
        "verdict": str(row["verdict"]),
        **wide,
    }


def tables(found: pd.DataFrame, paths: Sequence[str]) -> Html:
    """Return the table of each comparison, the first one open."""
    parts: list[Html] = []
    for k, (_, rows) in enumerate(found.groupby("compare", sort=False)):
        body = join(_table(rows, paths), *_below(rows))
        heading = f"{title_of(rows)}{_better(str(rows['metric'].iloc[0]))}"
        parts.append(join(tag("h3", heading), body) if k == 0 else details(heading, body))
    return join(*parts)


def _table(rows: pd.DataFrame, paths: Sequence[str]) -> Html:
    first, unit, labels = rows.iloc[0], unit_of(rows), varied_columns(rows, paths)
    thin = is_thin(rows)
    in_unit = [tag("span", unit.head, class_="unit")] if unit.head else []
    head: list[object] = [
        " · ".join(labels.values()) or "point",
        str(first["policy"]),
        str(first["baseline"]),
        join("difference ", *in_unit),
        *(["by luck alone", "with inputs"] if thin else ["interval"]),
        "verdict",
        "pairs",
    ]
    body = [
        [" · ".join(f"{row[path]}" for path in labels) or "all", *_cells(row, unit, thin=thin)]
        for _, row in rows.iterrows()
    ]
    return table(head, body, title_of(rows), first={0, 3, len(head) - 2})


def _cells(row: pd.Series[Any], unit: Readable, *, thin: bool) -> list[object]:
    mean, base, diff, low, high = (
        unit.factor * float(row[name]) for name in ("mean", "baseline_mean", "diff", "low", "high")
    )
    half = (high - low) / 2.0
    cells: list[object] = [
        Number(plain(mean)),
        Number(plain(base)),
        Number(plain(diff, half, is_signed=True)),
        _interval(low, high, half),
    ]
    word = str(row["verdict"])
    if thin:
        wide = [unit.factor * float(row[name]) for name in ("low_with_inputs", "high_with_inputs")]
        is_known = all(map(math.isfinite, wide))
        star = "*" if is_known and bool(row["rests_on_no_row"]) else ""
        cells.append(
            Number(join(_interval(wide[0], wide[1], (wide[1] - wide[0]) / 2.0), star)) if is_known else "not known"
        )
        other = str(row["verdict_with_inputs"])
        if is_known and other != word:
            cells.append(join(_badge(other), " ", tag("span", f"by luck alone {word}", class_="about")))
            return [*cells, Number(f"{row['n']}")]
    return [*cells, _badge(word), Number(f"{row['n']}")]


def _badge(word: str) -> Html:
    return badge(word, VERDICTS.get(word, "weak"))


def _interval(low: float, high: float, half: float) -> Number:
    if not (math.isfinite(low) and math.isfinite(high)):
        return Number("n/a")
    if low == high == 0.0:
        return Number("none")
    own = decimals_of(max(abs(low), abs(high)), half)
    shown = [lone(v, is_signed=True) if own is None else number(v, own, is_signed=True) for v in (low, high)]
    return Number(" to ".join(shown).replace("-", "−"))


def _better(metric: str) -> str:
    known = DEFINITIONS.get(metric)
    return "" if known is None or known.direction == "neutral" else f"; {known.direction} is better"


def _below(rows: pd.DataFrame) -> list[Html]:
    """Return what the columns of intervals mean."""
    if not is_thin(rows):
        return []
    few = "; ".join(dict.fromkeys(str(text) for text in rows["few_rows"] if str(text)))
    words = f"With inputs: the interval also holds what few rows leave open ({few}); the verdict goes by it."
    if bool(rows["rests_on_no_row"].any()):
        words += " * What lies beyond the outermost row is not known, and no interval holds it."
    return [tag("p", words, class_="about")]
