"""A picture or a table as a file, in the house's style or in the one the user names."""

from __future__ import annotations

import textwrap
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from warnings import catch_warnings, filterwarnings

import matplotlib as mpl
from matplotlib import style
from matplotlib.figure import Figure

from discosim.core.errors import UserError, close_match
from discosim.core.files import near_files, write_whole
from discosim.report.plots.choice import Asked
from discosim.report.plots.draw import draw_plan
from discosim.report.plots.latex import latex_table
from discosim.report.plots.layout import default_size, grid_of
from discosim.report.plots.plan import Plan, plan_of
from discosim.report.plots.save import ending_of, picture_bytes
from discosim.report.style import house_style

if TYPE_CHECKING:
    from discosim.report.plots.source import Given

SIZES = ("column", "page")
MOST_IN = 100.0
CAPTION = "caption"


@dataclass(frozen=True)
class Look:
    """How a picture looks; the defaults are what `discosim plot` does by itself.

    Parameters
    ----------
    intervals, log, x_label, y_label : str
        As of `discosim.plot`.
    luck : bool
        Likewise.
    size : str
        ``column`` or ``page``; '' for a column with one panel, a page with more.
    width_in, height_in : float, optional
        In inches; by ``size`` and the panels where omitted.
    style : str, optional
        File or name of a matplotlib style, on top of the house's.
    title : str
        Text above the picture; ``caption`` for its caption.
    has_legend : bool
        Whether there is one.
    """

    intervals: str = ""
    luck: bool = False
    log: str = ""
    size: str = ""
    width_in: float | None = None
    height_in: float | None = None
    style: str | None = None
    title: str = ""
    x_label: str = ""
    y_label: str = ""
    has_legend: bool = True


def write_plot(given: Given, asked: Asked, look: Look, path: Path) -> Plan:
    """Draw what was asked for into a file.

    Raises
    ------
    UserError
        As `discosim.plot`; for a size or a style that cannot be; and if the file cannot be written. Nothing is
        written then.
    """
    ending = ending_of(path)
    if look.size and look.size not in SIZES:
        raise UserError(f"unknown size '{look.size}'; {close_match(look.size, SIZES)}", where="--size")
    for name, value in (("--width", look.width_in), ("--height", look.height_in)):
        if value is not None and not 0.5 <= value <= MOST_IN:
            raise UserError(f"must lie between 0.5 and {MOST_IN:g} inches (got {value:g})", where=name)
    with ExitStack() as stack:
        stack.enter_context(house_style())
        if look.style is not None:
            stack.enter_context(mpl.rc_context(_style(look.style)))
        plan = plan_of(given, asked, look.intervals, luck=look.luck)
        if ending == "tex":
            write_whole(path, latex_table(plan))
            return plan
        with catch_warnings():
            filterwarnings("error", message="constrained_layout not applied")
            try:
                content = picture_bytes(_figure(plan, look), ending, plan.caption)
            except UserWarning:
                raise UserError(
                    "has no room for these panels and names; set --width and --height, or pick values with --where",
                    where=str(path),
                ) from None
        write_whole(path, content)
    return plan


def _figure(plan: Plan, look: Look) -> Figure:
    width, height = default_size(*plan.shape, look.width_in, size=look.size)
    figure = Figure(figsize=(width, look.height_in or height), layout="constrained")
    labels = {"x_label": look.x_label, "y_label": look.y_label}
    legend = "figure" if look.has_legend else "none"
    draw_plan(plan, grid_of(figure, plan.choice, *plan.shape), log=look.log, legend=legend, **labels)
    if look.title:
        text = plan.caption if look.title == CAPTION else look.title
        n = int(width * 72 / (0.5 * mpl.rcParams["font.size"]))
        figure.suptitle(textwrap.fill(text, n), fontsize="medium")
    return figure


def _style(name: str) -> dict[Any, Any]:
    """Return the settings of a style, without those that no style may hold."""
    path = Path(name)
    if not path.is_file() and name not in style.available:
        raise UserError(
            f"neither a file nor a style of matplotlib{near_files(path)}; {close_match(name, style.available)}",
            where=f"--style {name}",
        )
    try:
        if not path.is_file():
            return {**cast("Any", style.library[name])}
        held: Any = mpl.rc_params_from_file(path, fail_on_error=True, use_default_template=False)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"not a matplotlib style ({' '.join(str(error).split())})", where=f"--style {name}") from None
    return {**held}
