"""Real and simulated server, one over the other: a figure from a table of requests."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from discosim.report.style import house_style

Floats = NDArray[np.float64]
PANELS = (("ttft_s", "TTFT [s]"), ("tpot_s", "time per token [s]"), ("e2e_s", "end to end [s]"))


@house_style()
def overlaid(real: Mapping[str, Floats], simulated: Mapping[str, Floats]) -> Figure:
    """Return the distribution of each metric, real and simulated, in one picture.

    Parameters
    ----------
    real, simulated : mapping of str to array of float
        ``ttft_s``, ``tpot_s`` and ``e2e_s`` by request, in s; NaN where unknown.
    """
    figure = Figure(figsize=(9.0, 2.8), layout="constrained")
    for axes, (name, title) in zip(figure.subplots(1, len(PANELS)), PANELS, strict=True):
        for label, held, style in (("real", real, "-"), ("simulated", simulated, "--")):
            values = np.sort(held[name][np.isfinite(held[name])])
            axes.plot(values, np.arange(1, values.size + 1) / max(values.size, 1), style, label=label)
        axes.set_xlabel(title)
        axes.set_ylim(0.0, 1.0)
    figure.axes[0].set_ylabel("share of requests")
    figure.axes[0].legend(frameon=False)
    return figure


@house_style()
def over_time(
    t_s: Floats,
    real: Mapping[str, Floats],
    simulated: Mapping[str, Floats],
) -> Figure:
    """Return how many requests run and wait over time, real and simulated.

    Parameters
    ----------
    t_s : array of float
        Moments, in s since the first arrival.
    real, simulated : mapping of str to array of float
        ``running`` and ``waiting`` at these moments; NaN where unknown.
    """
    figure = Figure(figsize=(9.0, 2.8), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("running", "waiting"), strict=True):
        for label, held, style in (("real", real, "-"), ("simulated", simulated, "--")):
            axes.plot(t_s, held[name], style, label=label)
        axes.set_xlabel("time since the first arrival [s]")
        axes.set_ylabel(f"{name} [requests]")
        axes.set_ylim(bottom=0.0)
    figure.axes[0].legend(frameon=False)
    return figure


@house_style()
def request_errors(arrival_s: Floats, real: Mapping[str, Floats], simulated: Mapping[str, Floats]) -> Figure:
    """Return the relative error of each request, in percent, over the time of its arrival.

    Parameters
    ----------
    arrival_s : array of float
        By request, in s.
    real, simulated : mapping of str to array of float
        As in :func:`overlaid`.
    """
    figure = Figure(figsize=(9.0, 2.8), layout="constrained")
    for axes, (name, title) in zip(figure.subplots(1, len(PANELS)), PANELS, strict=True):
        known = np.isfinite(real[name]) & (real[name] > 0.0)
        axes.axhline(0.0, color="0.6", linewidth=0.8)
        axes.plot(arrival_s[known], 100.0 * (simulated[name][known] / real[name][known] - 1.0), ".", markersize=4)
        axes.set_title(title.rpartition(" [")[0], fontsize="medium")
        axes.set_xlabel("arrival [s]")
    figure.axes[0].set_ylabel("simulated over real [%]")
    return figure
