"""Result folders: a run is written as a whole, and takes the place of none but itself unless it is forced."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from discosim.config import as_plain
from discosim.config.dump import dump_whole, dump_yaml
from discosim.config.named_files import with_places
from discosim.core.errors import UserError
from discosim.core.folders import fill
from discosim.core.json_layout import laid_out
from discosim.core.owners import is_abandoned, owner
from discosim.core.places import Judge, Place, is_void, place_of
from discosim.core.printable import printable
from discosim.core.scenario import Scenario
from discosim.core.take_place import flush
from discosim.runs.basis import check_basis
from discosim.runs.collect import Columns
from discosim.runs.facts import FACTS, file_facts, run_facts
from discosim.runs.folder import CODE, CONFIG, ENDPOINTS, INPUTS, RUN, SERIES, default_folder, same_run
from discosim.runs.identity import run_id
from discosim.runs.kept_code import keep_code
from discosim.runs.outcomes import Outcomes
from discosim.runs.progress import open_bar
from discosim.runs.result import RunResult
from discosim.runs.row_groups import write_requests
from discosim.runs.simulate import simulate
from discosim.runs.slim import slim_table
from discosim.runs.tables import (
    endpoint_table,
    replication_table,
    series_table,
    token_table,
    write_parquet,
)
from discosim.runs.written_policies import copy_texts, with_text


def execute_to_folder(
    scenario: Scenario,
    out: Path | None,
    *,
    tokens: bool = False,
    force: bool = False,
    progress: bool = False,
    command: str = "",
) -> RunResult:
    """Run a scenario and write its result folder.

    Parameters
    ----------
    scenario : Scenario
        What to run.
    out : Path or None
        Result folder; None is ``results/<name>``.
    tokens : bool
        Also write tokens.parquet, one row per shown token.
    force : bool
        Replace the folder of another run.
    progress : bool
        Show a bar on stderr.
    command : str
        The command line, kept in run.json.

    Raises
    ------
    UserError
        If the folder cannot be written, or holds another run and ``force`` is false; nothing is changed then. Where
        another run has come there in the meantime, this one is kept beside it, and the message says where.
    """
    target = default_folder(scenario) if out is None else out
    place = place_of(target)
    judge = same_run(target, _resolved(scenario, target), force=force)
    if place.real.is_dir() and not is_void(place.real):
        judge(place.real)
    spare = run_id(scenario)[:10]
    with _bar(scenario, enabled=progress) as tick:
        return _execute(scenario, place, judge, tokens=tokens, tick=tick, command=command, spare=spare, keeps_code=True)


def run_to_folder(
    scenario: Scenario,
    target: Path,
    *,
    tokens: bool = False,
    tick: Callable[[], object] | None = None,
    command: str = "",
    judge: Judge | None = None,
    outcomes: Outcomes | None = None,
    stated: Mapping[str, str] | None = None,
) -> RunResult:
    """Run a scenario and let its result folder take the place of whatever is at ``target``, all at once.

    The parameters are those of :func:`execute_to_folder`; ``tick`` is called after each world, ``judge`` is asked
    whether what lies there may be replaced when the run is done, ``outcomes`` says where worlds come from, and
    ``stated`` gives, for files that lie elsewhere on this machine, the names under which config.yaml knows them. A
    process that dies on the way leaves a folder whose name begins with a dot and says whose it was.

    Raises
    ------
    UserError
        If the folder cannot be written; its cause is the ``OSError``.
    """
    place = place_of(target, over_files=True)
    judge, tick = judge or (lambda _: True), tick or (lambda: None)
    return _execute(scenario, place, judge, tokens=tokens, tick=tick, command=command, outcomes=outcomes, stated=stated)


def _execute(
    scenario: Scenario,
    place: Place,
    judge: Judge,
    *,
    tokens: bool,
    tick: Callable[[], object] | None,
    command: str,
    spare: str = "",
    outcomes: Outcomes | None = None,
    stated: Mapping[str, str] | None = None,
    keeps_code: bool = False,
) -> RunResult:
    started = time.perf_counter()
    results: list[RunResult] = []

    def write(folder: Path) -> None:
        with _token_writer(folder / "tokens.parquet", enabled=tokens) as sink:
            result = simulate(scenario, tick=tick, token_sink=sink, outcomes=outcomes)
        if keeps_code:
            keep_code([scenario], folder / CODE)
        written = _write_files(result, folder, place, command, time.perf_counter() - started, stated)
        results.append(replace(result, written=written))

    fill(place, RUN, write, judge, spare=spare)
    return replace(results[0], folder=place.named)


def write_result(result: RunResult, target: Path, *, force: bool = False, command: str = "") -> Path:
    """Write what a run left, as :func:`execute_to_folder` would have: whole or not at all.

    Parameters
    ----------
    result : RunResult
        A run; the text of policies that were added in Python is written to ``code/``. Where that cannot be, they are
        named at the head of config.yaml, which lacks them.
    target : Path
        Result folder.
    force : bool
        Replace the folder of another run.
    command : str
        What made it, kept in run.json.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    UserError
        If the folder cannot be written, or holds another run and ``force`` is false; nothing is changed then.
    """
    place = place_of(target)
    check_basis(result.scenario, result.given, result.basis)
    with with_text(result, place.real) as (whole, texts):
        judge = same_run(target, _config(whole, target, texts), force=force, elsewhere="", forced="force=True")
        if place.real.is_dir() and not is_void(place.real):
            judge(place.real)

        def write(folder: Path) -> None:
            copy_texts(folder, texts)
            keep_code([whole.scenario], folder / CODE, texts)
            _write_files(whole, folder, place, command, None, texts)

        fill(place, RUN, write, judge)
    return place.named


def _config(result: RunResult, target: Path, stated: Mapping[str, str] | None = None) -> bytes:
    """Return config.yaml; a comment names the policies that were added, so that it is not taken for a run without."""
    named = {spec.name for spec in result.scenario.policies}
    added = [printable(name).replace("\n", " ") for name in result.summary.policies if name not in named]
    head = f"# without the policies that were added in Python: {', '.join(added)}\n" if added else ""
    return head.encode("utf-8", "backslashreplace") + _resolved(result.scenario, target, stated)


def _write_files(
    result: RunResult,
    folder: Path,
    place: Place,
    command: str,
    wall_s: float | None,
    stated: Mapping[str, str] | None = None,
) -> dict[str, dict[str, Any]]:
    """Write every file of a run, run.json last, and return size and sha256 of the others."""
    (folder / CONFIG).write_bytes(_config(result, place.named, stated))
    write_requests(result.columns, folder / "requests.parquet")
    write_parquet(replication_table(result.replication_columns), folder / "replications.parquet")
    write_parquet(token_table(result.example_columns), folder / "example_tokens.parquet", has_times=True)
    if result.endpoint_columns:
        write_parquet(endpoint_table(result.endpoint_columns), folder / ENDPOINTS)
    if result.series_columns:
        write_parquet(series_table(result.series_columns), folder / SERIES)
    if result.input_intervals is not None:
        write_json(folder / INPUTS, result.input_intervals.to_json_dict())
    summary = slim_table(result.summary)
    write_json(folder / "summary.json", {**summary, "notes": list(result.notes)})
    facts = run_facts(result.scenario, command, wall_s)
    files = {path.name: file_facts(path) for path in sorted(folder.iterdir()) if path.is_file()}
    kernels = {name: dict(found) for name, found in result.kernels.items()}
    write_json(folder / FACTS, {**facts, "kernels": kernels, "files": files})
    flush(folder)
    return files


def _resolved(scenario: Scenario, target: Path, stated: Mapping[str, str] | None = None) -> bytes:
    """Return the content of config.yaml; names that the system gave as bytes go back to the bytes that they were."""
    text = dump_yaml(with_places(as_plain(scenario), stated)) if stated else dump_whole(scenario)
    try:
        content = text.encode("utf-8", "surrogateescape")
        content.decode("utf-8")
    except UnicodeError:
        raise UserError("a name in the scenario is no UTF-8 text, so it cannot be kept", where=str(target)) from None
    return content


@contextmanager
def _bar(scenario: Scenario, *, enabled: bool) -> Iterator[Any]:
    if not enabled:
        yield None
        return
    total = scenario.replications * len(scenario.policies)
    with open_bar(total, unit="world", is_shown=True, what=scenario.name, leave=False) as bar:
        yield bar.update


@contextmanager
def _token_writer(path: Path, *, enabled: bool) -> Iterator[Any]:
    """Give a sink that appends one world's token rows to a Parquet file, so that memory stays small."""
    if not enabled:
        yield None
        return
    import numpy as np
    from pyarrow import parquet

    writer: Any = None

    def sink(policy: str, replication: int, columns: Columns) -> None:
        nonlocal writer
        n = columns["request_id"].size
        named = {"policy": np.full(n, policy, dtype=object), "replication": np.full(n, replication, dtype=np.int64)}
        table = token_table({**named, **columns})
        if writer is None:
            writer = parquet.ParquetWriter(file, table.schema, compression="zstd")
        writer.write_table(table)

    with path.open("wb") as file:
        try:
            yield sink
        finally:
            if writer is not None:
                writer.close()


def write_json(path: Path, content: Any) -> None:
    """Write plain data as JSON that people can read; NaN is refused."""
    path.write_bytes(f"{laid_out(content)}\n".encode())


__all__ = ["FACTS", "execute_to_folder", "is_abandoned", "owner", "run_to_folder", "write_json", "write_result"]
