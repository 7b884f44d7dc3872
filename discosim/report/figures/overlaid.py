"""Real and simulated server, one over the other: a figure from a table of requests."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

Floats = NDArray[np.float64]
PANELS = (("ttft_s", "TTFT (s)"), ("tpot_s", "time per token (s)"), ("e2e_s", "end to end (s)"))


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
