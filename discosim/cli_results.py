"""Options of every verb that prints results, and `discosim table`, which prints those of a folder again."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discosim.cli_console import say, say_json, tell
from discosim.cli_help import AddParser, add_verb
from discosim.core.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

JSON_HELP = "print one JSON document and nothing else on stdout"
FORMS = ("text", "json", "latex", "csv")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option that makes a verb print JSON."""
    parser.add_argument("--json", action="store_true", help=JSON_HELP)


def add_columns(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose what is printed."""
    parser.add_argument(
        "--columns",
        metavar="a,b,c",
        help="numbers of the summary to print, by name (`discosim explain metric`), or all",
    )
    parser.add_argument(
        "--slo",
        metavar="a=x,b=y",
        help="targets of a request in seconds (ttft_s=0.5,tpot_s=0.1); adds slo_attainment and goodput_rps; those of a "
        "run, a sweep or a report are kept in the folder for later tables and reports",
    )


def chosen(options: argparse.Namespace, folder: Path | None = None) -> tuple[list[str] | None, dict[str, float]]:
    """Return the columns and targets that were asked for, checked before anything is run.

    Where none were, the targets that are kept in the folder count.
    """
    if options.slo is None and options.columns is None and folder is None:
        return None, {}
    from discosim.metrics.targets import parse_targets
    from discosim.report.chosen import parse_columns

    targets = {} if options.slo is None else parse_targets(options.slo)
    if folder is not None and options.slo is None:
        from discosim.runs.kept_targets import kept_targets

        targets = kept_targets(folder)
    return parse_columns(options.columns, has_targets=bool(targets)), targets


def add_table(add: AddParser) -> None:
    """Add the verb that prints the table of a folder."""
    parser = add_verb(
        add,
        "table",
        "print the numbers of a finished run or sweep: chosen columns, any form",
        "table results/quickstart --columns ttft_p99_s,qoe_andes_mean",
        "table results/quickstart --slo ttft_s=0.5,tpot_s=0.1",
        "table results/budget-quick --policies DiSCo-S,Stoch-S --to latex",
        "table results/budget-quick --columns all --to csv > all.csv",
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="folder of a run or of a sweep")
    add_columns(parser)
    parser.add_argument("--policies", metavar="a,b", help="policies to print (default: all)")
    luck = "intervals by luck alone, not with what few rows of inputs leave open"
    parser.add_argument("--luck", action="store_true", help=luck)
    parser.add_argument("--to", choices=FORMS, default="text", help="form of the table (default: text)")
    parser.add_argument("--json", action="store_const", const="json", dest="to", help="the same as --to json")
    parser.set_defaults(call=_table)


def _table(options: argparse.Namespace) -> None:
    from discosim.sweep.results import is_sweep

    columns, targets = chosen(options, options.folder)
    asked = None if options.policies is None else [name.strip() for name in options.policies.split(",")]
    content: Any
    if is_sweep(options.folder):
        content = _of_sweep(options.folder, options.to, columns, targets, asked, luck=options.luck)
    else:
        content = _of_run(options.folder, options.to, columns, targets, asked, luck=options.luck)
    say_json(content) if options.to == "json" else say(content, end="")
    if targets and options.slo is None:
        from discosim.metrics.targets import targets_text

        tell(f"note: targets as kept in the folder: {targets_text(targets)}; --slo sets others")


def _of_run(
    folder: Path,
    form: str,
    columns: list[str] | None,
    targets: dict[str, float],
    policies: list[str] | None,
    *,
    luck: bool,
) -> Any:
    from discosim.metrics.summary import HEADLINE
    from discosim.report.chosen import run_table
    from discosim.report.documents import headed, summary_content
    from discosim.report.folder_summary import by_luck, folder_summary
    from discosim.report.frames import chosen_policies, summary_frame
    from discosim.report.latex import run_latex

    summary = folder_summary(folder, targets)
    summary = by_luck(summary) if luck else summary
    policies = chosen_policies(list(summary["policies"]), policies)
    names = [name for name in HEADLINE if name in summary["metrics"]] if columns is None else columns
    if form == "json":
        place = {"folder": str(folder), "targets": targets}
        return headed("table", {**place, **summary_content(summary, names, policies), "notes": summary["notes"]})
    if form == "latex":
        return run_latex(summary, columns, policies)
    if form == "csv":
        return _csv(summary_frame(summary, names, policies))
    kept = {**summary, "policies": {name: summary["policies"][name] for name in policies}}
    return run_table(kept, names, folder.resolve().name) + "\n"


def _of_sweep(
    folder: Path,
    form: str,
    columns: list[str] | None,
    targets: dict[str, float],
    policies: list[str] | None,
    *,
    luck: bool,
) -> Any:
    from discosim.metrics.summary import HEADLINE
    from discosim.report.chosen import sweep_table
    from discosim.report.documents import headed, table_rows
    from discosim.report.frames import sweep_frame
    from discosim.report.latex import sweep_latex
    from discosim.report.plots.inputs import OfSweep
    from discosim.sweep.results import load_results
    from discosim.sweep.store import Store
    from discosim.sweep.targets import table_with_targets

    table = load_results(folder)
    _say_what_is_left_out(table, folder)
    if targets:
        table = table_with_targets(Store(folder), table, targets)
    names = list(HEADLINE) if columns is None else columns
    inputs = None if luck else OfSweep(folder, names, targets)
    if form == "json":
        rows = table_rows(table, names, policies, inputs)
        few = "" if inputs is None else inputs.rows_text()
        return headed("table", {"folder": str(folder), "targets": targets, "few_rows": few, "rows": rows})
    if form == "latex":
        return sweep_latex(table, columns, policies, inputs=inputs)
    if form == "csv":
        return _csv(sweep_frame(table, names, policies, inputs=inputs))
    return sweep_table(table, names, folder.resolve().name, policies, inputs) + "\n"


def _say_what_is_left_out(table: pd.DataFrame, folder: Path) -> None:
    """Note runs that a table of a sweep lacks; refuse where it lacks all."""
    runs = table.drop_duplicates(["point", "seed"])
    n_lost = int((runs["status"] != "finished").sum())
    if n_lost == len(runs):
        raise UserError("no run of this sweep is finished yet, so there is nothing to tabulate", where=str(folder))
    if n_lost:
        tell(f"note: {n_lost} of {len(runs)} runs failed or are missing, and are not in the table")


def _csv(table: pd.DataFrame) -> str:
    return str(table.to_csv(index=False, lineterminator="\n"))


def parse_names(text: str, where: str) -> list[str]:
    """Return the names of ``a,b,c``; at least one."""
    names = [name for part in text.split(",") if (name := part.strip())]
    if not names:
        raise UserError("name at least one", where=where)
    return names
