"""Who was right: answers by the model that wrote most of each, where it is known which models are right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discosim.metrics.declare import MetricDefinition

Columns = Mapping[str, NDArray[Any]]
_SOURCE = "the scenario's joint table of right answers; that the main writer decides is our choice"
_WHERE = "There only where `quality.kind` is joint."

ACCURACY_REQUEST_METRICS: tuple[MetricDefinition, ...] = (
    MetricDefinition(
        name="is_right",
        level="request",
        unit="1",
        dtype="float64",
        computed_by="discosim.metrics.accuracy.right_column",
        formula="strong right if n_tok_server > n_tok_device + n_tok_edge, weak right if less; who began where equal",
        description="Whether the model that wrote most of the answer (at the server the strong one, on the device and "
        f"at the edge the weak one) answers the question right, 1 or 0; 0 where it failed, NaN if rejected. {_WHERE}",
        direction="higher",
        source=_SOURCE,
    ),
)
ACCURACY_SUMMARY_METRICS: tuple[MetricDefinition, ...] = (
    MetricDefinition(
        name="accuracy",
        level="summary",
        unit="1",
        dtype="float64",
        computed_by="discosim.metrics.accuracy.accuracy_numbers",
        formula="mean(is_right)",
        description=f"Share of served requests (finished or failed) that were answered right. {_WHERE}",
        direction="higher",
        source=_SOURCE,
    ),
)
ACCURACY_COLUMNS = tuple(metric.name for metric in ACCURACY_REQUEST_METRICS)
ACCURACY_NUMBERS = tuple(metric.name for metric in ACCURACY_SUMMARY_METRICS)
"""Columns and numbers that stand in a result only where it is known which models are right."""


def right_column(
    columns: Columns, weak_ok: NDArray[np.bool_], strong_ok: NDArray[np.bool_]
) -> dict[str, NDArray[np.float64]]:
    """Return whether each request was answered right.

    Parameters
    ----------
    columns : mapping of str to array, shape (n,)
        As ``request_columns`` returns them, in request order.
    weak_ok, strong_ok : array of bool, shape (n,)
        Whether each model would be right.
    """
    at_server = columns["n_tok_server"]
    elsewhere = columns["n_tok_device"] + columns["n_tok_edge"]
    is_strong = (at_server > elsewhere) | ((at_server == elsewhere) & (columns["first_endpoint"] == "server"))
    right = np.where(is_strong, strong_ok, weak_ok).astype(float)
    right[columns["status"] == "failed"] = 0.0
    right[columns["status"] == "rejected"] = np.nan
    return {"is_right": right}


def accuracy_numbers(columns: Columns) -> dict[str, float]:
    """Return the share of right answers; NaN where nothing was served, or nobody knows."""
    known = columns["is_right"][~np.isnan(columns["is_right"])]
    return {"accuracy": float(known.mean()) if known.size else float("nan")}
