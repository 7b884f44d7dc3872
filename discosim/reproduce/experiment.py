"""Finding and reading the folders of papers; every mistake is reported with its place before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from discosim.config.keypath import KeyPath
from discosim.config.load import build_section
from discosim.config.problems import Place, Problems
from discosim.config.yaml_loader import read_file
from discosim.core.errors import UserError, close_match
from discosim.reproduce.code import Modules
from discosim.reproduce.files import Claim, ClaimsFile, ExperimentFile
from discosim.traces.catalogue import SHIPPED, shipped_folder

DECLARATION = "experiment.yaml"
T = TypeVar("T")
CLAIMS = "claims.yaml"
COMMITTED = "expected"
PROFILES = ("quick", "paper")
_BESIDE = ("metric", "policy", "baseline")
_NEEDED = {
    "mean": ("metric", "policy"),
    **dict.fromkeys(("difference", "change_pct", "reduction_pct", "ratio"), _BESIDE),
    "function": ("function",),
}


@dataclass(frozen=True)
class Experiment:
    """One paper's folder, read and checked.

    Parameters
    ----------
    folder : Path
        Where it is; its name is the paper's.
    file : ExperimentFile
        Tables and figures.
    claims : ClaimsFile
        Inputs and claims.
    """

    folder: Path
    file: ExperimentFile
    claims: ClaimsFile

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.name

    def committed(self, profile: str, table: str) -> Path:
        """Return where the committed copy of a table lies."""
        return self.folder / COMMITTED / profile / f"{table}.csv"

    @property
    def largest_profile(self) -> str:
        """The largest profile of which all tables are committed; ``quick`` where none is."""
        complete = (
            profile
            for profile in reversed(PROFILES)
            if all(self.committed(profile, table).is_file() for table in self.file.tables)
        )
        return next(complete, PROFILES[0])

    @property
    def code(self) -> Modules:
        """The modules tables.py, figures.py and estimators.py, those of them that are there."""
        return Modules(self.folder)


def find_experiments(given: Path | None = None) -> Path:
    """Return the folder of all papers: the one given, or ``experiments`` here, or the one that the package has.

    Raises
    ------
    UserError
        If there is no paper in the one that is given.
    """
    here = Path("experiments")
    if given is None:
        return here if _holds_papers(here) else shipped_folder("experiments")
    if _holds_papers(given):
        return given
    raise UserError(
        f"no such folder, or no */{DECLARATION} in it; without --experiments the papers of the package are taken",
        where=str(given),
    )


def _holds_papers(folder: Path) -> bool:
    return any(folder.glob(f"*/{DECLARATION}"))


def refuse_to_replace(root: Path) -> None:
    """Refuse to write into the folder of papers of an installed package.

    Raises
    ------
    UserError
        If it is that folder.
    """
    if root.resolve().parent.name == SHIPPED:
        raise UserError(
            "belongs to the installed package; copy it (`discosim figures list` says where it is) and name the copy "
            "with --experiments DIR",
            where=f"--update: {root}",
        )


def load_experiments(root: Path, paper: str = "all") -> list[Experiment]:
    """Read the folder of one paper, or of all.

    Raises
    ------
    UserError
        For an unknown paper, and for every mistake in its files at once, with file and line.
    """
    names = sorted(path.parent.name for path in root.glob(f"*/{DECLARATION}"))
    if paper != "all" and paper not in names:
        raise UserError(f"unknown paper '{paper}'; {close_match(paper, [*names, 'all'])}")
    found = [load_experiment(root / name) for name in names if paper in {"all", name}]
    seen: dict[str, str] = {}
    for experiment in found:
        for claim in experiment.claims.claims:
            if claim.id in seen and seen[claim.id] != experiment.name:
                where = str(experiment.folder / CLAIMS)
                raise UserError(f"claim '{claim.id}' is one of {seen[claim.id]} already", where=where)
            seen[claim.id] = experiment.name
    return found


def load_experiment(folder: Path) -> Experiment:
    """Read and check one folder."""
    file = _read(ExperimentFile, folder / DECLARATION, lambda f, p: _check_file(f, folder, p))
    claims = _read(ClaimsFile, folder / CLAIMS, lambda c, p: _check_claims(c, file, p))
    return Experiment(folder, file, claims)


def _read(section: type[T], path: Path, check: Callable[[T, Problems], None]) -> T:
    document = read_file(path)
    document.places.setdefault((), Place(str(path), str(path)))
    built: T = build_section(section, document, path.parent)
    problems = Problems(document.places)
    check(built, problems)
    problems.raise_if_any()
    return built


def _check_file(file: ExperimentFile, folder: Path, problems: Problems) -> None:
    for name, table in file.tables.items():
        here = ("tables", name)
        if (table.sweep is None) == (table.function is None):
            problems.add(here, "needs either sweep or function")
        if table.sweep is not None and not (folder / table.sweep).is_file():
            problems.add((*here, "sweep"), f"no such file: {folder / table.sweep}")
        if table.sweep is not None and not table.columns:
            problems.add(here, "a sweep's table needs columns")
    for name, figure in file.figures.items():
        for i, table_name in enumerate(figure.tables):
            if table_name not in file.tables:
                problems.add(
                    ("figures", name, "tables", i),
                    f"unknown table '{table_name}'; {close_match(table_name, file.tables)}",
                )
    for profile in PROFILES:
        if profile not in file.cost:
            problems.add(("cost",), f"must say what the profile '{profile}' costs")
    for profile in file.cost:
        if profile not in PROFILES:
            problems.add(("cost", profile), f"unknown profile; {close_match(profile, PROFILES)}", at_key=True)


def _check_claims(file: ClaimsFile, experiment: ExperimentFile, problems: Problems) -> None:
    seen: set[str] = set()
    for i, claim in enumerate(file.claims):
        here: KeyPath = ("claims", i)
        if claim.id in seen:
            problems.add((*here, "id"), f"is there already: {claim.id}")
        seen.add(claim.id)
        for k, name in enumerate(claim.inputs):
            if name not in file.inputs:
                problems.add((*here, "inputs", k), f"unknown input '{name}'; {close_match(name, file.inputs)}")
        if claim.statistic is None:
            if not claim.lacking:
                problems.add(here, f"claim {claim.id}: needs a statistic, or must say what is lacking")
            continue
        _check_tested(claim, here, experiment, problems)


def _check_tested(claim: Claim, here: KeyPath, file: ExperimentFile, problems: Problems) -> None:
    statistic = claim.statistic
    assert statistic is not None
    if not claim.inputs:
        problems.add(here, f"claim {claim.id}: must name the inputs its numbers rest on")
    named = {"statistic": statistic.table}
    for section, given in (("sensitivity", claim.sensitivity), ("energy", claim.energy)):
        if given is not None:
            named[section] = given.table
    for section, name in named.items():
        if name not in file.tables:
            problems.add((*here, section, "table"), f"unknown table '{name}'; {close_match(name, file.tables)}")
    for key in _NEEDED[statistic.kind]:
        if not getattr(statistic, key):
            problems.add((*here, "statistic"), f"kind {statistic.kind} needs {key}")
    _check_expect(claim, here, problems)
    _check_acceptance(claim, here, file, problems)


def _check_expect(claim: Claim, here: KeyPath, problems: Problems) -> None:
    expect = claim.expect
    forms = () if expect is None else ((expect.low, expect.high), (expect.about,), (expect.up_to,))
    n_given = sum(any(value is not None for value in form) for form in forms)
    if expect is None or n_given != 1:
        problems.add(here, f"claim {claim.id}: needs expect with low, high or both; or with about; or with up_to")
    elif expect.bounds[0] >= expect.bounds[1]:
        low, high = expect.bounds
        problems.add((*here, "expect"), f"low must be below high (got {low:g} and {high:g})")


def _check_acceptance(claim: Claim, here: KeyPath, file: ExperimentFile, problems: Problems) -> None:
    accept, statistic = claim.acceptance, claim.statistic
    assert statistic is not None
    if accept is None:
        problems.add(here, f"claim {claim.id}: needs an acceptance rule")
        return
    has_bounds = accept.low is not None or accept.high is not None
    if (accept.rule == "interval") != has_bounds:
        problems.add((*here, "acceptance"), "rule interval needs low or high, and only it may have them")
    table = file.tables.get(statistic.table)
    if table is not None and table.is_timing and accept.rule != "interval":
        problems.add((*here, "acceptance", "rule"), "wall times differ between machines: only interval can hold")
