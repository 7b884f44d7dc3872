"""The command line: parse, call, print. Everything heavy is imported by the verb that needs it."""

from __future__ import annotations

import argparse
import errno
import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from discosim import __version__
from discosim.cli_completion import add_completion
from discosim.cli_console import say, say_json, tell
from discosim.cli_engine import add_engine
from discosim.cli_explain import add_explain
from discosim.cli_help import AddParser, add_verb
from discosim.cli_papers import add_claims, add_figures
from discosim.cli_plot import add_plot
from discosim.cli_results import add_columns, add_json, add_table, chosen
from discosim.cli_sweeps import SWEEP_ACTIONS, add_diff, add_sweep
from discosim.cli_traces import add_traces
from discosim.core.errors import UserError, close_match, did_you_mean
from discosim.core.interrupts import listening, settle
from discosim.core.printable import for_stream

EXIT_OK, EXIT_BAD_INPUT, EXIT_INTERRUPTED, EXIT_CLOSED_PIPE = 0, 2, 130, 141
EXIT_CODES = """\
exit codes:
  0    done
  1    a check failed, or runs of a sweep failed or are missing
  2    bad input, a result that is damaged, or a disk that is full
  130  interrupted
  141  the reader of the output went away"""
VERBS: dict[str, tuple[str, ...]] = {
    "run": (),
    "traces": (
        *("list", "show", "check", "convert", "digest", "digest-latency", "digest-rtt", "digest-device"),
        *("digest-chunks", "fit-engine", "fit-profile"),
    ),
    "engine": ("calibrate", "validate"),
    "explain": ("metric", "policy", "scheduler"),
    "sweep": (),
    "diff": (),
    "plot": (),
    "figures": (),
    "claims": (),
    "table": (),
    "report": (),
    "schema": (),
    "completion": (),
}
LONGEST_NAME = 80
OUTSIDE = {errno.ENOSPC, errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP}
"""Refusals of the system that are nobody's bug."""
_SHIPPED = "quickstart, bounds, engine, pd-device, pd-device-exact, pice, all-systems"


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line, like every other error here, and which guesses no options."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **kwargs})

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Read ``sweep status`` and its like as one word: ``sweep`` itself takes a file where they stand."""
        words = list(sys.argv[1:] if args is None else args)
        if words[:1] == ["sweep"] and words[1:2] and words[1] in SWEEP_ACTIONS:
            words[:2] = [" ".join(words[:2])]
        known, unknown = super().parse_known_args(words, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}{self._nearest_option(unknown)}")
        return known, unknown

    def _nearest_option(self, unknown: Sequence[str]) -> str:
        options = [word for action in self._actions for word in action.option_strings if word.startswith("--")]
        meant = next((word.partition("=")[0] for word in unknown if word.startswith("--")), "")
        return did_you_mean(meant, options)

    def _print_message(self, message: str, file: Any = None) -> None:
        file = sys.stderr if file is None else file
        super()._print_message(for_stream(message, file) if message else message, file)

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
        0, 1 where a check failed or a sweep is not complete, 2 for bad input or a full disk, 130 when interrupted, 141
        when the reader of stdout went away. Bugs raise. It works in any thread; Ctrl-C is heard by the main one.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    with listening() as listener:
        try:
            try:
                listener.open()
                return _answered(arguments)
            except Exception:
                if listener.was_asked:  # an interrupt came where some library made another error of it
                    raise KeyboardInterrupt from None
                raise
            finally:
                listener.close()
        except KeyboardInterrupt:
            settle()
            tell("discosim: interrupted")
            return EXIT_INTERRUPTED


def _answered(arguments: Sequence[str]) -> int:
    """Run one command; what a user can mend is one line."""
    try:
        _suggest_verb(arguments)
        options = build_parser().parse_args(arguments)
        options.command = shlex.join(["discosim", *arguments])
        code: int | None = options.call(options)
        if sys.stdout is not None:
            sys.stdout.flush()
    except UserError as error:
        for line in str(error).splitlines():
            tell(f"discosim: error: {line}")
        return EXIT_BAD_INPUT
    except BrokenPipeError:
        _silence_stdout()
        return EXIT_CLOSED_PIPE
    except OSError as error:
        if error.errno not in OUTSIDE:
            raise
        if error.filename is None:
            _silence_stdout()
        what = "cannot write what comes out" if error.filename is None else f"{_short(error.filename)}: cannot be used"
        tell(f"discosim: error: {what} ({error.strerror})")
        return EXIT_BAD_INPUT
    except UnicodeEncodeError as error:
        if error.encoding != sys.getfilesystemencoding() or error.encoding == "utf-8":
            raise
        tell(f"discosim: error: {_short(error.object)}: cannot be a file name in {error.encoding}; set PYTHONUTF8=1")
        return EXIT_BAD_INPUT
    except MemoryError as error:
        tell(f"discosim: error: out of memory ({error or 'the computation is too large'})")
        return EXIT_BAD_INPUT
    return code or EXIT_OK


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all verbs."""
    parser = Parser(
        prog="discosim",
        description="Simulate LLM text streaming shared between devices and servers.",
        epilog="`discosim VERB --help` shows the options of a verb, and commands to copy. Start with "
        f"`discosim run quickstart`.\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"discosim {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    _add_run(verbs.add_parser)
    add_sweep(verbs.add_parser)
    add_diff(verbs.add_parser)
    add_plot(verbs.add_parser)
    add_figures(verbs.add_parser)
    add_claims(verbs.add_parser)
    add_table(verbs.add_parser)
    _add_report(verbs.add_parser)
    add_traces(verbs.add_parser)
    add_engine(verbs.add_parser)
    add_explain(verbs.add_parser)
    _add_schema(verbs.add_parser)
    add_completion(verbs.add_parser, build_parser)
    return parser


# --- run ----------------------------------------------------------------------------------------------------


def _add_run(add: AddParser) -> None:
    parser = add_verb(
        add,
        "run",
        "run a scenario, print its table, write its result folder",
        "run quickstart",
        "run quickstart --set policies.DiSCo-D.budget=0.3 --out results/tight",
        "run mine.yaml --seed 7 --tokens",
        "run engine --trace-events timeline.json",
        "run quickstart --slo ttft_s=0.5,tpot_s=0.1 --json > numbers.json",
        more=f"shipped:\n  {_SHIPPED}\n\nEvery key of a scenario: `discosim schema --reference`.",
    )
    parser.add_argument("config", metavar="CONFIG", help="a YAML file, or the name of a shipped configuration")
    set_help = (
        "replace one value, as YAML; may be repeated (policies.NAME.budget=0.3, devices[0].share=2, "
        "workload.file=here.jsonl: a file is looked for in the working directory, then beside CONFIG)"
    )
    parser.add_argument("--set", metavar="a.b=c", action="append", default=[], dest="overrides", help=set_help)
    parser.add_argument("--out", metavar="DIR", type=Path, help="result folder (default: results/<name>)")
    parser.add_argument("--seed", metavar="N", type=int, help="replace the scenario's seed")
    parser.add_argument("--tokens", action="store_true", help="also write tokens.parquet, one row per shown token")
    parser.add_argument("--force", action="store_true", help="replace the result folder of another run")
    parser.add_argument("--no-figures", action="store_true", help="draw nothing: a small run then takes half as long")
    parser.add_argument("--trace-events", metavar="FILE", type=Path, help="write a timeline for Perfetto (JSON)")
    parser.add_argument("--trace-policy", metavar="NAME", help="policy of the timeline (default: the first)")
    add_columns(parser)
    add_json(parser)
    parser.set_defaults(call=_run)


def _run(options: argparse.Namespace) -> None:
    from discosim.config import load_scenario

    columns, targets = chosen(options)
    scenario = load_scenario(options.config, overrides=options.overrides, seed=options.seed)

    from discosim.report.text import render
    from discosim.runs import execute_to_folder
    from discosim.runs.basis import changed_since
    from discosim.runs.folder import check_apart, default_folder
    from discosim.runs.trace_events import check_trace_events, write_trace_events

    check_trace_events(scenario, options.trace_events, options.trace_policy)
    check_apart(options.trace_events, options.out or default_folder(scenario))
    for changed in changed_since(Path(options.config), scenario):
        tell(f"note: {changed} has changed since the run beside this configuration was made")

    result = execute_to_folder(
        scenario,
        options.out,
        tokens=options.tokens,
        force=options.force,
        progress=sys.stderr is not None and sys.stderr.isatty(),
        command=options.command,
    )
    assert result.folder is not None
    if not options.no_figures:
        from discosim.report.figures import draw_all

        draw_all(result.folder)
    if targets:
        from discosim.runs.kept_targets import keep_targets

        keep_targets(result.folder, targets)
    seen = result.with_targets(**targets) if targets else result
    if options.json:
        from discosim.report.documents import run_document

        say_json(run_document(seen, columns))
    else:
        say(render(seen, columns))
    if options.trace_events is not None:
        written = write_trace_events(scenario, options.trace_events, options.trace_policy)
        (tell if options.json else say)(written)


# --- report -------------------------------------------------------------------------------------------------


def _add_report(add: AddParser) -> None:
    parser = add_verb(
        add,
        "report",
        "make one HTML file of a folder of results, to be read anywhere without a network",
        "report results/quickstart",
        "report results/budget-quick --out budget.html",
        "report results/figures/disco-quick",
    )
    parser.add_argument(
        "folder", metavar="FOLDER", type=Path, help="folder of a run, a sweep, a paper's figures, or `engine validate`"
    )
    parser.add_argument("--out", metavar="FILE", type=Path, help="the file (default: FOLDER/report.html)")
    slo = "of a run or a sweep: targets of a request in seconds (ttft_s=0.5,tpot_s=0.1), kept in the folder"
    parser.add_argument("--slo", metavar="a=x,b=y", help=slo)
    parser.set_defaults(call=_report)


def _report(options: argparse.Namespace) -> None:
    from discosim.metrics.targets import parse_targets
    from discosim.report.html import write_report

    path = write_report(options.folder, options.out, None if options.slo is None else parse_targets(options.slo))
    say(f"written    {path} ({path.stat().st_size / 1e6:.2f} MB)")


# --- schema --------------------------------------------------------------------------------------------------


def _add_schema(add: AddParser) -> None:
    parser = add_verb(
        add,
        "schema",
        "print the JSON Schema of a scenario",
        "schema --reference > reference.yaml",
        "schema > discosim.schema.json",
        "schema --sweep > discosim-sweep.schema.json",
    )
    parser.add_argument("--reference", action="store_true", help="print the commented reference scenario instead")
    parser.add_argument("--sweep", action="store_true", help="print the JSON Schema of a sweep file instead")
    parser.set_defaults(call=_schema)


def _schema(options: argparse.Namespace) -> None:
    if options.reference:
        from discosim.config.reference import reference_yaml

        say(reference_yaml(), end="")
    elif options.sweep:
        from discosim.config.schema import schema_json
        from discosim.sweep.file import SweepFile

        say(schema_json(SweepFile, "discosim sweep"), end="")
    else:
        from discosim.config.schema import schema_json

        say(schema_json(), end="")


# --- manners ------------------------------------------------------------------------------------------------


def _suggest_verb(arguments: Sequence[str]) -> None:
    """Answer an unknown verb with the nearest known one; argparse does so from Python 3.14 on only."""
    known: Sequence[str] = tuple(VERBS)
    if arguments[:1] == ["sweep"] and len(arguments) > 2 and not Path(arguments[1]).exists():
        word, meant = arguments[1], did_you_mean(arguments[1], SWEEP_ACTIONS)
        if meant and word not in SWEEP_ACTIONS:
            raise UserError(f"unknown command 'sweep {word}'{meant}")
    for word in arguments[:2]:
        if not known or word.startswith("-"):
            return
        if word not in known:
            raise UserError(f"unknown command '{word}'; {close_match(word, known)}")
        known = VERBS.get(word, ())


def _short(name: object) -> str:
    text = str(name)
    return text if len(text) <= LONGEST_NAME else f"{text[:LONGEST_NAME]}..."


def _silence_stdout() -> None:
    """Let the interpreter flush into nowhere at exit: the reader of stdout is gone, or its disk is full."""
    with suppress(OSError, ValueError, AttributeError):  # a notebook's stdout is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
