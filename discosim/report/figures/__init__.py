"""Figures: one module per figure; a tidy table is computed first, and the picture is drawn from it alone."""

from discosim.report.figures.cost_ttft import cost_ttft
from discosim.report.figures.metric_panels import metric_panels
from discosim.report.figures.result_folder import draw_all
from discosim.report.figures.server_relief import server_relief
from discosim.report.figures.server_series import server_series
from discosim.report.figures.sweep_lines import sweep_lines
from discosim.report.figures.timeline import timeline
from discosim.report.figures.ttft_cdf import ttft_cdf

__all__ = [
    "cost_ttft",
    "draw_all",
    "metric_panels",
    "server_relief",
    "server_series",
    "sweep_lines",
    "timeline",
    "ttft_cdf",
]
