"""Twelve series are told apart by every eye, and on paper without colour."""

from __future__ import annotations

from itertools import combinations

import matplotlib as mpl
import numpy as np
import pytest
from cycler import cycler
from matplotlib.colors import to_rgb

from discosim.report.plots.looks import COLOURS, HATCHES, hatch, look

# Machado, Oliveira and Fernandes (IEEE TVCG 15, 2009), severity 1.0, on linear RGB
VIEWS = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
)
LEAST = 15.0
"""In CIE L*a*b*, where 2.3 is a just noticeable difference of neighbouring patches; lines and dots lie apart."""


def lab(colour: str, view: str) -> np.ndarray:
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    x, y, z = TO_XYZ @ np.clip(np.array(VIEWS[view]) @ linear, 0.0, 1.0) / np.array([0.95047, 1.0, 1.08883])
    f = [np.cbrt(t) if t > 0.008856 else 7.787 * t + 16.0 / 116.0 for t in (x, y, z)]
    return np.array([116.0 * f[1] - 16.0, 500.0 * (f[0] - f[1]), 200.0 * (f[1] - f[2])])


@pytest.mark.parametrize("view", list(VIEWS))
def test_no_two_of_twelve_colours_look_alike(view: str) -> None:
    assert len(COLOURS) == 12
    seen = [lab(colour, view) for colour in COLOURS]
    assert min(float(np.linalg.norm(a - b)) for a, b in combinations(seen, 2)) > LEAST


def test_every_colour_stands_out_on_white() -> None:
    assert max(lab(colour, "normal")[0] for colour in COLOURS) < 80.0


def test_without_colour_markers_and_lines_tell_84_apart() -> None:
    grey = {(str(look(i)["linestyle"]), look(i)["marker"]) for i in range(84)}
    assert len(grey) == 84
    assert len({look(i)["marker"] for i in range(12)}) == 12
    assert len({hatch(i) for i in range(len(HATCHES))}) == 12


def test_a_cycle_of_the_user_wins() -> None:
    with mpl.rc_context({"axes.prop_cycle": cycler(color=["red", "blue"], linestyle=["--", ":"])}):
        held = look(3)
        assert (held["color"], held["linestyle"]) == ("blue", ":")
        assert held["marker"] == "D"
