"""Making a paper's tables: from its sweeps through the store, and from functions whose results are kept."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discosim.core.errors import UserError, close_match
from discosim.core.files import write_whole
from discosim.core.places import remove
from discosim.core.scenario import Scenario
from discosim.reproduce.code import call, function_of, inputs_sha256
from discosim.reproduce.experiment import Experiment
from discosim.reproduce.files import TableSource
from discosim.reproduce.input_widths import Drawn
from discosim.reproduce.workers import Workers
from discosim.runs.identity import code_facts
from discosim.runs.shapes import read_object
from discosim.sweep.drive import Terms
from discosim.sweep.input_intervals import versions_of
from discosim.sweep.plan import load_plan
from discosim.sweep.results import load_results
from discosim.sweep.run import run_sweep
from discosim.sweep.store import Store

if TYPE_CHECKING:
    import pandas as pd

Say = Callable[[str], None]
FLOAT_FORMAT = "%.9g"
KEPT = 2
"""Version of the files of results that are kept."""


@dataclass
class Context:
    """What a function of tables.py may use.

    Parameters
    ----------
    experiment : Experiment
        The paper.
    profile : str
        ``quick`` or ``paper``.
    out : Path
        Folder of results of this paper and profile.
    executor : str
        Where runs are computed.
    say : callable
        Hears of progress.
    """

    experiment: Experiment
    profile: str
    out: Path
    executor: str
    say: Say
    _sweeps: dict[str, Path] = field(default_factory=dict)
    _scenarios: dict[str, dict[int, Scenario]] = field(default_factory=dict)
    _workers: Workers = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._workers = Workers(self.executor)

    def close(self) -> None:
        """Let the worker processes go."""
        self._workers.close()

    def sweep(self, file: str) -> Path:
        """Run what is missing of a sweep of this folder, and return the folder of its results."""
        if file not in self._sweeps:
            plan = load_plan(self.experiment.folder / file, profile=self.profile)
            target = self.out / "sweeps" / plan.file.name
            result = run_sweep(plan, target, executor=self.executor, terms=Terms(command="discosim figures"))
            if result.state.failed or result.state.missing:
                n_bad = len(result.state.failed) + len(result.state.missing)
                raise UserError(f"{n_bad} runs failed; see {target / 'failures'}", where=str(target))
            self._sweeps[file] = target
            self._scenarios[file] = {point.index: point.scenario for point in plan.points}
        return self._sweeps[file]

    def drawn(self, file: str, columns: Sequence[str]) -> Drawn:
        """Return the numbers of a sweep of this folder under versions of its inputs of few rows."""
        store, scenarios = Store(self.sweep(file)), self._scenarios[file]
        table = load_results(store.folder)
        if any(scenario.inputs.resample for scenario in scenarios.values()):
            return Drawn(None, is_resampled=True, few_rows="drawn anew by each seed")
        versions = versions_of(scenarios, store, table, columns)
        return Drawn(versions, few_rows="" if versions is None else versions.few_rows)

    def map(self, function: str, tasks: Sequence[Mapping[str, Any]], module: str = "tables") -> list[Any]:
        """Call a function of this folder for each task, in worker processes, and return what comes back in order.

        Tasks and results are JSON. A result is kept under the hash of task, code and inputs, so that nothing is
        computed twice and nothing stale is used; with a hash of its own, so that a damaged one is computed again.
        """
        folder = self.experiment.folder
        version = json.dumps([KEPT, inputs_sha256(folder), code_facts()], sort_keys=True)
        keep = self.out / "tasks"
        keep.mkdir(parents=True, exist_ok=True)
        paths = []
        for task in tasks:
            key = json.dumps([module, function, task], sort_keys=True) + version
            paths.append(keep / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json")
        results = {i: found[0] for i, path in enumerate(paths) if (found := _kept(path))}
        waiting = [i for i in range(len(paths)) if i not in results]
        calls = [(str(folder.resolve()), module, function, dict(tasks[i])) for i in waiting]
        for k, result in self._workers.each(call, calls) if calls else ():
            text = json.dumps(result)
            results[waiting[k]] = json.loads(text)
            if not paths[waiting[k]].is_file():
                remove(paths[waiting[k]])  # whatever it is
            write_whole(paths[waiting[k]], json.dumps({"sha256": _sha256(text), "result": result}))
        return [results[i] for i in range(len(paths))]


def _kept(path: Path) -> tuple[Any] | None:
    """Return a result that is kept, as a tuple of one; None where there is none, or not as it was written."""
    try:
        content = read_object(path)
        return (content["result"],) if _sha256(json.dumps(content["result"])) == content["sha256"] else None
    except (UserError, KeyError):
        return None


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def make_table(context: Context, name: str) -> pd.DataFrame:
    """Make one table, write it as CSV, and return it as it is read from there."""
    experiment = context.experiment
    source = experiment.file.tables[name]
    module = experiment.code.get("tables")
    where = str(experiment.folder / "experiment.yaml")
    if source.sweep is not None:
        table = _sweep_table(context, source)
        if source.of is not None:
            table = function_of(module, source.of, where)(table)
    else:
        assert source.function is not None
        table = function_of(module, source.function, where)(context)
    path = context.out / "tables" / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, as_csv(table))
    return read_csv(path)


def make_drawn(context: Context, name: str) -> Drawn | None:
    """Return a table's numbers under versions of the inputs, as the table has them; None where it is no sweep's."""
    source = context.experiment.file.tables[name]
    if source.sweep is None:
        return None
    drawn = context.drawn(source.sweep, source.columns)
    if drawn.versions is None:
        return drawn
    table = _columns_of(drawn.versions.table, source)
    if source.of is not None:
        module, where = context.experiment.code.get("tables"), str(context.experiment.folder / "experiment.yaml")
        table = function_of(module, source.of, where)(table)
    # as it would be read from a file, so that values of columns are the same as in the table
    return replace(drawn, versions=replace(drawn.versions, table=parse_csv(as_csv(table))))


def _sweep_table(context: Context, source: TableSource) -> pd.DataFrame:
    assert source.sweep is not None
    return _columns_of(load_results(context.sweep(source.sweep)), source)


def _columns_of(table: pd.DataFrame, source: TableSource) -> pd.DataFrame:
    heads = ("run", "point", "status", "error", "requests_sha256", "discosim", "source_sha256")
    for column in (*source.columns, *source.names):
        if column not in table.columns:
            raise UserError(
                f"no column '{column}'; {close_match(column, list(table.columns))}", where=f"table of {source.sweep}"
            )
    end = list(table.columns).index("policy")
    axes = [column for column in table.columns[:end] if column not in (*heads, "seed")]
    kept = table[[*axes, "policy", "seed", *source.columns]]
    return kept.rename(columns=dict(source.names))


def as_csv(table: pd.DataFrame) -> str:
    """Return a table as text; equal numbers give equal text."""
    text: str = table.to_csv(index=False, float_format=FLOAT_FORMAT, lineterminator="\n")
    return text


def read_csv(path: Path) -> pd.DataFrame:
    """Read a table that :func:`as_csv` wrote; empty fields of text columns are empty text."""
    try:
        return parse_csv(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError("no such table", where=str(path)) from None
    except (OSError, ValueError) as error:  # of the system, of UTF-8, of pandas
        raise UserError(f"not a readable CSV ({' '.join(str(error).split())})", where=str(path)) from None


def parse_csv(text: str) -> pd.DataFrame:
    """Return the table that :func:`as_csv` made this text of."""
    import pandas as pd

    table = pd.read_csv(io.StringIO(text), keep_default_na=False, na_values=[""])
    for column in table.columns:
        if not pd.api.types.is_numeric_dtype(table[column]):
            table[column] = table[column].fillna("").astype(str)
    return table
