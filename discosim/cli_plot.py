"""The verb of pictures for a paper, `discosim plot`: parse, call, print."""

from __future__ import annotations

import argparse
from pathlib import Path

from discosim.cli_console import say, tell
from discosim.cli_help import AddParser, add_verb
from discosim.core.errors import UserError

_MORE = """\
Along the axes lie metrics (`discosim explain metric`), columns of requests for
a CDF, `policy`, or what a sweep varied: a key, its last word (budget), or any
word of it (server). The caption is printed, and kept inside the file."""


def add_plot(add: AddParser) -> None:
    """Add the verb."""
    parser = add_verb(
        add,
        "plot",
        "draw a run or a sweep for a paper",
        "plot results/budget-quick --x budget --y ttft_p99_s --facet server",
        "plot results/quickstart --y ttft_mean_s,qoe_andes_mean --to b.pdf",
        "plot results/quickstart --kind cdf --x ttft_s --to cdf.svg",
        "plot results/quickstart --x unified_cost_mean_usd --y ttft_p99_s",
        "plot results/budget-quick --x budget --y server --z ttft_p99_s",
        "plot results/budget-quick --x budget --y ttft_p99_s --to table.tex",
        more=_MORE,
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="folder of a run or of a sweep")
    parser.add_argument("--x", metavar="NAME", default="", help="what lies along x (default: what was varied)")
    parser.add_argument("--y", metavar="NAME,...", default="", help="metric along y; several are rows of panels")
    parser.add_argument("--z", metavar="NAME", default="", help="metric of a heat map over --x and --y")
    parser.add_argument(
        "--kind", metavar="KIND", default="", help="lines, bars, cdf, pareto or heat (default: by what x is)"
    )
    parser.add_argument("--facet", metavar="NAME,...", default="", help="a panel for each value: columns, then rows")
    parser.add_argument("--series", metavar="NAME", default="", help="a line for each value (default: policy)")
    parser.add_argument("--policies", metavar="NAME,...", help="which policies, in which order (default: all)")
    parser.add_argument(
        "--where",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="only this value; may be repeated, also for one name",
    )
    parser.add_argument("--average", metavar="NAME,...", default="", help="each replication's mean over all values")
    parser.add_argument("--best", action="store_true", help="of a heat map: the best policy of each cell")
    parser.add_argument(
        "--intervals", metavar="HOW", default="", help="band, bars or none (default: bands of lines, else bars)"
    )
    parser.add_argument(
        "--luck", action="store_true", help="intervals by luck alone, not with what few rows of inputs leave open"
    )
    parser.add_argument("--log", metavar="AXES", default="", help="x, y or xy: logarithmic axes")
    parser.add_argument("--to", metavar="FILE", type=Path, default=Path("plot.pdf"), help=_TO)
    parser.add_argument("--size", metavar="SIZE", default="", help="column (3.33 in) or page (7 in) of a paper")
    parser.add_argument("--width", metavar="IN", type=float, help="width in inches, instead of --size")
    parser.add_argument("--height", metavar="IN", type=float, help="height in inches (default: by the panels)")
    parser.add_argument("--style", metavar="FILE", help="a matplotlib style, as file or name, on top of ours")
    parser.add_argument("--title", metavar="TEXT", default="", help="title; `caption` puts the caption there")
    parser.add_argument("--x-label", metavar="TEXT", default="", help="in place of the words of the registry")
    parser.add_argument("--y-label", metavar="TEXT", default="", help="likewise")
    parser.add_argument("--no-legend", action="store_true", help="leave the legend out")
    parser.set_defaults(call=_plot)


_TO = "the file: .pdf, .svg or .png, or .tex for its numbers as a table (default: plot.pdf)"


def _plot(options: argparse.Namespace) -> None:
    from discosim.report.plots.choice import Asked
    from discosim.report.plots.file import Look, write_plot

    policies = None if options.policies is None else _names(options.policies)
    asked = Asked(
        x=options.x,
        y=_names(options.y),
        z=options.z,
        kind=options.kind,
        facet=_names(options.facet),
        series=options.series,
        policies=policies,
        where=_values(options.where),
        average=_names(options.average),
        best=options.best,
    )
    look = Look(
        intervals=options.intervals,
        luck=options.luck,
        log=options.log,
        size=options.size,
        width_in=options.width,
        height_in=options.height,
        style=options.style,
        title=options.title,
        x_label=options.x_label,
        y_label=options.y_label,
        has_legend=not options.no_legend,
    )
    plan = write_plot(options.folder, asked, look, options.to)
    for note in plan.choice.notes:
        tell(f"note: {note}")
    say(plan.caption)
    say(f"written    {options.to}")


def _names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (word.strip() for word in text.split(","))))


def _values(pairs: list[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not (name and sign and value):
            raise UserError(f"is written NAME=VALUE (got '{pair}')", where="--where")
        found[name] = (*found.get(name, ()), value)
    return found
