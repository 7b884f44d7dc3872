"""The verbs of a sweep: run it, say where it stands, collect it, clean it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discosim.config.own_kinds import own_kinds_of
from discosim.core.addresses import place_of_text
from discosim.core.errors import UserError
from discosim.core.own_code import is_own
from discosim.core.scenario import PolicySpec
from discosim.runs.entrants import Given, named_policies
from discosim.runs.given_policies import specs_of
from discosim.runs.kept_code import keep_code
from discosim.sweep.axes import shown
from discosim.sweep.compare import Difference, compare_all, is_content
from discosim.sweep.drive import Terms, Watcher, carry_out
from discosim.sweep.executors import Engine, check_name, open_engine
from discosim.sweep.index import write_index
from discosim.sweep.input_intervals import with_inputs
from discosim.sweep.mirror import mirrored
from discosim.sweep.plan import Plan, Run, load_plan
from discosim.sweep.store import CODE, COMPARISONS, PLAN, State, Store
from discosim.sweep.table import Told, collect
from discosim.sweep.taken_over import TakenOver, forget_unused
from discosim.sweep.views import TableViews, notebook_bar

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

WITH_INPUTS = ("few_rows", "low_with_inputs", "high_with_inputs", "verdict_with_inputs", "rests_on_no_row")
"""Columns of comparisons.csv that are there where an input of few rows is behind any of them."""
MOST_DAMAGED = 10
"""Damaged runs that are named one by one."""


@dataclass(frozen=True, repr=False)
class SweepResult(TableViews):
    """What a sweep gives back.

    Parameters
    ----------
    plan : Plan
        What was asked for.
    store : Store
        Where it is.
    seeds : tuple of int
        Seeds that were run, more than planned where a rule asked for them.
    state : State
        What is finished and what failed.
    table : pandas.DataFrame or None
        The index, a row per run and policy; None for a shard, which sees only its part.
    differences : tuple of Difference
        The comparisons.
    notes : tuple of str
        What was accepted with ``--accept-version``, and which runs were damaged.
    """

    plan: Plan
    store: Store
    seeds: tuple[int, ...]
    state: State
    table: pd.DataFrame | None
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """Name of the sweep."""
        return self.plan.name

    def __repr__(self) -> str:
        """Return one line: how much was asked for, how much of it stands, and where."""
        n_runs, state = len(self.plan.points) * len(self.seeds), self.state
        return (
            f"<SweepResult {self.title!r}: {len(self.plan.points)} points x {len(self.seeds)} seeds = {n_runs} runs, "
            f"{len(state.finished)} finished, {len(state.failed)} failed, {len(state.missing)} missing, "
            f"in {str(self.store.folder)!r}>"
        )


def run_sweep(
    plan: Plan | str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    policies: Given = (),
    profile: str = "",
    overrides: Iterable[str] = (),
    executor: str = "local",
    shard: tuple[int, int] | None = None,
    terms: Terms | None = None,
    accept_version: bool = False,
    watch: Callable[[int, int], Watcher] | None = None,
) -> SweepResult:
    """Run whatever of a sweep is not finished yet, then collect and compare.

    Parameters
    ----------
    plan : Plan, path or str
        From :func:`discosim.sweep.plan.load_plan`, or what that takes: a file, or the name of a shipped sweep.
    out : path or str, optional
        Folder of the sweep; ``results/<name>`` by default. An address such as ``s3://bucket/sweep`` is an object store.
    policies : Policy, or mapping or sequence of Policy, optional
        Policy objects that run beside those of the base, such as one of a notebook; a mapping names them. Needs a file
        or a name as `plan`, whose comparisons and axes may name them. Their text is written to the folder's ``code/``,
        so that the results tell what made them, and goes into the identity of the runs.
    profile, overrides : str, iterable of str
        As for `load_plan`, where `plan` is a file or a name.
    executor : str
        See :func:`discosim.sweep.executors.open_engine`.
    shard : (int, int), optional
        Part i of n, from 1: every n-th run of the plan. Nothing is collected.
    terms : Terms, optional
        Retries and time limit.
    accept_version : bool
        Go on although finished runs were made by another version, or from other inputs.
    watch : callable, optional
        Called with the numbers of finished and of all runs; gives a watcher that hears of each run. In a notebook a bar
        where omitted.

    Raises
    ------
    UserError
        If the folder cannot be used, or not any more; what is finished stays.
    """
    check_name(executor)
    place = place_of_text(out) if isinstance(out, str) else out
    if isinstance(place, str):
        with mirrored(place) as mirror:
            result = run_sweep(
                plan,
                mirror.folder,
                policies=policies,
                profile=profile,
                overrides=overrides,
                executor=executor,
                shard=shard,
                terms=terms,
                accept_version=accept_version,
                watch=mirror.watching(watch),
            )
        return replace(result, store=replace(result.store, url=mirror.store.url))
    out = place
    plan = _planned(plan, None if out is None else Path(out), policies, profile, overrides)
    if shard is not None and plan.file.stop is not None:
        raise UserError("a shard cannot know when to stop; leave out --shard, or `stop`", where="--shard")
    store = Store(Path("results") / plan.name if out is None else Path(out))
    notes = store.prepare(plan, accept_version=accept_version)
    _keep_code(plan, store)
    damaged: dict[str, str] = {}
    taken, told = TakenOver(), Told()
    seeds: Sequence[int] = plan.seeds
    stop = plan.file.stop
    with _lazy(executor) as engine:
        while True:
            runs = plan.runs(seeds)
            store.write_plan(plan, seeds)
            mine = runs if shard is None else runs[shard[0] - 1 :: shard[1]]
            state, said = _finish(plan, mine, store, engine, terms or Terms(), watch or notebook_bar(), (taken, told))
            damaged |= state.damaged
            notes += said
            if shard is not None:
                notes += (*_anew(damaged), *taken.note(plan))
                return SweepResult(plan, store, tuple(seeds), store.state(mine), None, (), tuple(notes))
            table = collect(store, told)
            differences = compare_all(plan, table, seeds)
            if stop is None or len(seeds) >= stop.n_max or is_content(stop, differences):
                break
            seeds = range(seeds[0], seeds[0] + min(len(seeds) + stop.step, stop.n_max))
    write_index(store, table)
    differences = list(with_inputs(differences, plan, store, table))
    _write_comparisons(store, differences)
    store.remove_abandoned()
    state = store.state(runs)
    if state.is_complete:  # also where nothing was left to do: whoever finished it may have been killed before this
        forget_unused(plan, store, runs)
    notes += (*_anew(damaged), *taken.note(plan))
    return SweepResult(plan, store, tuple(seeds), state, table, tuple(differences), tuple(notes))


def _keep_code(plan: Plan, store: Store) -> None:
    """Keep the files of the user's that the points name, but for those that lie in the folder already."""
    scenarios, code = [point.scenario for point in plan.points], store.folder / CODE
    files = {kind.rpartition(":")[0] for scenario in scenarios for kind in own_kinds_of(scenario)}
    keep_code(scenarios, code, {file for file in files if Path(file).parent == code.resolve()})


def _planned(
    plan: Plan | str | os.PathLike[str], out: Path | None, given: Given, profile: str, overrides: Iterable[str]
) -> Plan:
    """Return the plan, with policies that were given as objects beside those of the base."""
    named = named_policies(given)
    if isinstance(plan, Plan):
        if named or profile or tuple(overrides):
            said = "policies, profile and overrides go with a file or a name: run_sweep('sweep.yaml', policies=...)"
            raise UserError(said, where="run_sweep")
        return plan

    def more(name: str) -> Sequence[PolicySpec]:
        return specs_of(named, (Path("results") / name if out is None else out) / CODE)

    return load_plan(plan, profile=profile, overrides=overrides, more=more if named else None)


def _finish(
    plan: Plan,
    runs: Sequence[Run],
    store: Store,
    engine: Callable[[], Engine],
    terms: Terms,
    watch: Callable[[int, int], Watcher] | None,
    watchers: Sequence[Watcher],
) -> tuple[State, list[str]]:
    """Make what is not finished, and return how it stood before, and what is to be said of the way."""
    state = store.state(runs)
    # seed by seed: points that share a seed and a service share the past that their policies learn from
    order = {run: (run.seed, i) for i, run in enumerate(runs)}
    # points whose inputs differ in nothing but their folder are one run
    waiting = {run.folder: run for run in sorted((*state.failed, *state.missing), key=order.__getitem__, reverse=True)}
    if waiting:
        watchers = [*watchers, *([watch(len(state.finished), len(runs))] if watch else [])]
        opened = engine()
        store.forget_tables()
        turns = in_turns(list(waiting.values())[::-1], opened.n_at_once)
        return state, carry_out(plan, turns, store, opened, terms, watchers)
    return state, []


def in_turns(runs: Sequence[Run], n_at_once: int) -> list[Run]:
    """Return runs in the order in which they are begun, where so many go on at once; before, they stand seed by seed.

    Points of one seed mostly have policies in common: who is begun beside the other runs them too, and who is begun
    after it finds them done. So as many seeds go on side by side, each point by point.
    """
    seeds = {seed: i for i, seed in enumerate(dict.fromkeys(run.seed for run in runs))}
    begun: Counter[int] = Counter()
    turns = []
    for run in runs:
        turns.append((seeds[run.seed] // n_at_once, begun[run.seed], seeds[run.seed]))
        begun[run.seed] += 1
    return [run for _, run in sorted(zip(turns, runs, strict=True), key=lambda turn: turn[0])]


def _anew(damaged: Mapping[str, str]) -> list[str]:
    notes = [f"run {name} was damaged and is made anew: {reason}" for name, reason in damaged.items()]
    rest = len(notes) - MOST_DAMAGED
    return notes if rest <= 0 else [*notes[:MOST_DAMAGED], f"and {rest} more damaged runs"]


@contextmanager
def _lazy(executor: str) -> Iterator[Callable[[], Engine]]:
    """Give a function that starts the engine when there is something to do; end it at once if things go wrong."""
    engines: list[Engine] = []

    def engine() -> Engine:
        if not engines:
            engines.append(open_engine(executor))
        return engines[0]

    try:
        yield engine
    except BaseException:
        for opened in engines:
            opened.executor.shutdown(wait=False, cancel_futures=True)
        raise
    for opened in engines:
        opened.executor.shutdown(wait=True)


@contextmanager
def how_to_go_on(plan: Plan, out: Path | str | None, say: Callable[[str], None]) -> Iterator[None]:
    """Say what is on disk, and that the same command goes on, when a sweep is interrupted or runs out of disk."""
    try:
        yield
    except (KeyboardInterrupt, UserError) as error:
        if isinstance(out, str):
            if isinstance(error, KeyboardInterrupt):
                say(f"discosim: what is finished stays in {out}; to go on, give the same command again")
            raise
        store = Store(Path("results") / plan.name if out is None else out)
        is_begun = (store.folder / PLAN).is_file()
        if is_begun and (isinstance(error, KeyboardInterrupt) or is_about_disk(error)):
            with suppress(OSError, UserError):
                store.remove_abandoned()
                runs = store.planned()
                n_finished = len(store.state(runs).finished)
                say(f"discosim: {n_finished} of {len(runs)} runs are finished and stay in {store.folder}")
                say("discosim: to go on, give the same command again")
        raise


def is_about_disk(error: UserError) -> bool:
    """Tell whether a sweep stopped because its folder cannot be written."""
    return "cannot be written" in error.message


def collect_sweep(plan_folder: Path | str) -> tuple[Store, State, pd.DataFrame]:
    """Build the index of a sweep from the runs that are there, whoever made them, and write it."""
    if isinstance(plan_folder, str):
        with mirrored(plan_folder) as mirror:
            store, state, table = collect_sweep(mirror.folder)
        return replace(store, url=mirror.store.url), state, table
    store = Store(plan_folder)
    table = collect(store)
    write_index(store, table)
    state = store.state(store.planned())
    if state.is_complete and not any(
        is_own(key) for point in store.read_plan()["points"] for key in point["inputs_sha256"]
    ):
        store.forget_kept()
    return store, state, table


def differences_table(differences: Sequence[Difference]) -> pd.DataFrame:
    """Return comparisons as a tidy table: one row each, one column per axis."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for row in differences:
        fields = {name: getattr(row, name) for name in row.__dataclass_fields__ if name not in {"values", "against"}}
        against = ", ".join(f"{path}={shown(value)}" for path, value in row.against.items())
        head = {name: fields.pop(name) for name in ("compare", "metric", "policy", "baseline")}
        rows.append({**head, **{k: shown(v) for k, v in row.values.items()}, "against": against, **fields})
    table = pd.DataFrame(rows)
    return table if any(row.few_rows for row in differences) else table.drop(columns=list(WITH_INPUTS))


def _write_comparisons(store: Store, differences: Sequence[Difference]) -> None:
    if differences:
        text = differences_table(differences).to_csv(index=False, float_format="%.9g", lineterminator="\n")
        store.write_text(COMPARISONS, text)
