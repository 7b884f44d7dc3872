"""--check: what came out, against what was committed, under the rule of each claim. Nothing here can be loosened."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from discosim.reproduce.estimates import POLICY, SEED, cells_of, chosen
from discosim.reproduce.experiment import Experiment
from discosim.reproduce.files import Acceptance, Claim
from discosim.reproduce.input_widths import WIDTHS
from discosim.reproduce.tables import as_csv, read_csv

if TYPE_CHECKING:
    import pandas as pd

DEFAULT = Acceptance(rule="numeric")
"""Rule of all that no claim reads."""


@dataclass(frozen=True)
class Breach:
    """One acceptance rule that was broken: that of a claim, or that of a table's numbers which no claim reads."""

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
    explained = set()  # tables whose difference a claim has named
    rtol = dict.fromkeys(experiment.file.tables, DEFAULT.rtol)
    for claim in experiment.claims.claims:
        if claim.statistic is None or claim.acceptance is None:
            continue
        names = [claim.statistic.table]
        variants = [given.table for given in (claim.sensitivity, claim.energy) if given is not None]
        names += [table for table in dict.fromkeys(variants) if table not in names]
        reasons = {name: _of_claim(experiment, profile, claim, name, tables[name]) for name in names}
        broken = [name for name in names if reasons[name]]
        explained.update(broken)
        breaches += [Breach(f"claim {claim.id}", reasons[name]) for name in broken[:1]]
        rtol |= {name: max(rtol[name], claim.acceptance.rtol) for name in names}
    for name, source in experiment.file.tables.items():
        if name not in explained and not source.is_timing:
            path = experiment.committed(profile, name)
            reason = f"no committed table {path}"
            if path.is_file():
                reason = difference(tables[name], read_csv(path), replace(DEFAULT, rtol=rtol[name]))
            if reason:
                breaches.append(Breach(f"table {experiment.name}/{name}", reason))
    path = experiment.committed(profile, WIDTHS)
    if path.is_file() and WIDTHS in tables and (reason := difference(tables[WIDTHS], read_csv(path), DEFAULT)):
        breaches.append(Breach(f"table {experiment.name}/{WIDTHS}", reason))
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
        for cell in cells_of(statistic, table, experiment.code.get("estimators")):
            if not low <= cell.mean <= high:  # NaN breaks it too
                what = cell.name or statistic.metric or statistic.function
                return f"{what} is {cell.mean:.6g}, outside {low:g} to {high:g}"
        return ""
    path = experiment.committed(profile, name)
    if not path.is_file():
        return f"no committed table {path}"
    ours, theirs = (_read_by(claim, name, part) for part in (table, read_csv(path)))
    return difference(ours, theirs, accept, name)


def _read_by(claim: Claim, name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Return what a claim reads of a table: its rows, and of a statistic beyond a function its policies and metric."""
    statistic = claim.statistic
    assert statistic is not None
    is_own = name == statistic.table
    rows = chosen(table, statistic.where, name) if is_own else table
    if statistic.kind == "function":
        return rows
    rows = rows[rows[POLICY].isin({statistic.policy, statistic.baseline})]
    keys = {*statistic.by, *statistic.where, SEED, POLICY, statistic.metric}
    for given in (claim.sensitivity, claim.energy):
        if given is not None and given.table == name and not is_own:
            keys |= {given.by, *given.where}
    words = {column for column in rows.columns if rows[column].dtype.kind not in "fiub"}
    return rows[[column for column in rows.columns if column in keys | words]]


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
