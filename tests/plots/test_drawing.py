"""Pictures of every kind and with every option: whose settings they follow, what stands in them, and as which bytes."""

from __future__ import annotations

import re

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from plot_samples import BUDGETS, POLICIES, one_setting, requests, rows, ttft

import discosim
from discosim.core.errors import UserError
from discosim.report.plots.choice import Asked
from discosim.report.plots.file import Look, write_plot
from discosim.report.plots.looks import COLOURS


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def own_axes(n_rows: int = 1, n_columns: int = 1) -> np.ndarray:
    """Return axes of a figure that pyplot does not know, which are made faster."""
    return Figure(figsize=(3.0, 2.0)).subplots(n_rows, n_columns, squeeze=False)


# --- the user's settings --------------------------------------------------------------------------------------


def test_font_and_size_of_the_user_are_those_of_the_pdf(tmp_path) -> None:
    settings = {"font.family": "DejaVu Serif", "font.size": 13.5, "pdf.compression": 0, "figure.figsize": (4.25, 2.5)}
    sizes = dict.fromkeys(("axes.labelsize", "xtick.labelsize", "ytick.labelsize", "legend.fontsize"), 13.5)
    with mpl.rc_context(settings | sizes | {"lines.linewidth": 2.75}):
        axes = discosim.plot(rows(), "ttft_p99_s", x="budget", where={"server": "gpt"}, to=tmp_path / "a.pdf")
    content = (tmp_path / "a.pdf").read_bytes()
    fonts = set(re.findall(rb"/BaseFont /(?:[A-Z]{6}\+)?([\w-]+)", content))
    assert fonts == {b"DejaVuSerif"}
    assert set(re.findall(rb"/F\d+(?:-\d+)? ([\d.]+) Tf", content)) == {b"13.5"}
    assert re.search(rb"/MediaBox \[ ?0 0 306 180 ?\]", content)  # 4.25 x 2.5 in
    assert {line.get_linewidth() for line in axes.lines} == {2.75}
    assert axes.figure.get_size_inches() == pytest.approx((4.25, 2.5))


@pytest.mark.parametrize(("size", "width"), [("column", 666), pytest.param("page", 1400, marks=pytest.mark.long)])
def test_sizes_are_those_of_a_column_or_a_page(tmp_path, size: str, width: int) -> None:
    look = Look(size=size, height_in=1.5, title="A title")
    write_plot(one_setting(), Asked(y=("ttft_p99_s",)), look, tmp_path / "a.png")
    header = (tmp_path / "a.png").read_bytes()[16:24]
    assert (int.from_bytes(header[:4]), int.from_bytes(header[4:])) == (width, 300)  # at 200 dots per inch


def test_the_command_has_the_houses_style_and_takes_a_style_of_the_users(tmp_path) -> None:
    style = tmp_path / "mine.mplstyle"
    style.write_text("font.family: DejaVu Sans Mono\npdf.compression: 0\n")
    asked = Asked(x="budget", y=("ttft_p99_s",), where={"server": "gpt"})
    with mpl.rc_context({"font.family": "DejaVu Serif", "font.size": 30}):
        before = dict(mpl.rcParams)
        write_plot(rows(), asked, Look(style=str(style), width_in=5.0, height_in=2.0), tmp_path / "a.pdf")
        assert dict(mpl.rcParams) == before
    content = (tmp_path / "a.pdf").read_bytes()
    assert set(re.findall(rb"/BaseFont /(?:[A-Z]{6}\+)?([\w-]+)", content)) == {b"DejaVuSansMono"}
    assert re.search(rb"/MediaBox \[ ?0 0 360 144 ?\]", content)


def test_given_axes_are_drawn_into_and_returned() -> None:
    axes = own_axes()[0, 0]
    assert discosim.plot(one_setting(), "ttft_p99_s", ax=axes) is axes
    assert axes.get_ylabel() == "p99 TTFT [s]"
    with pytest.raises(UserError, match="ax: the picture has 1 x 2 panels, and 1 axes were given"):
        discosim.plot(rows(), "ttft_p99_s", x="budget", ax=axes)


def test_several_axes_are_filled_row_by_row() -> None:
    given = own_axes(1, 2)
    drawn = discosim.plot(rows(), "ttft_p99_s", x="budget", facet="server", ax=given)
    assert [axes.get_title() for axes in drawn.flat] == ["gpt", "deepseek"]
    assert drawn[0, 1] is given[0, 1]


# --- what stands there ----------------------------------------------------------------------------------------


def test_lines_show_means_and_bands_and_keep_the_colours_of_all_policies() -> None:
    asked = {"x": "budget", "where": {"server": "gpt"}, "policies": ["own", "race"]}
    axes = discosim.plot(rows(), "ttft_p99_s", ax=own_axes()[0, 0], **asked)
    lines = {line.get_label(): line for line in axes.lines}
    assert list(lines) == ["own", "race"]
    assert lines["own"].get_color() == COLOURS[POLICIES.index("own")]
    np.testing.assert_allclose(lines["own"].get_ydata(), [ttft(b, "gpt", "own") for b in BUDGETS])
    assert len(axes.collections) == 2
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["own", "race"]
    assert axes.get_xlabel() == "budget"


@pytest.mark.parametrize(("how", "n_bands", "n_bars"), [("band", 3, 0), ("bars", 0, 3), ("none", 0, 0)])
def test_intervals_are_bands_bars_or_none(how: str, n_bands: int, n_bars: int) -> None:
    asked = {"x": "budget", "where": {"server": "gpt"}, "intervals": how}
    axes = discosim.plot(rows(), "ttft_p99_s", ax=own_axes()[0, 0], **asked)
    kinds = [type(held).__name__ for held in axes.collections]
    assert (kinds.count("FillBetweenPolyCollection") + kinds.count("PolyCollection"), len(axes.containers)) == (
        n_bands,
        n_bars,
    )


def test_bars_stand_in_groups_with_hatches() -> None:
    axes = discosim.plot(rows(), "ttft_p99_s", x="server", where={"budget": 0.5}, ax=own_axes()[0, 0])
    assert len(axes.patches) == 6
    assert {patch.get_hatch() for patch in axes.patches} == {"", "////", "...."}
    assert [label.get_text() for label in axes.get_xticklabels()] == ["gpt", "deepseek"]
    heights = sorted(patch.get_height() for patch in axes.patches)
    assert heights[0] == pytest.approx(ttft(0.5, "gpt", "race"))


def test_names_that_would_run_into_one_another_lie_aslant() -> None:
    long = one_setting().replace({"policy": {"race": "a rather long name of a policy"}})
    axes = discosim.plot(long, "ttft_p99_s", ax=own_axes()[0, 0])
    assert axes.get_xticklabels()[0].get_rotation() == 30
    short = discosim.plot(one_setting(), "ttft_p99_s", ax=own_axes()[0, 0], policies=["race", "own"])
    assert short.get_xticklabels()[0].get_rotation() == 0


def test_a_distribution_rises_to_the_share_that_was_answered() -> None:
    axes = discosim.plot(requests(), x="ttft_s", ax=own_axes()[0, 0])
    ends = {line.get_label(): max(line.get_ydata()) for line in axes.lines}
    assert ends == pytest.approx({"a": 1.0, "b": 0.9})
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("TTFT [s]", "share of requests")


def test_a_front_is_a_broad_line_through_the_best() -> None:
    asked = {"x": "unified_cost_mean_usd", "where": {"server": "gpt"}}
    axes = discosim.plot(rows(), "ttft_p99_s", ax=own_axes()[0, 0], **asked)
    front = next(line for line in axes.lines if line.get_label() == "none is better in both")
    assert front.get_drawstyle() == "steps-post"
    assert (np.diff(front.get_xdata()) >= 0.0).all()
    assert (np.diff(front.get_ydata()) <= 0.0).all()
    assert axes.get_xlabel() == "unified cost [USD per 1,000 requests]"
    assert axes.get_legend().get_texts()[-1].get_text() == "none is better in both"


def test_a_heat_map_writes_its_numbers_and_has_a_scale() -> None:
    panels = own_axes(1, 3)
    discosim.plot(rows(), "server", x="budget", z="ttft_p99_s", ax=panels)
    assert [axes.get_title() for axes in panels.flat] == list(POLICIES)
    assert [text.get_text() for text in panels[0, 0].texts][:3] == ["9.00", "6.00", "3.00"]
    assert panels[0, 0].figure.axes[-1].get_ylabel() == "p99 TTFT [s]"


def test_a_map_of_the_best_names_them() -> None:
    axes = discosim.plot(rows(), "server", x="budget", z="ttft_p99_s", best=True, ax=own_axes()[0, 0])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["race"]
    assert len(axes.texts) == 6


def test_logarithms_labels_and_no_legend() -> None:
    asked = {"x": "budget", "where": {"server": "gpt"}, "log": "xy", "legend": False}
    axes = discosim.plot(rows(), "ttft_p99_s", ax=own_axes()[0, 0], x_label="ratio b", y_label="tail", **asked)
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_legend()) == ("ratio b", "tail", None)


def test_logarithmic_axes_have_numbers_at_what_was_tried() -> None:
    asked = {"x": "budget", "where": {"server": "gpt"}, "log": "x"}
    axes = discosim.plot(rows(), "ttft_p99_s", ax=own_axes()[0, 0], **asked)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.2", "0.5", "0.8"]
    shares = discosim.plot(requests(), x="ttft_s", log="xy", ax=own_axes()[0, 0])
    assert "10" in [label.get_text() for label in shares.get_xticklabels()]


def test_several_metrics_are_rows_of_panels() -> None:
    panels = own_axes(2, 2)
    discosim.plot(rows(), ["ttft_p99_s", "qoe_andes_mean"], x="budget", facet="server", ax=panels)
    assert [axes.get_ylabel() for axes in panels[:, 0]] == ["p99 TTFT [s]", "QoE"]
    assert [axes.get_xlabel() for axes in panels[0]] == ["", ""]


def test_series_may_be_what_was_varied() -> None:
    panels = own_axes(1, 3)
    discosim.plot(rows(), "ttft_p99_s", x="budget", series="server", facet="policy", ax=panels)
    assert [line.get_label() for line in panels[0, 0].lines] == ["gpt", "deepseek"]
    assert [axes.get_title() for axes in panels[0]] == list(POLICIES)


# --- files ----------------------------------------------------------------------------------------------------


LONG = pytest.mark.long


@pytest.mark.parametrize("ending", ["svg", "tex", pytest.param("pdf", marks=LONG), pytest.param("png", marks=LONG)])
def test_the_same_picture_is_the_same_bytes_with_its_caption_and_no_dates(tmp_path, ending: str) -> None:
    paths = [tmp_path / f"{name}.{ending}" for name in "ab"]
    for path in paths:
        write_plot(one_setting(), Asked(y=("ttft_p99_s",)), Look(), path)
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert b"CreationDate" not in first
    assert b"<dc:date>" not in first
    assert b"Means over 4 replications of 100 requests" in first  # the caption travels inside
    assert sorted(tmp_path.iterdir()) == sorted(paths)


@pytest.mark.parametrize(
    ("look", "name", "message"),
    [
        (Look(), "a.jpg", r"a.jpg: ends in none of .pdf, .svg, .png, .tex"),
        (Look(), "a", r"a: ends in none of"),
        (Look(), "none/a.pdf", "no folder"),
        (Look(size="colum"), "a.pdf", r"--size: unknown size 'colum'; did you mean 'column'\?"),
        (Look(width_in=0.1), "a.pdf", r"--width: must lie between 0.5 and 100 inches \(got 0.1\)"),
        (Look(height_in=float("nan")), "a.pdf", "--height: must lie between"),
        (Look(style="ggplott"), "a.pdf", r"--style ggplott: neither a file nor a style .* did you mean 'ggplot'\?"),
        (Look(intervals="bnd"), "a.pdf", r"--intervals: unknown 'bnd'; did you mean 'band'\?"),
        (Look(log="z"), "a.pdf", r"--log: unknown 'z'; Known: x, xy, y"),
    ],
)
def test_what_cannot_be_written_is_one_line_and_leaves_nothing(tmp_path, look: Look, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        write_plot(one_setting(), Asked(y=("ttft_p99_s",)), look, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_panels_for_which_there_is_no_room_are_refused(tmp_path) -> None:
    look = Look(width_in=1.0, height_in=0.6)
    with pytest.raises(UserError, match=r"a.pdf: has no room for these panels and names; set --width"):
        write_plot(rows(), Asked(x="budget", y=("ttft_p99_s",), facet=("server",)), look, tmp_path / "a.pdf")
    assert list(tmp_path.iterdir()) == []


def test_a_broken_style_is_named(tmp_path) -> None:
    (tmp_path / "bad.mplstyle").write_text("font.size: huge and green\n")
    with pytest.raises(UserError, match=r"bad.mplstyle: not a matplotlib style"):
        write_plot(
            one_setting(), Asked(y=("ttft_p99_s",)), Look(style=str(tmp_path / "bad.mplstyle")), tmp_path / "a.pdf"
        )
