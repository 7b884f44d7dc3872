"""The command line: parse, call, print. Everything heavy is imported by the verb that needs it."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from discosim import __version__
from discosim.core.errors import UserError, close_match

EXIT_OK, EXIT_BAD_INPUT, EXIT_INTERRUPTED, EXIT_CLOSED_PIPE = 0, 2, 130, 141
VERBS: dict[str, tuple[str, ...]] = {
    "run": (),
    "traces": ("list", "show", "check", "digest", "fit-engine"),
    "explain": ("metric", "policy", "scheduler"),
    "schema": (),
}

AddParser = Callable[..., argparse.ArgumentParser]


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line, like every other error here, and which guesses no options."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **kwargs})

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage."""
        raise UserError(f"{message} (see `{self.prog} --help`)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; those of the process by default.

    Returns
    -------
    int
        0, or 2 for bad input, 130 when interrupted, 141 when the reader of stdout went away. Bugs raise.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        _suggest_verb(arguments)
        options = build_parser().parse_args(arguments)
        options.command = shlex.join(["discosim", *arguments])
        options.call(options)
        sys.stdout.flush()
    except UserError as error:
        for line in str(error).splitlines():
            print(f"discosim: error: {line}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        print("discosim: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _silence_stdout()
        return EXIT_CLOSED_PIPE
    return EXIT_OK


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all verbs."""
    parser = Parser(
        prog="discosim",
        description="Simulate LLM text streaming shared between devices and servers.",
    )
    parser.add_argument("--version", action="version", version=f"discosim {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    _add_run(verbs.add_parser)
    _add_traces(verbs.add_parser)
    _add_explain(verbs.add_parser)
    _add_schema(verbs.add_parser)
    return parser


# --- run ----------------------------------------------------------------------------------------------------


def _add_run(add: AddParser) -> None:
    parser = add("run", help="run a scenario, print its table, write its result folder")
    parser.add_argument("config", metavar="CONFIG", help="a YAML file, or the name of a shipped configuration")
    parser.add_argument(
        "--set",
        metavar="a.b=c",
        action="append",
        default=[],
        dest="overrides",
        help="replace one value; may be repeated (policies.NAME.budget=0.3, devices[0].share=2)",
    )
    parser.add_argument("--out", metavar="DIR", type=Path, help="result folder (default: results/<name>)")
    parser.add_argument("--seed", metavar="N", type=int, help="replace the scenario's seed")
    parser.add_argument("--tokens", action="store_true", help="also write tokens.parquet, one row per token")
    parser.add_argument("--force", action="store_true", help="replace the result folder of another run")
    parser.add_argument("--trace-events", metavar="FILE", type=Path, help="write a timeline for Perfetto (JSON)")
    parser.add_argument("--trace-policy", metavar="NAME", help="policy of the timeline (default: the first)")
    parser.set_defaults(call=_run)


def _run(options: argparse.Namespace) -> None:
    from discosim.config import load_scenario

    scenario = load_scenario(options.config, overrides=options.overrides, seed=options.seed)

    from discosim.report.figures import draw_all
    from discosim.report.text import render
    from discosim.runs import execute_to_folder

    result = execute_to_folder(
        scenario,
        options.out,
        tokens=options.tokens,
        force=options.force,
        progress=sys.stderr.isatty(),
        command=options.command,
    )
    assert result.folder is not None
    draw_all(result.folder)
    print(render(result))
    if options.trace_events is not None:
        from discosim.runs.trace_events import write_trace_events

        n_left_out = write_trace_events(scenario, options.trace_events, options.trace_policy)
        left_out = f" ({n_left_out} iterations left out: the file would be too long)" if n_left_out else ""
        print(f"timeline   {options.trace_events}{left_out}; open it at https://ui.perfetto.dev")


# --- traces -------------------------------------------------------------------------------------------------


def _add_traces(add: AddParser) -> None:
    actions = add("traces", help="look at shipped digests and at trace files").add_subparsers(
        metavar="ACTION", required=True
    )
    listing = actions.add_parser("list", help="list the shipped digests")
    listing.set_defaults(call=_traces_list)
    show = actions.add_parser("show", help="show a digest: its card and its figures")
    show.add_argument("name", metavar="NAME")
    show.set_defaults(call=_traces_show)
    check = actions.add_parser("check", help="read a trace file and print what is in it")
    check.add_argument("file", metavar="FILE", type=Path)
    check.add_argument("--format", default="auto", help="trace format (default: look at the file)")
    check.set_defaults(call=_traces_check)
    digest = actions.add_parser("digest", help="compute digests from the raw files under DISCOSIM_TRACES")
    digest.add_argument("names", metavar="NAME", nargs="*")
    digest.add_argument("--all", action="store_true", help="compute every digest")
    digest.add_argument("--out", metavar="DIR", type=Path, default=Path("traces"), help="default: traces")
    digest.set_defaults(call=_traces_digest)
    fit = actions.add_parser("fit-engine", help="fit iteration times of your own server, for `server.kind: engine`")
    fit.add_argument("file", metavar="FILE", type=Path, help="CSV: phase, batch, tokens, time_s or time_ms")
    fit.add_argument("--out", metavar="FILE", type=Path, required=True, help="digest to write (JSON)")
    fit.add_argument("--kv-tok", metavar="N", type=int, required=True, help="KV tokens that fit into one replica")
    fit.add_argument("--kv-bytes-per-tok", metavar="N", type=float, required=True, help="bytes of a token's KV cache")
    fit.add_argument("--max-context-tok", metavar="N", type=int, required=True, help="context limit of the model")
    fit.add_argument("--gpus", metavar="N", type=int, default=1, help="GPUs of one replica (default: 1)")
    fit.add_argument("--model", metavar="NAME", default="unnamed", help="name of the model")
    fit.add_argument("--hardware", metavar="NAME", default="unnamed", help="name of the hardware")
    fit.set_defaults(call=_traces_fit_engine)


def _traces_list(_options: argparse.Namespace) -> None:
    from discosim.traces.catalogue import list_digests, load_digest

    for entry in list_digests():
        print(f"{entry.kind:<9} {entry.name:<38} {load_digest(entry.name, entry.kind).card.title}")


def _traces_show(options: argparse.Namespace) -> None:
    from discosim.traces.catalogue import describe

    print(describe(options.name))


def _traces_check(options: argparse.Namespace) -> None:
    from discosim.traces.check import check

    print(check(options.file, options.format))


def _traces_digest(options: argparse.Namespace) -> None:
    if bool(options.names) == options.all:
        raise UserError("name the digests to compute, or give --all", where="traces digest")
    raw = os.environ.get("DISCOSIM_TRACES")
    if not raw or not Path(raw).is_dir():
        raise UserError(
            "set DISCOSIM_TRACES to the folder of the raw traces (see docs/traces.md)", where="traces digest"
        )

    from discosim.traces.recipes.build import build_all

    for path in build_all(Path(raw), options.out, options.names or None):
        print(path)


def _traces_fit_engine(options: argparse.Namespace) -> None:
    from discosim.traces.engine_fit import fit_engine, write_fit

    digest = fit_engine(
        options.file,
        name=options.out.stem,
        model=options.model,
        hardware=options.hardware,
        n_gpus=options.gpus,
        kv_bytes_per_tok=options.kv_bytes_per_tok,
        kv_tok=options.kv_tok,
        max_context_tok=options.max_context_tok,
    )
    print(write_fit(digest, options.out))


# --- explain, schema ----------------------------------------------------------------------------------------


def _add_explain(add: AddParser) -> None:
    topics = add("explain", help="say what a metric, a policy or a scheduler is").add_subparsers(
        metavar="TOPIC", required=True
    )
    explained = (("metric", _explain_metric), ("policy", _explain_policy), ("scheduler", _explain_scheduler))
    for topic, call in explained:
        parser = topics.add_parser(topic, help=f"explain one {topic}, or list all")
        parser.add_argument("name", metavar="NAME", nargs="?")
        parser.set_defaults(call=call)


def _explain_metric(options: argparse.Namespace) -> None:
    from discosim.metrics.definitions import DEFINITIONS, explain

    if options.name:
        print(explain(options.name))
        return
    for name, metric in DEFINITIONS.items():
        print(f"{name:<28} {metric.unit:<10} {metric.description.partition('. ')[0]}".rstrip())


def _explain_policy(options: argparse.Namespace) -> None:
    from discosim.policies.describe import explain, list_policies

    print(explain(options.name) if options.name else list_policies())


def _explain_scheduler(options: argparse.Namespace) -> None:
    from discosim.config.schedulers import explain_scheduler, list_schedulers

    print(explain_scheduler(options.name) if options.name else list_schedulers())


def _add_schema(add: AddParser) -> None:
    parser = add("schema", help="print the JSON Schema of a scenario")
    parser.add_argument("--reference", action="store_true", help="print the commented reference scenario instead")
    parser.set_defaults(call=_schema)


def _schema(options: argparse.Namespace) -> None:
    if options.reference:
        from discosim.config.reference import reference_yaml

        print(reference_yaml(), end="")
    else:
        from discosim.config.schema import schema_json

        print(schema_json(), end="")


# --- manners ------------------------------------------------------------------------------------------------


def _suggest_verb(arguments: Sequence[str]) -> None:
    """Answer an unknown verb with the nearest known one; argparse does so from Python 3.14 on only."""
    known: Sequence[str] = tuple(VERBS)
    for word in arguments[:2]:
        if not known or word.startswith("-"):
            return
        if word not in known:
            raise UserError(f"unknown command '{word}'; {close_match(word, known)}")
        known = VERBS.get(word, ())


def _silence_stdout() -> None:
    """Let the interpreter flush into nowhere at exit: the reader of stdout is gone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
