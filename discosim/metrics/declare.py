"""The form in which a metric is declared: once, with everything that a reader of its numbers may ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Direction = Literal["lower", "higher", "neutral"]
Level = Literal["request", "token", "summary", "on_demand"]
DType = Literal["float64", "int64", "bool", "string"]


@dataclass(frozen=True, kw_only=True)
class MetricDefinition:
    """One column of a result file, or one number of a summary.

    Parameters
    ----------
    name : str
        Name in files, with its unit as suffix.
    unit : str
        ``s``, ``tok``, ``tok/s``, ``USD``, ``J``, ``1/s``; ``1`` for pure numbers, empty for names and
        identifiers.
    dtype : str
        Type in the Parquet file.
    formula : str
        How the number is computed, in the symbols of docs/metrics.md.
    description : str
        What it says and which requests it covers.
    direction : str
        Which way is better: ``lower``, ``higher``, or ``neutral`` where neither is.
    level : str
        ``request`` (requests.parquet), ``token`` (tokens.parquet), ``summary`` (per policy and
        replication) or ``on_demand`` (in no file; `discosim.metrics.streaming` computes it).
    source : str
        Paper or convention that the definition follows, or "our choice".
    computed_by : str
        The one function whose result holds the number, as ``module.function`` or ``module.Class.method``.
    aliases : mapping of str to str
        Tool or paper -> its name for the same quantity.

    Notes
    -----
    Definitions are Python and not a table in a data file: families of numbers are made by functions, phrases that
    several share are written once, and the type checker reads every row. A table would be as long and need a reader.
    """

    name: str
    unit: str
    dtype: DType
    formula: str
    description: str
    computed_by: str
    direction: Direction = "neutral"
    level: Level = "request"
    source: str = "our choice"
    aliases: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        sentence = self.description.split(". ")[0].rstrip(".")
        return f"{self.name:<32} {self.unit:<6} {sentence}"

    def field_metadata(self) -> dict[str, str]:
        """Return what the Parquet field of this column says about itself."""
        return {
            "unit": self.unit,
            "formula": self.formula,
            "description": self.description,
            "direction": self.direction,
        }
