"""The style: the same bytes every time, nobody's settings changed, readable without colour."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.cm import ScalarMappable
from sample_run import request_rows

from discosim.report.figures.ttft_cdf import ttft_cdf
from discosim.report.style import PLACE_DIGITS, Picture, house_style, lay_out, look, marker, save


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_saving_twice_gives_the_same_bytes(tmp_path, suffix):
    requests = request_rows()
    first, second = (
        save(ttft_cdf(requests), tmp_path / name, formats=(suffix,))[0].read_bytes() for name in ("a.b", "c")
    )
    assert (tmp_path / f"a.b.{suffix}").is_file()
    assert first == second
    assert b"CreationDate" not in first
    assert b"Software" not in first


def test_the_users_settings_neither_matter_nor_change(tmp_path):
    requests = request_rows()
    plain = save(ttft_cdf(requests), tmp_path / "plain")[0].read_bytes()
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "savefig.dpi": 10}):
        before = dict(mpl.rcParams)
        loud = save(ttft_cdf(requests), tmp_path / "loud")[0].read_bytes()
        assert dict(mpl.rcParams) == before
    assert loud == plain


def test_no_pyplot_state_is_touched():
    import subprocess
    import sys

    code = "import sys, discosim.report.figures; assert 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_policies_differ_in_colour_and_without_it():
    looks = [look(i) for i in range(35)]
    assert len({(str(x["color"]), str(x["linestyle"])) for x in looks}) == 35
    assert len({str(look(i)["linestyle"]) for i in range(5)}) == 5
    assert len({marker(i) for i in range(7)}) == 7


def test_a_picture_that_is_drawn_once_has_the_bytes_that_matplotlib_writes(tmp_path):
    import io

    figure = ttft_cdf(request_rows())
    assert type(figure.get_layout_engine()).__name__ == "ConstrainedLayoutEngine"
    buffer = io.BytesIO()
    with house_style():
        figure.savefig(buffer, format="png", metadata={"Software": None})
    again = ttft_cdf(request_rows())
    canvas, engine = again.canvas, again.get_layout_engine()
    assert save(again, tmp_path / "once")[0].read_bytes() == buffer.getvalue()
    assert (again.canvas, again.get_layout_engine()) == (canvas, engine), "it is laid out anew at another size"


def test_places_hang_on_no_address_in_memory():
    """The solver of the layout goes by addresses, so places differ by rounding: what is kept of them does not."""
    figure = Picture(figsize=(5, 3), layout="constrained")
    for axes in figure.subplots(3, 2).flat:
        axes.plot([0, 1], [0, 1])
        axes.set_ylabel("share [%]")
    figure.colorbar(ScalarMappable(), ax=figure.axes[0])
    lay_out(figure)
    bounds = np.array([axes.get_position(original=True).bounds for axes in figure.axes])
    rounded = bounds.round(PLACE_DIGITS)
    assert np.abs(bounds - rounded).max() < 1e-14  # widths are differences of corners
    assert np.abs(bounds - bounds.round(2)).max() > 1e-4
