"""--check: what came out, against what was committed, under the rule of each claim. Nothing here can be loosened."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from discosim.reproduce.estimates import cells_of, chosen
from discosim.reproduce.experiment import Experiment
from discosim.reproduce.files import Acceptance, Claim
from discosim.reproduce.tables import as_csv, read_csv

if TYPE_CHECKING:
    import pandas as pd

DEFAULT = Acceptance(rule="numeric")
"""Rule of a table that no claim reads."""


@dataclass(frozen=True)
class Breach:
    """One acceptance rule that was broken: by which claim, or by which table where no claim reads it."""

    who: str
    what: str


def check(experiment: Experiment, profile: str, tables: Mapping[str, pd.DataFrame]) -> list[Breach]:
    """Compare the tables of one paper with the committed ones.

    Returns
    -------
    list of Breach
        Empty if every rule holds. A claim without a committed table is a breach, not a pass.
    """
    breaches = []
    read_by_claims = set()
    for claim in experiment.claims.claims:
        if claim.statistic is None or claim.acceptance is None:
            continue
        names = [claim.statistic.table]
        if claim.sensitivity is not None and claim.sensitivity.table not in names:
            names.append(claim.sensitivity.table)
        read_by_claims.update(names)
        for name in names:
            reason = _of_claim(experiment, profile, claim, name, tables[name])
            if reason:
                breaches.append(Breach(f"claim {claim.id}", reason))
                break
    for name, source in experiment.file.tables.items():
        if name not in read_by_claims and not source.is_timing:
            path = experiment.committed(profile, name)
            reason = f"no committed table {path}"
            if path.is_file():
                reason = difference(tables[name], read_csv(path), DEFAULT)
            if reason:
                breaches.append(Breach(f"table {experiment.name}/{name}", reason))
    return breaches


def _of_claim(experiment: Experiment, profile: str, claim: Claim, name: str, table: pd.DataFrame) -> str:
    accept, statistic = claim.acceptance, claim.statistic
    assert accept is not None
    assert statistic is not None
    if accept.rule == "interval":
        if name != statistic.table:
            return ""
        low = -math.inf if accept.low is None else accept.low
        high = math.inf if accept.high is None else accept.high
        for cell in cells_of(statistic, table, experiment.code.get("statistics")):
            if not low <= cell.mean <= high:  # NaN breaks it too
                what = cell.name or statistic.metric or statistic.function
                return f"{what} is {cell.mean:.6g}, outside {low:g} to {high:g}"
        return ""
    path = experiment.committed(profile, name)
    if not path.is_file():
        return f"no committed table {path}"
    ours, theirs = table, read_csv(path)
    if name == statistic.table:
        ours, theirs = (chosen(part, statistic.where, name) for part in (ours, theirs))
    return difference(ours, theirs, accept, name)


def difference(ours: pd.DataFrame, committed: pd.DataFrame, accept: Acceptance, name: str = "") -> str:
    """Return the first difference that a rule does not allow, or ''."""
    import numpy as np
    import pandas as pd

    prefix = f"table {name}: " if name else ""
    if list(ours.columns) != list(committed.columns):
        return f"{prefix}columns are {', '.join(ours.columns)}; committed: {', '.join(committed.columns)}"
    if len(ours) != len(committed):
        return f"{prefix}{len(ours)} rows; committed: {len(committed)}"
    if accept.rule == "bit-identical":
        lines = zip(as_csv(ours).splitlines(), as_csv(committed).splitlines(), strict=True)
        for i, (here, there) in enumerate(lines):
            if here != there:
                return f"{prefix}row {i}: {here!r}; committed: {there!r}"
        return ""
    for column in ours.columns:
        a, b = ours[column].to_numpy(), committed[column].to_numpy()
        if pd.api.types.is_numeric_dtype(ours[column]) and pd.api.types.is_numeric_dtype(committed[column]):
            is_same = np.isclose(a.astype(float), b.astype(float), rtol=accept.rtol, atol=accept.atol, equal_nan=True)
        else:
            is_same = np.asarray(a == b)
        if not is_same.all():
            i = int(np.flatnonzero(~is_same)[0])
            row = ours.iloc[i]
            which = ", ".join(f"{k}={row[k]}" for k in ours.columns if isinstance(row[k], str) or k == "seed")
            n_bad = int((~is_same).sum())
            return f"{prefix}{column} is {a[i]}; committed: {b[i]} ({which}; {n_bad} of {len(ours)} rows differ)"
    return ""
