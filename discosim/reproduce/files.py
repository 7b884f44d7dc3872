"""The two declarative files of a paper's folder: experiment.yaml and claims.yaml."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from discosim.core.spec import spec

InputKind = Literal["measured", "paper", "secondary", "derived", "recollection", "assumed"]
Profile = Literal["quick", "paper"]
Role = Literal["paper", "derived", "check"]
"""A statement of the paper; what we derive from it or from our equations; a check of our own code against itself."""
WEAK: tuple[InputKind, ...] = ("recollection", "assumed")
"""Kinds of inputs that nobody can look up."""
TOLERANCE = 0.2
"""How far a cell may lie from a single figure of a paper, as a share of it. Source: our choice, one for all claims."""


@dataclass(frozen=True, kw_only=True)
class TableSource:
    """Where a table comes from: a sweep file beside it, or a function of tables.py."""

    sweep: str | None = spec(None, doc="A sweep file of this folder; the table has a row per policy, point and seed.")
    columns: tuple[str, ...] = spec((), doc="Summary metrics of the sweep that the table keeps.")
    names: Mapping[str, str] = spec(dict, doc="Path of an axis of the sweep -> column of the table.")
    function: str | None = spec(None, doc="A function of tables.py: takes the context, returns the table.")
    of: str | None = spec(
        None, doc="A function of tables.py that takes this other table, or the sweep's, and changes it."
    )
    is_timing: bool = spec(False, doc="Measures wall time: other numbers on each machine; never compared row by row.")


@dataclass(frozen=True, kw_only=True)
class FigureSource:
    """A figure: a function of figures.py and the tables it takes, in order."""

    draw: str | None = spec(None, doc="Function of figures.py; the figure's own name if left out.")
    tables: tuple[str, ...] = spec(doc="Tables handed to it.", min_length=1)
    options: Mapping[str, Any] = spec(dict, doc="Keyword arguments.")
    profiles: tuple[Profile, ...] = spec(("quick", "paper"), doc="Profiles that draw it.", min_length=1)


@dataclass(frozen=True, kw_only=True)
class ExperimentFile:
    """experiment.yaml: what is computed and drawn for one paper."""

    title: str = spec(doc="Paper, as a heading.", min_length=1)
    sources: Mapping[str, str] = spec(dict, doc="Short name -> address of what the paper is known from.")
    tables: Mapping[str, TableSource] = spec(doc="Tables by name.", min_length=1)
    figures: Mapping[str, FigureSource] = spec(dict, doc="Figures by name.")
    cost: Mapping[str, str] = spec(doc="Profile -> what it costs, for the reader.", min_length=1)


@dataclass(frozen=True, kw_only=True)
class Input:
    """Something a claim's numbers rest on."""

    kind: InputKind = spec(doc="Where it is known from.")
    what: str = spec(doc="What it is.", min_length=1)
    rows: int | None = spec(None, doc="Rows behind it, of the smallest part; null where that says nothing.", ge=1)


@dataclass(frozen=True, kw_only=True)
class Statistic:
    """One number per cell, with an interval over replications.

    The table has one row per replication (``seed``) and ``policy``. Rows that ``where`` keeps are grouped by ``by``;
    inside a group, rows of one seed and policy are averaged, and the seeds are the sample.
    """

    kind: Literal["mean", "difference", "change_pct", "reduction_pct", "ratio", "function"] = spec(
        doc="Of the policy alone, or beside the baseline on the same luck; or a function of estimators.py."
    )
    table: str = spec(doc="Table it is computed from.", min_length=1)
    metric: str = spec("", doc="Column.")
    policy: str = spec("", doc="Policy.")
    baseline: str = spec("", doc="Policy it is compared with.")
    by: tuple[str, ...] = spec((), doc="Columns whose values make the cells.")
    where: Mapping[str, Any] = spec(dict, doc="Column -> value, or list of values: the rows that count.")
    pick: Literal["each", "largest", "smallest"] = spec("each", doc="All cells, or only the extreme one ('up to').")
    function: str = spec("", doc="With kind function: a function of estimators.py, given the table and `options`.")
    options: Mapping[str, Any] = spec(dict, doc="Keyword arguments of the function.")


@dataclass(frozen=True, kw_only=True)
class Expect:
    """What the paper's statement means for a cell: bounds, one of them may be open; or one figure.

    A single figure gives bounds by one rule for all claims, `TOLERANCE`: ``about`` both, ``up_to`` the lower one.
    """

    low: float | None = spec(None, doc="The cell must lie above this.")
    high: float | None = spec(None, doc="The cell must lie below this.")
    about: float | None = spec(None, doc="The paper's figure: the cell must lie within a fifth of it.", gt=0)
    up_to: float | None = spec(
        None, doc="The most that the paper says is reached: the cell must lie above four fifths of it.", gt=0
    )
    why: str = spec("", doc="How the paper's words became these bounds, where that is our reading.")

    @property
    def bounds(self) -> tuple[float, float]:
        """Lower and upper bound; infinite where it is open."""
        if self.about is not None:
            return self.about * (1.0 - TOLERANCE), self.about * (1.0 + TOLERANCE)
        if self.up_to is not None:
            return self.up_to * (1.0 - TOLERANCE), math.inf
        return -math.inf if self.low is None else self.low, math.inf if self.high is None else self.high

    @property
    def rule(self) -> str:
        """How the bounds came from the paper's words, in ours."""
        if self.about is not None:
            return f"within a fifth of {self.about:g}"
        if self.up_to is not None:
            return f"four fifths of {self.up_to:g} at least; more is no breach of 'up to'"
        return self.why


@dataclass(frozen=True, kw_only=True)
class Acceptance:
    """How --check compares what comes out with the committed table."""

    rule: Literal["bit-identical", "numeric", "interval"] = spec(
        doc="Equal text; equal within rtol and atol; or inside low to high."
    )
    rtol: float = spec(1e-6, doc="Relative tolerance of `numeric`.", ge=0)
    atol: float = spec(1e-9, doc="Absolute tolerance of `numeric`.", ge=0)
    low: float | None = spec(None, doc="Lower bound of every cell (`interval`).")
    high: float | None = spec(None, doc="Upper bound of every cell (`interval`).")


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """The same statistic over variants of what is open, to see whether the verdict changes."""

    table: str = spec(doc="Table with the variants.", min_length=1)
    by: str = spec("variant", doc="Column that names the variants.")
    where: Mapping[str, Any] = spec(dict, doc="Replaces the statistic's own `where`.")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One statement of a paper, and how it is put to the test."""

    id: str = spec(doc="Name, unique over all papers.", min_length=1)
    says: str = spec(doc="What the paper says, in our words.", min_length=1)
    published: str = spec(doc="The paper's figure as text, for the table.", min_length=1)
    known_from: Literal["abstract", "secondary", "recollection", "derived"] = spec(
        doc="Where the paper's figure is known from; derived: arithmetic on what is known of it, ours."
    )
    scenario: str = spec(doc="What was simulated.", min_length=1)
    role: Role = spec("paper", doc="Whose statement it is: the paper's, derived by us, or a check of our own code.")
    inputs: tuple[str, ...] = spec((), doc="Names of inputs the numbers rest on.")
    unit: str = spec("", doc="Unit of the statistic.")
    statistic: Statistic | None = spec(None, doc="What is computed; null where nothing can be.")
    expect: Expect | None = spec(None, doc="What would agree with the paper.")
    acceptance: Acceptance | None = spec(None, doc="Rule of --check.")
    sensitivity: Sensitivity | None = spec(None, doc="Variants of what is open.")
    energy: Sensitivity | None = spec(
        None, doc="Points of the measured range of assumed energies, the setting itself first."
    )
    lacking: str = spec("", doc="The fact that is not public and without which nothing can be said.")
    would_change: str = spec(doc="What would change the verdict.", min_length=1)


@dataclass(frozen=True, kw_only=True)
class ClaimsFile:
    """claims.yaml: the inputs and the claims of one paper."""

    inputs: Mapping[str, Input] = spec(dict, doc="Inputs by name.")
    claims: tuple[Claim, ...] = spec(doc="Claims.", min_length=1)
