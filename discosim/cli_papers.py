"""The verbs of the papers' experiments, `discosim figures` and `discosim claims`: parse, call, print."""

from __future__ import annotations

import argparse
from pathlib import Path

from discosim.cli_console import say, say_json, tell
from discosim.cli_help import AddParser, add_verb
from discosim.cli_results import add_json
from discosim.core.errors import UserError

EXIT_OK, EXIT_BREACH = 0, 1
PAPERS_LIE = "The papers come with the package; a folder experiments of yours goes first."


def _add_papers(parser: argparse.ArgumentParser, more: str = "") -> None:
    words = f"folder of a paper{more and ','}{more} (default: all)"
    parser.add_argument("paper", metavar="PAPER", nargs="?", default="all", help=words)
    parser.add_argument(
        "--experiments",
        metavar="DIR",
        type=Path,
        help="folder of all papers (default: experiments here, else the package's)",
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("results/figures"), help="results (default: results/figures)"
    )


def add_figures(add: AddParser) -> None:
    """Add the verb that regenerates."""
    parser = add_verb(
        add,
        "figures",
        "regenerate tables and figures of the papers, and judge their claims",
        "figures list",
        "figures pice",
        "figures all --check",
        more=PAPERS_LIE,
    )
    _add_papers(parser, " or 'list': say which there are")
    parser.add_argument("--profile", choices=("quick", "paper"), default="quick", help="size (default: quick)")
    parser.add_argument("--check", action="store_true", help="compare with the committed tables; exit 1 on a breach")
    parser.add_argument("--update", action="store_true", help="replace the committed tables by what comes out")
    parser.add_argument("--executor", metavar="NAME", default="local:2", help="as for sweep (default: local:2)")
    add_json(parser)
    parser.set_defaults(call=_figures)


def _figures(options: argparse.Namespace) -> int:
    from discosim.reproduce.check import Breach
    from discosim.reproduce.experiment import find_experiments, load_experiments, refuse_to_replace
    from discosim.reproduce.rows import records
    from discosim.reproduce.run import make_figures, update_committed
    from discosim.reproduce.text import render_tally
    from discosim.reproduce.verdict import Verdict

    if options.check and options.update:
        raise UserError("either compare with the committed tables or replace them", where="--check --update")
    root = find_experiments(options.experiments)
    if options.paper == "list":
        _list(root, is_json=options.json)
        return EXIT_OK
    if options.update:
        refuse_to_replace(root)
    note = tell if options.json else say
    folders: list[str] = []
    breaches: list[Breach] = []
    verdicts: list[Verdict] = []
    for experiment in load_experiments(root, options.paper):
        outcome = make_figures(
            experiment,
            options.profile,
            options.out,
            executor=options.executor,
            is_checked=options.check,
            say=tell,
        )
        breaches += outcome.breaches
        verdicts += outcome.verdicts
        folders.append(str(outcome.folder))
        note(f"written    {outcome.folder}/")
        if options.update:
            for path in update_committed(experiment, options.profile, outcome.folder):
                note(f"committed  {path}")
    note(f"{render_tally(verdicts)}; read them with `discosim claims`")
    for breach in breaches:
        tell(f"discosim: check failed: {breach.who}: {breach.what}")
    if options.check and not breaches:
        note("check      every table agrees with the committed one under the rule of its claims")
    if options.json:
        from discosim.report.documents import headed

        wrong = [{"who": breach.who, "what": breach.what} for breach in breaches]
        say_json(headed("figures", {"folders": folders, "claims": records(verdicts), "breaches": wrong}))
    return EXIT_BREACH if breaches else EXIT_OK


def _list(root: Path, *, is_json: bool) -> None:
    from discosim.report.documents import headed
    from discosim.reproduce.experiment import load_experiments
    from discosim.reproduce.listing import list_records, render_list
    from discosim.reproduce.text import terminal_width

    experiments = load_experiments(root)
    if is_json:
        say_json(headed("papers", {"folder": str(root), "papers": list_records(experiments)}))
        return
    say(render_list(experiments, root, terminal_width()))


def add_claims(add: AddParser) -> None:
    """Add the verb that reads the verdicts."""
    parser = add_verb(
        add,
        "claims",
        "say which claims of the papers hold here, which do not, and what that rests on",
        "claims",
        "claims disco --summary",
        'claims --only "not reproduced" --role paper',
        "claims --markdown > claims.md",
        more=PAPERS_LIE,
    )
    _add_papers(parser)
    parser.add_argument(
        "--profile", choices=("quick", "paper"), help="size (default: the larger one of which there are tables)"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--summary", action="store_true", help="print one line per claim")
    form.add_argument("--markdown", action="store_true", help="print one Markdown table")
    form.add_argument("--json", action="store_true", help="print the verdicts, cells and bounds as JSON")
    parser.add_argument(
        "--only", metavar="WORDS", action="append", default=[], help="claims whose name or verdict holds these words"
    )
    parser.add_argument(
        "--role",
        choices=("paper", "derived", "check"),
        help="claims of the papers, derived by us, or checks of our own code (default: all)",
    )
    parser.add_argument(
        "--plot", metavar="FILE", type=Path, help="draw all of them beside their bounds (PNG, PDF or SVG)"
    )
    parser.set_defaults(call=_claims)


def _claims(options: argparse.Namespace) -> None:
    from discosim.reproduce.experiment import find_experiments, load_experiments
    from discosim.reproduce.rows import as_json, chosen_verdicts
    from discosim.reproduce.run import judge_all, read_tables
    from discosim.reproduce.text import (
        markdown,
        render_claims,
        render_rule,
        render_summary,
        render_tally,
        terminal_width,
    )

    width = terminal_width()
    found = []
    for experiment in load_experiments(find_experiments(options.experiments), options.paper):
        tables, source = read_tables(experiment, options.profile, options.out)
        found.append((experiment, source, judge_all(experiment, tables)))
    asked = [v for *_, verdicts in found for v in verdicts if options.role in {None, v.claim.role}]
    kept = chosen_verdicts(asked, options.only)
    if options.plot is not None:
        from discosim.reproduce.forest import write_forest

        write_forest(kept, options.plot)
        tell(f"written    {options.plot}")
    if options.json:
        say(as_json(kept))
        return
    if options.markdown:
        say(markdown(kept))
        return
    for experiment, source, verdicts in found:
        mine = [verdict for verdict in verdicts if verdict in kept]
        if mine and options.summary:
            say(render_summary(experiment.name, mine, width))
        elif mine:
            say(render_claims(experiment.name, experiment.file.title, source, mine, width))
    say(f"{render_rule(width)}\n\n{render_tally(kept)}")
