"""The two verbs: make a paper's tables, figures and verdicts; and read the verdicts again."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import discosim
from discosim.core.errors import UserError
from discosim.core.files import write_whole
from discosim.reproduce.check import Breach, check
from discosim.reproduce.draw import FORMATS, draw, pictures
from discosim.reproduce.experiment import PROFILES, Experiment
from discosim.reproduce.files import Claim, FigureSource
from discosim.reproduce.folder import check_tables, make_ready, recorded
from discosim.reproduce.input_widths import WIDTHS, Drawn, widths_of
from discosim.reproduce.rows import write_verdicts
from discosim.reproduce.tables import Context, Say, as_csv, make_drawn, make_table, read_csv
from discosim.reproduce.verdict import Verdict, judge
from discosim.runs.facts import FACTS, peak_memory_mib
from discosim.runs.identity import code_facts, commit
from discosim.sweep.executors import check_name

if TYPE_CHECKING:
    import pandas as pd

VERDICTS = "verdicts.csv"


@dataclass(frozen=True)
class Outcome:
    """What one paper gave.

    Parameters
    ----------
    experiment : Experiment
        The paper.
    folder : Path
        Where tables and figures are.
    figures : tuple of Path
        Picture files.
    verdicts : tuple of Verdict
        One per claim.
    breaches : tuple of Breach
        Of ``--check``.
    """

    experiment: Experiment
    folder: Path
    figures: tuple[Path, ...]
    verdicts: tuple[Verdict, ...]
    breaches: tuple[Breach, ...]


def folder_of(out: Path, experiment: Experiment, profile: str) -> Path:
    """Return the results folder of a paper and profile."""
    return out / f"{experiment.name}-{profile}"


def make_figures(
    experiment: Experiment,
    profile: str,
    out: Path,
    *,
    executor: str = "local:2",
    is_checked: bool = False,
    say: Say = lambda _: None,
) -> Outcome:
    """Run what is missing, write the tables, draw the figures from them, judge the claims.

    Parameters
    ----------
    experiment : Experiment
        The paper.
    profile : str
        ``quick`` or ``paper``.
    out : Path
        Folder of all results.
    executor : str
        See :func:`discosim.sweep.executors.open_engine`.
    is_checked : bool
        Compare the tables with the committed ones.
    say : callable
        Hears one line per step.

    Raises
    ------
    UserError
        If there is no such executor, or the folder cannot be written.
    """
    check_name(executor)
    folder = folder_of(out, experiment, profile)
    csv = [folder / "tables" / f"{name}.csv" for name in experiment.file.tables]
    make_ready(folder, [*csv, *pictures(experiment, profile, folder), folder / VERDICTS, folder / FACTS])
    context = Context(experiment, profile, folder, executor, say)
    tables: dict[str, pd.DataFrame] = {}
    drawn: dict[str, Drawn | None] = {}
    read = tables_read(experiment)
    seconds: dict[str, float] = {}
    with closing(context):
        for name in experiment.file.tables:
            started = time.perf_counter()
            tables[name] = make_table(context, name)
            drawn[name] = make_drawn(context, name) if name in read else None
            seconds[name] = round(time.perf_counter() - started, 1)
            say(f"{experiment.name}: table {name}, {len(tables[name])} rows [{seconds[name]:.0f} s]")
    csv += _write_widths(experiment, tables, drawn, folder)
    verdicts = judge_all(experiment, tables)
    write_verdicts(folder / VERDICTS, verdicts)
    breaches = check(experiment, profile, tables) if is_checked else []
    started = time.perf_counter()
    paths = draw(experiment, profile, folder, executor)
    seconds["(drawing)"] = round(time.perf_counter() - started, 1)
    say(f"{experiment.name}: {len(paths) // len(FORMATS)} figures in {folder} [{seconds['(drawing)']:.0f} s]")
    peak_mib = peak_memory_mib(with_children=True)
    facts = {
        **_what_and_with_what(experiment, profile),
        "seconds_of_this_call": seconds,
        "peak_mib_of_one_process": None if peak_mib is None else round(peak_mib),
        "executor": executor,
        "files": recorded(folder, [*csv, *paths, folder / VERDICTS]),
    }
    write_whole(folder / FACTS, json.dumps(facts, indent=1) + "\n")
    return Outcome(experiment, folder, tuple(paths), tuple(verdicts), tuple(breaches))


def tables_read(experiment: Experiment) -> set[str]:
    """Return the tables that claims read."""
    return {table for claim in experiment.claims.claims for table in _tables_of(claim)}


def _write_widths(
    experiment: Experiment, tables: dict[str, pd.DataFrame], drawn: Mapping[str, Drawn | None], folder: Path
) -> list[Path]:
    """Write what few rows leave open in the claims, add it to the tables, and return the path of its file if any."""
    path = folder / "tables" / f"{WIDTHS}.csv"
    widths = widths_of(experiment, tables, {name: found for name, found in drawn.items() if found is not None})
    if widths is None:
        path.unlink(missing_ok=True)
        return []
    write_whole(path, as_csv(widths))
    tables[WIDTHS] = read_csv(path)
    return [path]


def _what_and_with_what(experiment: Experiment, profile: str) -> dict[str, Any]:
    """Return what a reader of the folder must know that its tables do not say."""
    return {
        "paper": experiment.name,
        "title": experiment.file.title,
        "profile": profile,
        "discosim": discosim.__version__,
        "commit": commit(),
        "code": code_facts(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "inputs": {name: {"kind": given.kind, "what": given.what} for name, given in experiment.claims.inputs.items()},
        "figures": {
            name: {"tables": list(figure.tables), "claims": _claims_of(figure, experiment.claims.claims)}
            for name, figure in experiment.file.figures.items()
        },
    }


def _tables_of(claim: Claim) -> list[str]:
    """Return the tables that a claim reads."""
    given = (claim.statistic, claim.sensitivity, claim.energy)
    return list(dict.fromkeys(one.table for one in given if one is not None))


def _claims_of(figure: FigureSource, claims: Sequence[Claim]) -> list[str]:
    """Return the claims whose number stands in a table that a figure draws; of its metric, where it has one.

    A figure of variants alone bears on the claims that are tried over them.
    """
    metric = figure.options.get("metric")
    own = [
        claim.id
        for claim in claims
        if claim.statistic is not None
        and claim.statistic.table in figure.tables
        and metric in (None, claim.statistic.metric or claim.statistic.options.get("metric"))
    ]
    return own or [claim.id for claim in claims if set(_tables_of(claim)) & set(figure.tables)]


def judge_all(experiment: Experiment, tables: Mapping[str, pd.DataFrame]) -> list[Verdict]:
    """Return the verdict of every claim of a paper."""
    return [judge(experiment, claim, tables) for claim in experiment.claims.claims]


def update_committed(experiment: Experiment, profile: str, folder: Path) -> list[Path]:
    """Copy the tables just made over the committed ones.

    Wall times are kept too, so that verdicts can be read without running; ``--check`` never compares them.
    """
    paths = []
    for name in experiment.file.tables:
        target = experiment.committed(profile, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, (folder / "tables" / f"{name}.csv").read_text(encoding="utf-8"))
        paths.append(target)
    widths, target = folder / "tables" / f"{WIDTHS}.csv", experiment.committed(profile, WIDTHS)
    if widths.is_file():
        write_whole(target, widths.read_text(encoding="utf-8"))
        return [*paths, target]
    target.unlink(missing_ok=True)
    return paths


def committed_tables(experiment: Experiment, profile: str) -> dict[str, pd.DataFrame]:
    """Return the committed tables of a profile, and what inputs leave open in the cells of claims, where it is kept."""
    names = list(experiment.file.tables)
    names += [WIDTHS] if experiment.committed(profile, WIDTHS).is_file() else []
    return {name: read_csv(experiment.committed(profile, name)) for name in names}


def read_tables(experiment: Experiment, profile: str | None, out: Path) -> tuple[dict[str, pd.DataFrame], str]:
    """Return the tables of a paper without running anything, and in words where they are from.

    Tables of an own run come first, if all are there; else the committed ones.

    Parameters
    ----------
    experiment : Experiment
        The paper.
    profile : str or None
        ``quick`` or ``paper``; None takes the larger one of which there are tables.
    out : Path
        Folder of all results.

    Raises
    ------
    UserError
        If neither is complete, or a table of an own run is not as it was written.
    """
    names = list(experiment.file.tables)
    wanted = tuple(reversed(PROFILES)) if profile is None else (profile,)
    for each in wanted:
        own = folder_of(out, experiment, each) / "tables"
        if all((own / f"{name}.csv").is_file() for name in names):
            names += [WIDTHS] if (own / f"{WIDTHS}.csv").is_file() else []
            check_tables(own.parent, names)
            return {name: read_csv(own / f"{name}.csv") for name in names}, f"your tables in {own}"
    for each in wanted:
        if all(experiment.committed(each, name).is_file() for name in names):
            folder = experiment.committed(each, names[0]).parent
            return committed_tables(experiment, each), f"committed tables in {folder}"
    smallest = wanted[-1]
    raise UserError(
        f"no tables of the profile '{smallest}' yet; make them with "
        f"`discosim figures {experiment.name} --profile {smallest}`",
        where=str(experiment.folder),
    )
