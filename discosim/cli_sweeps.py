"""The verbs of sweeps, `discosim sweep` and `discosim diff`: parse, call, print."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep

from discosim.cli_console import say, say_json, tell
from discosim.cli_help import AddParser, add_verb
from discosim.cli_results import add_columns, add_json, chosen, parse_names
from discosim.core.addresses import place_of_text
from discosim.core.errors import UserError

SWEEP_ACTIONS = ("status", "collect", "clean")
EXIT_OK, EXIT_INCOMPLETE = 0, 1


def add_sweep(add: AddParser) -> None:
    """Add the verb that runs a sweep, and those that look after its folder."""
    parser = add_verb(
        add,
        "sweep",
        "run what is not finished of a sweep, then compare",
        "sweep budget --profile quick",
        "sweep mine.yaml --executor local:4",
        "sweep mine.yaml --shard 3/16",
        "sweep mine.yaml --shard slurm",
        "sweep status results/budget-quick",
        "sweep collect results/mine",
        "sweep clean results/mine --stale",
        more="The same command goes on where it was interrupted, and tries failed runs again.\n"
        "Exit code 1: runs failed or are missing; with --shard, of its part.",
    )
    parser.add_argument("plan", metavar="PLAN", help="a YAML file, or the name of a shipped sweep")
    parser.add_argument("--profile", metavar="NAME", default="", help="one of the sweep's profiles, such as quick")
    parser.add_argument(
        "--set",
        metavar="a.b=c",
        action="append",
        default=[],
        dest="overrides",
        help="change one value of the base, as YAML; may be repeated (a file is looked for in the working directory, "
        "then beside PLAN)",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=place_of_text,
        help="folder of the sweep (default: results/<name>), or s3://bucket/name, gs://bucket/name",
    )
    parser.add_argument(
        "--executor",
        metavar="NAME",
        default="local",
        help="serial, local[:N], ray[:N], ray://host:port, dask[:N], dask://host:port (default: local)",
    )
    parser.add_argument(
        "--shard",
        metavar="i/n",
        help="only every n-th run, from the i-th on; `slurm`: as the job array says that this is a task of; collect "
        "afterwards",
    )
    parser.add_argument("--retries", metavar="N", type=int, default=2, help="tries after the first one (default: 2)")
    parser.add_argument(
        "--timeout-s", metavar="X", type=float, help="time after which a run counts as hung (default: none)"
    )
    parser.add_argument("--accept-version", action="store_true", help="go on beside runs of another version")
    add_columns(parser)
    add_json(parser)
    parser.set_defaults(call=_sweep)
    for action, words in (
        ("status", "say where a sweep stands"),
        ("collect", "build the index from the runs that are there"),
        ("clean", "remove leftovers, kept errors, and runs of no plan"),
    ):
        more = {
            "collect": "Exit code 1: runs failed or are missing.",
            "status": "Exit code 1: with --watch, runs failed.",
        }
        examples = [f"sweep {action} results/budget-quick"]
        examples += ["sweep status results/budget-quick --watch"] if action == "status" else []
        parser = add_verb(add, f"sweep {action}", words, *examples, more=more.get(action, ""))
        parser.add_argument(
            "folder", metavar="FOLDER", type=place_of_text, help="folder of the sweep, or s3://bucket/name"
        )
        add_json(parser)
        parser.set_defaults(call=_sweep_folder, action=action)
        if action == "status":
            parser.add_argument(
                "--watch",
                metavar="SECONDS",
                nargs="?",
                type=float,
                const=2.0,
                help="look again every so many seconds (default: 2) until nothing is missing",
            )
        if action == "clean":
            parser.add_argument(
                "--stale", action="store_true", help="also remove runs whose code or inputs have changed"
            )


def _sweep(options: argparse.Namespace) -> int:
    from discosim.report.documents import sweep_document
    from discosim.report.progress import Bar
    from discosim.report.sweep_text import render_sweep
    from discosim.runs.kept_targets import keep_targets
    from discosim.sweep.drive import Terms
    from discosim.sweep.plan import load_plan
    from discosim.sweep.run import how_to_go_on, run_sweep
    from discosim.sweep.shards import parse_shard
    from discosim.sweep.targets import table_with_targets

    if options.retries < 0:
        raise UserError(f"must be >= 0 (got {options.retries})", where="--retries")
    if options.timeout_s is not None and not options.timeout_s > 0:
        raise UserError(f"must be > 0 (got {options.timeout_s:g})", where="--timeout-s")
    columns, targets = chosen(options)
    plan = load_plan(options.plan, profile=options.profile, overrides=options.overrides)
    terms = Terms(retries=options.retries, limit_s=options.timeout_s, command=options.command)
    shard = None if options.shard is None else parse_shard(options.shard)
    with how_to_go_on(plan, options.out, tell):
        result = run_sweep(
            plan,
            options.out,
            executor=options.executor,
            shard=shard,
            terms=terms,
            accept_version=options.accept_version,
            watch=lambda n_finished, n_runs: Bar(n_finished, n_runs, is_shown=_is_terminal()),
        )
    if targets and result.table is not None:
        if isinstance(options.out, Path | None):
            keep_targets(result.store.folder, targets)
        result = replace(result, table=table_with_targets(result.store, result.table, targets))
    if options.json:
        say_json(sweep_document(result, columns))
    else:
        say(render_sweep(result, columns))
    return EXIT_OK if result.state.is_complete else EXIT_INCOMPLETE


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _sweep_folder(options: argparse.Namespace) -> int:
    from discosim.report.documents import status_document
    from discosim.report.sweep_text import render_status
    from discosim.sweep.mirror import opened
    from discosim.sweep.run import collect_sweep

    removed = None
    if options.action == "collect":
        store, state, _ = collect_sweep(options.folder)
    else:
        if options.action == "status" and options.watch is not None:
            return _watched(options.folder, options.watch, is_json=options.json)
        with opened(options.folder, is_read=options.action == "status") as store:
            if options.action == "clean":
                removed = store.clean(stale=options.stale)
            state = store.state(store.planned())
    if options.json:
        say_json(status_document(f"sweep {options.action}", store, state, removed))
    else:
        for name in removed or ():
            say(f"removed {name}")
        say(render_status(store, state))
    return EXIT_INCOMPLETE if options.action == "collect" and not state.is_complete else EXIT_OK


def _watched(folder: Path | str, every_s: float, *, is_json: bool) -> int:
    """Say where a sweep stands, again and again, until nothing is missing; whoever runs it is left alone."""
    from discosim.report.sweep_text import failures_text, pace_text
    from discosim.sweep.mirror import opened

    if is_json:
        raise UserError("a document is printed once; give either --json or --watch", where="sweep status")
    if not 0.1 <= every_s <= 86_400.0:
        raise UserError(f"must be from 0.1 to 86,400 (got {every_s:g})", where="--watch")
    began, said, first = monotonic(), "", None
    while True:
        with opened(folder, is_read=True) as store:
            state = store.state(store.planned())
        first = len(state.finished) if first is None else first
        line = pace_text(store, state, len(state.finished) - first, monotonic() - began)
        standing = f"{len(state.finished)} {len(state.failed)} {len(state.missing)}"
        if standing != said:
            say(line)
            if sys.stdout is not None:
                sys.stdout.flush()
        said = standing
        if not state.missing:
            break
        sleep(every_s)
    if failed := failures_text(store, state):
        say(failed)
    return EXIT_OK if state.is_complete else EXIT_INCOMPLETE


def add_diff(add: AddParser) -> None:
    """Add the verb that compares two folders."""
    parser = add_verb(
        add,
        "diff",
        "compare two result folders: configuration and paired numbers",
        "diff results/quickstart results/tight",
        "diff results/quickstart results/tight --metric ttft_p99_s",
    )
    parser.add_argument("a", metavar="A", type=Path, help="folder of a run or of a sweep")
    parser.add_argument("b", metavar="B", type=Path, help="another one of the same kind")
    metric_help = "summary metric to compare; may be repeated (default: mean and p99 TTFT, QoE, unified cost)"
    parser.add_argument("--metric", metavar="NAME", action="append", default=[], dest="metrics", help=metric_help)
    parser.add_argument("--columns", metavar="a,b,c", help="the same, several at once")
    add_json(parser)
    parser.set_defaults(call=_diff)


def _diff(options: argparse.Namespace) -> None:
    from discosim.report.documents import diff_document
    from discosim.report.sweep_text import render_diff
    from discosim.sweep.diff import diff_folders

    more = [] if options.columns is None else parse_names(options.columns, "--columns")
    found = diff_folders(options.a, options.b, list(dict.fromkeys([*options.metrics, *more])))
    if options.json:
        say_json(diff_document(found))
    else:
        say(render_diff(found))
