"""What lies between two result folders: their configurations, and their numbers pair by pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discosim.config.keypath import dotted
from discosim.config.yaml_loader import read_file
from discosim.core.errors import UserError
from discosim.metrics.definitions import definition
from discosim.metrics.stats import paired_difference
from discosim.runs.facts import read_facts
from discosim.runs.identity import differences
from discosim.sweep.axes import shown
from discosim.sweep.diff_inputs import with_inputs
from discosim.sweep.metric_diff import MetricDiff
from discosim.sweep.results import is_sweep, load_results
from discosim.sweep.store import Store

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_METRICS = ("ttft_mean_s", "ttft_p99_s", "qoe_andes_mean", "unified_cost_mean_usd")
FIXED = ("policy", "seed", "replication")


@dataclass(frozen=True)
class FolderDiff:
    """How two result folders differ.

    Parameters
    ----------
    a, b : Path
        The folders.
    config : tuple of str
        One line for each difference of configuration, inputs and code.
    rows : tuple of MetricDiff
        Paired differences.
    note : str
        Why there are fewer pairs than one might think, or ''.
    """

    a: Path
    b: Path
    config: tuple[str, ...]
    rows: tuple[MetricDiff, ...]
    note: str


def diff_folders(a: Path, b: Path, metrics: Sequence[str] = ()) -> FolderDiff:
    """Compare two folders of runs, or two of sweeps.

    Parameters
    ----------
    a, b : Path
        Result folders.
    metrics : sequence of str
        Summary metrics; four headline numbers by default.

    Raises
    ------
    UserError
        If a folder holds no results, one holds a run and the other a sweep, or a metric is unknown.
    """
    for name in metrics:
        if definition(name).level != "summary":
            raise UserError(f"'{name}' is a column of single requests, not a summary", where="--metric")
    if is_sweep(a) != is_sweep(b):
        raise UserError("one holds a run, the other a sweep", where=f"{a}, {b}")
    left, right = load_results(a), load_results(b)
    if is_sweep(a):
        config = _mapping_diff(_sweep_facts(a), _sweep_facts(b))
        keys = [*(name for name in _axes(a) if name in _axes(b)), "policy", "seed"]
    else:
        config = _mapping_diff(_run_facts(a), _run_facts(b))
        keys = list(FIXED)
    samples: dict[int, list[float]] = {}
    rows = with_inputs(_rows(left, right, keys, metrics or DEFAULT_METRICS, samples), a, b, samples)
    return FolderDiff(a, b, tuple(config), tuple(rows), _note(left, right, keys))


def _rows(
    left: pd.DataFrame,
    right: pd.DataFrame,
    keys: list[str],
    metrics: Sequence[str],
    samples: dict[int, list[float]],
) -> list[MetricDiff]:
    """Return the differences, and note in ``samples`` by place of the row those of each pair."""
    import pandas as pd

    columns = [*keys, *metrics]
    for table, where in ((left, "A"), (right, "B")):
        if lacking := [name for name in columns if name not in table.columns]:
            raise UserError(f"{where} has no column '{lacking[0]}': another version of discosim made it", where="diff")
    old, new = (table[table["policy"].notna()][columns] for table in (left, right))
    pairs = old.merge(new, on=keys, how="inner", suffixes=("_a", "_b"), sort=False)
    by = [key for key in keys if key not in {"seed", "replication"}]
    rows: list[MetricDiff] = []
    for metric in metrics:
        for values, group in pairs.groupby(by, sort=False):
            point = dict(zip(by, values, strict=True))
            first, second = (group[f"{metric}_{side}"].to_numpy(dtype=float) for side in "ab")
            difference = paired_difference(second, first)
            samples[len(rows)] = (second - first).tolist()
            known = ~pd.isna(first - second)
            a, b = (float(side[known].mean()) if known.any() else float("nan") for side in (first, second))
            policy = str(point.pop("policy"))
            rows.append(MetricDiff(metric, policy, {str(k): shown(v) for k, v in point.items()}, a, b, difference))
    return rows


def _note(left: pd.DataFrame, right: pd.DataFrame, keys: list[str]) -> str:
    old, new = (table[table["policy"].notna()][keys] for table in (left, right))
    n_pairs = len(old.merge(new, on=keys, how="inner"))
    if n_pairs == 0:
        shared = [key for key in keys if set(old[key]) & set(new[key])]
        return f"nothing to pair: no value in common of {', '.join(key for key in keys if key not in shared) or 'all'}"
    alone = [len(side) - n_pairs for side in (old, new)]
    return f"without a partner: {alone[0]} rows of A, {alone[1]} of B" if any(alone) else ""


def _axes(folder: Path) -> list[str]:
    return [path for axis in Store(folder).read_plan()["axes"] for path in axis["paths"]]


def _run_facts(folder: Path) -> dict[str, Any]:
    """Return configuration, inputs and code of a run as one flat mapping."""
    facts = read_facts(folder)
    flat = dict(_flat(read_file(folder / "config.yaml").data))
    flat |= {f"input {key}": value for key, value in facts["inputs_sha256"].items()}
    return {**flat, **facts["code"]}


def _sweep_facts(folder: Path) -> dict[str, Any]:
    """Return what two plans may differ in: seeds, axes, inputs, code."""
    store = Store(folder)
    plan = store.read_plan()
    flat: dict[str, Any] = {"sweep": plan["name"], "profile": plan["profile"], "seeds": _span(plan["seeds"])}
    for axis in plan["axes"]:
        for path in axis["paths"]:
            flat[f"axis {path}"] = ", ".join(shown(step[path]) for step in axis["values"])
    for point in plan["points"]:
        flat |= {f"input {key}": value for key, value in point["inputs_sha256"].items()}
    base = next((run for run in store.planned() if store.facts(run)), None)
    if base is not None:
        varied = [path for axis in plan["axes"] for path in axis["paths"]]
        config = _flat(read_file(store.path(base) / "config.yaml").data)
        flat |= {k: v for k, v in config if k != "seed" and not any(_is_below(k, path) for path in varied)}
    return {**flat, **plan["code"]}


def _is_below(key: str, path: str) -> bool:
    return key == path or key.startswith((f"{path}.", f"{path}["))


def _span(seeds: Sequence[int]) -> str:
    return f"{seeds[0]} to {seeds[-1]}" if seeds else "none"


def _flat(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str, Any]]:
    """Return every scalar with its path; policies go by their names, as with ``--set``."""
    if isinstance(value, Mapping):
        return [pair for key, item in value.items() for pair in _flat(item, (*path, str(key)))]
    if isinstance(value, list):
        if path == ("policies",):
            return [pair for item in value for pair in _flat(item, (*path, str(item.get("name") or item["kind"])))]
        return [pair for i, item in enumerate(value) for pair in _flat(item, (*path, i))]
    return [(dotted(path), value)]


def _mapping_diff(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return differences(
        {key: shown(value) for key, value in old.items()}, {key: shown(value) for key, value in new.items()}
    )
